/**
 * All step instances of a run as the API's columns: events applied to them, and what screens read out of them.
 *
 * Rule: pure. A new answer of the API takes the place of all that was applied here.
 */
import type { Schema } from "@/api/client";
import type { Happened } from "@/api/live";
import { rankOf } from "@/parts/states";

export type All = Schema<"Instances">;
export type Columns = Schema<"StepColumns">;
/** One instance. */
export type Row = {
  step: string;
  index: string;
  state: string;
  began: number | null;
  took: number | null;
  attempts: number;
  of: Columns;
};

/** `load`, `load[3]`. */
export function nameOf(step: string, index: string): string {
  return index ? `${step}[${index}]` : step;
}

/** The state of each instance of a step, by its word. */
export function statesOf(all: All, step: Columns): string[] {
  return Array.from(step.states, (letter) => all.letters[letter] ?? "unknown");
}

/** How many instances of a step are in which state. */
export function countsOf(all: All, step: Columns): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const letter of step.states) {
    const word = all.letters[letter] ?? "unknown";
    counts[word] = (counts[word] ?? 0) + 1;
  }
  return counts;
}

/** The state of a step as a whole: the worst of its instances. */
export function worst(counts: Record<string, number>): string {
  return Object.keys(counts).sort((a, b) => rankOf(a) - rankOf(b))[0] ?? "waiting";
}

/** All instances, one after the other. */
export function rowsOf(all: All): Row[] {
  return all.steps.flatMap((of) =>
    of.indexes.map((index, at) => ({
      step: of.step,
      index,
      state: all.letters[of.states[at] ?? ""] ?? "unknown",
      began: of.began[at] ?? null,
      took: of.took[at] ?? null,
      attempts: of.attempts[at] ?? 0,
      of,
    })),
  );
}

export function sizeOf(all: All): number {
  return all.steps.reduce((sum, step) => sum + step.indexes.length, 0);
}

type Change = { at: number; state?: string; began?: number; attempts?: number };

/** The columns after what happened; `missing`: something happened to an instance that they do not have. */
export function applied(all: All, happened: readonly Happened[]): { all: All; missing: boolean } {
  const letterOf = Object.fromEntries(Object.entries(all.letters).map(([letter, word]) => [word, letter]));
  const zero = all.zero ? Date.parse(all.zero) : 0;
  const changes = new Map<string, Map<string, Change[]>>();
  for (const { events } of happened)
    for (const event of events) {
      const change = changeOf(event, zero);
      if (!change) continue;
      const step = String(event.step);
      const of = changes.get(step) ?? new Map<string, Change[]>();
      const index = String(event.index ?? "");
      of.set(index, [...(of.get(index) ?? []), change]);
      changes.set(step, of);
    }
  if (changes.size === 0) return { all, missing: false };
  let missing = false;
  const counts = { ...all.counts };
  const steps = all.steps.map((step) => {
    const of = changes.get(step.step);
    if (!of) return step;
    const known = new Map(step.indexes.map((index, at) => [index, at]));
    const next = {
      states: [...step.states],
      began: [...step.began],
      took: [...step.took],
      attempts: [...step.attempts],
    };
    for (const [index, list] of of) {
      const at = known.get(index);
      if (at === undefined) {
        missing = true;
        continue;
      }
      for (const change of list) {
        if (change.began !== undefined && next.began[at] === null) next.began[at] = change.began;
        if (change.attempts !== undefined) next.attempts[at] = change.attempts;
        if (change.state === undefined) continue;
        const before = all.letters[next.states[at] ?? ""] ?? "";
        counts[before] = (counts[before] ?? 1) - 1;
        counts[change.state] = (counts[change.state] ?? 0) + 1;
        next.states[at] = letterOf[change.state] ?? next.states[at]!;
        const began = next.began[at];
        next.took[at] =
          OPEN.has(change.state) || began === null || began === undefined ? null : change.at - began;
      }
    }
    return { ...step, ...next, states: next.states.join("") };
  });
  return { all: { ...all, steps, counts: withoutZeros(counts) }, missing };
}

const OPEN = new Set(["running", "retrying", "ready", "waiting", "awaiting"]);

function changeOf(event: Happened["events"][number], zero: number): Change | null {
  if (typeof event.step !== "string") return null;
  const at = typeof event.at === "string" ? Math.max(0, Date.parse(event.at) - zero) : 0;
  switch (event.kind) {
    case "attempt_started":
    case "attempt_dispatched":
      return { at, state: "running", began: at, attempts: Number(event.attempt ?? 1) };
    case "attempt_ended":
      return event.state === "succeeded" ? { at, state: "succeeded" } : null;
    case "step_retried":
      return { at, state: "retrying" };
    case "step_ended":
      return { at, state: String(event.state) };
    case "gate_opened":
      return event.of === "approval" ? { at, state: "awaiting" } : null;
    case "gate_answered":
      return event.accepted ? { at, state: "succeeded" } : null;
    default:
      return null;
  }
}

function withoutZeros(counts: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
}
