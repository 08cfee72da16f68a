/** A state as people see it: glyph, word, colour; never colour alone. */
import { Tooltip } from "@mantine/core";
import css from "./State.module.css";
import { type Glyph as GlyphName, inOrder, lookOf } from "./states";

/** The glyph alone, where the word stands beside it or is its label. */
export function Glyph({ state, size = 14, label }: { state: string; size?: number; label?: boolean }) {
  const { tone, glyph, word } = lookOf(state);
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 16 16"
      className={`${css.glyph} ${css[tone]} ${glyph === "half" ? css.turning : ""}`}
      {...(label ? { role: "img", "aria-label": word } : { "aria-hidden": true })}
    >
      <Shape of={glyph} />
    </svg>
  );
}

/** Glyph and word; `more` is said behind them ("for 3 min"), `reason` on hover. */
export function State({
  state,
  more,
  reason,
  soft,
}: {
  state: string;
  more?: React.ReactNode;
  reason?: string;
  soft?: boolean;
}) {
  const { word, tone } = lookOf(state);
  const said = (
    <span className={`${css.state} ${css[tone]} ${soft ? css.soft : ""}`} data-state={state}>
      <Glyph state={state} />
      <span className={css.word}>{word}</span>
      {more !== undefined && more !== "" && <span className={css.more}>{more}</span>}
    </span>
  );
  return reason ? (
    <Tooltip label={reason} multiline maw={420}>
      {said}
    </Tooltip>
  ) : (
    said
  );
}

/** "■ 1 failed  ● 48 succeeded", what is bad first. */
export function Counts({ counts, brief }: { counts: Record<string, number>; brief?: boolean }) {
  return (
    <span className={css.counts}>
      {inOrder(counts).map(([state, count]) => (
        <span
          key={state}
          className={`${css.state} ${css[lookOf(state).tone]}`}
          title={`${count} ${lookOf(state).word}`}
        >
          <Glyph state={state} size={12} label={brief} />
          {count.toLocaleString("en")}
          {!brief && ` ${lookOf(state).word}`}
        </span>
      ))}
    </span>
  );
}

function Shape({ of }: { of: GlyphName }) {
  const ring = <circle cx="8" cy="8" r="5.6" fill="none" stroke="currentColor" strokeWidth="1.6" />;
  const line = {
    fill: "none",
    stroke: "currentColor",
    strokeWidth: 1.7,
    strokeLinecap: "round" as const,
    strokeLinejoin: "round" as const,
  };
  const inner = { ...line, stroke: "var(--p-surface)" };
  switch (of) {
    case "check":
      return (
        <>
          <circle cx="8" cy="8" r="6.4" fill="currentColor" />
          <path d="M5 8.3l2.1 2.1L11 6.3" {...inner} />
        </>
      );
    case "half":
    case "half-still":
      return (
        <>
          {ring}
          <path d="M8 2.4a5.6 5.6 0 0 1 0 11.2z" fill="currentColor" />
        </>
      );
    case "cross":
      return (
        <>
          <rect x="1.8" y="1.8" width="12.4" height="12.4" rx="2.4" fill="currentColor" />
          <path d="M5.6 5.6l4.8 4.8M10.4 5.6l-4.8 4.8" {...inner} />
        </>
      );
    case "again":
      return <path d="M12.8 6.2A5.2 5.2 0 1 0 13.2 9M13.2 2.8v3.6H9.6" {...line} />;
    case "dotted":
      return <circle cx="8" cy="8" r="5.6" {...line} strokeDasharray="0.1 3.42" strokeWidth="2" />;
    case "ring":
      return ring;
    case "hand":
      return (
        <path
          d="M4.6 9V5.2a.9.9 0 0 1 1.8 0V3.6a.9.9 0 0 1 1.8 0v-.5a.9.9 0 0 1 1.8 0v1a.9.9 0 0 1 1.8 0v5.6c0 2.5-1.6 4.2-3.9 4.2-1.7 0-2.7-.8-3.5-2.1L2.6 9.3c-.5-.9.6-1.7 1.3-1z"
          fill="currentColor"
        />
      );
    case "dash":
      return <path d="M3.6 8h8.8" {...line} />;
    case "hatch":
      return (
        <>
          <rect x="2.2" y="2.2" width="11.6" height="11.6" rx="2" {...line} strokeWidth="1.4" />
          <path d="M3 9.4L9.4 3M4.2 13L13 4.2M8.4 13.4l5-5" {...line} strokeWidth="1.3" />
        </>
      );
    case "plus":
      return <path d="M8 3.4v9.2M3.4 8h9.2" {...line} />;
    case "slash":
      return (
        <>
          {ring}
          <path d="M4.2 11.8l7.6-7.6" {...line} />
        </>
      );
    case "clock":
      return (
        <>
          {ring}
          <path d="M8 4.8V8.2l2.2 1.4" {...line} />
        </>
      );
    case "broken-ring":
      return <circle cx="8" cy="8" r="5.6" {...line} strokeDasharray="3.2 2.66" strokeLinecap="butt" />;
    case "pause":
      return <path d="M5.6 3.6v8.8M10.4 3.6v8.8" {...line} strokeWidth="2.2" />;
  }
}
