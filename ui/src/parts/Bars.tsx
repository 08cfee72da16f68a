/** Small pictures of numbers: last states as bars, a line of values, a share of a whole. Each says itself in words too. */

import css from "./Bars.module.css";
import { lookOf } from "./states";
import { To } from "./To";
import { took } from "./time";

export type Bar = { state: string; seconds: number | null; title: string; to?: string };

/** The last runs, oldest left: height is the duration, colour the state; a failed one has a notch so that colour is not alone. */
export function Bars({ bars, height = 22, width = 6 }: { bars: Bar[]; height?: number; width?: number }) {
  const longest = Math.max(...bars.map((bar) => bar.seconds ?? 0), 0.001);
  const failed = bars.filter((bar) => bar.state === "failed").length;
  return (
    <span
      className={css.bars}
      style={{ height }}
      role="group"
      aria-label={`last ${bars.length} runs, ${failed} failed`}
    >
      {bars.map((bar, at) => {
        const { tone, word } = lookOf(bar.state);
        const size = Math.max(0.22, (bar.seconds ?? longest * 0.3) / longest);
        const said = `${bar.title}: ${word}${bar.seconds === null ? "" : `, ${took(bar.seconds)}`}`;
        const look = {
          className: `${css.bar} ${bar.state === "failed" ? css.notch : ""}`,
          style: { width, height: Math.round(size * height), background: `var(--p-${tone}-fill)` },
          title: said,
          "aria-label": said,
        };
        return bar.to ? (
          <To key={at} to={bar.to} data-bar="" {...look} />
        ) : (
          <span key={at} role="img" {...look} />
        );
      })}
    </span>
  );
}

/** A line through values. `label` says what they are; the last one is marked. */
export function Spark({
  values,
  label,
  width = 80,
  height = 20,
}: {
  values: (number | null)[];
  label: string;
  width?: number;
  height?: number;
}) {
  const known = values.filter((value): value is number => value !== null && Number.isFinite(value));
  if (known.length < 2) return <span className={css.none}>–</span>;
  const low = Math.min(...known);
  const high = Math.max(...known);
  const x = (at: number) => 2 + (at * (width - 4)) / Math.max(1, values.length - 1);
  const y = (value: number) =>
    high === low ? height / 2 : height - 3 - ((value - low) / (high - low)) * (height - 6);
  const points = values.flatMap((value, at) => (value === null ? [] : [[x(at), y(value)] as const]));
  const end = points[points.length - 1]!;
  return (
    <svg width={width} height={height} role="img" aria-label={label} className={css.spark}>
      <polyline points={points.map((point) => point.join(",")).join(" ")} />
      <circle cx={end[0]} cy={end[1]} r="2.2" />
    </svg>
  );
}

/** A share of a whole, by states: `parts` are drawn in order. */
export function Meter({
  parts,
  total,
  label,
  height = 8,
}: {
  parts: { state: string; count: number }[];
  total: number;
  label: string;
  height?: number;
}) {
  return (
    <span className={css.meter} style={{ height }} role="img" aria-label={label} title={label}>
      {parts
        .filter((part) => part.count > 0)
        .map((part) => (
          <span
            key={part.state}
            style={{
              width: `${(100 * part.count) / Math.max(1, total)}%`,
              // Few of many are few, not none.
              minWidth: 2,
              background: `var(--p-${lookOf(part.state).tone}-fill)`,
            }}
            className={part.state === "upstream_failed" ? css.hatch : undefined}
          />
        ))}
    </span>
  );
}
