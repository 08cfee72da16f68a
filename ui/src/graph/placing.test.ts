import { expect, test } from "vitest";
import { block, layered } from "./layers";
import { type Item, place } from "./placing";
import { nextOf } from "./walking";

const leaf = (id: string): Item => ({ id, inner: [] });
const size = { width: 200, height: 46 };

function overlaps(boxes: { x: number; y: number; width: number; height: number }[]): boolean {
  return boxes.some((a, at) =>
    boxes
      .slice(at + 1)
      .some(
        (b) => a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height,
      ),
  );
}

test("what is needed stands to the left of what needs it, and nothing lies on another", () => {
  const { placed } = place(["a", "b", "c", "d"].map(leaf), [
    { from: "a", to: "b" },
    { from: "a", to: "c" },
    { from: "b", to: "d" },
    { from: "c", to: "d" },
  ]);
  const at = Object.fromEntries(placed.map((box) => [box.id, box]));
  expect(at.a!.x).toBeLessThan(at.b!.x);
  expect(at.c!.x).toBeLessThan(at.d!.x);
  expect(overlaps(placed)).toBe(false);
});

test("a group is as large as what is in it, and its links are laid out outside", () => {
  const group: Item = { id: "g", inner: ["a", "b", "c"].map(leaf) };
  const { placed } = place([group, leaf("z")], [{ from: "b", to: "z" }]);
  const [g, ...rest] = placed;
  expect(g!.id).toBe("g");
  for (const box of rest.filter((each) => each.parent === "g")) {
    expect(box.x + box.width).toBeLessThanOrEqual(g!.width);
    expect(box.y + box.height).toBeLessThanOrEqual(g!.height);
  }
  expect(placed.find((box) => box.id === "z")!.x).toBeGreaterThan(g!.x + g!.width);
});

test("a link over a layer goes round what stands there", () => {
  const { routes } = place(["a", "b", "c"].map(leaf), [
    { from: "a", to: "b" },
    { from: "b", to: "c" },
    { from: "a", to: "c" },
  ]);
  expect(routes.map((route) => [route.from, route.to])).toEqual([["a", "c"]]);
});

test("a thousand nodes are placed within a second, without one on another", () => {
  const ids = Array.from({ length: 1000 }, (_, at) => `n${at}`);
  const links = ids.flatMap((to, at) =>
    at === 0 ? [] : [1, 2].map((k) => ({ from: ids[Math.max(0, at - 1 - ((at * 7919 * k) % 60))]!, to })),
  );
  const begun = performance.now();
  const { placed } = place(ids.map(leaf), links);
  expect(performance.now() - begun).toBeLessThan(1000);
  expect(overlaps(placed)).toBe(false);
});

test("links in a circle end somewhere", () => {
  const boxes = ["a", "b", "c"].map((id) => ({ id, ...size }));
  const links = [
    { from: "a", to: "b" },
    { from: "b", to: "c" },
    { from: "c", to: "a" },
  ];
  expect(layered(boxes, links).size).toBe(3);
});

test("boxes without links make a block", () => {
  const places = [...block(Array.from({ length: 50 }, (_, at) => ({ id: `${at}`, ...size }))).values()];
  const width = Math.max(...places.map((p) => p.x)) + 200;
  const height = Math.max(...places.map((p) => p.y)) + 46;
  expect(width / height).toBeGreaterThan(0.8);
  expect(width / height).toBeLessThan(3);
});

test("arrows go along the links, and to the nearest above and below", () => {
  const boxes = new Map([
    ["a", { x: 0, y: 0, ...size }],
    ["b", { x: 300, y: 0, ...size }],
    ["c", { x: 300, y: 60, ...size }],
  ]);
  const ids = ["a", "b", "c"];
  const edges = [{ from: "a", to: "c" }];
  expect(nextOf("ArrowRight", "a", ids, boxes, edges)).toBe("c");
  expect(nextOf("ArrowLeft", "c", ids, boxes, edges)).toBe("a");
  expect(nextOf("ArrowUp", "c", ids, boxes, edges)).toBe("b");
  expect(nextOf("ArrowDown", "c", ids, boxes, edges)).toBeUndefined();
  expect(nextOf("ArrowDown", undefined, ids, boxes, edges)).toBe("a");
});
