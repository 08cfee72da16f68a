import { expect, test } from "vitest";
import { commandOf, doneOf, stateOf } from "./letters";

test("the command says only what is not usual, quoted as a shell takes it", () => {
  expect(
    commandOf({
      target: "delays",
      partitions: "*",
      only: "all",
      cascade: "none",
      order: "oldest",
      max_runs: 8,
    }),
  ).toBe("partita backfill start delays");
  expect(
    commandOf({ target: "a, b", partitions: "x..y|eu", only: "missing", batch: 0, params: { day: "it's" } }),
  ).toBe(`partita backfill start 'a, b' --partition 'x..y|eu' --only missing --batch 0 -p 'day=it'\\''s'`);
});

test("a paused backfill is paused until it is ended", () => {
  expect(stateOf({ state: "running", paused: true, cancel_requested: false })).toBe("paused");
  expect(stateOf({ state: "running", paused: true, cancel_requested: true })).toBe("running");
  expect(stateOf({ state: "failed", paused: true, cancel_requested: false })).toBe("failed");
  expect(doneOf({ succeeded: 3, failed: 1, waiting: 9 })).toBe(4);
});
