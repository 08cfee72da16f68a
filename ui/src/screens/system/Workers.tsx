/** What workers have in hand, over all runs; what machines have, and the executors of the projects. */
import { type Schema, useGet, usePages } from "@/api/client";
import { href, useGo } from "@/frame/address";
import { Section } from "@/parts/Page";
import { State } from "@/parts/State";
import { type Column, Export, Table } from "@/parts/Table";
import { To } from "@/parts/To";
import { Empty, Loaded } from "@/parts/Waiting";
import { Took } from "@/parts/When";
import { Premises } from "./Premises";
import css from "./System.module.css";

type Work = Schema<"Working">;

export default function Workers() {
  const go = useGo();
  const about = useGet("/api/v1/about", {}, { every: 10_000, live: ["attempt_"] });
  const work = usePages("/api/v1/workers", { query: { limit: 200 } }, { live: ["attempt_", "run_ended"] });
  const columns: Column<Work>[] = [
    {
      id: "step",
      head: "Step",
      cell: (row) => (
        <To
          to={href(["runs", row.run_no], { step: row.step, index: row.index })}
        >{`${row.step}${row.index && `[${row.index}]`}`}</To>
      ),
      value: (row) => row.step,
    },
    {
      id: "run",
      head: "Run",
      cell: (row) => (
        <To
          to={href(["runs", row.run_no])}
        >{`${row.pipeline}${row.partition ? ` · ${row.partition}` : ""} · ${row.run_no}`}</To>
      ),
      value: (row) => row.run_no,
      width: "30%",
    },
    {
      id: "state",
      head: "State",
      cell: (row) => <State state={row.state} more={row.attempt > 1 ? `attempt ${row.attempt}` : ""} />,
      value: (row) => row.state,
      width: "170px",
    },
    {
      id: "for",
      head: "For",
      right: true,
      cell: (row) => <Took from={row.started_at} />,
      value: (row) => row.started_at,
      width: "110px",
    },
    {
      id: "worker",
      head: "Worker",
      cell: (row) => <code>{row.worker}</code>,
      value: (row) => row.worker,
      width: "160px",
      wide: true,
    },
  ];
  return (
    <>
      <Section title="In hand" aside={<Export columns={columns} rows={work.items} name="workers" />}>
        <Loaded query={{ ...work, data: work.data && work.items }}>
          {(items) => (
            <Table
              name="work"
              columns={columns}
              rows={items}
              rowKey={(row) => `${row.run}/${row.step}/${row.index}`}
              onOpen={(row) => go(href(["runs", row.run_no], { step: row.step, index: row.index }))}
              more={work.more}
              hasMore={work.hasMore}
              empty={
                <Empty title="No worker has anything to do">
                  Steps that are being worked on stand here, with the worker that has them.
                </Empty>
              }
            />
          )}
        </Loaded>
      </Section>
      <Premises />
      <Section title="In the scheduler's own words">
        <Loaded query={about}>
          {(found) => (
            <ul className={css.lines}>
              {found.workers.length === 0 && <li className="dim">None to show.</li>}
              {found.workers.map((line) => (
                <li key={line}>{line}</li>
              ))}
            </ul>
          )}
        </Loaded>
      </Section>
    </>
  );
}
