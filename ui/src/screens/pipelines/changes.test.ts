import { expect, test } from "vitest";
import { edgesOf, merged, type Step } from "./changes";

const step = (name: string, ...needs: string[]): Step => ({
  step: name,
  needs,
  group: [],
  asset: "",
  owner: "",
  mapped: false,
});

test("links go from what is needed", () => {
  expect(edgesOf([step("a"), step("b", "a")])).toEqual([{ from: "a", to: "b" }]);
});

test("what went stays in the picture with its links, and what is the same is pale", () => {
  const { nodes, edges } = merged([step("a"), step("c", "a")], [step("a"), step("b", "a")], {
    steps_added: ["c"],
    steps_removed: ["b"],
    steps_changed: [],
  });
  expect(nodes.map((node) => [node.id, node.kind, node.dim])).toEqual([
    ["a", undefined, true],
    ["c", "added", false],
    ["b", "removed", false],
  ]);
  expect(edges).toEqual([
    { from: "a", to: "c" },
    { from: "a", to: "b" },
  ]);
});
