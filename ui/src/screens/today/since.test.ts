import { describe, expect, it } from "vitest";
import { clockBefore, sinceOf, visited } from "./since";

const NOW = Date.parse("2026-11-23T08:55:00Z");

describe("the last visit", () => {
  it("is the one before this sitting", () => {
    const first = visited(null, NOW);
    expect(first.before).toBeNull();
    const again = visited(first, NOW + 60_000);
    expect(again.before).toBeNull();
    const next = visited(again, NOW + 86_400_000);
    expect(next.before).toBe(NOW + 60_000);
    expect(visited(next, NOW + 86_400_000 + 60_000).before).toBe(NOW + 60_000);
  });
});

describe("since", () => {
  it("is the evening before when nothing is asked for", () => {
    expect(sinceOf(undefined, NOW, null, "utc")).toBe(Date.parse("2026-11-22T18:00:00Z"));
    expect(sinceOf(undefined, NOW, NOW - 3_600_000, "utc")).toBe(Date.parse("2026-11-22T18:00:00Z"));
  });
  it("goes back to the last visit, and no further than a week", () => {
    const friday = Date.parse("2026-11-20T16:00:00Z");
    expect(sinceOf(undefined, NOW, friday, "utc")).toBe(friday);
    expect(sinceOf(undefined, NOW, NOW - 90 * 86_400_000, "utc")).toBe(NOW - 7 * 86_400_000);
  });
  it("is an instant of a link that was sent", () => {
    expect(sinceOf("2026-11-01T00:00:00Z", NOW, null, "utc")).toBe(Date.parse("2026-11-01T00:00:00Z"));
    expect(sinceOf("nonsense", NOW, null, "utc")).toBe(Date.parse("2026-11-22T18:00:00Z"));
  });
  it("means the wall clock of the zone, also over a change of it", () => {
    expect(clockBefore(NOW, 18, 1, "Europe/Berlin")).toBe(Date.parse("2026-11-22T17:00:00Z"));
    const monday = Date.parse("2026-03-30T06:00:00Z");
    expect(clockBefore(monday, 18, 1, "Europe/Berlin")).toBe(Date.parse("2026-03-29T16:00:00Z"));
    expect(clockBefore(monday, 0, 1, "Europe/Berlin")).toBe(Date.parse("2026-03-28T23:00:00Z"));
  });
});
