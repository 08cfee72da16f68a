/** Where the squares of many instances stand. Rule: pure; the place in the picture and the place in the columns are two things. */
import { rankOf } from "@/parts/states";

/** The places of the columns in the order in which they are drawn: what is bad first, or by index. */
export function drawnOrder(states: readonly string[], by: "state" | "index"): number[] {
  const places = states.map((_, at) => at);
  if (by === "index") return places;
  const ranks = new Map([...new Set(states)].map((state) => [state, rankOf(state)]));
  return places.sort((a, b) => ranks.get(states[a]!)! - ranks.get(states[b]!)! || a - b);
}

/** How large a square is, for so many of them in so wide a space. */
export function sideOf(count: number, width: number): number {
  const side = count <= 60 ? 28 : count <= 400 ? 20 : count <= 2500 ? 14 : 11;
  return Math.max(8, Math.min(side, Math.floor(width / 10)));
}

/** Which place an arrow key leads to. */
export function moved(key: string, at: number, count: number, columns: number): number | null {
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[key];
  if (key === "Home") return 0;
  if (key === "End") return count - 1;
  if (by === undefined) return null;
  const next = at + by;
  return next < 0 || next >= count ? at : next;
}
