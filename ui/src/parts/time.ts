/** How instants and durations are said, and in which zone. Rule: pure, but for the zone that a person has chosen. */
import { useSyncExternalStore } from "react";

export type Zone = "utc" | "browser" | (string & {});

const KEY = "partita.zone";
const tellers = new Set<() => void>();
let zone: Zone = read();

function read(): Zone {
  try {
    return localStorage.getItem(KEY) ?? "browser";
  } catch {
    return "browser";
  }
}

/** The zone in which all instants are shown: "utc", "browser" or an IANA name. */
export function useZone(): [Zone, (zone: Zone) => void] {
  const now = useSyncExternalStore(
    (tell) => {
      tellers.add(tell);
      return () => tellers.delete(tell);
    },
    () => zone,
  );
  return [now, setZone];
}

export function setZone(next: Zone): void {
  zone = next;
  try {
    localStorage.setItem(KEY, next);
  } catch {
    // A browser that keeps nothing: the choice lasts as long as the page.
  }
  for (const tell of tellers) tell();
}

/** What Intl understands. */
export function zoneName(of: Zone = zone): string {
  if (of === "utc") return "UTC";
  return of === "browser" ? Intl.DateTimeFormat().resolvedOptions().timeZone : of;
}

const formats = new Map<string, Intl.DateTimeFormat>();

function parts(at: Date, of: string): Record<string, string> {
  let format = formats.get(of);
  if (!format) {
    format = new Intl.DateTimeFormat("en-GB", {
      timeZone: of,
      hourCycle: "h23",
      year: "numeric",
      month: "2-digit",
      day: "2-digit",
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit",
      weekday: "short",
    });
    formats.set(of, format);
  }
  return Object.fromEntries(format.formatToParts(at).map((part) => [part.type, part.value]));
}

/** "2026-11-22 03:00:41": sorts, copies, and means one instant beside its zone. */
export function exact(iso: string, of: Zone = zone): string {
  const p = parts(new Date(iso), zoneName(of));
  return `${p.year}-${p.month}-${p.day} ${p.hour}:${p.minute}:${p.second}`;
}

/** "03:00", or "03:00:41". */
export function clock(iso: string, of: Zone = zone, seconds = false): string {
  const p = parts(new Date(iso), zoneName(of));
  return seconds ? `${p.hour}:${p.minute}:${p.second}` : `${p.hour}:${p.minute}`;
}

/** "2026-11-22" in the zone. */
export function day(iso: string, of: Zone = zone): string {
  return exact(iso, of).slice(0, 10);
}

/** "Sun 22" in the zone. */
export function weekday(iso: string, of: Zone = zone): string {
  const p = parts(new Date(iso), zoneName(of));
  return `${p.weekday} ${p.day}`;
}

/** "12 min ago", "in 3 h", "now". */
export function relative(iso: string, now: number): string {
  const seconds = (Date.parse(iso) - now) / 1000;
  const size = Math.abs(seconds);
  if (size < 5) return "now";
  const said = rough(size);
  return seconds < 0 ? `${said} ago` : `in ${said}`;
}

/** "45 s", "12 min", "3 h", "5 d". */
export function rough(seconds: number): string {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

/** "0.4 s", "41 s", "1 m 32 s", "2 h 05 m", "3 d 04 h". */
export function took(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return "";
  if (seconds < 0.0995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const two = (n: number) => String(n).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)} m ${two(whole % 60)} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} m`;
  return `${Math.floor(whole / 86400)} d ${two(Math.floor((whole % 86400) / 3600))} h`;
}

/** Seconds between two instants; up to `now` while the second is not there. */
export function between(
  start: string | null | undefined,
  end: string | null | undefined,
  now: number,
): number | null {
  if (!start) return null;
  return Math.max(0, ((end ? Date.parse(end) : now) - Date.parse(start)) / 1000);
}
