/**
 * A graph on the screen: what is seen of it, where it stands, and what it answers to mouse and keyboard.
 *
 * Rule: places change only when what is seen changes; new states colour what is there and move nothing.
 */
import "@xyflow/react/dist/base.css";
import {
  Background,
  getViewportForBounds,
  type Node,
  ReactFlow,
  ReactFlowProvider,
  useReactFlow,
  useStoreApi,
} from "@xyflow/react";
import { type KeyboardEvent, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { Skeleton, Trouble } from "@/parts/Waiting";
import { Controls } from "./Controls";
import css from "./Drawn.module.css";
import { Edges, type Routes } from "./Edges";
import { type Folds, nextFold, type Seen, shapeOf, sightOf, sumOf, worstOf } from "./folding";
import type { GraphProps } from "./GraphView";
import { layOut } from "./layout";
import { GroupBack, type Holder, Stand } from "./Nodes";
import { Overview } from "./Overview";
import { openingOf, READABLE } from "./opening";
import type { Item, Layout } from "./placing";
import { type Box, nextOf } from "./walking";

const TYPES = { stand: Stand, back: GroupBack };
const MANY = 120;

export default function Drawn(props: GraphProps) {
  return (
    <ReactFlowProvider>
      <Inside {...props} />
    </ReactFlowProvider>
  );
}

function Inside({
  nodes,
  edges,
  label,
  selected,
  onSelect,
  onOpen,
  height = "60vh",
  folds,
  onFolds,
  focus,
}: GraphProps) {
  const [ownFolds, setOwnFolds] = useState<Folds>({});
  const nowFolds = folds ?? ownFolds;
  const kept = useMemo(
    () => new Set([selected, focus].filter((id): id is string => !!id)),
    [selected, focus],
  );
  const sight = useMemo(() => sightOf(nodes, edges, nowFolds, kept), [nodes, edges, nowFolds, kept]);
  const shape = useMemo(() => shapeOf(sight), [sight]);
  const { boxes, routes, error } = usePlaces(sight.tops, sight.edges, shape);
  const holding = useRef<{ id: string; x: number; y: number } | null>(null);
  const flow = useReactFlow();

  const fold = useCallback(
    (group: Seen) => {
      const at = boxes?.get(group.id);
      if (at) holding.current = { id: group.id, x: at.x, y: at.y };
      const changed: Folds = { ...nowFolds, [group.path]: nextFold(group) };
      if (onFolds) onFolds(changed);
      else setOwnFolds(changed);
    },
    [boxes, nowFolds, onFolds],
  );
  const chosen = selected ? (sight.standsFor.get(selected) ?? undefined) : undefined;
  const drawn = useMemo(
    () => (boxes ? flowNodes(sight.tops, boxes, chosen, fold) : []),
    [sight, boxes, chosen, fold],
  );
  const tall = heightOf(boxes, height);
  const lit = useMemo(() => litOf(sight.tops), [sight]);
  useViewport(boxes, tall, holding, (pane) => {
    const first =
      focus ?? nodes.find((node) => node.lit)?.id ?? nodes.find((node) => node.state === "failed")?.id;
    const at = first === undefined ? undefined : sight.standsFor.get(first);
    if (at === undefined || !boxes) return null;
    return openingOf(at, boxes, lit.size > 0 ? lit : neighboursOf(at, sight.edges), pane);
  });

  const pick = (seen: Seen) => {
    if (seen.kind === "node") onSelect?.(seen.node?.id ?? null);
    else fold(seen.kind === "rest" ? { ...seen, fold: "some", id: `group:${seen.path}` } : seen);
  };
  const keys = (event: KeyboardEvent) => walk(event, { boxes, sight, chosen, pick, onOpen, selected, flow });

  if (error) return <Trouble error={error} />;
  return (
    <section className={css.box} style={{ height: tall }} aria-label={label} onKeyDown={keys}>
      {!boxes ? (
        <Skeleton rows={10} />
      ) : (
        <ReactFlow
          nodes={drawn}
          edges={NONE}
          nodeTypes={TYPES}
          minZoom={0.04}
          maxZoom={1.6}
          nodesDraggable={false}
          nodesConnectable={false}
          nodesFocusable={false}
          elementsSelectable={false}
          elevateNodesOnSelect={false}
          onlyRenderVisibleElements={drawn.length > MANY}
          zoomOnDoubleClick={false}
          disableKeyboardA11y
          onNodeClick={(_, node) => node.type === "stand" && pick((node.data as Holder).seen)}
          onNodeDoubleClick={(_, node) => node.type === "stand" && open((node.data as Holder).seen, onOpen)}
          onPaneClick={() => onSelect?.(null)}
          proOptions={{ hideAttribution: true }}
        >
          <Background gap={22} size={1} color="var(--p-border)" />
          <Edges edges={sight.edges} boxes={boxes} routes={routes} lit={lit} chosen={chosen} />
          <Controls
            onFold={(all) => foldAll(all, nodes, onFolds ?? setOwnFolds)}
            hasGroups={sight.tops.some((seen) => seen.kind === "group")}
          />
          {drawn.length > 12 && <Overview boxes={boxes} leaves={leavesOf(sight.tops)} />}
        </ReactFlow>
      )}
    </section>
  );
}

const NONE: never[] = [];

/** Places of what is seen; the last ones stay until the next ones are there. */
function usePlaces(tops: Seen[], edges: { from: string; to: string }[], shape: string) {
  const [found, setFound] = useState<Found>({ boxes: null, routes: new Map() });
  const [error, setError] = useState<unknown>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the shape says when tops and edges are others
  useEffect(() => {
    let wanted = true;
    const item = (seen: Seen): Item => ({ id: seen.id, inner: seen.inner.map(item) });
    layOut(tops.map(item), edges).then(
      (layout) => wanted && setFound(absolute(layout)),
      (reason) => wanted && setError(reason),
    );
    return () => {
      wanted = false;
    };
  }, [shape]);
  return { ...found, error };
}

type Found = { boxes: Map<string, Box> | null; routes: Routes };

function absolute({ placed, routes }: Layout): Found {
  const boxes = new Map<string, Box>();
  for (const { id, x, y, width, height, parent } of placed) {
    const corner = parent === null ? undefined : boxes.get(parent);
    boxes.set(id, { x: x + (corner?.x ?? 0), y: y + (corner?.y ?? 0), width, height });
  }
  const found: Routes = new Map();
  for (const { from, to, parent, points } of routes) {
    const corner = parent === null ? undefined : boxes.get(parent);
    const shifted = points.map(({ x, y }) => ({ x: x + (corner?.x ?? 0), y: y + (corner?.y ?? 0) }));
    found.set(`${from}\n${to}`, shifted);
  }
  return { boxes, routes: found };
}

function flowNodes(
  tops: Seen[],
  boxes: Map<string, Box>,
  chosen: string | undefined,
  fold: (group: Seen) => void,
): Node[] {
  const drawn: Node[] = [];
  const add = (seen: Seen) => {
    const box = boxes.get(seen.id);
    if (box) {
      const isOpen = seen.kind === "group" && seen.inner.length > 0;
      const counts = seen.kind === "node" ? seen.node?.counts : sumOf(seen.members);
      const state = seen.kind === "node" ? seen.node?.state : worstOf(counts ?? {});
      drawn.push({
        id: seen.id,
        type: isOpen ? "back" : "stand",
        position: { x: box.x, y: box.y },
        width: box.width,
        height: box.height,
        zIndex: isOpen ? -10 : 0,
        data: { seen, state, counts, isChosen: seen.id === chosen, fold } satisfies Holder,
      });
    }
    for (const each of seen.inner) add(each);
  };
  for (const seen of tops) add(seen);
  return drawn;
}

/** A small graph takes no more room than it needs. */
function heightOf(boxes: Map<string, Box> | null, height: string): string {
  if (!boxes) return height;
  let [top, bottom] = [Number.POSITIVE_INFINITY, 0];
  for (const box of boxes.values()) {
    top = Math.min(top, box.y);
    bottom = Math.max(bottom, box.y + box.height);
  }
  return `min(${height}, ${Math.round(Math.max(260, bottom - top + 150))}px)`;
}

/** First the whole, or what matters if the whole could not be read; afterwards nothing moves but by a person. */
function useViewport(
  boxes: Map<string, Box> | null,
  height: string,
  holding: { current: { id: string; x: number; y: number } | null },
  opening: (pane: { width: number; height: number }) => Box | null,
) {
  const flow = useReactFlow();
  const store = useStoreApi();
  const placed = useRef("");
  // biome-ignore lint/correctness/useExhaustiveDependencies: only new places move the picture
  useEffect(() => {
    if (!boxes || boxes.size === 0) return;
    const held = holding.current;
    holding.current = null;
    if (held) {
      const now = boxes.get(held.id);
      const { x, y, zoom } = flow.getViewport();
      if (now)
        void flow.setViewport({ x: x + (held.x - now.x) * zoom, y: y + (held.y - now.y) * zoom, zoom });
      return;
    }
    // A picture that has been given another height is another picture.
    if (placed.current === height) return;
    placed.current = height;
    // In the frame after the next its element has been measured.
    twoFramesOn(() => {
      void flow.fitView({ padding: 0.08, maxZoom: 1 }).then(() => {
        if (flow.getZoom() >= READABLE) return;
        const { width, height: tall } = store.getState();
        const ground = opening({ width, height: tall });
        // Neither so far that nothing can be read, nor larger than life.
        if (ground) void flow.setViewport(getViewportForBounds(ground, width, tall, READABLE, 0.95, 0.06));
      });
    });
  }, [boxes]);
}

function twoFramesOn(act: () => void) {
  requestAnimationFrame(() => requestAnimationFrame(act));
}

function neighboursOf(id: string, edges: { from: string; to: string }[]): ReadonlySet<string> {
  return new Set(edges.flatMap((edge) => (edge.from === id ? [edge.to] : edge.to === id ? [edge.from] : [])));
}

function leavesOf(tops: Seen[]): ReadonlySet<string> {
  return new Set(flat(tops).flatMap((seen) => (seen.inner.length === 0 ? [seen.id] : [])));
}

function litOf(tops: Seen[]): ReadonlySet<string> {
  const lit = new Set<string>();
  const look = (seen: Seen) => {
    if (seen.members.some((member) => member.lit)) lit.add(seen.id);
    for (const each of seen.inner) look(each);
  };
  for (const seen of tops) look(seen);
  return lit;
}

function foldAll(open: boolean, nodes: GraphProps["nodes"], set: (folds: Folds) => void) {
  const folds: Record<string, "all" | "shut"> = {};
  for (const { group } of nodes)
    group?.forEach((_, depth) => {
      folds[group.slice(0, depth + 1).join("/")] = open ? "all" : "shut";
    });
  set(folds);
}

function open(seen: Seen, onOpen: GraphProps["onOpen"]) {
  if (seen.kind === "node" && seen.node) onOpen?.(seen.node.id);
}

type Walk = {
  boxes: Map<string, Box> | null;
  sight: ReturnType<typeof sightOf>;
  chosen: string | undefined;
  pick: (seen: Seen) => void;
  onOpen: GraphProps["onOpen"];
  selected: string | undefined;
  flow: ReturnType<typeof useReactFlow>;
};

/** Arrows go to the neighbours, enter opens, + and - and 0 zoom. */
function walk(event: KeyboardEvent, { boxes, sight, chosen, pick, onOpen, selected, flow }: Walk) {
  if (!boxes || event.metaKey || event.ctrlKey || event.altKey) return;
  const focused = (event.target as HTMLElement).closest<HTMLElement>("[data-node]")?.dataset.node;
  const at = focused ?? chosen;
  if (event.key.startsWith("Arrow")) {
    const seen = flat(sight.tops).filter((each) => each.inner.length === 0);
    const next = nextOf(
      event.key,
      at,
      seen.map((each) => each.id),
      boxes,
      sight.edges,
    );
    const found = seen.find((each) => each.id === next);
    if (found) {
      if (found.kind === "node") pick(found);
      show(found.id, boxes, flow);
    }
  } else if (event.key === "Enter" && selected !== undefined && focused === chosen && onOpen)
    onOpen(selected);
  else if (event.key === "+") void flow.zoomIn();
  else if (event.key === "-") void flow.zoomOut();
  else if (event.key === "0") void flow.fitView({ padding: 0.08, maxZoom: 1 });
  else return;
  event.preventDefault();
}

function flat(seen: Seen[]): Seen[] {
  return seen.flatMap((each) => [each, ...flat(each.inner)]);
}

/** Bring a node into sight, then the focus to it. */
function show(id: string, boxes: Map<string, Box>, flow: ReturnType<typeof useReactFlow>) {
  const box = boxes.get(id);
  if (!box) return;
  const focus = () =>
    document.querySelector<HTMLElement>(`[data-node="${CSS.escape(id)}"]`)?.focus({ preventScroll: true });
  const found = document.querySelector<HTMLElement>(`[data-node="${CSS.escape(id)}"]`);
  const pane = found?.closest(".react-flow")?.getBoundingClientRect();
  const rect = found?.getBoundingClientRect();
  if (
    pane &&
    rect &&
    rect.left > pane.left &&
    rect.right < pane.right &&
    rect.top > pane.top &&
    rect.bottom < pane.bottom
  ) {
    focus();
    return;
  }
  void flow.setCenter(box.x + box.width / 2, box.y + box.height / 2, { zoom: flow.getZoom() });
  requestAnimationFrame(() => requestAnimationFrame(focus));
}
