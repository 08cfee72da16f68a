/** The days of the calendar, in the zone that a person has chosen. */
import type { Schema } from "@/api/client";
import { day } from "@/parts/time";

type Tick = Schema<"TickAhead">;
const DAY_MS = 86_400_000;

/** Ticks by the day of the chosen zone, every day of the span there, in order: begun at noon, a week touches eight. */
export function byDay(
  ticks: Tick[],
  begin: string,
  days: number,
  zone: string,
): { date: string; at: string; ticks: Tick[] }[] {
  const found = new Map<string, { date: string; at: string; ticks: Tick[] }>();
  const first = Date.parse(begin);
  const last = first + days * DAY_MS - 1;
  for (let n = 0; n <= days; n += 1) {
    const at = new Date(Math.min(first + n * DAY_MS, last)).toISOString();
    const date = day(at, zone);
    if (!found.has(date)) found.set(date, { date, at, ticks: [] });
  }
  for (const tick of ticks) if (tick.instant) found.get(day(tick.instant, zone))?.ticks.push(tick);
  return [...found.values()];
}
