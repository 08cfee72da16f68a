/** The code where an asset is written, and what it declares. */
import { lazy, Suspense } from "react";
import { useGet } from "@/api/client";
import { asProblem } from "@/api/problem";
import { Panel, Section } from "@/parts/Page";
import { Skeleton } from "@/parts/Waiting";
import type { Definition } from "./Asset";
import css from "./Asset.module.css";
import { partitionWords } from "./Overview";

const Code = lazy(() => import("@/parts/Code"));

export function DefinitionTab({ asset }: { asset: Definition }) {
  return (
    <>
      <Written asset={asset} />
      <Section title="Declared">
        <Panel>
          <dl className={css.facts}>
            {rowsOf(asset).map(([name, value]) => (
              <div key={name}>
                <dt>{name}</dt>
                <dd className="mono">{value}</dd>
              </div>
            ))}
          </dl>
        </Panel>
      </Section>
    </>
  );
}

function Written({ asset }: { asset: Definition }) {
  const code = useGet("/api/v1/assets/{asset}/code", { path: { asset: asset.name } }, { live: ["project_"] });
  const found = code.data;
  return (
    <Section
      title={<span className="mono">{found?.file ?? asset.written_at}</span>}
      aside={found && <span className="mono">version {found.code.slice(0, 12)}</span>}
    >
      {found ? (
        <Suspense fallback={<Skeleton rows={10} />}>
          <Code
            text={found.text}
            file={found.file}
            mark={{ first: found.first, last: found.last }}
            label={`code of ${asset.name}`}
            height={420}
          />
        </Suspense>
      ) : code.error ? (
        <p className="dim">
          Its code is not shown: {asProblem(code.error).message}. {asProblem(code.error).hint}
        </p>
      ) : (
        <Skeleton rows={10} />
      )}
    </Section>
  );
}

function rowsOf(asset: Definition): [string, string][] {
  const said: [string, string][] = [
    ["Written at", asset.written_at],
    ["Code version", asset.code_version],
    ["Made by step", asset.step],
    ["Reads", asset.deps.join(", ")],
    ["Partitions", partitionWords(asset.partitions)],
    ["Backfill", asset.backfill_batch === 0 ? "all in one run" : `${asset.backfill_batch} in a run`],
    ["Freshness", freshnessWords(asset.freshness)],
  ];
  return said.filter(([, value]) => value);
}

/** "at most 26 h old, warned about from 20 h on". */
function freshnessWords(spec: Definition["freshness"]): string {
  if (!spec) return "";
  const { cron, tz, fail_s, warn_s } = spec as {
    cron: string;
    tz: string;
    fail_s: number | null;
    warn_s: number | null;
  };
  if (cron) return `made by ${cron} (${tz})`;
  const hours = (seconds: number) => `${Number((seconds / 3600).toFixed(2))} h`;
  return [fail_s && `at most ${hours(fail_s)} old`, warn_s && `warned about from ${hours(warn_s)} on`]
    .filter(Boolean)
    .join(", ");
}
