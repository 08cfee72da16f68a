/** A year of days: how many runs there were on each, and how they ended. A day opens its runs. */
import { useMemo, useState } from "react";
import { type Schema, useGet } from "@/api/client";
import { href } from "@/frame/address";
import { Counts } from "@/parts/State";
import { lookOf } from "@/parts/states";
import { To } from "@/parts/To";
import { useZone, zoneName } from "@/parts/time";
import { Empty, Loaded } from "@/parts/Waiting";
import css from "./Calendar.module.css";
import { type Day, goodDays, monthsOf, type Square, squaresOf, sumOf, totalOf } from "./calendar";
import type { TabProps } from "./Pipeline";

export function CalendarTab({ pipeline, name }: TabProps) {
  const [zone] = useZone();
  const tz = zoneName(zone);
  const year = useGet(
    "/api/v1/pipelines/{pipeline}/calendar",
    { path: { pipeline: name }, query: { tz } },
    { live: ["run_"], keep: true },
  );
  return (
    <Loaded query={year} rows={8}>
      {(data) =>
        data.days.length === 0 ? (
          <Empty title="No run in the last year" code={`partita run ${name}`}>
            Each day with runs is a square here: green where all succeeded, red from the bottom up where some
            failed.
          </Empty>
        ) : (
          <Year year={data} pipeline={pipeline.name} />
        )
      }
    </Loaded>
  );
}

function Year({ year, pipeline }: { year: Schema<"Calendar">; pipeline: string }) {
  const days = year.days as Day[];
  const squares = useMemo(() => squaresOf(year.first, year.last, days), [year, days]);
  const [at, setAt] = useState<Square | null>(null);
  const sum = sumOf(days);
  const good = goodDays(days);
  const weeks = (squares.at(-1)?.week ?? 0) + 1;
  return (
    <div className={css.year}>
      <p className={css.sum}>
        <strong>{totalOf(sum).toLocaleString("en")} runs</strong> on{" "}
        {days.length === 1 ? "one day" : `${days.length} days`} of the last year
        <Counts counts={sum} />
        {good > 1 && <span>{good} days in a row without a failure</span>}
      </p>
      <div className={css.scroll} ref={toTheEnd}>
        <div
          className={css.days}
          style={{ gridTemplateColumns: `30px repeat(${weeks}, minmax(11px, 22px))` }}
        >
          {monthsOf(squares).map((month) => (
            <span
              key={`${month.name}${month.week}`}
              className={css.month}
              style={{ gridColumn: month.week + 2 }}
            >
              {month.name}
            </span>
          ))}
          {["Mon", "Wed", "Fri", "Sun"].map((word, row) => (
            <span key={word} className={css.weekday} style={{ gridRow: row * 2 + 2 }}>
              {word}
            </span>
          ))}
          {squares.map((square) => (
            <DaySquare key={square.day} square={square} pipeline={pipeline} onPoint={setAt} />
          ))}
        </div>
      </div>
      <p className={css.here}>
        {at ? (
          <>
            <strong>{at.day}</strong>
            <Counts counts={at.counts} />
          </>
        ) : (
          <>
            A day begins and ends in {year.tz}.{" "}
            {year.whole_since > year.first && `Before ${year.whole_since} only the newest runs are counted.`}
            <span className={css.legend}>
              <span className={`${css.key} ${css.all}`} /> all succeeded
              <span className={`${css.key} ${css.some}`} /> some failed
              <span className={`${css.key} ${css.open}`} /> going on
            </span>
          </>
        )}
      </p>
    </div>
  );
}

/** Where a year has no room, its last months are seen first. */
function toTheEnd(box: HTMLDivElement | null) {
  if (box) box.scrollLeft = box.scrollWidth;
}

function DaySquare({
  square,
  pipeline,
  onPoint,
}: {
  square: Square;
  pipeline: string;
  onPoint: (square: Square | null) => void;
}) {
  const { day, counts } = square;
  const total = totalOf(counts);
  const place = { gridColumn: square.week + 2, gridRow: square.weekday + 2 };
  if (total === 0) return <span className={css.free} style={place} />;
  const failed = (counts.failed ?? 0) / total;
  const open = (counts.running ?? 0) + (counts.queued ?? 0) > 0;
  const tone =
    open && !counts.failed ? "running" : (counts.succeeded ?? 0) > 0 || failed > 0 ? "succeeded" : "waiting";
  // One failure of a thousand is still seen.
  const red = failed === 0 ? 0 : Math.max(22, Math.round(100 * failed));
  const words = Object.entries(counts).map(([state, count]) => `${count} ${lookOf(state).word}`);
  return (
    <To
      to={href(["pipelines", pipeline], { tab: "runs", day })}
      className={`${css.day} ${failed > 0 ? css.bad : ""}`}
      style={{
        ...place,
        background: `linear-gradient(0deg, var(--p-failed-fill) ${red}%, var(--p-${tone}-fill) ${red}%)`,
      }}
      aria-label={`${day}: ${words.join(", ")}`}
      onMouseEnter={() => onPoint(square)}
      onMouseLeave={() => onPoint(null)}
      onFocus={() => onPoint(square)}
    />
  );
}
