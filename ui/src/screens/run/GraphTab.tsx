/** The run as a graph: groups folded, failed ones open, the path from the first cause lit. */
import { useMemo } from "react";
import type { Schema } from "@/api/client";
import { href, useGo } from "@/frame/address";
import { type GraphEdge, type GraphNode, GraphView } from "@/graph/GraphView";
import { took } from "@/parts/time";
import { type All, type Columns, countsOf, worst } from "./columns";
import type { TabProps } from "./Run";

export function GraphTab({
  run,
  all,
  selected,
  select,
  why,
}: TabProps & { why: Schema<"RunWhy"> | undefined }) {
  const go = useGo();
  const cause = why?.causes[0];
  const lit = useMemo(() => new Set(cause ? [cause.step, ...cause.blocks] : []), [cause]);
  const nodes = useMemo(() => all.steps.map((step) => nodeOf(all, step, lit)), [all, lit]);
  const edges = useEdges(all);
  return (
    <GraphView
      label={`graph of run ${run.no}`}
      nodes={nodes}
      edges={edges}
      selected={selected?.step}
      focus={selected?.step ?? cause?.step}
      onSelect={(id) => select(id)}
      onOpen={(id) => go(href(["runs", run.no, "steps", id]))}
      height={`max(360px, calc(100vh - ${272 + 60 * Math.min(4, why?.causes.length ?? 0)}px))`}
    />
  );
}

/** The links; the same object as long as the graph is the same, so that nothing is laid out anew. */
function useEdges(all: All): GraphEdge[] {
  const needs = all.steps.map((step) => `${step.step}<${step.needs.join()}`).join("\n");
  // biome-ignore lint/correctness/useExhaustiveDependencies: the text says when the steps' needs are others
  return useMemo(
    () => all.steps.flatMap((step) => step.needs.map((need) => ({ from: need, to: step.step }))),
    [needs],
  );
}

function nodeOf(all: All, step: Columns, lit: ReadonlySet<string>): GraphNode {
  const counts = countsOf(all, step);
  return {
    id: step.step,
    label: step.step,
    group: step.group,
    state: worst(counts),
    counts: step.mapped && step.indexes.length > 1 ? counts : undefined,
    kind: step.mapped ? `×${step.indexes.length.toLocaleString("en")}` : KINDS[step.kind],
    note: noteOf(step),
    lit: lit.has(step.step),
  };
}

const KINDS: Record<string, string | undefined> = { gate: "gate", check: "check", bundle: "bundle" };

function noteOf(step: Columns): string | undefined {
  const [ms, tries] = [step.took[0], step.attempts[0] ?? 0];
  const parts = [
    ms !== null && ms !== undefined ? took(ms / 1000) : "",
    tries > 1 ? `${tries} attempts` : "",
    step.owner,
  ].filter(Boolean);
  return parts.join(" · ") || undefined;
}
