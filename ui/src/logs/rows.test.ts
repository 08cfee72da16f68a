import { expect, test } from "vitest";
import { BLOCK, cutAt, Layout, type Line, nextHit, Rows } from "./rows";

const line = (no: number): Line => ({ no, at: "", level: "", text: `line ${no}` });
const lines = (first: number, last: number) =>
  Array.from({ length: last - first + 1 }, (_, at) => line(first + at));

test("blocks that are not whole are missing", () => {
  const rows = new Rows();
  expect(rows.missing(1, 10, 900)).toEqual([0]);
  rows.put(lines(1, BLOCK));
  expect(rows.missing(1, BLOCK + 1, 900)).toEqual([1]);
  rows.put(lines(BLOCK + 1, BLOCK + 5));
  expect(rows.missing(1, BLOCK + 5, BLOCK + 5)).toEqual([]);
  expect(rows.missing(1, BLOCK + 6, BLOCK + 6)).toEqual([1]);
  expect(rows.get(BLOCK + 2)?.text).toBe(`line ${BLOCK + 2}`);
});

test("of a million lines not all stay in memory, and those looked at last do", () => {
  const rows = new Rows();
  rows.put(lines(1, BLOCK));
  for (let at = 1; at < 400; at += 1) {
    rows.put([line(at * BLOCK + 1)]);
    rows.missing(1, 1, 1_000_000);
  }
  expect(rows.get(1)).toBeDefined();
  expect(rows.get(BLOCK + 1)).toBeUndefined();
  expect(rows.get(399 * BLOCK + 1)).toBeDefined();
});

test("a layout without folds is the log itself", () => {
  const layout = new Layout(5, []);
  expect(layout.count).toBe(5);
  expect([0, 4].map((place) => layout.at(place).no)).toEqual([1, 5]);
});

test("folded lines stand in one place, and every line has a place", () => {
  const folds = [
    [3, 5],
    [8, 9],
  ] as const;
  const layout = new Layout(10, folds);
  expect(layout.count).toBe(7);
  expect(Array.from({ length: 7 }, (_, place) => layout.at(place))).toEqual([
    { no: 1 },
    { no: 2 },
    { no: 3, fold: folds[0] },
    { no: 6 },
    { no: 7 },
    { no: 8, fold: folds[1] },
    { no: 10 },
  ]);
  expect([1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((no) => layout.of(no))).toEqual([0, 1, 2, 2, 2, 3, 4, 5, 5, 6]);
});

test("n goes on behind the line, round at the end", () => {
  expect(nextHit([3, 9], 3, 1)).toBe(9);
  expect(nextHit([3, 9], 9, 1)).toBe(3);
  expect(nextHit([3, 9], 3, -1)).toBe(9);
  expect(nextHit([], 1, 1)).toBeUndefined();
});

test("a text is cut at its hits", () => {
  expect(cutAt("Load, load!", "load")).toEqual(["", "Load", ", ", "load", "!"]);
  expect(cutAt("none", "x")).toEqual(["none"]);
  expect(cutAt("İ load", "load")).toEqual(["İ load"]);
});
