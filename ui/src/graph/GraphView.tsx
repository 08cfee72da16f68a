/** A graph of steps or assets. Import this one: what draws it is loaded when the first graph is shown. */
import { lazy, Suspense } from "react";
import { Skeleton } from "@/parts/Waiting";
import type { Folds, GraphEdge, GraphNode } from "./folding";

export type { Fold, Folds, GraphEdge, GraphNode } from "./folding";

export type GraphProps = {
  nodes: GraphNode[];
  edges: GraphEdge[];
  /** What it is, for those who listen: "graph of nightly". */
  label: string;
  selected?: string;
  onSelect?: (id: string | null) => void;
  /** A double click, or enter on what is selected. */
  onOpen?: (id: string) => void;
  /** CSS height; "60vh" without it. */
  height?: string;
  /** Which groups are open, if the screen wants to keep it; else the graph keeps it by itself. */
  folds?: Folds;
  onFolds?: (folds: Folds) => void;
  /** What to look at first; the whole otherwise. */
  focus?: string;
};

const Drawn = lazy(() => import("./Drawn"));

export function GraphView(props: GraphProps) {
  return (
    <Suspense fallback={<Skeleton rows={10} />}>
      <Drawn {...props} />
    </Suspense>
  );
}
