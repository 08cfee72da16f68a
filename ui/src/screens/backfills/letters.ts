/** The letters of a backfill's parts, and how a backfill is told in a word. */
import type { Schema } from "@/api/client";
import { quoted } from "@/parts/shell";
import { rough } from "@/parts/time";

export const LETTERS: Record<string, string> = {
  f: "failed",
  k: "skipped",
  c: "cancelled",
  r: "running",
  w: "waiting",
  s: "succeeded",
};

export const LIVE = ["backfill_", "part_", "run_"] as const;

type Told = Pick<Schema<"Backfill">, "state" | "paused" | "cancel_requested">;

export function stateOf(backfill: Told): string {
  if (backfill.state !== "running") return backfill.state;
  return backfill.paused && !backfill.cancel_requested ? "paused" : "running";
}

/** How many of its parts are done with. */
export function doneOf(counts: Record<string, number>): number {
  return ["succeeded", "failed", "skipped", "cancelled"].reduce(
    (sum, state) => sum + (counts[state] ?? 0),
    0,
  );
}

/** Counts as parts of a meter, in the order in which they are done. */
export function partsOf(counts: Record<string, number>): { state: string; count: number }[] {
  return ["succeeded", "failed", "skipped", "cancelled", "running"].map((state) => ({
    state,
    count: counts[state] ?? 0,
  }));
}

/** How long, for a sentence. */
export function about(seconds: number): string {
  return seconds < 1 ? "less than a second" : `about ${rough(seconds)}`;
}

/** The command line that asks for the same. */
export function commandOf(wanted: Record<string, unknown>): string {
  const flags: [string, unknown, unknown][] = [
    ["--partition", wanted.partitions, "*"],
    ["--only", wanted.only, "all"],
    ["--with", wanted.cascade, "none"],
    ["--batch", wanted.batch ?? "", ""],
    ["--order", wanted.order, "oldest"],
    ["--max-runs", wanted.max_runs, 8],
    ["--priority", wanted.priority, 0],
  ];
  const params = Object.entries((wanted.params ?? {}) as Record<string, unknown>).map(
    ([name, value]) => `-p ${quoted(`${name}=${typeof value === "string" ? value : JSON.stringify(value)}`)}`,
  );
  const given = flags.filter(([, value, usual]) => value !== undefined && value !== "" && value !== usual);
  return [
    "partita backfill start",
    quoted(String(wanted.target || "TARGET")),
    ...given.map(([flag, value]) => `${flag} ${quoted(String(value))}`),
    ...params,
  ].join(" ");
}
