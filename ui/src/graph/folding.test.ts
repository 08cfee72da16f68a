import { expect, test } from "vitest";
import { type GraphNode, nextFold, type Seen, shapeOf, sightOf, sumOf, worstOf } from "./folding";

const node = (id: string, state = "succeeded", group: string[] = []): GraphNode => ({
  id,
  label: id,
  state,
  group,
});
const many = (count: number, group: string, state = "succeeded") =>
  Array.from({ length: count }, (_, at) => node(`${group}${at}`, state, [group]));
const names = (seen: Seen[]): string[] => seen.flatMap((each) => [each.id, ...names(each.inner)]);
const none = new Set<string>();

test("a group where all went well is one node, and its links are the group's", () => {
  const nodes = [...many(3, "g"), node("z")];
  const edges = [
    { from: "g0", to: "z" },
    { from: "g1", to: "z" },
    { from: "g0", to: "g1" },
  ];
  const sight = sightOf(nodes, edges, {}, none);
  expect(names(sight.tops).sort()).toEqual(["group:g", "z"]);
  expect(sight.edges).toEqual([{ from: "group:g", to: "z" }]);
});

test("a small group with a failure is open whole, a large one shows the failure and a stand-in for the others", () => {
  const small = sightOf([node("bad", "failed", ["g"]), ...many(3, "g")], [], {}, none);
  expect(names(small.tops)).toEqual(["group:g", "bad", "g0", "g1", "g2"]);
  const large = sightOf(
    [node("bad", "failed", ["g"]), ...many(40, "g")],
    [{ from: "g7", to: "bad" }],
    {},
    none,
  );
  expect(names(large.tops)).toEqual(["group:g", "bad", "rest:g"]);
  expect(large.edges).toEqual([{ from: "rest:g", to: "bad" }]);
  expect(large.tops[0]!.inner[1]!.name).toBe("40 others");
});

test("what is selected is seen, whatever its group", () => {
  const sight = sightOf(many(40, "g"), [], {}, new Set(["g9"]));
  expect(names(sight.tops)).toContain("g9");
});

test("groups within groups open by themselves", () => {
  const nodes = [node("a", "failed", ["x", "y"]), ...many(2, "x")];
  expect(names(sightOf(nodes, [], {}, none).tops)).toEqual(["group:x", "x0", "x1", "group:x/y", "a"]);
  expect(names(sightOf(nodes, [], { x: "shut" }, none).tops)).toEqual(["group:x"]);
});

test("pressing a group opens it, at first only what failed if it is large, and then folds it", () => {
  const members = [node("bad", "failed"), ...many(80, "g")];
  expect(nextFold({ fold: "shut", members })).toBe("some");
  expect(nextFold({ fold: "some", members })).toBe("all");
  expect(nextFold({ fold: "all", members })).toBe("shut");
  expect(nextFold({ fold: "shut", members: many(80, "g") })).toBe("all");
});

test("another state is the same shape, another fold is not", () => {
  const shape = (state: string, folds = {}) => shapeOf(sightOf(many(3, "g", state), [], folds, none));
  expect(shape("running")).toBe(shape("succeeded"));
  expect(shape("running", { g: "all" })).not.toBe(shape("running"));
});

test("a sum tells the worst", () => {
  expect(sumOf([node("a"), node("b", "failed"), node("c")])).toEqual({ succeeded: 2, failed: 1 });
  expect(worstOf({ succeeded: 2, failed: 1, running: 0 })).toBe("failed");
});
