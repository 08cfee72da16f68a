/** One asset: one line of health, and behind tabs all that is known of it. */
import { Button } from "@mantine/core";
import { IconHistory, IconPlayerPlay } from "@tabler/icons-react";
import { useState } from "react";
import { type Schema, useGet, useSend } from "@/api/client";
import { href, useChosen, useGo } from "@/frame/address";
import { useShortcut } from "@/frame/shortcuts";
import { Confirm } from "@/parts/Confirm";
import { Fact, Page } from "@/parts/Page";
import { Glyph, State } from "@/parts/State";
import { quoted } from "@/parts/shell";
import { lookOf } from "@/parts/states";
import { type Tab, Tabs } from "@/parts/Tabs";
import { To } from "@/parts/To";
import { Loaded } from "@/parts/Waiting";
import { When } from "@/parts/When";
import { ChecksTab } from "./Checks";
import { ColumnsTab } from "./Columns";
import { DefinitionTab } from "./Definition";
import { isLate, madeOf, reasonOf } from "./health";
import { LineageTab } from "./LineageTab";
import { LIVE } from "./live";
import { Materializations } from "./Materializations";
import { Overview } from "./Overview";
import { PartitionPanel } from "./PartitionPanel";
import { Partitions } from "./Partitions";
import { backfillOf, runAt } from "./paths";
import { UsesTab } from "./Uses";
import { useName } from "./useName";
import { WhyTab } from "./Why";

export type Entry = Schema<"CatalogEntry">;
export type Definition = Schema<"Asset">;

export default function Asset() {
  const name = useName("asset");
  const [chosen, choose] = useChosen();
  const definition = useGet(
    "/api/v1/assets/{asset}",
    { path: { asset: name } },
    { live: ["project_", "manifest_"] },
  );
  // One answer has all that a list shows of an asset, so it has it here too.
  const catalog = useGet(
    "/api/v1/catalog",
    { query: { name, limit: 1 } },
    // Freshness moves with the clock.
    { live: LIVE, keep: true, every: 30_000 },
  );
  const entry = catalog.data?.items.find((item) => item.name === name);
  return (
    <Page
      title={name}
      wide
      crumbs={[
        { text: "Assets", to: href(["assets"]) },
        ...(definition.data?.group
          ? [{ text: definition.data.group, to: href(["assets"], { group: definition.data.group }) }]
          : []),
      ]}
      facts={entry && <Health entry={entry} />}
      actions={definition.data && <Actions asset={definition.data} />}
      command={`partita assets ${chosen.tab === "why" ? "why" : "show"} ${[name, chosen.partition]
        .filter(Boolean)
        .map((word) => quoted(word ?? ""))
        .join(" ")}`}
    >
      <Loaded query={definition} rows={10}>
        {(asset) => (
          <>
            <Tabs
              label="asset"
              at={chosen.tab ?? "overview"}
              onChange={(tab) => choose({ tab: tab === "overview" ? undefined : tab, partition: undefined })}
              tabs={tabsOf(asset, entry)}
            />
            {chosen.partition !== undefined && chosen.tab !== "why" && (
              <PartitionPanel
                asset={asset}
                partition={chosen.partition}
                onClose={() => choose({ partition: undefined })}
              />
            )}
          </>
        )}
      </Loaded>
    </Page>
  );
}

