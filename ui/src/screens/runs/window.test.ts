import { describe, expect, it } from "vitest";
import { windowOf } from "./FloorView";

const NOW = Date.parse("2026-11-22T08:20:30Z");

describe("the window of the timeline", () => {
  it("follows the clock, with now inside it", () => {
    const { from, to, follows } = windowOf({ hours: "3" }, NOW);
    expect(follows).toBe(true);
    expect(to - from).toBe(3 * 3_600_000);
    expect(to).toBeGreaterThan(NOW);
    expect(windowOf({ hours: "3" }, NOW + 1000).to).toBe(to);
  });
  it("stands still when it was chosen, and ignores what is none", () => {
    const asked = { from: "2026-11-22T01:00:00Z", to: "2026-11-22T02:00:00Z" };
    expect(windowOf(asked, NOW)).toMatchObject({ follows: false, to: Date.parse(asked.to) });
    expect(windowOf({ from: asked.to, to: asked.from, hours: "999" }, NOW)).toMatchObject({ follows: true });
  });
});
