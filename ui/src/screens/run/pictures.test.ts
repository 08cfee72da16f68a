import { expect, test } from "vitest";
import { told } from "./history";
import { drawnOrder, moved, sideOf } from "./squares";
import { linesOf, sumsOf, type TimelineOf, ticksOf, tickText } from "./timeline";

test("squares stand with the failed ones first, or by index", () => {
  const states = ["succeeded", "failed", "running", "failed"];
  expect(drawnOrder(states, "state")).toEqual([1, 3, 2, 0]);
  expect(drawnOrder(states, "index")).toEqual([0, 1, 2, 3]);
  expect(sideOf(10_000, 1200)).toBeLessThan(sideOf(40, 1200));
});

test("arrow keys stay among the squares", () => {
  expect(moved("ArrowRight", 3, 10, 5)).toBe(4);
  expect(moved("ArrowDown", 3, 10, 5)).toBe(8);
  expect(moved("ArrowUp", 3, 10, 5)).toBe(3);
  expect(moved("End", 3, 10, 5)).toBe(9);
  expect(moved("x", 3, 10, 5)).toBeNull();
});

const row = (step: string, from: number, to: number | null, critical = false, index = "") => ({
  step,
  index,
  group: [],
  state: "succeeded",
  critical,
  work: [{ attempt: 1, state: "succeeded", from, to, reason: "" }],
  waits: [{ reason: "queue", from: Math.max(0, from - 1), to: from, of: [], text: "" }],
});

const TIMELINE: TimelineOf = {
  run: "r",
  zero: "2026-11-22T03:00:00.000Z",
  end: 20,
  rows: [row("late", 10, null, true), row("early", 1, 5), row("early", 2, 3, false, "1")],
  folded: [{ step: "early", counts: { succeeded: 98 }, from: 1, to: 9 }],
};

test("lines stand by when they began, what is folded behind its step", () => {
  const keys = (critical: boolean, text = "") =>
    linesOf(TIMELINE, { critical, text }).map((line) => line.key);
  expect(keys(false)).toEqual(["early\n", "early\n1", "early\nfolded", "late\n"]);
  expect(keys(true)).toEqual(["late\n"]);
  expect(keys(false, "LATE")).toEqual(["late\n"]);
});

test("work and waiting are told apart, what goes on up to now", () => {
  expect(sumsOf(TIMELINE.rows[0]!, 12)).toEqual({ worked: 2, waited: 1 });
});

test("the axis has round instants", () => {
  expect(ticksOf({ from: 0, to: 47 }, 8)).toEqual([0, 10, 20, 30, 40]);
  expect(ticksOf({ from: 3, to: 4 }, 5).map(tickText)).toEqual([
    "3 s",
    "3.2 s",
    "3.4 s",
    "3.6 s",
    "3.8 s",
    "4 s",
  ]);
  expect(tickText(0)).toBe("start");
});

test("the history says what happened in words, with the first line of an error", () => {
  const [failed, marked] = told([
    {
      seq: 3,
      at: "2026-11-22T03:00:05.000Z",
      events: [
        {
          kind: "attempt_ended",
          at: "2026-11-22T03:00:04.000Z",
          step: "load",
          index: "2",
          attempt: 1,
          state: "failed",
          detail: { failure: { message: "no column x\ntraceback" } },
        },
        { kind: "step_ended", step: "tell", index: "", state: "skipped", reason: "marked skipped by anna" },
      ],
    },
  ]);
  expect(failed).toMatchObject({
    words: "attempt 1 failed: no column x",
    step: "load",
    index: "2",
    state: "failed",
  });
  expect(marked).toMatchObject({ words: "marked skipped by anna", at: "2026-11-22T03:00:05.000Z" });
});
