import { expect, test } from "vitest";
import type { Happened } from "@/api/live";
import { type All, applied, countsOf, rowsOf, worst } from "./columns";

const ALL: All = {
  run: "r",
  state: "running",
  zero: "2026-11-22T03:00:00.000Z",
  letters: { w: "waiting", r: "running", s: "succeeded", f: "failed", a: "retrying", q: "ready" },
  counts: { succeeded: 1, waiting: 2 },
  steps: [
    column("load", ["0", "1", "2"], "sww", [10, null, null], [5, null, null], [1, 0, 0]),
    column("tell", [""], "w", [null], [null], [0]),
  ],
};

function column(
  step: string,
  indexes: string[],
  states: string,
  began: (number | null)[],
  took: (number | null)[],
  attempts: number[],
) {
  return {
    step,
    kind: "task",
    group: [],
    owner: "",
    asset: "",
    needs: [],
    mapped: indexes.length > 1,
    indexes,
    states,
    began,
    took,
    attempts,
  };
}

function event(kind: string, more: object, at = "2026-11-22T03:00:02.000Z"): Happened {
  return { no: 1, run: "r", at, events: [{ kind, at, step: "load", index: "1", ...more }] };
}

test("an attempt that starts and ends is seen at once", () => {
  const running = applied(ALL, [event("attempt_started", { attempt: 1 })]).all;
  expect(running.steps[0]).toMatchObject({ states: "srw", began: [10, 2000, null], attempts: [1, 1, 0] });
  const done = applied(running, [
    event("attempt_ended", { state: "succeeded" }, "2026-11-22T03:00:02.500Z"),
  ]).all;
  expect(done.steps[0]).toMatchObject({ states: "ssw", took: [5, 500, null] });
  expect(done.counts).toEqual({ succeeded: 2, waiting: 1 });
  // What was not touched is the same object, so that nothing of it is drawn anew.
  expect(done.steps[1]).toBe(ALL.steps[1]);
});

test("an attempt that failed is retried or ends its step, as the next event says", () => {
  const failed = [event("attempt_started", { attempt: 1 }), event("attempt_ended", { state: "failed" })];
  expect(applied(ALL, [...failed, event("step_retried", { attempt: 2 })]).all.steps[0]!.states).toBe("saw");
  expect(applied(ALL, [...failed, event("step_ended", { state: "failed" })]).all.steps[0]!.states).toBe(
    "sfw",
  );
});

test("what happens to an instance that is not known makes the answer incomplete", () => {
  expect(applied(ALL, [event("attempt_started", { index: "7" })]).missing).toBe(true);
});

test("events that are about no step change nothing", () => {
  const paused: Happened = { no: 1, run: "r", at: null, events: [{ kind: "pause_requested" }] };
  expect(applied(ALL, [paused]).all).toBe(ALL);
});

test("rows and counts are read out of the columns", () => {
  expect(rowsOf(ALL).map((row) => [row.step, row.index, row.state, row.took])).toEqual([
    ["load", "0", "succeeded", 5],
    ["load", "1", "waiting", null],
    ["load", "2", "waiting", null],
    ["tell", "", "waiting", null],
  ]);
  expect(countsOf(ALL, ALL.steps[0]!)).toEqual({ succeeded: 1, waiting: 2 });
  expect(worst({ succeeded: 3, failed: 1, running: 2 })).toBe("failed");
});
