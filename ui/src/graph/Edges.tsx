/** All links of a graph as a few paths: one drawing, however many there are. */
import { ViewportPortal } from "@xyflow/react";
import { memo, useMemo } from "react";
import css from "./Drawn.module.css";
import type { Box } from "./walking";

type Edge = { from: string; to: string };
/** Points of the links that go round something, by "from\nto". */
export type Routes = Map<string, { x: number; y: number }[]>;

export const Edges = memo(function Edges({
  edges,
  boxes,
  routes,
  lit,
  chosen,
}: {
  edges: Edge[];
  boxes: ReadonlyMap<string, Box>;
  routes: Routes;
  lit: ReadonlySet<string>;
  chosen: string | undefined;
}) {
  const [plain, burning, near] = useMemo(() => {
    const kinds: [string[], string[], string[]] = [[], [], []];
    for (const edge of edges) {
      const line = lineOf(boxes.get(edge.from), boxes.get(edge.to), routes.get(`${edge.from}\n${edge.to}`));
      const isNear = edge.from === chosen || edge.to === chosen;
      if (line) kinds[isNear ? 2 : lit.has(edge.from) && lit.has(edge.to) ? 1 : 0].push(line);
    }
    return kinds.map((lines) => lines.join(""));
  }, [edges, boxes, routes, lit, chosen]);
  return (
    <ViewportPortal>
      <svg className={css.edges} aria-hidden>
        <defs>
          {["plain", "burning", "near"].map((kind) => (
            <marker
              key={kind}
              id={`arrow-${kind}`}
              viewBox="0 0 8 8"
              refX="7"
              refY="4"
              markerWidth="8"
              markerHeight="8"
              markerUnits="userSpaceOnUse"
              orient="auto"
            >
              <path d="M0 0.6L7.4 4L0 7.4z" className={css[`${kind}Arrow`]} />
            </marker>
          ))}
        </defs>
        <Lines path={plain} kind="plain" />
        <Lines path={burning} kind="burning" />
        <Lines path={near} kind="near" />
      </svg>
    </ViewportPortal>
  );
});

/** Arrows stand at each end only when lines are paths of their own; so they are, up to a number. */
function Lines({ path, kind }: { path: string | undefined; kind: "plain" | "burning" | "near" }) {
  if (!path) return null;
  const single = path.split("M").slice(1);
  if (single.length > 600) return <path d={path} className={css[kind]} />;
  return (
    <>
      {single.map((line, at) => (
        <path key={at} d={`M${line}`} className={css[kind]} markerEnd={`url(#arrow-${kind})`} />
      ))}
    </>
  );
}

function lineOf(
  from: Box | undefined,
  to: Box | undefined,
  round: { x: number; y: number }[] | undefined,
): string {
  if (!from || !to) return "";
  const [x1, y1] = [from.x + from.width, from.y + from.height / 2];
  const [x2, y2] = [to.x - 1, to.y + to.height / 2];
  if (round) return through([{ x: x1, y: y1 }, ...round.slice(1, -1), { x: x2, y: y2 }]);
  const bend = x2 > x1 ? Math.min(120, Math.max(24, (x2 - x1) / 2)) : 90;
  return `M${r(x1)} ${r(y1)}C${r(x1 + bend)} ${r(y1)} ${r(x2 - bend)} ${r(y2)} ${r(x2)} ${r(y2)}`;
}

/** A line through points, flat at each of them. */
function through(points: { x: number; y: number }[]): string {
  return points
    .map(({ x, y }, at) => {
      const before = points[at - 1];
      if (!before) return `M${r(x)} ${r(y)}`;
      const bend = Math.abs(x - before.x) / 2;
      return `C${r(before.x + bend)} ${r(before.y)} ${r(x - bend)} ${r(y)} ${r(x)} ${r(y)}`;
    })
    .join("");
}

function r(value: number): number {
  return Math.round(value * 10) / 10;
}
