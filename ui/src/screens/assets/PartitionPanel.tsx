/** One partition beside the page: how it is and why, who made it, what can be done. */
import { Button } from "@mantine/core";
import { IconPlayerPlay } from "@tabler/icons-react";
import { useState } from "react";
import { useGet, useSend } from "@/api/client";
import { useGo } from "@/frame/address";
import { Inspector } from "@/frame/Inspector";
import { Command, Key } from "@/parts/Command";
import { Confirm } from "@/parts/Confirm";
import { Metadata } from "@/parts/Metadata";
import { Section } from "@/parts/Page";
import { State } from "@/parts/State";
import { quoted } from "@/parts/shell";
import { To } from "@/parts/To";
import { Loaded } from "@/parts/Waiting";
import { When } from "@/parts/When";
import type { Definition } from "./Asset";
import css from "./Asset.module.css";
import { LIVE } from "./live";
import { assetAt, runAt } from "./paths";
import { Tree } from "./Tree";

export function PartitionPanel({
  asset,
  partition,
  onClose,
}: {
  asset: Definition;
  partition: string;
  onClose: () => void;
}) {
  const [asked, ask] = useState(false);
  const go = useGo();
  const start = useSend("post", "/api/v1/runs");
  const query = { path: { asset: asset.name }, query: { partition } };
  const tree = useGet("/api/v1/assets/{asset}/staleness", query, { live: LIVE });
  const made = useGet(
    "/api/v1/assets/{asset}/materializations",
    { path: { asset: asset.name }, query: { partition, limit: 20 } },
    { live: LIVE },
  );
  const newest = made.data?.items[0];
  return (
    <Inspector
      title={partition || asset.name}
      onClose={onClose}
      actions={
        !asset.external && (
          <Button size="compact-sm" leftSection={<IconPlayerPlay size={14} />} onClick={() => ask(true)}>
            Make it…
          </Button>
        )
      }
    >
      <Loaded query={tree} rows={4}>
        {(found) => (
          <>
            <div className={css.bar}>
              <State state={found.code} soft />
              {found.at && (
                <span className="dim">
                  made <When at={found.at} />
                  {found.by && ` by ${found.by}`}
                </span>
              )}
              {found.run && <To to={runAt(found.run)}>run {found.run.slice(0, 8)}</To>}
            </div>
            {found.children.length > 0 && (
              <Section title="Why">
                <Tree nodes={found.children} />
              </Section>
            )}
          </>
        )}
      </Loaded>
      {newest && newest.metadata.length > 0 && (
        <Section title="Newest materialization">
          <Metadata items={newest.metadata} />
        </Section>
      )}
      <Section title="Materializations">
        <Loaded query={made} rows={3}>
          {(found) =>
            found.items.length === 0 ? (
              <p className="dim">It was never made.</p>
            ) : (
              <ul className={css.list}>
                {found.items.map((one, at) => (
                  <li key={`${one.run}${at}`}>
                    <When at={one.at} />
                    {one.run ? (
                      <To to={runAt(one.run)}>run {one.run.slice(0, 8)}</To>
                    ) : (
                      <span className="dim">told by {one.step}</span>
                    )}
                    <Key short>{one.data_version || "–"}</Key>
                  </li>
                ))}
              </ul>
            )
          }
        </Loaded>
      </Section>
      <To to={assetAt(asset.name, "why", partition)}>The whole tree of reasons</To>
      <Command line={`partita assets why ${quoted(asset.name)} ${quoted(partition)}`} />
      <Confirm
        opened={asked}
        title={`Make ${asset.name} of ${partition}`}
        action="Start a run"
        onClose={() => ask(false)}
        onConfirm={async () => {
          const run = await start.mutateAsync({ body: { assets: asset.name, partition } });
          go(runAt(run.id));
        }}
      >
        <p>A run makes this partition anew from what it reads now.</p>
      </Confirm>
    </Inspector>
  );
}
