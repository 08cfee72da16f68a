/** One sensor: what it looks at, what each look asked for or why not, what it remembers; and a look without consequences. */
import { Button, Textarea } from "@mantine/core";
import { useParams } from "@tanstack/react-router";
import { useState } from "react";
import { type Schema, send, useGet, usePages, useSend } from "@/api/client";
import { useMay } from "@/api/session";
import { href } from "@/frame/address";
import { Confirm } from "@/parts/Confirm";
import { Fact, Page, Panel, Section } from "@/parts/Page";
import { State } from "@/parts/State";
import { type Column, Export, Table } from "@/parts/Table";
import { To } from "@/parts/To";
import { took } from "@/parts/time";
import { Empty, Loaded, Trouble } from "@/parts/Waiting";
import { When } from "@/parts/When";
import { standing } from "../schedules/standing";
import css from "./Sensor.module.css";

type Why = Schema<"SensorWhy">;
type Evaluation = Schema<"Evaluation">;
type Path = { namespace: string; sensor: string };

export default function Sensor() {
  const path = useParams({ strict: false }) as Path;
  const why = useGet(
    "/api/v1/sensors/{namespace}/{sensor}/why",
    { path },
    { live: ["sensor_", "delivery_"] },
  );
  return (
    <Loaded query={why} rows={10}>
      {(data) => <Shown why={data} />}
    </Loaded>
  );
}

function Shown({ why }: { why: Why }) {
  const { sensor } = why;
  const path = { namespace: sensor.namespace, sensor: sensor.name };
  const { state, more } = standing(sensor);
  const targets = Array.isArray(sensor.spec.targets) ? sensor.spec.targets.map(String) : [];
  return (
    <Page
      title={sensor.name}
      crumbs={[
        { text: "Schedules", to: "/schedules" },
        { text: "Sensors", to: "/schedules?tab=sensors" },
      ]}
      facts={
        <>
          <State state={state} more={more} />
          <Fact name="looks at">{String(sensor.spec.of).replaceAll("_", " ")}</Fact>
          <Fact name="every">{took(Number(sensor.spec.interval_s))}</Fact>
          {targets.length > 0 && (
            <Fact name="starts">
              {targets.map((target, at) => (
                <span key={target}>
                  {at > 0 && ", "}
                  <To to={href(["pipelines", target])}>{target}</To>
                </span>
              ))}
            </Fact>
          )}
          <Fact name="next look">{why.looking ? "now" : <When at={why.next_at} />}</Fact>
          <Fact name="looks">
            {sensor.looks.toLocaleString("en")}, {sensor.quiet.toLocaleString("en")} saw nothing
          </Fact>
          {why.waiting > 0 && <Fact name="waiting deliveries">{why.waiting}</Fact>}
          <Fact name="written at">
            <code>{String(sensor.spec.written_at ?? "")}</code>
          </Fact>
        </>
      }
      actions={<Actions sensor={sensor} />}
      command={`partita sensors show ${sensor.name}`}
    >
      {typeof sensor.spec.description === "string" && sensor.spec.description && (
        <p className={css.words}>{sensor.spec.description}</p>
      )}
      {why.reasons.length > 0 && (
        <Panel tone={sensor.paused ? "person" : sensor.failures > 0 ? "failed" : undefined}>
          {why.reasons.map((reason) => (
            <p key={reason.code}>{reason.text}</p>
          ))}
        </Panel>
      )}
      <Dry path={path} />
      <Looks path={path} />
    </Page>
  );
}

