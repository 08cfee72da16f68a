/** An asset beside the graph: its health in short, and the way to its own page. */
import { type Schema, useGet } from "@/api/client";
import { Inspector } from "@/frame/Inspector";
import { Section } from "@/parts/Page";
import { State } from "@/parts/State";
import { To } from "@/parts/To";
import { Loaded } from "@/parts/Waiting";
import { When } from "@/parts/When";
import css from "./Asset.module.css";
import { LIVE } from "./live";
import { assetAt, lineageAt, runAt } from "./paths";
import { Tree } from "./Tree";

export function Peek({ node, onClose }: { node: Schema<"LineageNode">; onClose: () => void }) {
  const path = { path: { asset: node.name } };
  const health = useGet("/api/v1/assets/{asset}/health", path, { live: LIVE });
  const tree = useGet("/api/v1/assets/{asset}/staleness", path, { live: LIVE });
  return (
    <Inspector title={<To to={assetAt(node.name)}>{node.name}</To>} onClose={onClose}>
      <div className={css.bar}>
        <State state={node.health} soft />
        {node.running && <State state="running" />}
        {health.data?.last_at && (
          <span className="dim">
            made <When at={health.data.last_at} />
          </span>
        )}
        {health.data?.last_run && (
          <To to={runAt(health.data.last_run)}>run {health.data.last_run.slice(0, 8)}</To>
        )}
      </div>
      <Loaded query={tree} rows={3}>
        {(found) =>
          found.children.length > 0 ? (
            <Section title="Why">
              <Tree nodes={found.children} />
            </Section>
          ) : null
        }
      </Loaded>
      <dl className={css.facts}>
        {[
          ["Group", node.group],
          ["Owner", node.owner],
          ["Project", node.project],
          [
            "Checks",
            node.checks_failed.length > 0 ? `${node.checks_failed.join(", ")} failed` : String(node.checks),
          ],
        ]
          .filter(([, value]) => value)
          .map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
      </dl>
      <To to={assetAt(node.name)}>Open {node.name}</To>
      <To to={lineageAt(node.name)}>Everything above and below it</To>
    </Inspector>
  );
}
