/** A run in time, made ready to be drawn. Rule: pure; seconds since the run began. */
import type { Schema } from "@/api/client";
import { took } from "@/parts/time";

export type TimelineOf = Schema<"Timeline">;
export type TimelineRow = Schema<"TimelineRow">;
export type View = { from: number; to: number };
/** A line of the picture: an instance, or what is folded of a mapped step. */
export type Line =
  | { kind: "row"; key: string; row: TimelineRow }
  | { kind: "folded"; key: string; folded: Schema<"Folded"> };

/** The lines from top to bottom, by when they began to wait or work; folded ones behind those of their step. */
export function linesOf(timeline: TimelineOf, filter: { critical: boolean; text: string }): Line[] {
  const begin = (row: TimelineRow) =>
    Math.min(row.work[0]?.from ?? Number.POSITIVE_INFINITY, readyOf(row) ?? Number.POSITIVE_INFINITY);
  const wanted = timeline.rows.filter(
    (row) =>
      (!filter.critical || row.critical) && nameOf(row).toLowerCase().includes(filter.text.toLowerCase()),
  );
  const sorted = wanted
    .map((row, at) => ({ row, at, begin: begin(row) }))
    .sort((a, b) => order(a.begin, b.begin) || a.at - b.at);
  const folded = new Map(timeline.folded.map((each) => [each.step, each]));
  const last = new Map(sorted.map(({ row }) => [row.step, row]));
  return sorted.flatMap(({ row }): Line[] => {
    const more = last.get(row.step) === row ? folded.get(row.step) : undefined;
    const line: Line = { kind: "row", key: `${row.step}\n${row.index}`, row };
    return more && !filter.critical
      ? [line, { kind: "folded", key: `${row.step}\nfolded`, folded: more }]
      : [line];
  });
}

function order(a: number, b: number): number {
  return a === b ? 0 : a < b ? -1 : 1;
}

export function nameOf(row: { step: string; index: string }): string {
  return row.index ? `${row.step}[${row.index}]` : row.step;
}

/** When all that it needs was there. */
function readyOf(row: TimelineRow): number | undefined {
  const needs = row.waits.find((wait) => wait.reason === "upstreams");
  return needs ? (needs.to ?? undefined) : row.waits[0]?.from;
}

/** How long it worked, and how long it waited when it could have worked. */
export function sumsOf(row: TimelineRow, now: number): { worked: number; waited: number } {
  const length = (each: { from: number; to: number | null }) => Math.max(0, (each.to ?? now) - each.from);
  return {
    worked: row.work.reduce((sum, work) => sum + length(work), 0),
    waited: row.waits
      .filter((wait) => wait.reason !== "upstreams")
      .reduce((sum, wait) => sum + length(wait), 0),
  };
}

/** Round instants for the axis: about `count` of them. */
export function ticksOf({ from, to }: View, count: number): number[] {
  const rough = (to - from) / Math.max(1, count);
  const step = STEPS.find((each) => each >= rough) ?? Math.ceil(rough / 86400) * 86400;
  const ticks = [];
  // By counting, for sums of fractions drift.
  for (let n = Math.ceil(from / step); n * step <= to + step / 1000; n++)
    ticks.push(Number((n * step).toPrecision(12)));
  return ticks;
}

const STEPS = [
  0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800,
  3600, 7200, 10800, 21600, 43200, 86400,
];

/** "start", "5 s", "1 m 30 s": round ones are said round. */
export function tickText(at: number): string {
  if (Math.abs(at) < 1e-9) return "start";
  return Number.isInteger(at) && at < 10 ? `${at} s` : took(at);
}

/** What a wait is for, in words. */
export function waitText(wait: Schema<"Waited">): string {
  const of = wait.of.join(", ");
  if (wait.text) return wait.text;
  switch (wait.reason) {
    case "upstreams":
      return of ? `waited for ${of}` : "waited for what it needs";
    case "limits":
      return `waited for a slot: ${of}`;
    case "bundle":
      return `waited for its turn in ${of}`;
    case "retry":
      return "waited for its next attempt";
    case "gate":
      return of ? `waited for an answer, given by ${of}` : "waits for an answer";
    default:
      return "waited in the queue for a worker";
  }
}
