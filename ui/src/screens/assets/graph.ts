/** Lineage as the graph draws it. Pure. */
import type { Schema } from "@/api/client";
import type { GraphEdge, GraphNode } from "@/graph/GraphView";
import { madeOf } from "./health";

type Node = Schema<"LineageNode">;

export function edgesOf(found: Schema<"Lineage">): GraphEdge[] {
  return found.edges.flatMap(([from, to]) => {
    const [a, b] = [found.nodes[from], found.nodes[to]];
    return a && b ? [{ from: a.name, to: b.name }] : [];
  });
}

/** With groups, assets fold into them (and these into their projects, of several). */
export function nodesOf(
  found: Schema<"Lineage">,
  options: { grouped: boolean; at?: string | undefined; words?: string | undefined },
): GraphNode[] {
  const projects = new Set(found.nodes.map((node) => node.project));
  const words = (options.words ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  return found.nodes.map((node) => ({
    id: node.name,
    label: node.name,
    state: node.running ? "running" : node.health,
    kind: node.external ? "made elsewhere" : (node.kinds[0] ?? "asset"),
    note: noteOf(node),
    ...(options.grouped && node.group
      ? { group: [...(projects.size > 1 ? [node.project] : []), node.group] }
      : {}),
    ...(node.name === options.at ? { lit: true } : {}),
    ...(words.length > 0 && !isFound(node, words) ? { dim: true } : {}),
  }));
}

function isFound(node: Node, words: string[]): boolean {
  const text = `${node.name} ${node.group} ${node.owner} ${node.kinds.join(" ")}`.toLowerCase();
  return words.every((word) => text.includes(word));
}

function noteOf(node: Node): string {
  const beyond = node.more_up + node.more_down;
  return [
    node.partitions > 1 ? `${madeOf(node.made, node.partitions)} made` : "",
    node.checks_failed.length > 0 ? `${node.checks_failed.length} failed checks` : "",
    node.owner,
    beyond > 0 ? `+${beyond} beyond` : "",
  ]
    .filter(Boolean)
    .join(" · ");
}
