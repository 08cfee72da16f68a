import { expect, test } from "vitest";
import { between, clock, exact, relative, rough, took } from "./time";

test("a duration reads as people say it", () => {
  expect([0.0004, 0.042, 0.0996, 0.4, 9.94, 9.96, 41, 59.6, 92, 3599.7, 7500, 273_600].map(took)).toEqual([
    "0 ms",
    "42 ms",
    "0.1 s",
    "0.4 s",
    "9.9 s",
    "10 s",
    "41 s",
    "1 m 00 s",
    "1 m 32 s",
    "1 h 00 m",
    "2 h 05 m",
    "3 d 04 h",
  ]);
  expect(took(null)).toBe("");
});

test("an instant is said in the zone that is asked for, over a change of clocks too", () => {
  expect(exact("2026-10-25T00:30:00Z", "Europe/Berlin")).toBe("2026-10-25 02:30:00");
  expect(exact("2026-10-25T01:30:00Z", "Europe/Berlin")).toBe("2026-10-25 02:30:00");
  expect(clock("2026-11-22T23:59:59Z", "utc")).toBe("23:59");
  expect(exact("2026-11-22T00:00:00Z", "utc")).toBe("2026-11-22 00:00:00");
});

test("what is near is said roughly", () => {
  const now = Date.parse("2026-11-22T12:00:00Z");
  expect(relative("2026-11-22T11:48:00Z", now)).toBe("12 min ago");
  expect(relative("2026-11-22T15:00:00Z", now)).toBe("in 3 h");
  expect(relative("2026-11-22T12:00:02Z", now)).toBe("now");
  expect(rough(5 * 86400)).toBe("5 d");
});

test("what has no end yet lasts until now", () => {
  const now = Date.parse("2026-11-22T12:00:00Z");
  expect(between("2026-11-22T11:59:00Z", null, now)).toBe(60);
  expect(between(null, null, now)).toBeNull();
});
