/**
 * What of a graph is seen: groups are folded into one node each, or open; an open one may show only what matters.
 *
 * Rule: pure. It knows no places, only what stands for what.
 */
import { rankOf } from "@/parts/states";

export type GraphNode = {
  id: string;
  label: string;
  /** A word of `states.ts`; of a mapped step the worst of its instances. */
  state?: string;
  /** How many instances are in which state: drawn as a bar. */
  counts?: Record<string, number>;
  /** The groups it is in, outermost first. */
  group?: readonly string[];
  /** What it is, said in small beside its name: "asset", "gate", "mapped" ... */
  kind?: string;
  /** A second line: a duration, an owner. */
  note?: string;
  /** It lies on the path that is to be seen first (from the first cause to what it blocks). */
  lit?: boolean;
  /** Drawn pale: not found by the filter, say. */
  dim?: boolean;
};
export type GraphEdge = { from: string; to: string };

/** How open a group is: shut, only what matters in it and a stand-in for the rest, or all of it. */
export type Fold = "shut" | "some" | "all";
/** Groups by their path, joined with "/", as a person has set them. */
export type Folds = Readonly<Record<string, Fold>>;

export type Seen = {
  /** Its own id; "group:a/b" and "rest:a/b" for those that stand for many. */
  id: string;
  kind: "node" | "group" | "rest";
  node?: GraphNode;
  /** The path of the group that it is or stands in. */
  path: string;
  name: string;
  fold?: Fold;
  members: GraphNode[];
  /** What is drawn within it; only of groups that are open. */
  inner: Seen[];
};
export type Sight = { tops: Seen[]; edges: GraphEdge[]; standsFor: ReadonlyMap<string, string> };

/** Up to so many members a group with a failure opens whole. */
const SMALL = 12;
const LOUD = new Set(["failed", "timed_out", "lost", "needs_attention", "awaiting"]);

/** What is seen of a graph. `kept` are nodes that are shown by themselves whatever happens: the selected one. */
export function sightOf(
  nodes: GraphNode[],
  edges: GraphEdge[],
  folds: Folds,
  kept: ReadonlySet<string>,
): Sight {
  const standsFor = new Map<string, string>();
  const tops = levelOf(nodes, 0, "", folds, kept, standsFor);
  const lifted = new Map<string, GraphEdge>();
  for (const edge of edges) {
    const from = standsFor.get(edge.from);
    const to = standsFor.get(edge.to);
    if (from !== undefined && to !== undefined && from !== to) lifted.set(`${from}\n${to}`, { from, to });
  }
  return { tops, edges: [...lifted.values()], standsFor };
}

/** How open a group is that nobody has touched: open where something failed or is selected, shut otherwise. */
export function foldOf(path: string, members: GraphNode[], folds: Folds, kept: ReadonlySet<string>): Fold {
  const set = folds[path];
  if (set !== undefined) return set;
  if (members.length === 1) return "all";
  if (!members.some((member) => matters(member, kept))) return "shut";
  return members.length <= SMALL ? "all" : "some";
}

/** What pressing a group makes of it. A large one shows first what has failed in it, then all. */
export function nextFold(group: Pick<Seen, "fold" | "members">): Fold {
  if (group.fold === "all") return "shut";
  const few = group.members.length <= 60 || !group.members.some((member) => matters(member, new Set()));
  return group.fold === "some" || few ? "all" : "some";
}

/** Whether a node is shown by itself in a group of which only some is seen. */
export function matters(node: GraphNode, kept: ReadonlySet<string>): boolean {
  return (
    kept.has(node.id) ||
    LOUD.has(node.state ?? "") ||
    Object.entries(node.counts ?? {}).some(([s, n]) => n > 0 && LOUD.has(s))
  );
}

/** How many of the members are in which state; a mapped step counts once, in its worst. */
export function sumOf(members: GraphNode[]): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const { state } of members) if (state) sum[state] = (sum[state] ?? 0) + 1;
  return sum;
}

/** The worst state of several. */
export function worstOf(counts: Record<string, number>): string | undefined {
  let worst: string | undefined;
  for (const [state, count] of Object.entries(counts))
    if (count > 0 && (worst === undefined || rankOf(state) < rankOf(worst))) worst = state;
  return worst;
}

function levelOf(
  nodes: GraphNode[],
  depth: number,
  within: string,
  folds: Folds,
  kept: ReadonlySet<string>,
  standsFor: Map<string, string>,
): Seen[] {
  const seen: Seen[] = [];
  const groups = new Map<string, GraphNode[]>();
  for (const node of nodes) {
    const name = node.group?.[depth];
    if (name === undefined) {
      seen.push({
        id: node.id,
        kind: "node",
        node,
        path: within,
        name: node.label,
        members: [node],
        inner: [],
      });
      standsFor.set(node.id, node.id);
    } else {
      const path = within ? `${within}/${name}` : name;
      const members = groups.get(path);
      if (members) members.push(node);
      else groups.set(path, [node]);
    }
  }
  for (const [path, members] of groups) seen.push(groupOf(path, members, depth, folds, kept, standsFor));
  return seen;
}

function groupOf(
  path: string,
  members: GraphNode[],
  depth: number,
  folds: Folds,
  kept: ReadonlySet<string>,
  standsFor: Map<string, string>,
): Seen {
  const fold = foldOf(path, members, folds, kept);
  const id = `group:${path}`;
  const group: Seen = { id, kind: "group", path, name: path.split("/").at(-1)!, fold, members, inner: [] };
  if (fold === "shut") {
    for (const member of members) standsFor.set(member.id, id);
    return group;
  }
  const shown = fold === "all" ? members : members.filter((member) => matters(member, kept));
  group.inner = levelOf(shown, depth + 1, path, folds, kept, standsFor);
  const rest = members.filter((member) => !standsFor.has(member.id));
  if (rest.length > 0) {
    const restId = `rest:${path}`;
    for (const member of rest) standsFor.set(member.id, restId);
    const name = shown.length > 0 ? `${rest.length} others` : `${rest.length} steps`;
    group.inner.push({ id: restId, kind: "rest", path, name, members: rest, inner: [] });
  }
  return group;
}

/** The same structure has the same text: what need not be laid out anew. */
export function shapeOf(sight: Sight): string {
  const one = (seen: Seen): string =>
    seen.inner.length ? `${seen.id}(${seen.inner.map(one).join()})` : seen.id;
  return `${sight.tops.map(one).join()}|${sight.edges.map((edge) => `${edge.from}>${edge.to}`).join()}`;
}