function Actions({ sensor }: { sensor: Schema<"Sensor"> }) {
  const path = { namespace: sensor.namespace, sensor: sensor.name };
  const may = useMay("operate", sensor.namespace);
  const [asking, ask] = useState<"pause" | "reset" | null>(null);
  const resume = useSend("post", "/api/v1/sensors/{namespace}/{sensor}/resume");
  const pause = useSend("post", "/api/v1/sensors/{namespace}/{sensor}/pause");
  const look = useSend("post", "/api/v1/sensors/{namespace}/{sensor}/look");
  const reset = useSend("post", "/api/v1/sensors/{namespace}/{sensor}/reset");
  const title = may ? undefined : "This needs the permission `operate`";
  const error = resume.error ?? look.error;
  return (
    <>
      {error && <Trouble error={error} />}
      {/* A look that sees what the last one saw leaves no trace in the list. */}
      {look.isSuccess && (
        <span role="status" className="dim">
          It looks; what it sees anew stands below.
        </span>
      )}
      {sensor.paused ? (
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
      <Button onClick={() => ask("reset")} disabled={!may} title={title}>
        Forget …
      </Button>
      <Button
        variant="filled"
        onClick={() => look.mutate({ path, body: {} })}
        loading={look.isPending}
        disabled={!may || sensor.paused}
        title={title}
      >
        Look now
      </Button>
      <Confirm
        opened={asking === "pause"}
        onClose={() => ask(null)}
        title={`Pause ${sensor.name}?`}
        action="Pause"
        reason="optional"
        onConfirm={(reason) => pause.mutateAsync({ path, body: { reason } })}
      >
        <p>It does not look until it is resumed. What is delivered to it meanwhile waits.</p>
      </Confirm>
      <Confirm
        opened={asking === "reset"}
        onClose={() => ask(null)}
        title={`Have ${sensor.name} forget what it has seen?`}
        action="Forget"
        danger
        onConfirm={() => reset.mutateAsync({ path, body: { cursor: null } })}
      >
        <p>
          Its cursor becomes empty, so its next look sees everything again. Run keys still hold: no run is
          made twice.
        </p>
      </Confirm>
    </>
  );
}

/** A look whose answer is shown and which does nothing: the cursor stays, no run is made. */
function Dry({ path }: { path: Path }) {
  const may = useMay("secret.use", path.namespace);
  const [cursor, setCursor] = useState("");
  const [said, setSaid] = useState<Schema<"Tried"> | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const test = async () => {
    setBusy(true);
    setError(null);
    try {
      const given: unknown = cursor.trim() ? JSON.parse(cursor) : null;
      setSaid(
        await send("post", "/api/v1/sensors/{namespace}/{sensor}/test", {
          path,
          body: given === null ? {} : { cursor: given },
        }),
      );
    } catch (problem) {
      setError(
        problem instanceof SyntaxError ? new Error(`This cursor is no JSON: ${problem.message}`) : problem,
      );
    } finally {
      setBusy(false);
    }
  };
  return (
    <Section title="Test it, without consequences">
      <form
        className={css.dry}
        onSubmit={(event) => {
          event.preventDefault();
          void test();
        }}
      >
        <Textarea
          aria-label="Cursor as JSON"
          placeholder="with another cursor, as JSON"
          minRows={1}
          value={cursor}
          onChange={(event) => setCursor(event.currentTarget.value)}
        />
        <Button
          type="submit"
          loading={busy}
          disabled={!may}
          title={may ? undefined : "This needs the permission `secret.use`"}
        >
          What would it do?
        </Button>
      </form>
      {error !== null && <Trouble error={error} />}
      {said && <Tried said={said} />}
    </Section>
  );
}

function Tried({ said }: { said: Schema<"Tried"> }) {
  return (
    <div className={css.tried} data-testid="tried">
      {said.error ? (
        <State state="failed" more={said.error} />
      ) : said.runs.length > 0 ? (
        <p>
          It would ask for {said.runs.length} run{said.runs.length === 1 ? "" : "s"}:
        </p>
      ) : (
        <p>It would ask for nothing{said.skipped && `: ${said.skipped}`}.</p>
      )}
      <ul>
        {said.runs.map((run, at) => (
          <li key={at}>
            <strong>{run.pipeline}</strong> {run.partition} <code>{run.keys.join(", ")}</code>{" "}
            <code>{JSON.stringify(run.params)}</code>
            {run.repeated && <span className="dim"> made before under this key: nothing new</span>}
          </li>
        ))}
      </ul>
      {said.cursor !== null && said.cursor !== undefined && (
        <p>
          It would remember <code>{JSON.stringify(said.cursor)}</code>
        </p>
      )}
      {said.output && <pre className={css.output}>{said.output}</pre>}
      {said.traceback && <pre className={css.output}>{said.traceback}</pre>}
      <span className="dim">It took {took(said.took_s)}.</span>
    </div>
  );
}

function Looks({ path }: { path: Path }) {
  const looks = usePages(
    "/api/v1/sensors/{namespace}/{sensor}/evaluations",
    { path, query: { limit: 100 } },
    { live: ["sensor_"] },
  );
  const columns: Column<Evaluation>[] = [
    { id: "at", head: "Look", cell: (row) => <When at={row.at} />, value: (row) => row.at, width: "110px" },
    {
      id: "result",
      head: "What came of it",
      cell: (row) =>
        row.error ? (
          <State state="failed" more={row.error} />
        ) : row.requests.length > 0 ? (
          <Asked requests={row.requests} />
        ) : (
          <span className="dim">{row.skipped || "nothing"}</span>
        ),
      value: (row) => row.error || row.skipped || String(row.requests.length),
    },
    {
      id: "output",
      head: "Printed",
      cell: (row) => <span title={row.output}>{row.output.split("\n")[0]}</span>,
      value: (row) => row.output,
      width: "26%",
      wide: true,
    },
    {
      id: "took",
      head: "Took",
      right: true,
      cell: (row) => took(row.took_s),
      value: (row) => row.took_s,
      width: "80px",
    },
  ];
  return (
    <Section
      title="Looks"
      aside={<Export columns={columns} rows={looks.items} name={`looks-${path.sensor}`} />}
    >
      <Loaded query={{ ...looks, data: looks.data && looks.items }}>
        {(items) => (
          <Table
            name="looks"
            columns={columns}
            rows={items}
            rowKey={(row) => String(row.no)}
            more={looks.more}
            hasMore={looks.hasMore}
            empty={
              <Empty title="No look to show">
                Looks that asked for something, failed, or said why not stand here; those that saw nothing are
                only counted.
              </Empty>
            }
          />
        )}
      </Loaded>
    </Section>
  );
}

function Asked({ requests }: { requests: Evaluation["requests"] }) {
  return (
    <span>
      {requests.slice(0, 4).map((request, at) => (
        <span key={request.key || at}>
          {at > 0 && ", "}
          {request.error ? (
            <State state="failed" more={request.error} />
          ) : (
            <To to={href(["runs", request.run])}>{request.key || request.pipeline}</To>
          )}
          {request.repeated && <span className="dim"> (known)</span>}
        </span>
      ))}
      {requests.length > 4 && ` and ${requests.length - 4} more`}
    </span>
  );
}
