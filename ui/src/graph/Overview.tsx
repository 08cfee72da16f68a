/** A small picture of the whole, while not all of it is in sight: in a corner where nothing is. */
import { MiniMap, type Node, useStore, useStoreApi } from "@xyflow/react";
import { useMemo } from "react";
import { lookOf } from "@/parts/states";
import css from "./Drawn.module.css";
import type { Holder } from "./Nodes";
import { freeCornerOf, groundOf } from "./opening";
import type { Box } from "./walking";

const WIDTH = 190;
const [LOWEST, HIGHEST] = [56, 140];
const MARGIN = 32;

export function Overview({
  boxes,
  leaves,
}: {
  boxes: ReadonlyMap<string, Box>;
  leaves: ReadonlySet<string>;
}) {
  const ground = useMemo(() => groundOf(boxes.values()), [boxes]);
  const isAllInSight = useStore(({ transform: [x, y, zoom], width, height }) => {
    if (!ground || width === 0) return true;
    const [left, top] = [ground.x * zoom + x, ground.y * zoom + y];
    return (
      left >= 0 && top >= 0 && left + ground.width * zoom <= width && top + ground.height * zoom <= height
    );
  });
  if (!ground || isAllInSight) return null;
  return <Picture boxes={boxes} leaves={leaves} ground={ground} />;
}

/** It stays in its corner as long as it is shown: nothing jumps while a person drags the picture. */
function Picture({
  boxes,
  leaves,
  ground,
}: {
  boxes: ReadonlyMap<string, Box>;
  leaves: ReadonlySet<string>;
  ground: Box;
}) {
  const store = useStoreApi();
  const height = Math.round(
    Math.min(HIGHEST, Math.max(LOWEST, (WIDTH * ground.height) / Math.max(1, ground.width) + 16)),
  );
  // biome-ignore lint/correctness/useExhaustiveDependencies: chosen once for these places
  const corner = useMemo(() => {
    const { transform, width, height: tall } = store.getState();
    const drawn = [...boxes].flatMap(([id, box]) => (leaves.has(id) ? [box] : []));
    const view = { x: transform[0], y: transform[1], zoom: transform[2] };
    return freeCornerOf(
      drawn,
      view,
      { width, height: tall },
      { width: WIDTH + MARGIN, height: height + MARGIN },
    );
  }, [boxes]);
  return (
    <MiniMap
      pannable
      zoomable
      position={corner}
      ariaLabel="overview"
      className={css.map}
      style={{ width: WIDTH, height }}
      nodeColor={(node) => colourOf(node as Node<Holder>)}
      nodeStrokeWidth={0}
    />
  );
}

function colourOf(node: Node<Holder>): string {
  if (node.type === "back") return "var(--p-hover)";
  return node.data.state ? `var(--p-${lookOf(node.data.state).tone}-fill)` : "var(--p-border-strong)";
}
