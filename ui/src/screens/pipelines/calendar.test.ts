import { expect, test } from "vitest";
import { exact } from "@/parts/time";
import { type Day, dayAfter, goodDays, midnight, monthsOf, squaresOf, sumOf, totalOf } from "./calendar";

test("days stand in weeks from Monday on, over the end of a month and a leap day", () => {
  // The first of March 2024 is a Friday.
  const squares = squaresOf("2024-02-26", "2024-03-04", [{ day: "2024-02-29", counts: { failed: 1 } }]);
  expect(squares.map((one) => [one.day.slice(5), one.week, one.weekday])).toEqual([
    ["02-26", 0, 0],
    ["02-27", 0, 1],
    ["02-28", 0, 2],
    ["02-29", 0, 3],
    ["03-01", 0, 4],
    ["03-02", 0, 5],
    ["03-03", 0, 6],
    ["03-04", 1, 0],
  ]);
  expect(squares[3]?.counts).toEqual({ failed: 1 });
  expect(monthsOf(squares)).toEqual([{ name: "Mar", week: 0 }]);
});

test("a year has all of its days", () => {
  expect(squaresOf("2025-11-24", "2026-11-23", [])).toHaveLength(365);
});

test("sums, and days in a row without a failure", () => {
  const days: Day[] = [
    { day: "2026-01-01", counts: { succeeded: 2 } },
    { day: "2026-01-02", counts: { failed: 1, succeeded: 1 } },
    { day: "2026-01-03", counts: { succeeded: 1 } },
    { day: "2026-01-05", counts: { succeeded: 1, cancelled: 1 } },
  ];
  expect(sumOf(days)).toEqual({ succeeded: 5, failed: 1, cancelled: 1 });
  expect(totalOf(days[1]!.counts)).toBe(2);
  expect(goodDays(days)).toBe(2);
});

test("a day begins when clocks show midnight there, also where they were set that day", () => {
  const berlin = (iso: string) => exact(iso, "Europe/Berlin");
  expect(midnight("2026-03-29", berlin)).toBe("2026-03-28T23:00:00.000Z");
  expect(midnight("2026-03-30", berlin)).toBe("2026-03-29T22:00:00.000Z");
  expect(midnight("2026-11-22", (iso) => exact(iso, "utc"))).toBe("2026-11-22T00:00:00.000Z");
  expect(dayAfter("2026-12-31")).toBe("2027-01-01");
});
