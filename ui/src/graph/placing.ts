/**
 * Where everything that is seen of a graph stands: each open group is laid out by itself and is a box to the level above.
 *
 * Rule: pure; it is called in a worker, so that no graph, however large, keeps the page from answering.
 */
import { layout as dagre, graphlib } from "@dagrejs/dagre";
import { BETWEEN, type Box, block, GAP, type Link, layered, type Place } from "./layers";

/** A box that may hold others. */
export type Item = { id: string; inner: Item[] };
/** A link that goes round what stands between its ends: points, told from the corner of the box that holds them. */
export type Route = { from: string; to: string; parent: string | null; points: Place[] };
export type Layout = { placed: Placed[]; routes: Route[] };
export type Placed = {
  id: string;
  x: number;
  y: number;
  width: number;
  height: number;
  parent: string | null;
};

export const NODE = { width: 200, height: 46 };
export const PAD = { side: 14, top: 38, bottom: 14 };
/** Beyond this dagre takes longer than a person notices nothing of. */
const FINE = { boxes: 70, links: 140 };

/** All places, parents before their children; a child's place is told from its parent's corner. */
export function place(items: Item[], links: Link[]): Layout {
  const parents = new Map<string, string | null>();
  const note = (item: Item, parent: string | null) => {
    parents.set(item.id, parent);
    for (const each of item.inner) note(each, item.id);
  };
  for (const item of items) note(item, null);
  const perLevel = linksPerLevel(links, parents);
  const routes: Route[] = [];
  const { placed } = levelOf(items, null, perLevel, routes);
  return { placed, routes };
}

/** Each link belongs to the level on which its two ends are different boxes. */
function linksPerLevel(links: Link[], parents: Map<string, string | null>): Map<string | null, Link[]> {
  const chain = (id: string): (string | null)[] => {
    const found: (string | null)[] = [];
    for (let at: string | null | undefined = id; at; at = parents.get(at)) found.unshift(at);
    return found;
  };
  const levels = new Map<string | null, Map<string, Link>>();
  for (const { from, to } of links) {
    const a = chain(from);
    const b = chain(to);
    let depth = 0;
    while (a[depth] !== undefined && a[depth] === b[depth]) depth++;
    const [left, right] = [a[depth], b[depth]];
    if (!left || !right) continue;
    const level = depth === 0 ? null : a[depth - 1]!;
    const of = levels.get(level) ?? new Map<string, Link>();
    of.set(`${left}\n${right}`, { from: left, to: right });
    levels.set(level, of);
  }
  return new Map([...levels].map(([level, of]) => [level, [...of.values()]]));
}

type Level = { placed: Placed[]; width: number; height: number };

function levelOf(
  items: Item[],
  parent: string | null,
  perLevel: Map<string | null, Link[]>,
  routes: Route[],
): Level {
  const inner = new Map<string, Level>();
  const boxes = items.map((item): Box => {
    if (item.inner.length === 0) return { id: item.id, ...NODE };
    const level = levelOf(item.inner, item.id, perLevel, routes);
    inner.set(item.id, level);
    return {
      id: item.id,
      width: Math.max(level.width + 2 * PAD.side, NODE.width),
      height: level.height + PAD.top + PAD.bottom,
    };
  });
  const shift = parent === null ? { x: 0, y: 0 } : { x: PAD.side, y: PAD.top };
  const places = arranged(boxes, perLevel.get(parent) ?? [], (from, to, points) =>
    routes.push({ from, to, parent, points: points.map(({ x, y }) => ({ x: x + shift.x, y: y + shift.y })) }),
  );
  const placed: Placed[] = [];
  let width = 0;
  let height = 0;
  for (const box of boxes) {
    const { x, y } = places.get(box.id) ?? { x: 0, y: 0 };
    width = Math.max(width, x + box.width);
    height = Math.max(height, y + box.height);
    placed.push({ ...box, x: x + shift.x, y: y + shift.y, parent });
    placed.push(...(inner.get(box.id)?.placed ?? []));
  }
  return { placed, width, height };
}

/** Linked boxes in layers; those without a link in a block below. */
type Routed = (from: string, to: string, points: Place[]) => void;

function arranged(boxes: Box[], links: Link[], routed: Routed): Map<string, Place> {
  const linked = new Set(links.flatMap((link) => [link.from, link.to]));
  const together = boxes.filter((box) => linked.has(box.id));
  const alone = boxes.filter((box) => !linked.has(box.id));
  const fine = together.length <= FINE.boxes && links.length <= FINE.links;
  const places =
    together.length === 0
      ? new Map<string, Place>()
      : fine
        ? byDagre(together, links, routed)
        : layered(together, links);
  const below = Math.max(0, ...together.map((box) => places.get(box.id)!.y + box.height));
  for (const [id, { x, y }] of block(alone)) places.set(id, { x, y: y + (below > 0 ? below + 3 * GAP : 0) });
  return places;
}

function byDagre(boxes: Box[], links: Link[], routed: Routed): Map<string, Place> {
  const graph = new graphlib.Graph();
  graph.setGraph({ rankdir: "LR", nodesep: GAP, ranksep: BETWEEN, edgesep: 6 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const box of boxes) graph.setNode(box.id, { width: box.width, height: box.height });
  for (const link of links) graph.setEdge(link.from, link.to);
  dagre(graph);
  const corners = boxes.map((box) => {
    const { x, y } = graph.node(box.id) as Place;
    return { id: box.id, x: x - box.width / 2, y: y - box.height / 2 };
  });
  const [left, top] = [Math.min(...corners.map((c) => c.x)), Math.min(...corners.map((c) => c.y))];
  for (const link of links) {
    const points = (graph.edge(link.from, link.to) as { points?: Place[] } | undefined)?.points ?? [];
    // Three points are a plain link: from side to side with nothing between.
    if (points.length > 3)
      routed(
        link.from,
        link.to,
        points.map(({ x, y }) => ({ x: x - left, y: y - top })),
      );
  }
  return new Map(corners.map(({ id, x, y }) => [id, { x: x - left, y: y - top }]));
}
