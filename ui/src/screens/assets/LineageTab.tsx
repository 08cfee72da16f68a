/** What lies around one asset, so many steps up and down. */
import { SegmentedControl } from "@mantine/core";
import { useMemo } from "react";
import { useGet } from "@/api/client";
import { useChosen, useGo } from "@/frame/address";
import { GraphView } from "@/graph/GraphView";
import { To } from "@/parts/To";
import { Loaded } from "@/parts/Waiting";
import css from "./Asset.module.css";
import { edgesOf, nodesOf } from "./graph";
import { LIVE } from "./live";
import { Peek } from "./Peek";
import { assetAt, lineageAt } from "./paths";

const DEPTHS = [
  { value: "0", label: "0" },
  { value: "1", label: "1" },
  { value: "2", label: "2" },
  { value: "3", label: "3" },
  { value: "100", label: "all" },
];
/** More of them fold into their groups. */
const MANY = 60;

export function LineageTab({ asset }: { asset: string }) {
  const [chosen, choose] = useChosen();
  const go = useGo();
  const depth = (of: "up" | "down") => DEPTHS.find((one) => one.value === chosen[of])?.value ?? "2";
  const lineage = useGet(
    "/api/v1/lineage",
    { query: { asset, up: Number(depth("up")), down: Number(depth("down")) } },
    { live: LIVE, keep: true },
  );
  const found = lineage.data;
  const nodes = useMemo(
    () => (found ? nodesOf(found, { grouped: found.nodes.length > MANY, at: asset }) : []),
    [found, asset],
  );
  const edges = useMemo(() => (found ? edgesOf(found) : []), [found]);
  const peeked = found?.nodes.find((node) => node.name === chosen.node);
  return (
    <>
      <div className={css.bar}>
        {(["up", "down"] as const).map((of) => (
          <span key={of} className={css.bar}>
            <span className="dim">{of === "up" ? "Upstream" : "Downstream"}</span>
            <SegmentedControl
              size="xs"
              aria-label={of === "up" ? "Steps upstream" : "Steps downstream"}
              value={depth(of)}
              data={DEPTHS}
              onChange={(value) => choose({ [of]: value })}
            />
          </span>
        ))}
        <span className={css.grow} />
        {found && <span className="dim">{found.nodes.length.toLocaleString("en")} assets</span>}
        <To to={lineageAt(asset)}>In the whole lineage</To>
      </div>
      <Loaded query={lineage} rows={10}>
        {() => (
          <GraphView
            label={`lineage of ${asset}`}
            nodes={nodes}
            edges={edges}
            focus={asset}
            height="calc(100vh - 260px)"
            {...(chosen.node ? { selected: chosen.node } : {})}
            onSelect={(node) => choose({ node: node ?? undefined })}
            onOpen={(node) => go(assetAt(node, "lineage"))}
          />
        )}
      </Loaded>
      {peeked && <Peek node={peeked} onClose={() => choose({ node: undefined })} />}
    </>
  );
}
