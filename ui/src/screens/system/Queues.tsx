/** Runs that wait for their start, in the order of their turn, and what keeps each. */
import { type Schema, usePages } from "@/api/client";
import { href, useGo } from "@/frame/address";
import { Section } from "@/parts/Page";
import { type Column, Table } from "@/parts/Table";
import { To } from "@/parts/To";
import { Empty, Loaded } from "@/parts/Waiting";
import { When } from "@/parts/When";

type Queued = Schema<"Queued">;

export default function Queues() {
  const go = useGo();
  const queue = usePages("/api/v1/queue", { query: { limit: 100 } }, { live: ["run_", "pool_", "limit_"] });
  const columns: Column<Queued>[] = [
    {
      id: "place",
      head: "Before it",
      right: true,
      cell: (row) => row.line.before ?? "–",
      value: (row) => row.line.before,
      width: "90px",
    },
    {
      id: "run",
      head: "Run",
      cell: (row) => <To to={href(["runs", row.run.no])}>{row.run.no}</To>,
      value: (row) => row.run.no,
      width: "90px",
    },
    {
      id: "pipeline",
      head: "Pipeline",
      cell: (row) => `${row.run.pipeline}${row.run.partition ? ` · ${row.run.partition}` : ""}`,
      value: (row) => row.run.pipeline,
      width: "26%",
    },
    {
      id: "why",
      head: "Why it waits",
      cell: (row) => row.line.refusal || "its turn has not come",
      value: (row) => row.line.refusal,
    },
    {
      id: "priority",
      head: "Priority",
      right: true,
      cell: (row) => row.run.priority,
      value: (row) => row.run.priority,
      width: "90px",
      wide: true,
    },
    {
      id: "since",
      head: "Since",
      cell: (row) => <When at={row.run.created_at} />,
      value: (row) => row.run.created_at,
      width: "110px",
    },
  ];
  return (
    <Section>
      <Loaded query={{ ...queue, data: queue.data && queue.items }}>
        {(items) => (
          <Table
            name="queue"
            columns={columns}
            rows={items}
            rowKey={(row) => row.run.id}
            onOpen={(row) => go(href(["runs", row.run.no]))}
            more={queue.more}
            hasMore={queue.hasMore}
            empty={
              <Empty title="No run waits for its start">
                A run waits here when a limit is reached: of its pipeline, its tags, its key, its namespace.
                Steps that wait for a pool are in their run, with the pool's name.
              </Empty>
            }
          />
        )}
      </Loaded>
    </Section>
  );
}
