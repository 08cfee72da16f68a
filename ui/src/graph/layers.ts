/**
 * Places for the nodes of a graph from left to right, in layers. Quick rather than perfect: a thousand nodes take some
 * milliseconds, where dagre takes seconds.
 *
 * Rule: pure, and the same for the same input.
 */
export type Box = { id: string; width: number; height: number };
export type Place = { x: number; y: number };
export type Link = { from: string; to: string };

export const GAP = 14;
export const BETWEEN = 52;

/** The left upper corner of every box. */
export function layered(boxes: Box[], links: Link[]): Map<string, Place> {
  const at = new Map(boxes.map((box, place) => [box.id, place]));
  const after: number[][] = boxes.map(() => []);
  const before: number[][] = boxes.map(() => []);
  for (const [from, to] of withoutCycles(boxes.length, pairs(links, at))) {
    after[from]!.push(to);
    before[to]!.push(from);
  }
  const rank = ranks(before, after);
  const layers = ordered(rank, before, after);
  const y = heights(layers, boxes, before, after);
  const places = new Map<string, Place>();
  let x = 0;
  for (const layer of layers) {
    const width = Math.max(0, ...layer.map((node) => boxes[node]!.width));
    for (const node of layer) places.set(boxes[node]!.id, { x, y: y[node]! });
    x += width + BETWEEN;
  }
  return places;
}

/** Boxes without links, as a block that is about as wide as it is high. */
export function block(boxes: Box[], wide = 1.6): Map<string, Place> {
  const width = Math.max(1, ...boxes.map((box) => box.width)) + GAP;
  const height = Math.max(1, ...boxes.map((box) => box.height)) + GAP;
  const columns = Math.max(1, Math.round(Math.sqrt((boxes.length * height * wide) / width)));
  const rows = Math.ceil(boxes.length / columns);
  return new Map(
    boxes.map((box, place) => [box.id, { x: Math.floor(place / rows) * width, y: (place % rows) * height }]),
  );
}

function pairs(links: Link[], at: Map<string, number>): [number, number][] {
  return links.flatMap(({ from, to }) => {
    const a = at.get(from);
    const b = at.get(to);
    return a === undefined || b === undefined || a === b ? [] : [[a, b] as [number, number]];
  });
}

/** The same links, those turned round that lead back: groups that stand for many may have cycles. */
function withoutCycles(count: number, links: [number, number][]): [number, number][] {
  const out: number[][] = Array.from({ length: count }, () => []);
  links.forEach(([from], link) => {
    out[from]!.push(link);
  });
  const state = new Uint8Array(count);
  const turned = new Set<number>();
  for (let root = 0; root < count; root++) {
    if (state[root] !== 0) continue;
    const path: [number, number][] = [[root, 0]];
    state[root] = 1;
    while (path.length > 0) {
      const top = path[path.length - 1]!;
      const link = out[top[0]]![top[1]++];
      if (link === undefined) {
        state[top[0]] = 2;
        path.pop();
        continue;
      }
      const to = links[link]![1];
      if (state[to] === 1) turned.add(link);
      else if (state[to] === 0) {
        state[to] = 1;
        path.push([to, 0]);
      }
    }
  }
  return links.map(([from, to], link) => (turned.has(link) ? [to, from] : [from, to]));
}

/** The layer of each: one behind the last that it needs; what needs nothing stands next to its first consumer. */
function ranks(before: number[][], after: number[][]): number[] {
  const rank = new Array<number>(before.length).fill(0);
  const open = before.map((needs) => needs.length);
  const queue = open.flatMap((count, node) => (count === 0 ? [node] : []));
  for (let at = 0; at < queue.length; at++) {
    const node = queue[at]!;
    for (const next of after[node]!) {
      rank[next] = Math.max(rank[next]!, rank[node]! + 1);
      open[next]! -= 1;
      if (open[next] === 0) queue.push(next);
    }
  }
  before.forEach((needs, node) => {
    if (needs.length === 0 && after[node]!.length > 0)
      rank[node] = Math.min(...after[node]!.map((next) => rank[next]!)) - 1;
  });
  return rank;
}

/** The order within each layer: each node near the middle of those it is linked with. */
function ordered(rank: number[], before: number[][], after: number[][]): number[][] {
  const layers: number[][] = [];
  rank.forEach((layer, node) => {
    layers[layer] ??= [];
    layers[layer]!.push(node);
  });
  const place = new Float64Array(rank.length);
  const settle = (layer: number[]) => {
    const middle = (layer.length - 1) / 2;
    layer.forEach((node, at) => {
      place[node] = at - middle;
    });
  };
  const all = Array.from(layers, (layer) => layer ?? []);
  all.forEach(settle);
  const sweep = (layer: number[], sides: number[][]) => {
    const wish = new Map(layer.map((node) => [node, mean(sides[node]!, place) ?? place[node]!]));
    layer.sort((a, b) => wish.get(a)! - wish.get(b)! || a - b);
    settle(layer);
  };
  for (let round = 0; round < 6; round++) {
    for (const layer of all) sweep(layer, before);
    for (const layer of [...all].reverse()) sweep(layer, after);
  }
  return all;
}

/** How far down each stands: as near to its neighbours as its layer allows. */
function heights(layers: number[][], boxes: Box[], before: number[][], after: number[][]): number[] {
  const middle = new Float64Array(boxes.length);
  const spread = (layer: number[], wish: (node: number) => number) => {
    let end = Number.NEGATIVE_INFINITY;
    let moved = 0;
    const wishes = layer.map(wish);
    const tops = layer.map((node, at) => {
      const half = boxes[node]!.height / 2;
      const top = Math.max(wishes[at]! - half, end);
      moved += top + half - wishes[at]!;
      end = top + boxes[node]!.height + GAP;
      return top;
    });
    // What was pushed down by those above it is shared by all of the layer.
    const back = layer.length > 0 ? moved / layer.length : 0;
    layer.forEach((node, at) => {
      middle[node] = tops[at]! + boxes[node]!.height / 2 - back;
    });
  };
  for (const layer of layers) spread(layer, () => 0);
  for (let round = 0; round < 4; round++) {
    for (const layer of layers) spread(layer, (node) => mean(before[node]!, middle) ?? middle[node]!);
    for (const layer of [...layers].reverse())
      spread(layer, (node) => mean(after[node]!, middle) ?? middle[node]!);
  }
  const tops = boxes.map((box, node) => middle[node]! - box.height / 2);
  const least = Math.min(0, ...tops);
  return tops.map((top) => top - least);
}

function mean(nodes: number[], place: Float64Array): number | undefined {
  if (nodes.length === 0) return undefined;
  let sum = 0;
  for (const node of nodes) sum += place[node]!;
  return sum / nodes.length;
}
