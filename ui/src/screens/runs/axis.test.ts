import { describe, expect, it } from "vitest";
import { areDays, dragged, marks, placeOf } from "./axis";

const FROM = Date.parse("2026-11-22T08:20:00Z");
const DAY = { from: FROM, to: FROM + 86_400_000 };

describe("a window of time", () => {
  it("places what is outside at its edge", () => {
    expect(placeOf(FROM + 43_200_000, DAY)).toBe(0.5);
    expect(placeOf(FROM - 1, DAY)).toBe(0);
    expect(placeOf(FROM + 2 * 86_400_000, DAY)).toBe(1);
  });
  it("marks round instants and not too many", () => {
    const found = marks(DAY, 12, 0);
    expect(found.length).toBeLessThanOrEqual(12);
    expect(new Date(found[0]!).toISOString()).toBe("2026-11-22T10:00:00.000Z");
    expect(found[1]! - found[0]!).toBe(2 * 3_600_000);
    expect(areDays(found)).toBe(false);
  });
  it("marks midnights of the zone over a week", () => {
    const week = { from: FROM, to: FROM + 7 * 86_400_000 };
    const found = marks(week, 8, 3_600_000);
    expect(new Date(found[0]!).toISOString()).toBe("2026-11-22T23:00:00.000Z");
    expect(areDays(found)).toBe(true);
  });
  it("takes a drag either way, and a click for none", () => {
    expect(dragged(DAY, 0.5, 0.25)).toEqual({ from: FROM + 21_600_000, to: FROM + 43_200_000 });
    expect(dragged(DAY, 0.5, 0.502)).toBeNull();
  });
});
