/** A year of days as weeks. Rule: pure; a day is text, "2026-11-22", and has no zone any more. */

export type Day = { day: string; counts: Record<string, number> };
export type Square = { day: string; counts: Record<string, number>; week: number; weekday: number };
export type Month = { name: string; week: number };

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAY_MS = 86_400_000;

/** Every day from the first to the last at its place: weeks from the left, Monday on top. */
export function squaresOf(first: string, last: string, days: readonly Day[]): Square[] {
  const counts = new Map(days.map((one) => [one.day, one.counts]));
  const begin = Date.parse(`${first}T00:00:00Z`);
  const end = Date.parse(`${last}T00:00:00Z`);
  const before = weekdayOf(begin);
  const found: Square[] = [];
  for (let at = begin; at <= end; at += DAY_MS) {
    const day = new Date(at).toISOString().slice(0, 10);
    const place = before + Math.round((at - begin) / DAY_MS);
    found.push({ day, counts: counts.get(day) ?? {}, week: Math.floor(place / 7), weekday: place % 7 });
  }
  return found;
}

/** Monday is 0. */
function weekdayOf(at: number): number {
  return (new Date(at).getUTCDay() + 6) % 7;
}

/** The months, each at the week in which it begins. */
export function monthsOf(squares: readonly Square[]): Month[] {
  return squares
    .filter((one) => one.day.endsWith("-01"))
    .map((one) => ({ name: MONTHS[Number(one.day.slice(5, 7)) - 1] ?? "", week: one.week }));
}

export function totalOf(counts: Record<string, number>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

/** All states of all days together. */
export function sumOf(days: readonly Day[]): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const { counts } of days)
    for (const [state, count] of Object.entries(counts)) sum[state] = (sum[state] ?? 0) + count;
  return sum;
}

/** How many days in a row, from the last one back, have had runs and no failure; days without runs do not count. */
export function goodDays(days: readonly Day[]): number {
  let count = 0;
  for (const { counts } of days.toReversed()) {
    if (counts.failed) break;
    if (counts.succeeded) count += 1;
  }
  return count;
}

/** The instant at which a day begins in a zone, given what clocks show there (`shown` as in `exact` of time.ts). */
export function midnight(day: string, shown: (iso: string) => string): string {
  const wanted = Date.parse(`${day}T00:00:00Z`);
  let at = wanted;
  // The first guess may lie on the other side of a change of the clocks, so it is made twice.
  for (let again = 0; again < 2; again++) {
    const wall = Date.parse(`${shown(new Date(at).toISOString()).replace(" ", "T")}Z`);
    at += wanted - wall;
  }
  return new Date(at).toISOString();
}

/** The day after. */
export function dayAfter(day: string): string {
  return new Date(Date.parse(`${day}T00:00:00Z`) + DAY_MS).toISOString().slice(0, 10);
}
