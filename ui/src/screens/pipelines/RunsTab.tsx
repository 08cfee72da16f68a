/** The runs of a pipeline, newest first; by state, or of one day of the calendar. */
import { Button } from "@mantine/core";
import { IconX } from "@tabler/icons-react";
import { useMemo } from "react";
import { type Schema, useGet, usePages } from "@/api/client";
import { useChosen, useGo } from "@/frame/address";
import { Choice, Filters } from "@/parts/Filters";
import { State } from "@/parts/State";
import { type Column, Export, Table } from "@/parts/Table";
import { To } from "@/parts/To";
import { between, exact, useZone } from "@/parts/time";
import { Empty, Skeleton, Trouble } from "@/parts/Waiting";
import { Took, When } from "@/parts/When";
import { dayAfter, midnight } from "./calendar";
import type { TabProps } from "./Pipeline";
import { runAt } from "./paths";

type Run = Schema<"Run">;
type Band = Schema<"Band">;
const STATES = ["failed", "running", "queued", "succeeded", "cancelled"] as const;

export function RunsTab({ pipeline, name }: TabProps) {
  const [chosen, choose] = useChosen();
  const [zone] = useZone();
  const go = useGo();
  const state = STATES.find((one) => one === chosen.state);
  const day = /^\d{4}-\d\d-\d\d$/.test(chosen.day ?? "") ? chosen.day : undefined;
  const shown = (iso: string) => exact(iso, zone);
  const query = {
    pipeline: pipeline.name,
    project: pipeline.project,
    ...(state ? { state: [state] } : {}),
    ...(day ? { since: midnight(day, shown), until: midnight(dayAfter(day), shown) } : {}),
  };
  const runs = usePages("/api/v1/runs", { query }, { live: ["run_"], keep: true });
  const past = useGet(
    "/api/v1/pipelines/{pipeline}/durations",
    { path: { pipeline: name }, query: { runs: 30 } },
    { live: ["run_"] },
  );
  const usual = past.data?.usual;
  const isPartitioned = pipeline.partitions !== null;
  const columns = useMemo(
    () => columnsOf(usual ?? null).filter((column) => isPartitioned || column.id !== "partition"),
    [usual, isPartitioned],
  );
  const items = runs.items as Run[];
  return (
    <>
      <Filters aside={<Export columns={columns} rows={items} name={`runs of ${pipeline.name}`} />}>
        <Choice
          label="State"
          value={state}
          options={[...STATES]}
          onChange={(next) => choose({ state: next })}
        />
        {day && (
          <Button
            rightSection={<IconX size={13} />}
            onClick={() => choose({ day: undefined })}
            aria-label={`of ${day}; show all`}
          >
            {day}
          </Button>
        )}
      </Filters>
      {runs.error && <Trouble error={runs.error} again={() => void runs.refetch()} />}
      {runs.isPending ? (
        <Skeleton rows={10} />
      ) : (
        <Table
          name="runs"
          columns={columns}
          rows={items}
          rowKey={(run) => run.id}
          onOpen={(run) => go(runAt(run.no))}
          more={runs.more}
          hasMore={runs.hasMore}
          empty={
            state || day ? (
              <p className="dim">No run is like that.</p>
            ) : (
              <Empty title="It has never run" code={`partita run ${name}`} />
            )
          }
        />
      )}
    </>
  );
}

function columnsOf(usual: Band | null): Column<Run>[] {
  return [
    {
      id: "run",
      head: "Run",
      width: "90px",
      value: (run) => run.no,
      cell: (run) => <To to={runAt(run.no)}>{run.no}</To>,
    },
    {
      id: "state",
      head: "State",
      value: (run) => run.state,
      cell: (run) => <State state={run.paused ? "paused" : run.state} more={run.reason} />,
    },
    {
      id: "partition",
      head: "Partition",
      width: "150px",
      wide: true,
      value: (run) => run.partition,
      cell: (run) => run.partition ?? "",
    },
    {
      id: "params",
      head: "Parameters",
      wide: true,
      cell: (run) => (
        <code title={JSON.stringify(run.params)}>
          {Object.entries(run.params)
            .map(([param, value]) => `${param}=${typeof value === "string" ? value : JSON.stringify(value)}`)
            .join(" ")}
        </code>
      ),
    },
    {
      id: "asked",
      head: "Asked for",
      width: "120px",
      value: (run) => run.created_at,
      cell: (run) => <When at={run.created_at} />,
    },
    {
      id: "took",
      head: "Took",
      width: "190px",
      value: (run) => between(run.started_at, run.finished_at, 0),
      cell: (run) => <Took from={run.started_at} to={run.finished_at} usual={usual} />,
    },
    {
      id: "by",
      head: "By",
      width: "150px",
      wide: true,
      value: (run) => run.by,
      cell: (run) => run.by,
    },
  ];
}
