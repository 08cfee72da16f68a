import { expect, test } from "vitest";
import { freeCornerOf, groundOf, openingOf, READABLE } from "./opening";
import type { Box } from "./walking";

const pane = { width: 1200, height: 450 };
const at = (x: number, y: number): Box => ({ x, y, width: 200, height: 46 });

/** Ten columns of ten; the cause in the middle of the third. */
const many = new Map<string, Box>(
  [...Array(100).keys()].map((no) => [`n${no}`, at(Math.floor(no / 10) * 260, (no % 10) * 80)]),
);

test("the cause and what it blocks are seen first, at a size that can be read", () => {
  const lit = new Set(["n25", "n35", "n45", "n46"]);
  const ground = openingOf("n25", many, lit, pane)!;
  for (const id of lit) {
    const box = many.get(id)!;
    expect(box.x).toBeGreaterThanOrEqual(ground.x);
    expect(box.x + box.width).toBeLessThanOrEqual(ground.x + ground.width);
    expect(box.y + box.height).toBeLessThanOrEqual(ground.y + ground.height);
  }
  expect(Math.min(pane.width / ground.width, pane.height / ground.height)).toBeGreaterThanOrEqual(READABLE);
});

test("what is blocked at the other end of the graph is left out rather than everything made small", () => {
  const far = new Map([...many, ["far", at(9_000, 4_000)]]);
  const ground = openingOf("n25", far, new Set(["n25", "n35", "far"]), pane)!;
  expect(ground.x + ground.width).toBeLessThan(9_000);
  expect(Math.min(pane.width / ground.width, pane.height / ground.height)).toBeGreaterThanOrEqual(READABLE);
});

test("the canvas is filled with neighbours rather than left empty about a lonely cause", () => {
  const ground = openingOf("n25", many, new Set(["n25"]), pane)!;
  const inside = [...many.values()].filter(
    (box) =>
      box.x >= ground.x &&
      box.x < ground.x + ground.width &&
      box.y >= ground.y &&
      box.y < ground.y + ground.height,
  );
  expect(inside.length).toBeGreaterThan(15);
});

test("a node that is not there opens nothing", () => {
  expect(openingOf("gone", many, new Set(), pane)).toBeNull();
  expect(groundOf([])).toBeNull();
});

test("the overview takes the corner where nothing is", () => {
  const still = { x: 0, y: 0, zoom: 1 };
  const size = { width: 200, height: 120 };
  expect(freeCornerOf([at(10, 10)], still, pane, size)).toBe("bottom-right");
  expect(freeCornerOf([at(1_000, 400), at(10, 10)], still, pane, size)).toBe("bottom-left");
  expect(freeCornerOf([at(1_000, 400), at(10, 400)], still, pane, size)).toBe("top-left");
  expect(freeCornerOf([at(500, 200)], { x: 0, y: 0, zoom: 2 }, pane, size)).toBe("bottom-left");
});
