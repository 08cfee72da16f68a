/** One schedule: when, in words; what it did at each tick and why; what it would do. */
import { Button, TextInput } from "@mantine/core";
import { useParams } from "@tanstack/react-router";
import { useState } from "react";
import { type Schema, send, useGet, usePages, useSend } from "@/api/client";
import { useMay } from "@/api/session";
import { href, useGo } from "@/frame/address";
import { useShortcut } from "@/frame/shortcuts";
import { Confirm } from "@/parts/Confirm";
import { MetaValue } from "@/parts/Metadata";
import { Fact, Page, Panel, Section } from "@/parts/Page";
import { State } from "@/parts/State";
import { type Column, Export, Table } from "@/parts/Table";
import { To } from "@/parts/To";
import { exact, setZone, useZone, zoneName } from "@/parts/time";
import { Empty, Loaded, Trouble } from "@/parts/Waiting";
import { When } from "@/parts/When";
import css from "./Schedule.module.css";
import { Decision, zoneOf } from "./Schedules";
import { standing } from "./standing";

type Why = Schema<"ScheduleWhy">;
type Tick = Schema<"Tick">;

export default function Schedule() {
  const { namespace, schedule } = useParams({ strict: false }) as { namespace: string; schedule: string };
  const path = { namespace, schedule };
  const why = useGet(
    "/api/v1/schedules/{namespace}/{schedule}/why",
    { path },
    { live: ["schedule_", "tick_"] },
  );
  return (
    <Loaded query={why} rows={10}>
      {(data) => <Shown why={data} />}
    </Loaded>
  );
}

function Shown({ why }: { why: Why }) {
  const { schedule } = why;
  const path = { namespace: schedule.namespace, schedule: schedule.name };
  const { state, more } = standing(schedule);
  return (
    <Page
      title={schedule.name}
      crumbs={[{ text: "Schedules", to: "/schedules" }]}
      facts={
        <>
          <State state={state} more={more} />
          <Fact name="starts">
            <To to={href(["pipelines", schedule.pipeline])}>{schedule.pipeline}</To>
          </Fact>
          <Fact name="zone">{zoneOf(schedule)}</Fact>
          <Fact name="project">{schedule.project}</Fact>
        </>
      }
      actions={<Actions schedule={schedule} />}
      command={`partita schedules explain ${schedule.name}`}
    >
      {why.reasons.length > 0 && (
        <Panel tone={schedule.paused ? "person" : schedule.failures > 0 ? "failed" : undefined}>
          {why.reasons.map((reason) => (
            <p key={reason.code}>{reason.text}</p>
          ))}
        </Panel>
      )}
      <div className={css.columns}>
        <Section title="When">
          <p className={css.words}>{why.words}</p>
          <p className="dim">
            If its last run is still going, {why.overlap}. When nobody was there, {why.catchup}.
          </p>
          {!why.engine && <p className="dim">No engine is at work: nothing is started until there is one.</p>}
          <Params of={schedule} />
        </Section>
        <Section title="Next" aside={<OwnZone zone={zoneOf(schedule)} />}>
          {why.next.length === 0 ? (
            <p className="dim">
              {schedule.paused ? "None while it is paused." : "There is no tick to come."}
            </p>
          ) : (
            <ol className={css.next}>
              {why.next.map((at) => (
                <li key={at}>
                  <When at={at} as="exact" />{" "}
                  <span className="dim">
                    <When at={at} />
                  </span>
                </li>
              ))}
            </ol>
          )}
        </Section>
        <TestTick key={schedule.name} path={path} next={why.next[0] ?? null} />
      </div>
      <Ticks path={path} />
    </Page>
  );
}

function sentence(text: string): string {
  return text ? `${text.charAt(0).toUpperCase()}${text.slice(1)}.` : "";
}

function OwnZone({ zone }: { zone: string }) {
  const [chosen] = useZone();
  if (zoneName(chosen) === zone) return <span>{zone}</span>;
  return (
    <Button variant="subtle" onClick={() => setZone(zone === "UTC" ? "utc" : zone)}>
      show in {zone}
    </Button>
  );
}

