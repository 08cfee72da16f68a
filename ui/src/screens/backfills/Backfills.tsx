/** Backfills: what is being made of the past, how far it is; and the form that plans a new one. */
import { Button } from "@mantine/core";
import { IconPlus } from "@tabler/icons-react";
import { useMemo } from "react";
import { type Schema, usePages } from "@/api/client";
import { href, useChosen, useGo } from "@/frame/address";
import { useShortcut } from "@/frame/shortcuts";
import { Meter } from "@/parts/Bars";
import { Choice, Filters } from "@/parts/Filters";
import { Page } from "@/parts/Page";
import { State } from "@/parts/State";
import { type Column, Export, Table } from "@/parts/Table";
import { To } from "@/parts/To";
import { Empty, Skeleton, Trouble } from "@/parts/Waiting";
import { Took, When } from "@/parts/When";
import css from "./Backfills.module.css";
import { doneOf, LIVE, partsOf, stateOf } from "./letters";
import { PlanForm } from "./PlanForm";

type Row = Schema<"Backfill">;

export default function Backfills() {
  const [chosen, choose] = useChosen();
  const go = useGo();
  const state = chosen.state as "running" | "succeeded" | "failed" | "cancelled" | undefined;
  const found = usePages("/api/v1/backfills", { query: { state, limit: 100 } }, { live: LIVE, keep: true });
  const rows = found.items as Row[];
  const planning = chosen.new === "1";
  useShortcut("n", () => choose({ new: "1" }), "plan a backfill");
  return (
    <Page
      title={planning ? "Plan a backfill" : "Backfills"}
      wide
      {...(planning
        ? { crumbs: [{ text: "Backfills", to: href(["backfills"]) }] }
        : { command: "partita backfill list" })}
      actions={
        !planning && (
          <Button
            variant="filled"
            leftSection={<IconPlus size={15} />}
            onClick={() => choose({ new: "1" }, { push: true })}
          >
            Plan a backfill
          </Button>
        )
      }
    >
      {planning ? (
        <PlanForm />
      ) : (
        <>
          {(rows.length > 0 || state) && (
            <Filters aside={<Export columns={COLUMNS} rows={rows} name="backfills" />}>
              <Choice
                label="State"
                value={state}
                options={["running", "succeeded", "failed", "cancelled"]}
                onChange={(next) => choose({ state: next })}
              />
            </Filters>
          )}
          {found.error && <Trouble error={found.error} again={() => void found.refetch()} />}
          {found.isPending ? (
            <Skeleton rows={8} />
          ) : rows.length === 0 && !state ? (
            <Empty
              title="No backfill yet"
              code={
                "partita backfill start daily_delays \\\n    --partition 2026-01-01..2026-01-31 --only missing"
              }
            >
              A backfill makes partitions of the past: a plan first, then runs, a few at a time, until all are
              there. It can be paused, and survives restarts.
            </Empty>
          ) : (
            <Table
              name="backfills"
              columns={COLUMNS}
              rows={rows}
              rowKey={(row) => row.id}
              onOpen={(row) => go(href(["backfills", row.id]))}
              more={found.more}
              hasMore={found.hasMore}
              empty={<p className="dim">None is {state}.</p>}
            />
          )}
        </>
      )}
    </Page>
  );
}

/** "214 of 365", the failed ones named. */
export function Progress({ row }: { row: Row }) {
  const done = doneOf(row.counts);
  const label = useMemo(
    () =>
      Object.entries(row.counts)
        .map(([state, count]) => `${count} ${state}`)
        .join(", "),
    [row.counts],
  );
  return (
    <span className={css.progress}>
      <Meter parts={partsOf(row.counts)} total={row.total} label={label} />
      <span className="num">
        {done.toLocaleString("en")} of {row.total.toLocaleString("en")}
      </span>
    </span>
  );
}

const COLUMNS: Column<Row>[] = [
  {
    id: "target",
    head: "Of",
    value: (row) => row.target,
    width: "22%",
    cell: (row) => (
      <span className={css.target}>
        <To to={href(["backfills", row.id])}>{row.target}</To> <span className="dim num">#{row.no}</span>
      </span>
    ),
  },
  {
    id: "state",
    head: "State",
    value: (row) => stateOf(row),
    width: "170px",
    cell: (row) => (
      <State
        state={stateOf(row)}
        {...(row.cancel_requested && row.state === "running" ? { more: "is ending" } : {})}
        {...(row.reason ? { reason: row.reason } : {})}
      />
    ),
  },
  {
    id: "progress",
    head: "Runs",
    value: (row) => doneOf(row.counts),
    width: "210px",
    cell: (row) => <Progress row={row} />,
  },
  {
    id: "failed",
    head: "Failed",
    right: true,
    value: (row) => row.counts.failed ?? 0,
    width: "74px",
    wide: true,
    cell: (row) =>
      row.counts.failed ? (
        <span className={css.bad}>{row.counts.failed}</span>
      ) : (
        <span className="dim">–</span>
      ),
  },
  {
    id: "partitions",
    head: "Partitions",
    value: (row) => String((row.spec as { partitions?: string }).partitions ?? ""),
    cell: (row) => (
      <span className={css.what}>
        <span className="mono clip" title={String((row.spec as { partitions?: string }).partitions)}>
          {String((row.spec as { partitions?: string }).partitions ?? "")}
        </span>
        <span className="dim">{row.partitions.toLocaleString("en")}</span>
      </span>
    ),
  },
  {
    id: "created",
    head: "Started",
    value: (row) => row.created_at,
    width: "110px",
    wide: true,
    cell: (row) => <When at={row.created_at} />,
  },
  {
    id: "took",
    head: "Took",
    width: "100px",
    wide: true,
    right: true,
    value: (row) =>
      row.finished_at && row.created_at ? Date.parse(row.finished_at) - Date.parse(row.created_at) : null,
    cell: (row) => <Took from={row.created_at} to={row.finished_at} />,
  },
  { id: "by", head: "By", value: (row) => row.by, width: "130px", wide: true, cell: (row) => row.by },
];
