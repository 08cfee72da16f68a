/** Whether all is well, by the looks of `doctor`; who leads, and how busy the engine is. */
import { type Schema, useGet } from "@/api/client";
import { Key } from "@/parts/Command";
import { Fact, Section } from "@/parts/Page";
import { State } from "@/parts/State";
import { type Column, Table } from "@/parts/Table";
import { took } from "@/parts/time";
import { Loaded } from "@/parts/Waiting";
import { When } from "@/parts/When";
import css from "./System.module.css";

type Finding = Schema<"Finding">;

export default function Health() {
  const health = useGet("/api/v1/health", {}, { every: 10_000, live: ["health_"] });
  const about = useGet("/api/v1/about", {}, { every: 10_000 });
  const doctor = useGet("/api/v1/doctor", {}, { staleTime: 60_000 });
  return (
    <>
      <Loaded query={health} rows={1}>
        {(found) => (
          <div className={css.facts}>
            <State
              state={found.ok ? "healthy" : "unwell"}
              more={found.engine ? "" : "no engine answers: nothing is started"}
            />
            {found.answered_ms !== null && (
              <Fact name="engine answered in">{took(found.answered_ms / 1000)}</Fact>
            )}
            <Fact name="open runs">{found.open_runs.toLocaleString("en")}</Fact>
            <Fact name="pages that listen">{found.listeners}</Fact>
          </div>
        )}
      </Loaded>
      {health.data?.unwell.map((line) => (
        <p key={line} className={css.unwell} role="alert">
          {line}
        </p>
      ))}
      <Loaded query={about} rows={3}>
        {(found) => <About of={found} />}
      </Loaded>
      <Section title="What was looked at">
        <Loaded query={doctor}>{(found) => <Findings items={found.items} />}</Loaded>
      </Section>
    </>
  );
}

function About({ of }: { of: Schema<"About"> }) {
  const { engine, leaders } = of;
  return (
    <div className={css.grid}>
      <Section title="Who leads">
        {leaders.length ? (
          leaders.map((leader) => (
            <div key={leader.namespace ?? ""} className={css.column}>
              {leaders.length > 1 && <Fact name="namespace">{leader.namespace ?? "all others"}</Fact>}
              {leader.leads ? (
                <Fact name="engine">
                  <Key>{leader.holder}</Key>
                </Fact>
              ) : (
                <p className="dim">No engine holds the lease.</p>
              )}
              {leader.leads && leader.since_at && (
                <Fact name="since">
                  <When at={leader.since_at} />
                </Fact>
              )}
              <Fact name="fencing epoch">{leader.epoch}</Fact>
            </div>
          ))
        ) : (
          <p className="dim">No engine holds the lease.</p>
        )}
      </Section>
      {engine && (
        <Section title="The engine's loop">
          <div className={css.column}>
            <Fact name="runs in hand">{engine.active_runs.toLocaleString("en")}</Fact>
            <Fact name="attempts with workers">{engine.open_attempts.toLocaleString("en")}</Fact>
            <Fact name="steps that wait for a worker">{engine.ready_steps.toLocaleString("en")}</Fact>
            <Fact name="longest turn">{took(engine.slowest_s)}</Fact>
            {engine.blocked && <State state="failed" more="nothing can be committed now" />}
          </div>
        </Section>
      )}
      <Section title="Versions">
        <div className={css.column}>
          <Fact name="Partita">{of.version}</Fact>
          <Fact name="Python">{of.python}</Fact>
          <Fact name="platform">{of.platform}</Fact>
          <Fact name="tz data">
            {of.tzdata} <span className="dim">({of.tzdata_from})</span>{" "}
            {of.tzdata_is_old && <State state="stale" more="older than half a year" />}
          </Fact>
        </div>
      </Section>
    </div>
  );
}

const LEVELS: Record<string, string> = { ok: "healthy", warn: "late", fail: "unwell" };

function Findings({ items }: { items: Finding[] }) {
  const columns: Column<Finding>[] = [
    { id: "what", head: "What", cell: (row) => row.what, value: (row) => row.what, width: "22%" },
    {
      id: "level",
      head: "How",
      cell: (row) =>
        row.level === "ok" ? <State state="healthy" /> : <State state={LEVELS[row.level] ?? "unknown"} />,
      value: (row) => row.level,
      width: "110px",
    },
    {
      id: "text",
      head: "Found",
      cell: (row) => <span title={row.text}>{row.text}</span>,
      value: (row) => row.text,
    },
    {
      id: "hint",
      head: "What to do",
      cell: (row) => <span title={row.hint}>{row.hint}</span>,
      value: (row) => row.hint,
      wide: true,
    },
  ];
  const ranked = [...items].sort((a, b) => rank(a.level) - rank(b.level));
  return (
    <Table name="findings" columns={columns} rows={ranked} rowKey={(row) => `${row.what} ${row.text}`} />
  );
}

function rank(level: string): number {
  return ["fail", "warn", "ok"].indexOf(level);
}