function Params({ of }: { of: Schema<"Schedule"> }) {
  const params = Object.entries((of.spec.params ?? {}) as Record<string, unknown>);
  if (params.length === 0) return null;
  return (
    <dl className={css.params}>
      {params.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>
            <MetaValue kind="json" value={value} />
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Actions({ schedule }: { schedule: Schema<"Schedule"> }) {
  const path = { namespace: schedule.namespace, schedule: schedule.name };
  const may = useMay("operate", schedule.namespace);
  const go = useGo();
  const [asking, ask] = useState<"pause" | "trigger" | null>(null);
  const resume = useSend("post", "/api/v1/schedules/{namespace}/{schedule}/resume");
  const pause = useSend("post", "/api/v1/schedules/{namespace}/{schedule}/pause");
  const start = async () => {
    const run = await send("post", "/api/v1/schedules/{namespace}/{schedule}/trigger", { path, body: {} });
    go(href(["runs", run.no]));
  };
  useShortcut(
    "p",
    () => (schedule.paused ? resume.mutate({ path, body: {} }) : ask("pause")),
    schedule.paused ? "resume" : "pause",
    may,
  );
  const title = may ? undefined : "This needs the permission `operate`";
  return (
    <>
      {resume.error && <Trouble error={resume.error} />}
      {schedule.paused ? (
        <Button
          onClick={() => resume.mutate({ path, body: {} })}
          loading={resume.isPending}
          disabled={!may}
          title={title}
        >
          Resume
        </Button>
      ) : (
        <Button onClick={() => ask("pause")} disabled={!may} title={title}>
          Pause
        </Button>
      )}
      <Button variant="filled" onClick={() => ask("trigger")} disabled={!may} title={title}>
        Run now
      </Button>
      <Confirm
        opened={asking === "pause"}
        onClose={() => ask(null)}
        title={`Pause ${schedule.name}?`}
        action="Pause"
        reason="optional"
        onConfirm={(reason) => pause.mutateAsync({ path, body: { reason } })}
      >
        <p>Its ticks are skipped until it is resumed, and each says so. Runs that are going go on.</p>
      </Confirm>
      <Confirm
        opened={asking === "trigger"}
        onClose={() => ask(null)}
        title={`Run ${schedule.pipeline} now?`}
        action="Run now"
        onConfirm={start}
      >
        <p>One run with the parameters of this schedule. It is no tick: the next one comes as planned.</p>
      </Confirm>
    </>
  );
}

/** What a tick would do, asked of the engine's own deciding code. */
function TestTick({ path, next }: { path: { namespace: string; schedule: string }; next: string | null }) {
  const [text, setText] = useState("");
  const [at, setAt] = useState<string | null>(null);
  const tried = useGet(
    "/api/v1/schedules/{namespace}/{schedule}/test",
    { path, query: at ? { at } : {} },
    { enabled: at !== null, keep: true },
  );
  return (
    <Section title="Test a tick">
      <form
        className={css.test}
        onSubmit={(event) => {
          event.preventDefault();
          setAt(text.trim() || next || "");
        }}
      >
        <TextInput
          aria-label="Instant"
          placeholder={next ? exact(next, "utc").replace(" ", "T").concat("Z") : "2026-11-23T03:00:00Z"}
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
        />
        <Button type="submit">What would happen?</Button>
      </form>
      {tried.error && <Trouble error={tried.error} />}
      {at !== null && tried.data && <Tried said={tried.data} />}
      {at === null && <p className="dim">Nothing is started by it.</p>}
    </Section>
  );
}

function Tried({ said }: { said: Schema<"TickTest"> }) {
  const params = Object.entries(said.params as Record<string, unknown>);
  return (
    <div className={css.tried} data-testid="tried">
      {said.is_tick === false && (
        <p>
          It has no tick at <When at={said.instant} as="exact" />. If it had:
        </p>
      )}
      {said.decision === "run" ? (
        <p>
          A run of <strong>{said.pipeline}</strong>
          {said.partition && <> for {said.partition}</>}, starting <When at={said.start_at} as="exact" />.
        </p>
      ) : (
        <p>
          <State state="skipped" more={said.problem || said.reason} />
        </p>
      )}
      {said.decision === "run" && said.reason && <p>{sentence(said.reason)}</p>}
      {params.length > 0 && (
        <code>{params.map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(" ")}</code>
      )}
      {said.decided && <p className="dim">This tick was decided already: {said.decided}.</p>}
    </div>
  );
}

function Ticks({ path }: { path: { namespace: string; schedule: string } }) {
  const go = useGo();
  const ticks = usePages(
    "/api/v1/schedules/{namespace}/{schedule}/ticks",
    { path, query: { limit: 100 } },
    { live: ["tick_", "schedule_"] },
  );
  const columns: Column<Tick>[] = [
    {
      id: "instant",
      head: "Tick",
      cell: (row) => (
        <>
          <When at={row.instant} as="exact" />
          {row.until && (
            <span className="dim">
              {" "}
              to <When at={row.until} as="exact" />
            </span>
          )}
        </>
      ),
      value: (row) => row.instant,
      width: "300px",
    },
    {
      id: "decision",
      head: "Decision",
      cell: (row) => <Decision decision={row.decision} />,
      value: (row) => row.decision,
      width: "110px",
    },
    {
      id: "reason",
      head: "Why",
      cell: (row) => (
        <span title={row.reason}>
          {row.reason || <span className="dim">it was due</span>}
          {row.count > 1 && ` (${row.count.toLocaleString("en")} ticks)`}
        </span>
      ),
      value: (row) => row.reason,
    },
    {
      id: "run",
      head: "Run",
      cell: (row) => (row.run ? <To to={href(["runs", row.run])}>open</To> : <span className="dim">–</span>),
      value: (row) => row.run,
      width: "80px",
    },
    {
      id: "decided",
      head: "Decided",
      cell: (row) => <When at={row.decided_at} />,
      value: (row) => row.decided_at,
      width: "110px",
      wide: true,
    },
    {
      id: "version",
      head: "Version",
      right: true,
      cell: (row) => row.version,
      value: (row) => row.version,
      width: "80px",
      wide: true,
    },
    {
      id: "tzdata",
      head: "tz data",
      cell: (row) => row.tzdata,
      value: (row) => row.tzdata,
      width: "90px",
      wide: true,
    },
  ];
  return (
    <Section
      title="Ticks and what was decided"
      aside={<Export columns={columns} rows={ticks.items} name={`ticks-${path.schedule}`} />}
    >
      <Loaded query={{ ...ticks, data: ticks.data && ticks.items }}>
        {(items) => (
          <Table
            name="ticks"
            columns={columns}
            rows={items}
            rowKey={(row) => `${row.instant}`}
            onOpen={(row) => row.run && go(href(["runs", row.run]))}
            more={ticks.more}
            hasMore={ticks.hasMore}
            empty={
              <Empty title="No tick was due yet">
                Each tick gets exactly one decision, which then stands here with its reason.
              </Empty>
            }
          />
        )}
      </Loaded>
    </Section>
  );
}
