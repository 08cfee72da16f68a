/** The whole lineage over all projects: groups that open, or all that lies above and below one asset. */
import { useMemo } from "react";
import { type Schema, useGet } from "@/api/client";
import { href, useChosen, useGo } from "@/frame/address";
import { GraphView } from "@/graph/GraphView";
import { Choice, Filters, Search } from "@/parts/Filters";
import { Page } from "@/parts/Page";
import { Counts } from "@/parts/State";
import { Empty, Loaded } from "@/parts/Waiting";
import { edgesOf, nodesOf } from "./graph";
import { LIVE } from "./live";
import { Peek } from "./Peek";
import { assetAt } from "./paths";

const CODE = `@pt.asset
def daily_delays(flights: list[dict]) -> list[dict]:   # reads the asset \`flights\`
    ...`;

/** Fewer are shown one by one. */
const FEW = 40;

export default function Lineage() {
  const [chosen, choose] = useChosen();
  const go = useGo();
  const asset = chosen.asset;
  const lineage = useGet(
    "/api/v1/lineage",
    { query: asset ? { asset, up: 100, down: 100 } : { project: chosen.project } },
    { live: LIVE, keep: true },
  );
  const found = lineage.data;
  const shown = useMemo(() => (found ? ofGroup(found, chosen.group) : undefined), [found, chosen.group]);
  const nodes = useMemo(
    () =>
      shown
        ? nodesOf(shown, { grouped: shown.nodes.length > FEW && !chosen.group, at: asset, words: chosen.q })
        : [],
    [shown, asset, chosen.q, chosen.group],
  );
  const edges = useMemo(() => (shown ? edgesOf(shown) : []), [shown]);
  const counts = useMemo(() => countsOf(shown?.nodes ?? []), [shown]);
  const groups = useMemo(
    () => [...new Set(found?.nodes.map((node) => node.group).filter(Boolean))].sort(),
    [found],
  );
  const projects = useMemo(() => [...new Set(found?.nodes.map((node) => node.project))].sort(), [found]);
  const peeked = shown?.nodes.find((node) => node.name === chosen.node);
  return (
    <Page
      title={asset ? `Lineage of ${asset}` : "Lineage"}
      wide
      crumbs={[
        { text: "Assets", to: href(["assets"]) },
        ...(asset
          ? [
              { text: asset, to: assetAt(asset) },
              { text: "Lineage", to: href(["lineage"]) },
            ]
          : []),
      ]}
      facts={found && <Counts counts={counts} />}
      command={asset ? `partita assets show ${asset}` : "partita assets"}
    >
      <Filters aside={shown && `${shown.nodes.length.toLocaleString("en")} assets`}>
        <Search
          value={chosen.q ?? ""}
          onChange={(q) => choose({ q })}
          placeholder="Find in the graph"
          label="Find in the graph"
        />
        {groups.length > 1 && (
          <Choice
            label="Group"
            value={chosen.group}
            options={groups}
            onChange={(group) => choose({ group })}
          />
        )}
        {(projects.length > 1 || chosen.project) && !asset && (
          <Choice
            label="Project"
            value={chosen.project}
            options={projects}
            onChange={(project) => choose({ project })}
          />
        )}
      </Filters>
      <Loaded query={lineage} rows={12}>
        {(all) =>
          all.nodes.length === 0 ? (
            <Empty title="No assets yet" code={CODE}>
              What an asset is made from are its parameters; that is all that lineage needs.
            </Empty>
          ) : (
            <>
              {all.left_out > 0 && (
                <p className="dim">
                  {all.left_out.toLocaleString("en")} more are not shown; choose a group or a project.
                </p>
              )}
              <GraphView
                label={asset ? `lineage of ${asset}` : "lineage of all assets"}
                nodes={nodes}
                edges={edges}
                height="calc(100vh - 250px)"
                {...(asset ? { focus: asset } : {})}
                {...(chosen.node ? { selected: chosen.node } : {})}
                onSelect={(node) => choose({ node: node ?? undefined })}
                onOpen={(node) => go(assetAt(node))}
              />
            </>
          )
        }
      </Loaded>
      {peeked && <Peek node={peeked} onClose={() => choose({ node: undefined })} />}
    </Page>
  );
}

function countsOf(nodes: Schema<"LineageNode">[]): Record<string, number> {
  const found: Record<string, number> = {};
  for (const node of nodes) {
    const state = node.health;
    found[state] = (found[state] ?? 0) + 1;
  }
  return found;
}

/** A group with what lies next to it. */
function ofGroup(found: Schema<"Lineage">, group: string | undefined): Schema<"Lineage"> {
  if (!group) return found;
  const inside = new Set(found.nodes.flatMap((node, at) => (node.group === group ? [at] : [])));
  const near = new Set(inside);
  for (const [from, to] of found.edges) {
    if (inside.has(from)) near.add(to);
    if (inside.has(to)) near.add(from);
  }
  const places = new Map([...near].map((at, place) => [at, place]));
  return {
    nodes: [...near].map((at) => found.nodes[at]!),
    edges: found.edges.flatMap(([from, to]) => {
      const [a, b] = [places.get(from), places.get(to)];
      return a === undefined || b === undefined ? [] : [[a, b] as [number, number]];
    }),
    left_out: found.left_out,
  };
}
