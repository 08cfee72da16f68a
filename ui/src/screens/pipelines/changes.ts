/** Two versions of a graph as one: what came, what went, what is another one. Rule: pure. */
import type { GraphEdge, GraphNode } from "@/graph/GraphView";

export type Step = {
  step: string;
  needs: string[];
  group: string[];
  asset: string;
  owner: string;
  mapped: boolean;
};

export type Changes = { steps_added: string[]; steps_removed: string[]; steps_changed: string[] };

/** The links of a graph. */
export function edgesOf(steps: readonly Step[]): GraphEdge[] {
  return steps.flatMap((step) => step.needs.map((need) => ({ from: need, to: step.step })));
}

/** The new graph, and in it what the old one had; what is the same is pale. */
export function merged(
  now: readonly Step[],
  before: readonly Step[],
  changes: Changes,
): { nodes: GraphNode[]; edges: GraphEdge[] } {
  const kinds = new Map<string, string>([
    ...changes.steps_added.map((step) => [step, "added"] as const),
    ...changes.steps_removed.map((step) => [step, "removed"] as const),
    ...changes.steps_changed.map((step) => [step, "changed"] as const),
  ]);
  const here = new Set(now.map((step) => step.step));
  const gone = before.filter((step) => !here.has(step.step));
  const known = new Set([...here, ...gone.map((step) => step.step)]);
  const nodes = [...now, ...gone].map((step) => {
    const kind = kinds.get(step.step);
    return {
      id: step.step,
      label: step.step,
      group: step.group,
      state: kind,
      kind,
      dim: kind === undefined,
    };
  });
  const edges = [...edgesOf(now), ...edgesOf(gone)].filter(
    (edge) => known.has(edge.from) && known.has(edge.to),
  );
  return { nodes, edges };
}
