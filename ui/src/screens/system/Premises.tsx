/** Where steps run: what each scheduler's machine has, its workers, and the executors that projects name. */
import { type Schema, useGet } from "@/api/client";
import { Meter } from "@/parts/Bars";
import { bytes, number } from "@/parts/Metadata";
import { Section } from "@/parts/Page";
import { State } from "@/parts/State";
import { type Column, Table } from "@/parts/Table";
import { Empty, Loaded } from "@/parts/Waiting";
import css from "./System.module.css";

type Scheduler = Schema<"SchedulerHas">;
type Has = Schema<"MachineHas">;
type Workers = Schema<"LocalWorkers">;
type Executor = Schema<"ProjectExecutor">;

const EXECUTOR = `# pyproject.toml
[tool.partita.executors.farm]
kind = "dask"
address = "tcp://farm:8786"`;

export function Premises() {
  const system = useGet("/api/v1/system", {}, { every: 5_000, live: ["attempt_", "project_"] });
  return (
    <Loaded query={system} rows={4}>
      {(found) =>
        found.schedulers.length === 0 ? (
          <p className="dim">No scheduler answers: nothing is known of machines and executors.</p>
        ) : (
          found.schedulers.map((each) => (
            <Machine
              key={`${each.machine} ${each.process}`}
              of={each}
              several={found.schedulers.length > 1}
            />
          ))
        )
      }
    </Loaded>
  );
}

function Machine({ of, several }: { of: Scheduler; several: boolean }) {
  const whose = several ? ` for ${of.namespace ?? "all others"}` : "";
  return (
    <>
      <Section title={`Machine ${of.machine}${whose}`}>
        <Table name="machine" columns={CAPACITY} rows={of.capacity} rowKey={(row) => row.name} noKeys />
        <Table
          name="local workers"
          columns={WORKERS}
          rows={of.workers}
          rowKey={(row) => `${row.project} ${row.code}`}
          noKeys
        />
      </Section>
      <Section title={`Executors${whose}`}>
        <Table
          name="executors"
          columns={EXECUTORS}
          rows={of.executors}
          rowKey={(row) => `${row.project}/${row.name} ${row.kind}`}
          noKeys
          empty={
            <Empty title="No project names an executor" code={EXECUTOR}>
              Steps run on this machine; on an engine of yours with the executor's name in their options.
            </Empty>
          }
        />
        {of.executors
          .filter((executor) => executor.trouble || executor.lines.length > 0)
          .map((executor) => (
            <Words key={`${executor.project}/${executor.name} ${executor.kind}`} of={executor} />
          ))}
      </Section>
    </>
  );
}

/** What an executor says of itself and its jobs. */
function Words({ of }: { of: Executor }) {
  return (
    <details open={of.trouble !== ""}>
      <summary>{`${of.project}/${of.name}`}</summary>
      {of.trouble && <p className={css.unwell}>{of.trouble}</p>}
      <ul className={css.lines}>
        {of.lines.map((line, at) => (
          <li key={`${at} ${line}`}>{line}</li>
        ))}
      </ul>
    </details>
  );
}

const CAPACITY: Column<Has>[] = [
  { id: "name", head: "What it has", cell: (row) => row.name, value: (row) => row.name, width: "22%" },
  {
    id: "used",
    head: "Taken",
    cell: (row) => (
      <span className={css.taken}>
        <Meter
          parts={[{ state: "running", count: row.used }]}
          total={row.total}
          label={`${amount(row, row.used)} of ${amount(row, row.total)} ${row.name} taken`}
        />
        <span className="num">{`${amount(row, row.used)} of ${amount(row, row.total)}`}</span>
      </span>
    ),
    value: (row) => row.used,
  },
  {
    id: "waiting",
    head: "Steps that wait for it",
    right: true,
    cell: (row) => row.waiting || "–",
    value: (row) => row.waiting,
    width: "180px",
  },
];

function amount(of: Has, value: number): string {
  return of.name === "memory" ? bytes(value) : number(value);
}

const WORKERS: Column<Workers>[] = [
  {
    id: "project",
    head: "Workers of",
    cell: (row) => row.project,
    value: (row) => row.project,
    width: "22%",
  },
  { id: "code", head: "Version", cell: (row) => <code>{row.code}</code>, value: (row) => row.code },
  {
    id: "workers",
    head: "Workers",
    right: true,
    cell: (row) => row.workers,
    value: (row) => row.workers,
    width: "90px",
  },
  { id: "busy", head: "Busy", right: true, cell: (row) => row.busy, value: (row) => row.busy, width: "80px" },
  {
    id: "steps",
    head: "Steps in hand",
    right: true,
    cell: (row) => row.steps,
    value: (row) => row.steps,
    width: "120px",
  },
];

const EXECUTORS: Column<Executor>[] = [
  {
    id: "name",
    head: "Executor",
    cell: (row) => `${row.project}/${row.name}`,
    value: (row) => `${row.project}/${row.name}`,
    width: "30%",
  },
  {
    id: "kind",
    head: "Kind",
    cell: (row) => row.kind || <span className="dim">settings of before</span>,
    value: (row) => row.kind,
    width: "160px",
  },
  { id: "state", head: "State", cell: (row) => <State state={row.state} />, value: (row) => row.state },
  {
    id: "jobs",
    head: "Open jobs",
    right: true,
    cell: (row) => row.jobs,
    value: (row) => row.jobs,
    width: "110px",
  },
];