function tabsOf(asset: Definition, entry: Entry | undefined): Tab[] {
  return [
    { id: "overview", name: "Overview", content: () => <Overview asset={asset} entry={entry} /> },
    { id: "lineage", name: "Lineage", key: "g", content: () => <LineageTab asset={asset.name} /> },
    {
      id: "partitions",
      name: "Partitions",
      key: "p",
      hidden: asset.partitions === null,
      content: () => <Partitions asset={asset} />,
    },
    { id: "made", name: "Materializations", key: "m", content: () => <Materializations asset={asset} /> },
    {
      id: "checks",
      name: "Checks",
      key: "c",
      ...(entry && entry.checks + entry.checks_failed.length > 0
        ? { count: Math.max(entry.checks, entry.checks_failed.length) }
        : {}),
      content: () => <ChecksTab asset={asset.name} />,
    },
    { id: "why", name: "Why", key: "w", content: () => <WhyTab asset={asset} /> },
    {
      id: "columns",
      name: "Columns",
      ...(asset.columns.length ? { count: asset.columns.length } : {}),
      content: () => <ColumnsTab asset={asset.name} />,
    },
    { id: "definition", name: "Definition", content: () => <DefinitionTab asset={asset} /> },
    { id: "uses", name: "Used by", content: () => <UsesTab asset={asset.name} /> },
  ];
}

/** Fresh or late, current or stale and why, its checks, what was made last, whose it is: in a line. */
function Health({ entry }: { entry: Entry }) {
  const health = entry.health;
  return (
    <>
      <span>
        <State
          state={health}
          soft
          more={
            entry.partitioned && entry.state === "missing"
              ? madeOf(entry.made, entry.partitions)
              : reasonOf(entry)
          }
        />
        {entry.state === "stale" && entry.reason_at && (
          <span className="dim">
            {" "}
            <When at={entry.reason_at} />
          </span>
        )}
      </span>
      {entry.running && <State state="running" />}
      {entry.freshness && health !== "late" && (
        <Fact name="freshness">
          <span title={entry.freshness_reason}>
            {isLate(entry.freshness) ? <State state={entry.freshness} /> : lookOf(entry.freshness).word}
          </span>
        </Fact>
      )}
      {entry.partitioned && entry.state !== "missing" && (
        <Fact name="partitions">{madeOf(entry.made, entry.partitions)} made</Fact>
      )}
      {(entry.checks > 0 || entry.checks_failed.length > 0) && (
        <Fact name="checks">
          {entry.checks_failed.length > 0 ? (
            <>
              <Glyph state="failed" size={12} /> {entry.checks_failed.join(", ")} failed
            </>
          ) : entry.checks_warned.length > 0 ? (
            <>
              <Glyph state="warned" size={12} /> {entry.checks_warned.join(", ")} failed, only warns
            </>
          ) : entry.last_at ? (
            `${entry.checks} without a failure`
          ) : (
            entry.checks
          )}
        </Fact>
      )}
      <Fact name="last made">
        {entry.last_run ? (
          <To to={runAt(entry.last_run)}>
            <When at={entry.last_at} />
          </To>
        ) : (
          <When at={entry.last_at} />
        )}{" "}
        <span className="mono">{entry.last_partition}</span>
      </Fact>
      {entry.owner && (
        <Fact name="owner">
          <To to={href(["assets"], { owner: entry.owner })}>{entry.owner}</To>
        </Fact>
      )}
    </>
  );
}

function Actions({ asset }: { asset: Definition }) {
  const [asked, ask] = useState(false);
  const go = useGo();
  const start = useSend("post", "/api/v1/runs");
  const made = !asset.external && asset.step !== "";
  const partitioned = asset.partitions !== null;
  useShortcut("r", () => (partitioned ? go(backfillOf(asset.name)) : ask(true)), "make it", made);
  if (!made) return null;
  return partitioned ? (
    <Button leftSection={<IconHistory size={15} />} onClick={() => go(backfillOf(asset.name))}>
      Backfill…
    </Button>
  ) : (
    <>
      <Button leftSection={<IconPlayerPlay size={15} />} onClick={() => ask(true)}>
        Make it…
      </Button>
      <Confirm
        opened={asked}
        title={`Make ${asset.name}`}
        action="Start a run"
        onClose={() => ask(false)}
        onConfirm={async () => {
          const run = await start.mutateAsync({ body: { assets: asset.name } });
          go(runAt(run.id));
        }}
      >
        <p>A run makes it anew from what it reads now: {asset.deps.join(", ") || "nothing of ours"}.</p>
      </Confirm>
    </>
  );
}
