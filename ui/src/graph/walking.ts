/** Which node an arrow key leads to. Rule: pure; along the links to the sides, within what is near up and down. */

export type Box = { x: number; y: number; width: number; height: number };

/** The node in the direction of an arrow; the first one while none is chosen. */
export function nextOf(
  key: string,
  from: string | undefined,
  ids: string[],
  boxes: ReadonlyMap<string, Box>,
  edges: readonly { from: string; to: string }[],
): string | undefined {
  const here = from === undefined ? undefined : boxes.get(from);
  if (from === undefined || !here) return ids[0];
  const sideways = key === "ArrowRight" || key === "ArrowLeft";
  const linked = sideways
    ? edges.flatMap((edge) =>
        key === "ArrowRight" ? (edge.from === from ? [edge.to] : []) : edge.to === from ? [edge.from] : [],
      )
    : [];
  const known = new Set(ids);
  const near = linked.filter((id) => known.has(id));
  const among = near.length > 0 ? near : ids.filter((id) => id !== from && isThere(key, here, boxes.get(id)));
  let best: string | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const id of among) {
    const box = boxes.get(id);
    if (!box) continue;
    const dx = Math.abs(box.x - here.x);
    const dy = Math.abs(box.y - here.y);
    const far = sideways ? dx + 2 * dy : 4 * dx + dy;
    if (far < least) {
      least = far;
      best = id;
    }
  }
  return best;
}

function isThere(key: string, from: Box, to: Box | undefined): boolean {
  if (!to) return false;
  if (key === "ArrowRight") return to.x >= from.x + from.width;
  if (key === "ArrowLeft") return to.x + to.width <= from.x;
  return key === "ArrowDown" ? to.y > from.y : to.y < from.y;
}
