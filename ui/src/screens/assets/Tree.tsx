/** Reasons, each under what it explains: "stale because flights of 2013-02-04 was updated 2 h ago". */
import type { Schema } from "@/api/client";
import { Glyph } from "@/parts/State";
import { To } from "@/parts/To";
import { When } from "@/parts/When";
import css from "./Asset.module.css";
import { assetAt, runAt } from "./paths";

type Node = Schema<"StalenessNode">;

const STATES: Record<string, string> = {
  upstream_newer: "stale",
  upstream_missing: "missing",
  code_changed: "stale",
  check_failed: "failed",
  run_failed: "failed",
};

export function Tree({ nodes }: { nodes: Node[] }) {
  return (
    <ul className={css.tree}>
      {nodes.map((node, at) => (
        <Branch key={at} node={node} />
      ))}
    </ul>
  );
}

function Branch({ node }: { node: Node }) {
  return (
    <li>
      <div className={css.branch}>
        <Glyph state={STATES[node.code] ?? node.code} size={13} />
        <div className={css.words}>
          <span>
            <Said node={node} />
          </span>
          {node.at && (
            <span className="dim">
              {node.code === "check_failed" || node.code === "run_failed"
                ? ""
                : node.code === "upstream_newer"
                  ? "updated "
                  : "made "}
              <When at={node.at} />
            </span>
          )}
          {node.run && <To to={runAt(node.run)}>run {node.run.slice(0, 8)}</To>}
          {node.by && <span className="dim">by {node.by}</span>}
        </div>
      </div>
      {node.children.length > 0 && <Tree nodes={node.children} />}
      {node.more > 0 && <p className="dim">and {node.more.toLocaleString("en")} more</p>}
    </li>
  );
}

/** The sentence, with the asset in it as a link. */
function Said({ node }: { node: Node }) {
  if (!node.asset) return <>{node.text}</>;
  const named = node.partition ? `${node.asset} of ${node.partition}` : node.asset;
  const at = node.text.indexOf(named);
  if (at < 0) return <>{node.text}</>;
  return (
    <>
      {node.text.slice(0, at)}
      <To to={assetAt(node.asset, "why", node.partition)}>{named}</To>
      {node.text.slice(at + named.length)}
    </>
  );
}
