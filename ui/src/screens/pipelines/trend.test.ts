import { expect, test } from "vitest";
import { durationsOf, trendOf, trendWords } from "./trend";

const run = (state: string, seconds: number) => ({
  state,
  started_at: "2026-11-22T03:00:00.000Z",
  finished_at: new Date(Date.parse("2026-11-22T03:00:00.000Z") + seconds * 1000).toISOString(),
});

test("durations are of those that succeeded, oldest first", () => {
  expect(durationsOf([run("succeeded", 3), run("failed", 1), run("succeeded", 2)])).toEqual([2, 3]);
  expect(durationsOf([{ state: "succeeded", started_at: null, finished_at: null }])).toEqual([]);
});

test("the newest three are compared with those before them", () => {
  expect(trendOf([10, 10, 10, 15, 15, 15])).toBeCloseTo(0.5);
  expect(trendOf([10, 10, 10, 10, 5])).toBeNull();
});

test("a small change is none", () => {
  expect(trendWords(0.05)).toBe("about the same");
  expect(trendWords(0.5)).toBe("50 % longer");
  expect(trendWords(-0.25)).toBe("25 % shorter");
  expect(trendWords(null)).toBe("");
});
