import { expect, test } from "vitest";
import { between, type Dimension, keyAt, layoutOf, placeOf, textOf } from "./heat";

const daysFrom = (start: string, count: number): string[] =>
  Array.from({ length: count }, (_, at) =>
    new Date(Date.parse(start) + at * 86_400_000).toISOString().slice(0, 10),
  );
const daily = (start: string, count: number): Dimension[] => [
  { name: "", kind: "daily", keys: daysFrom(start, count) },
];
const product: Dimension[] = [
  { name: "day", kind: "daily", keys: daysFrom("2026-01-01", 4) },
  { name: "region", kind: "static", keys: ["eu", "us"] },
];

test("days of a week stand under one another, Monday first, and a year has a block of its own", () => {
  const layout = layoutOf(daily("2025-12-29", 10));
  // Monday to Wednesday of the old year, Thursday to Sunday of the new one, then its first full week.
  expect([...layout.y]).toEqual([1, 2, 3, 13, 14, 15, 16, 10, 11, 12]);
  expect(layout.x[3]).toBe(0);
  expect(layout.x[7]).toBe(1);
  expect(layout.left.map((label) => label.text)).toEqual(["2025", "2026"]);
});

test("no two partitions of ten years stand in one place", () => {
  const dimensions = daily("2016-02-29", 3653);
  const layout = layoutOf(dimensions);
  const places = new Set([...layout.x].map((x, at) => `${x}/${layout.y[at]}`));
  expect(places.size).toBe(3653);
  expect(Math.max(...layout.x)).toBeLessThan(layout.columns);
  expect(Math.max(...layout.y)).toBeLessThan(layout.rows);
});

test("two dimensions are a matrix, with time to the right", () => {
  const layout = layoutOf(product);
  expect([...layout.x]).toEqual([0, 0, 1, 1, 2, 2, 3, 3]);
  expect([...layout.y]).toEqual([1, 2, 1, 2, 1, 2, 1, 2]);
  expect(layout.left.map((label) => label.text)).toEqual(["eu", "us"]);
});

test("a place has a key and a key has its place", () => {
  expect([0, 3, 7].map((at) => keyAt(product, at))).toEqual([
    "2026-01-01|eu",
    "2026-01-02|us",
    "2026-01-04|us",
  ]);
  for (let at = 0; at < 8; at++) expect(placeOf(product, keyAt(product, at))).toBe(at);
  expect(placeOf(product, "2026-01-09|eu")).toBe(-1);
});

test("a brush takes what lies between, or a rectangle of a matrix", () => {
  const dimensions = daily("2026-01-01", 10);
  expect(between(dimensions, layoutOf(dimensions), 5, 2)).toEqual([2, 3, 4, 5]);
  expect(between(product, layoutOf(product), 0, 4)).toEqual([0, 2, 4]);
});

test("what is chosen is written as people write it", () => {
  const dimensions = daily("2026-01-01", 10);
  expect(textOf(dimensions, [2, 3, 4, 5])).toBe("2026-01-03..2026-01-06");
  expect(textOf(dimensions, [0, 1, 5])).toBe("2026-01-01,2026-01-02,2026-01-06");
  expect(textOf(product, [0, 2, 4])).toBe("2026-01-01..2026-01-03|eu");
  expect(textOf([{ name: "", kind: "static", keys: ["a", "b", "c"] }], [1])).toBe("b");
});

test("a few without an order in time stand with their names, many in rows", () => {
  const few = layoutOf([{ name: "", kind: "static", keys: ["eu", "us"] }]);
  expect([...few.y]).toEqual([0, 1]);
  expect(few.left.map((label) => label.text)).toEqual(["eu", "us"]);
  const many = layoutOf([
    { name: "", kind: "static", keys: Array.from({ length: 130 }, (_, at) => `k${at}`) },
  ]);
  expect([many.columns, many.rows, many.x[61], many.y[61]]).toEqual([60, 3, 1, 1]);
});

test("hours are rows of days, months rows of years", () => {
  const hours = layoutOf([
    { name: "", kind: "hourly", keys: ["2026-01-01T22:00", "2026-01-01T23:00", "2026-01-02T00:00"] },
  ]);
  expect([...hours.x]).toEqual([22, 23, 0]);
  expect([...hours.y]).toEqual([1, 1, 2]);
  const months = layoutOf([{ name: "", kind: "monthly", keys: ["2025-12-01", "2026-01-01"] }]);
  expect([...months.x]).toEqual([11, 0]);
});
