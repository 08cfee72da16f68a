/**
 * Which part of a graph is looked at first, when the whole would be too small to be read.
 *
 * Rule: pure. It begins with what matters and takes in what is near, as long as all of it can be read at once.
 */
import type { Box } from "./walking";

export type Size = { width: number; height: number };

/** Below this a name cannot be read; at this one reads without an effort. */
export const READABLE = 0.55;
const COMFORTABLE = 0.72;
/** What of the canvas is filled; the rest is its margin. */
const FILLED = 0.88;

/** The ground to be shown first: `first`, then of what is lit and at last of all else what fits, the nearest first. */
export function openingOf(
  first: string,
  boxes: ReadonlyMap<string, Box>,
  lit: ReadonlySet<string>,
  pane: Size,
): Box | null {
  const start = boxes.get(first);
  if (!start) return null;
  const nearest = [...boxes].sort(([, a], [, b]) => distance(start, a) - distance(start, b));
  const take = (ground: Box, wanted: (id: string) => boolean, zoom: number) => {
    const room = { width: (pane.width * FILLED) / zoom, height: (pane.height * FILLED) / zoom };
    let covered = ground;
    for (const [id, box] of nearest) {
      const more = wanted(id) ? around(covered, box) : covered;
      if (more.width <= room.width && more.height <= room.height) covered = more;
    }
    return covered;
  };
  return take(
    take(start, (id) => lit.has(id), READABLE),
    () => true,
    COMFORTABLE,
  );
}

/** The ground that all of them cover. */
export function groundOf(boxes: Iterable<Box>): Box | null {
  let ground: Box | null = null;
  for (const box of boxes) ground = ground ? around(ground, box) : box;
  return ground;
}

export type Corner = "bottom-right" | "bottom-left" | "top-left";

/** The corner of the pane where the fewest boxes lie under something of that size; the first of the best. */
export function freeCornerOf(
  boxes: Iterable<Box>,
  { x, y, zoom }: { x: number; y: number; zoom: number },
  pane: Size,
  size: Size,
): Corner {
  const [right, bottom] = [pane.width - size.width, pane.height - size.height];
  const corners: [Corner, Box][] = [
    ["bottom-right", { x: right, y: bottom, ...size }],
    ["bottom-left", { x: 0, y: bottom, ...size }],
    ["top-left", { x: 0, y: 0, ...size }],
  ];
  const drawn = [...boxes].map((box) => ({
    x: box.x * zoom + x,
    y: box.y * zoom + y,
    width: box.width * zoom,
    height: box.height * zoom,
  }));
  const counted = corners.map(([name, at]) => ({ name, hits: drawn.filter((box) => meet(at, box)).length }));
  return counted.reduce((best, each) => (each.hits < best.hits ? each : best)).name;
}

function around(a: Box, b: Box): Box {
  const [x, y] = [Math.min(a.x, b.x), Math.min(a.y, b.y)];
  return {
    x,
    y,
    width: Math.max(a.x + a.width, b.x + b.width) - x,
    height: Math.max(a.y + a.height, b.y + b.height) - y,
  };
}

/** Between their middles; what is beside it is nearer than what is above or below: links go sideways. */
function distance(a: Box, b: Box): number {
  const dx = a.x + a.width / 2 - b.x - b.width / 2;
  const dy = a.y + a.height / 2 - b.y - b.height / 2;
  return Math.hypot(dx, 1.5 * dy);
}

function meet(a: Box, b: Box): boolean {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}
