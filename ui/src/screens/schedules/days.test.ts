import { expect, test } from "vitest";
import { byDay } from "./days";

test("ticks stand on their day in the chosen zone, and each day is there once, over a change of clocks too", () => {
  const tick = (instant: string) => ({ instant }) as never;
  const days = byDay(
    [tick("2026-10-24T22:30:00Z"), tick("2026-10-25T23:30:00Z")],
    "2026-10-24T10:00:00Z",
    3,
    "Europe/Berlin",
  );
  expect(days.map((each) => [each.date, each.ticks.length])).toEqual([
    ["2026-10-24", 0],
    ["2026-10-25", 1],
    ["2026-10-26", 1],
    ["2026-10-27", 0],
  ]);
});

test("the last tick of a week that begins in the middle of a day has its day, and whole days are not one more", () => {
  const tick = (instant: string) => ({ instant }) as never;
  const week = byDay([tick("2026-11-30T02:00:00Z")], "2026-11-23T03:19:00Z", 7, "UTC");
  expect(week).toHaveLength(8);
  expect(week[7]?.ticks).toHaveLength(1);
  expect(byDay([], "2026-11-23T00:00:00Z", 7, "UTC")).toHaveLength(7);
});
