/** What one wants to know of an asset at first: what it is, how its newest materialization was, what stands around it. */
import { lazy, Suspense, useMemo } from "react";
import { useGet } from "@/api/client";
import { useChosen } from "@/frame/address";
import { Heat, lastOf } from "@/parts/Heat";
import { Metadata } from "@/parts/Metadata";
import { Panel, Section } from "@/parts/Page";
import { State } from "@/parts/State";
import { To } from "@/parts/To";
import { Empty, Loaded } from "@/parts/Waiting";
import { When } from "@/parts/When";
import type { Definition, Entry } from "./Asset";
import css from "./Asset.module.css";
import { LETTERS } from "./health";
import { LIVE } from "./live";
import { Numbers } from "./Numbers";
import { assetAt, runAt } from "./paths";

const Markdown = lazy(() => import("@/parts/Markdown"));

export function Overview({ asset, entry }: { asset: Definition; entry: Entry | undefined }) {
  return (
    <div className={css.split}>
      <div className={css.main}>
        {asset.description ? (
          <div className={css.prose}>
            <Suspense fallback={<p>{asset.description}</p>}>
              <Markdown text={asset.description} />
            </Suspense>
          </div>
        ) : (
          <p className="dim">It has no description: the docstring of its function stands here.</p>
        )}
        {asset.partitions !== null && <Strip asset={asset} />}
        <Newest asset={asset} entry={entry} />
      </div>
      <aside className={css.side}>
        <Around asset={asset} />
        <Panel>
          <dl className={css.facts}>
            <Row name="Group">{asset.group}</Row>
            <Row name="Owner">{asset.owner}</Row>
            <Row name="Tags">{asset.tags.join(", ")}</Row>
            <Row name="Kinds">{asset.kinds.join(", ")}</Row>
            <Row name="Partitions">{partitionWords(asset.partitions)}</Row>
            <Row name="Project">{asset.project}</Row>
            <Row name="Written at">
              <span className="mono">{asset.written_at}</span>
            </Row>
            <Row name="Automation">{entry?.automated ? "makes itself by a condition" : ""}</Row>
          </dl>
        </Panel>
      </aside>
    </div>
  );
}

function Row({ name, children }: { name: string; children: React.ReactNode }) {
  if (children === "" || children === null || children === undefined) return null;
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** "daily from 2026-09-01 (UTC)". */
export function partitionWords(spec: Definition["partitions"]): string {
  if (spec === null) return "";
  const said = spec as unknown as {
    kind: string;
    start: string;
    end: string;
    tz: string;
    keys: string[];
    dimensions: [string, { kind: string }][];
    name: string;
  };
  if (said.kind === "product")
    return said.dimensions.map(([name, inner]) => `${name} (${inner.kind})`).join(" × ");
  if (said.kind === "static") return `${said.keys.length} fixed ones`;
  if (said.kind === "dynamic") return `added while it runs: ${said.name}`;
  return `${said.kind} from ${said.start}${said.end && ` to ${said.end}`} (${said.tz})`;
}

function Strip({ asset }: { asset: Definition }) {
  const [, choose] = useChosen();
  const states = useGet(
    "/api/v1/assets/{asset}/partition-states",
    { path: { asset: asset.name } },
    { live: LIVE },
  );
  return (
    <Loaded query={states} rows={4}>
      {(found) => {
        const { dimensions, states: letters, cut } = around(found.dimensions, found.states);
        return (
          <Section
            title={cut ? "Partitions around the newest" : "Partitions"}
            aside={
              cut && (
                <To to={assetAt(asset.name, "partitions")}>all {found.states.length.toLocaleString("en")}</To>
              )
            }
          >
            <Panel>
              <Heat
                label="partitions"
                dimensions={dimensions}
                states={letters}
                words={LETTERS}
                onOpen={(place) => choose({ partition: dimensions[0]?.keys[place] })}
              />
            </Panel>
          </Section>
        );
      }}
    </Loaded>
  );
}

/** Of one dimension of time the year or so in which something was made last; all of what is less, or no time. */
function around(dimensions: { name: string; kind: string; keys: string[] }[], states: string) {
  const only = dimensions[0];
  const shown = only?.kind === "hourly" ? 240 : 366;
  if (dimensions.length !== 1 || !only || only.keys.length <= shown + 60)
    return { dimensions, states, cut: false };
  const last = lastOf(states, LETTERS);
  const end = last < 0 ? states.length : Math.min(states.length, last + 31);
  const from = Math.max(0, end - shown);
  return {
    dimensions: [{ ...only, keys: only.keys.slice(from, end) }],
    states: states.slice(from, end),
    cut: true,
  };
}

function Newest({ asset, entry }: { asset: Definition; entry: Entry | undefined }) {
  const made = useGet(
    "/api/v1/assets/{asset}/materializations",
    { path: { asset: asset.name }, query: { limit: 1 } },
    { live: LIVE },
  );
  const latest = made.data?.items[0];
  if (made.data && !latest)
    return (
      <Empty title="It was never made" code={code(asset, entry)}>
        {asset.external
          ? "Another tool makes it; this tells of it:"
          : "A run of it makes it; so does every pipeline that it is part of."}
      </Empty>
    );
  return (
    <>
      {latest && latest.metadata.length > 0 && (
        <Section
          title="Newest materialization"
          aside={
            <>
              <span className="mono">{latest.partition}</span>
              {latest.run ? (
                <To to={runAt(latest.run)}>
                  <When at={latest.at} />
                </To>
              ) : (
                <When at={latest.at} />
              )}
            </>
          }
        >
          <Panel>
            <Metadata items={latest.metadata} />
          </Panel>
        </Section>
      )}
      <Numbers asset={asset} most={2} />
    </>
  );
}

function code(asset: Definition, entry: Entry | undefined): string {
  if (asset.external) return `partita assets report ${asset.name} --meta rows=12345`;
  return entry?.partitioned
    ? `partita backfill start ${asset.name} --only missing`
    : `partita run ${asset.name}`;
}

/** What it is made from and what is made from it. */
function Around({ asset }: { asset: Definition }) {
  const uses = useGet("/api/v1/assets/{asset}/uses", { path: { asset: asset.name } }, { live: LIVE });
  const lists = useMemo(
    () => [["Made from", uses.data?.reads ?? []] as const, ["Read by", uses.data?.readers ?? []] as const],
    [uses.data],
  );
  return (
    <>
      {lists.map(([title, nodes]) => (
        <Section key={title} title={title}>
          {nodes.length === 0 ? (
            <p className="dim">{title === "Made from" ? "Nothing of ours." : "Nothing yet."}</p>
          ) : (
            <ul className={css.list}>
              {nodes.slice(0, 12).map((node) => (
                <li key={node.name}>
                  <To to={assetAt(node.name)} className="clip">
                    {node.name}
                  </To>
                  <State state={node.health} />
                </li>
              ))}
              {nodes.length > 12 && (
                <li>
                  <To to={assetAt(asset.name, "uses")}>and {nodes.length - 12} more</To>
                </li>
              )}
            </ul>
          )}
        </Section>
      ))}
    </>
  );
}
