/** Instants and durations on a screen; they move with the clock, and say exactly what they mean on hover. */
import { Tooltip } from "@mantine/core";
import { useEffect, useSyncExternalStore } from "react";
import { between, clock, exact, relative, took, useZone, zoneName } from "./time";
import css from "./When.module.css";

const listeners = new Set<() => void>();
let now = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;

/** The time of day in ms, once a second; one timer for the page. */
export function useNow(): number {
  return useSyncExternalStore(
    (tell) => {
      listeners.add(tell);
      timer ??= setInterval(() => {
        now = Date.now();
        for (const each of listeners) each();
      }, 1000);
      return () => {
        listeners.delete(tell);
        if (listeners.size === 0) {
          clearInterval(timer);
          timer = undefined;
        }
      };
    },
    () => now,
  );
}

/** An instant: "12 min ago" with the exact one on hover; `as="clock"` and `as="exact"` the other way round. */
export function When({
  at,
  as = "relative",
  seconds,
}: {
  at: string | null | undefined;
  as?: "relative" | "clock" | "exact";
  seconds?: boolean;
}) {
  const [zone] = useZone();
  if (!at) return <span className={css.none}>–</span>;
  return as === "relative" ? (
    <Relative at={at} />
  ) : (
    <time dateTime={at} title={`${exact(at, zone)} ${zoneName(zone)}`}>
      {as === "clock" ? clock(at, zone, seconds) : exact(at, zone)}
    </time>
  );
}

function Relative({ at }: { at: string }) {
  const [zone] = useZone();
  const at_ = useNow();
  return (
    <time dateTime={at} title={`${exact(at, zone)} ${zoneName(zone)}`}>
      {relative(at, at_)}
    </time>
  );
}

/** How long: of an interval, which goes on while it has no end, or of seconds. With `usual`, a bar against p10 to p90. */
export function Took({
  from,
  to,
  seconds,
  usual,
}: {
  from?: string | null;
  to?: string | null;
  seconds?: number | null;
  usual?: { p10: number; p90: number; median: number } | null;
}) {
  if (seconds !== undefined || to) {
    const length = seconds ?? between(from, to, 0);
    return <Length seconds={length} usual={usual} />;
  }
  return from ? <Going from={from} usual={usual} /> : <span className={css.none}>–</span>;
}

function Going({
  from,
  usual,
}: {
  from: string;
  usual?: { p10: number; p90: number; median: number } | null;
}) {
  return <Length seconds={between(from, null, useNow())} usual={usual} />;
}

function Length({
  seconds,
  usual,
}: {
  seconds: number | null;
  usual?: { p10: number; p90: number; median: number } | null;
}) {
  const text = seconds === null ? "–" : took(seconds);
  if (!usual || seconds === null) return <span className={css.length}>{text}</span>;
  const top = Math.max(usual.p90 * 1.25, seconds);
  const at = (value: number) => `${Math.min(100, (100 * value) / top)}%`;
  const long = seconds > usual.p90;
  return (
    <Tooltip
      label={`usually ${took(usual.p10)} to ${took(usual.p90)}, most often about ${took(usual.median)}`}
    >
      <span className={css.with}>
        <span className={css.length}>{text}</span>
        <span className={css.bar} aria-label={long ? "longer than usual" : "within the usual"} role="img">
          <span
            className={css.band}
            style={{ left: at(usual.p10), right: `calc(100% - ${at(usual.p90)})` }}
          />
          <span className={long ? css.long : css.mark} style={{ left: at(seconds) }} />
        </span>
      </span>
    </Tooltip>
  );
}

/** The page's title in the browser. */
export function useTitle(title: string) {
  useEffect(() => {
    document.title = title ? `${title} · Partita` : "Partita";
  }, [title]);
}
