/** One line of a log: its number (a link), when, and its text with the terminal's colours and what is looked for. */
import { memo } from "react";
import { clock, useZone } from "@/parts/time";
import { type Piece, pieces } from "./ansi";
import css from "./LogView.module.css";
import { cutAt, type Fold, type Line } from "./rows";

export const Row = memo(function Row({
  no,
  line,
  fold,
  wanted,
  isHere,
  withTime,
  onPick,
  onFold,
}: {
  no: number;
  line: Line | undefined;
  fold?: Fold | undefined;
  wanted: string;
  isHere: boolean;
  withTime: boolean;
  onPick: (no: number) => void;
  onFold: (fold: Fold) => void;
}) {
  const [zone] = useZone();
  const level = line ? toneOf(line) : "";
  return (
    <div className={`${css.row} ${level ? css[level] : ""} ${isHere ? css.here : ""}`} data-line={no}>
      <a
        className={css.no}
        href={`#L${no}`}
        aria-label={`line ${no}`}
        tabIndex={-1}
        onClick={(event) => {
          if (event.metaKey || event.ctrlKey || event.shiftKey) return;
          event.preventDefault();
          onPick(no);
        }}
      >
        {no}
      </a>
      {withTime && <span className={css.at}>{line?.at ? clock(line.at, zone, true) : ""}</span>}
      {fold ? (
        <button type="button" className={css.fold} onClick={() => onFold(fold)}>
          {`▸ ${fold[1] - fold[0] + 1} lines of the traceback`}
        </button>
      ) : (
        <span className={css.text}>
          {line ? <Text text={line.text} wanted={wanted} /> : <span className={css.bone} />}
        </span>
      )}
    </div>
  );
});

function Text({ text, wanted }: { text: string; wanted: string }) {
  return pieces(text).map((piece, at) => {
    const parts = cutAt(piece.text, wanted);
    const look = classOf(piece);
    const inside =
      parts.length === 1
        ? piece.text
        : parts.map((part, n) =>
            n % 2 ? (
              <mark key={n} className={css.hit}>
                {part}
              </mark>
            ) : (
              part
            ),
          );
    return look ? (
      <span key={at} className={look}>
        {inside}
      </span>
    ) : (
      <span key={at}>{inside}</span>
    );
  });
}

function classOf({ style }: Piece): string {
  const found: (string | undefined)[] = [];
  if (style.fg) found.push(css[`fg-${style.fg}`]);
  if (style.bg) found.push(css[`bg-${style.bg}`]);
  if (style.bold) found.push(css.bold);
  if (style.faint) found.push(css.faint);
  if (style.italic) found.push(css.italic);
  if (style.underline) found.push(css.underline);
  return found.filter(Boolean).join(" ");
}

const ERROR = /^(?:Traceback \(most recent call last\):|[\w.]+(?:Error|Exception|Interrupt|Exit): )/;

function toneOf({ level, text, at }: Line): string {
  if (level === "ERROR" || level === "CRITICAL") return "error";
  if (level === "WARNING") return "warning";
  if (level === "DEBUG") return "debug";
  if (!at && text) return "ours";
  return ERROR.test(text) ? "error" : "";
}
