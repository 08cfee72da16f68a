/** Since when the report counts: by name or by an instant, and when this browser was here before. */
import { day, type Zone, zoneName } from "@/parts/time";

const KEY = "partita.today.visits";
const SITTING_MS = 30 * 60_000;
const WEEK_MS = 7 * 86_400_000;

export type Visits = { at: number; before: number | null };

/** A visit now, after those that were: within half an hour it is still the same one. */
export function visited(was: Visits | null, now: number): Visits {
  if (was === null) return { at: now, before: null };
  return { at: now, before: now - was.at > SITTING_MS ? was.at : was.before };
}

/** Note that somebody is here; says when they were here before. */
export function visit(now: number): number | null {
  let was: Visits | null = null;
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "null") as Visits | null;
    if (kept && typeof kept.at === "number") was = kept;
  } catch {
    // What cannot be read is as if it were the first visit.
  }
  const is = visited(was, now);
  try {
    localStorage.setItem(KEY, JSON.stringify(is));
  } catch {
    // A browser that keeps nothing has no last visit.
  }
  return is.before;
}

/** The instant at which it was so late, in a zone, on the day of `now` or so many days before. */
export function clockBefore(now: number, hour: number, days: number, zone: Zone): number {
  const date = day(new Date(now - days * 86_400_000).toISOString(), zone);
  const naive = Date.parse(`${date}T${String(hour).padStart(2, "0")}:00:00Z`);
  // The zone's distance from UTC there; asked twice, for the first guess may lie on the other side of a change.
  const at = naive - offset(naive, zone);
  return naive - offset(at, zone);
}

function offset(at: number, zone: Zone): number {
  const parts = new Intl.DateTimeFormat("en-GB", {
    timeZone: zoneName(zone),
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  }).formatToParts(new Date(at));
  const p = Object.fromEntries(parts.map((part) => [part.type, Number(part.value)])) as Record<
    string,
    number
  >;
  return Date.UTC(p.year!, p.month! - 1, p.day, p.hour, p.minute, p.second) - Math.floor(at / 1000) * 1000;
}

export const PRESETS = ["visit", "yesterday", "today", "1h", "12h", "24h", "7d"] as const;

/** The instant that is meant by the address; without one, the evening before, or the last visit if that is longer ago. */
export function sinceOf(asked: string | undefined, now: number, before: number | null, zone: Zone): number {
  const evening = clockBefore(now, 18, 1, zone);
  switch (asked) {
    case "visit":
      return before ?? evening;
    case "yesterday":
      return evening;
    case "today":
      return clockBefore(now, 0, 0, zone);
    case "1h":
      return now - 3_600_000;
    case "12h":
      return now - 12 * 3_600_000;
    case "24h":
      return now - 24 * 3_600_000;
    case "7d":
      return now - WEEK_MS;
  }
  const at = asked ? Date.parse(asked) : Number.NaN;
  if (!Number.isNaN(at)) return at;
  return before === null ? evening : Math.max(now - WEEK_MS, Math.min(before, evening));
}
