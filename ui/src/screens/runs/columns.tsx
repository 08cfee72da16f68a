/** What the list of runs shows of each. */
import { useMemo } from "react";
import { type Schema, useGet } from "@/api/client";
import { href } from "@/frame/address";
import { State } from "@/parts/State";
import type { Column } from "@/parts/Table";
import { To } from "@/parts/To";
import { between } from "@/parts/time";
import { Took, When } from "@/parts/When";
import { originOf } from "./origin";
import css from "./Runs.module.css";

export type Run = Schema<"Run">;
type Usual = { p10: number; p90: number; median: number };

/** The columns; how long each took stands beside what its pipeline usually takes. */
export function useColumns(runs: Run[]): Column<Run>[] {
  const names = [...new Set(runs.map((run) => run.pipeline))].sort().slice(0, 200);
  const usual = useGet(
    "/api/v1/durations",
    { query: { pipeline: names } },
    { enabled: names.length > 0, staleTime: 60_000, keep: true },
  );
  return useMemo(() => {
    const found = new Map<string, Usual>();
    for (const { pipeline, p10_s, median_s, p90_s, count } of usual.data?.items ?? [])
      if (p10_s !== null && median_s !== null && p90_s !== null && count >= 3)
        found.set(pipeline, { p10: p10_s, median: median_s, p90: p90_s });
    return columnsOf(found);
  }, [usual.data]);
}

function columnsOf(usual: Map<string, Usual>): Column<Run>[] {
  return [
    {
      id: "state",
      head: "State",
      cell: (run) => <Standing run={run} />,
      value: (run) => run.state,
      width: "124px",
    },
    {
      id: "run",
      head: "Run",
      right: true,
      cell: (run) => <To to={href(["runs", run.no])}>#{run.no}</To>,
      value: (run) => run.no,
      width: "84px",
      wide: true,
    },
    {
      id: "pipeline",
      head: "Pipeline",
      cell: (run) => (
        <span title={run.pipeline}>
          <To to={href(["runs", run.no])} className={css.phone}>
            #{run.no}
          </To>
          {run.pipeline}
          {run.selection && <span className="dim"> ({run.selection.length} chosen)</span>}
        </span>
      ),
      value: (run) => run.pipeline,
    },
    {
      id: "partition",
      head: "Partition",
      cell: (run) => <span className="mono">{run.partition ?? ""}</span>,
      value: (run) => run.partition,
      width: "128px",
      wide: true,
    },
    {
      id: "created",
      head: "Made",
      cell: (run) => <When at={run.created_at} />,
      value: (run) => run.created_at,
      width: "104px",
    },
    {
      id: "took",
      head: "Took",
      right: true,
      cell: (run) => (
        <Took
          from={run.started_at}
          to={run.finished_at}
          usual={
            run.state === "succeeded" || run.state === "running" ? (usual.get(run.pipeline) ?? null) : null
          }
        />
      ),
      value: (run) => (run.finished_at ? between(run.started_at, run.finished_at, 0) : null),
      width: "140px",
      wide: true,
    },
    {
      id: "why",
      head: "Made by",
      cell: (run) => <span title={`${run.by}: ${run.origin}`}>{originOf(run)}</span>,
      value: (run) => originOf(run),
      width: "15%",
      wide: true,
    },
    {
      id: "tags",
      head: "Tags and parameters",
      cell: (run) => <Extras run={run} />,
      value: (run) => extrasOf(run).join(" "),
      width: "20%",
      wide: true,
    },
  ];
}

function Standing({ run }: { run: Run }) {
  if (run.paused) return <State state="paused" />;
  const more = run.cancel_requested && run.state === "running" ? "ending" : undefined;
  return <State state={run.state} more={more} reason={run.reason || undefined} />;
}

function extrasOf(run: Run): string[] {
  const params = Object.entries(run.params).map(
    ([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`,
  );
  return [...run.tags, ...params];
}

function Extras({ run }: { run: Run }) {
  const text = extrasOf(run).join("  ");
  return (
    <span className={css.extras} title={text}>
      {run.tags.map((tag) => (
        <To key={tag} to={href(["runs"], { tag })} className={css.tag}>
          {tag}
        </To>
      ))}
      <span className="mono">{extrasOf(run).slice(run.tags.length).join("  ")}</span>
    </span>
  );
}
