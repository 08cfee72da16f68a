import { expect, test } from "vitest";
import type { Schema } from "@/api/client";
import { edgesOf, nodesOf } from "./graph";
import { madeOf } from "./health";

const node = (name: string, more: Partial<Schema<"LineageNode">> = {}): Schema<"LineageNode"> => ({
  name,
  project: "shop",
  group: "raw",
  owner: "ann",
  kinds: [],
  external: false,
  health: "current",
  state: "current",
  freshness: null,
  partitions: 1,
  made: 1,
  checks: 0,
  checks_failed: [],
  running: false,
  level: 0,
  more_up: 0,
  more_down: 0,
  ...more,
}); // prettier-ignore

test("edges go by names", () => {
  const found = { nodes: [node("a"), node("b")], edges: [[0, 1]] as [number, number][], left_out: 0 };
  expect(edgesOf(found)).toEqual([{ from: "a", to: "b" }]);
});

test("of several projects the project is the outer group", () => {
  const one = nodesOf({ nodes: [node("a")], edges: [], left_out: 0 }, { grouped: true });
  expect(one[0]?.group).toEqual(["raw"]);
  const two = nodesOf(
    { nodes: [node("a"), node("b", { project: "till" })], edges: [], left_out: 0 },
    { grouped: true },
  );
  expect(two[1]?.group).toEqual(["till", "raw"]);
});

test("what is not found is pale, and the one asked for is lit", () => {
  const [a, b] = nodesOf(
    { nodes: [node("flights"), node("planes")], edges: [], left_out: 0 },
    { grouped: false, at: "planes", words: "FLI ann" },
  );
  expect([a?.dim, b?.dim, b?.lit]).toEqual([undefined, true, true]);
});

test("how much of it was made is said in short", () => {
  expect([madeOf(3, 9), madeOf(9, 9)]).toEqual(["3 of 9", "all 9"]);
});
