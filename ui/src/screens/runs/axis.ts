/** A window of time as a picture: where an instant lies, which instants are marked. */

const MIN = 60_000;
const HOUR = 60 * MIN;
const DAY = 24 * HOUR;
const STEPS = [
  MIN,
  2 * MIN,
  5 * MIN,
  10 * MIN,
  15 * MIN,
  30 * MIN,
  HOUR,
  2 * HOUR,
  3 * HOUR,
  6 * HOUR,
  12 * HOUR,
  DAY,
  2 * DAY,
  7 * DAY,
];

export type Window = { from: number; to: number };

/** The share of the window before an instant, kept within it. */
export function placeOf(at: number, window: Window): number {
  return Math.max(0, Math.min(1, (at - window.from) / (window.to - window.from)));
}

/** Round instants within the window, at most `most` of them. `shift` is the zone's distance from UTC in ms. */
export function marks(window: Window, most: number, shift: number): number[] {
  const step = STEPS.find((each) => (window.to - window.from) / each <= most) ?? 7 * DAY;
  const found: number[] = [];
  for (let at = Math.ceil((window.from + shift) / step) * step - shift; at <= window.to; at += step)
    found.push(at);
  return found;
}

/** Whether marks so far apart are days. */
export function areDays(found: number[]): boolean {
  return found.length > 1 && found[1]! - found[0]! >= DAY;
}

/** What a drag from one share of the window to another means; nothing if it was a click. */
export function dragged(window: Window, from: number, to: number): Window | null {
  const [a, b] = from < to ? [from, to] : [to, from];
  if (b - a < 0.01) return null;
  const length = window.to - window.from;
  const left = window.from + a * length;
  return { from: left, to: Math.max(left + MIN, window.from + b * length) };
}
