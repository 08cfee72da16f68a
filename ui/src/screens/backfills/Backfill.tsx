/** One backfill: how far it is, partition by partition; what failed, what holds it up; and what can be asked of it. */
import { Button } from "@mantine/core";
import { IconPlayerPause, IconPlayerPlay, IconRefresh, IconX } from "@tabler/icons-react";
import { useState } from "react";
import { type Schema, useGet, usePages, useSend } from "@/api/client";
import { href, useChosen } from "@/frame/address";
import { Inspector } from "@/frame/Inspector";
import { useShortcut } from "@/frame/shortcuts";
import { Meter } from "@/parts/Bars";
import { Key } from "@/parts/Command";
import { Confirm } from "@/parts/Confirm";
import { Choice } from "@/parts/Filters";
import { Heat } from "@/parts/Heat";
import { Fact, Page, Panel, Section } from "@/parts/Page";
import { Counts, Glyph, State } from "@/parts/State";
import { type Column, Export, Table } from "@/parts/Table";
import { To } from "@/parts/To";
import { rough } from "@/parts/time";
import { Loaded, Trouble } from "@/parts/Waiting";
import { Took, When } from "@/parts/When";
import { useName } from "../assets/useName";
import css from "./Backfills.module.css";
import { doneOf, LETTERS, LIVE, partsOf, stateOf } from "./letters";

type Whole = Schema<"Progress">;
type Part = Schema<"BackfillPart">;

export default function Backfill() {
  const id = useName("backfill");
  const [chosen, choose] = useChosen();
  const progress = useGet(
    "/api/v1/backfills/{backfill}/progress",
    { path: { backfill: id } },
    { live: LIVE },
  );
  const row = progress.data?.backfill;
  return (
    <Page
      title={row ? `Backfill ${row.no} of ${row.target}` : "Backfill"}
      name={row ? row.target : "Backfill"}
      wide
      crumbs={[{ text: "Backfills", to: href(["backfills"]) }, ...(row ? [{ text: `#${row.no}` }] : [])]}
      facts={row && <Facts row={row} />}
      actions={row && <Actions row={row} />}
      command={`partita backfill show ${row?.no ?? id}`}
    >
      <Loaded query={progress} rows={10}>
        {(found) => (
          <>
            <Far found={found} />
            <Holds id={id} />
            <Stages found={found} onOpen={(stage, part) => choose({ part: `${stage}.${part}` })} />
            <Parts id={id} total={found.backfill.total} />
            <Asked row={found.backfill} />
            {chosen.part && /^\d+\.\d+$/.test(chosen.part) && (
              <PartPanel id={id} place={chosen.part} onClose={() => choose({ part: undefined })} />
            )}
          </>
        )}
      </Loaded>
    </Page>
  );
}

function Facts({ row }: { row: Schema<"Backfill"> }) {
  return (
    <>
      <State state={stateOf(row)} soft {...(row.reason ? { more: row.reason } : {})} />
      <Fact name="started">
        <When at={row.created_at} /> by {row.by}
      </Fact>
      <Fact name={row.finished_at ? "took" : "for"}>
        <Took from={row.created_at} to={row.finished_at} />
      </Fact>
      <Fact name="partitions">{row.partitions.toLocaleString("en")}</Fact>
      <Fact name="id">
        <Key short>{row.id}</Key>
      </Fact>
    </>
  );
}

function Actions({ row }: { row: Schema<"Backfill"> }) {
  const [asked, ask] = useState<"cancel" | "pause" | null>(null);
  const path = { backfill: row.id };
  const pause = useSend("post", "/api/v1/backfills/{backfill}/pause");
  const resume = useSend("post", "/api/v1/backfills/{backfill}/resume");
  const cancel = useSend("post", "/api/v1/backfills/{backfill}/cancel");
  const retry = useSend("post", "/api/v1/backfills/{backfill}/retry");
  const open = row.state === "running" && !row.cancel_requested;
  const bad = (row.counts.failed ?? 0) + (row.counts.skipped ?? 0) + (row.counts.cancelled ?? 0);
  const canRetry = row.state !== "running" && bad > 0;
  useShortcut("r", () => retry.mutate({ path, body: {} }), "retry what failed", canRetry && !retry.isPending);
  const error = resume.error ?? retry.error;
  return (
    <>
      {error && <Trouble error={error} />}
      {canRetry && (
        <Button
          variant="filled"
          leftSection={<IconRefresh size={15} />}
          loading={retry.isPending}
          onClick={() => retry.mutate({ path, body: {} })}
        >
          Retry {bad.toLocaleString("en")} that did not succeed
        </Button>
      )}
      {open && !row.paused && (
        <Button leftSection={<IconPlayerPause size={15} />} onClick={() => ask("pause")}>
          Pause…
        </Button>
      )}
      {open && row.paused && (
        <Button
          variant="filled"
          leftSection={<IconPlayerPlay size={15} />}
          loading={resume.isPending}
          onClick={() => resume.mutate({ path, body: {} })}
        >
          Resume
        </Button>
      )}
      {open && (
        <Button leftSection={<IconX size={15} />} onClick={() => ask("cancel")}>
          Cancel…
        </Button>
      )}
      <Confirm
        opened={asked === "pause"}
        title="Pause this backfill"
        action="Pause"
        reason="optional"
        onClose={() => ask(null)}
        onConfirm={(reason) => pause.mutateAsync({ path, body: { reason } })}
      >
        <p>Nothing new of it starts, and its open runs are paused; steps that run go on to their end.</p>
      </Confirm>
      <Confirm
        opened={asked === "cancel"}
        title="Cancel this backfill"
        action={`Cancel ${(row.total - doneOf(row.counts)).toLocaleString("en")} runs`}
        danger
        reason="optional"
        onClose={() => ask(null)}
        onConfirm={(reason) => cancel.mutateAsync({ path, body: { reason } })}
      >
        <p>
          Its open runs end, and nothing new of it starts. What was made stays; the rest can be run again
          later.
        </p>
      </Confirm>
    </>
  );
}

/** How far, in a line that is seen from afar. */
function Far({ found }: { found: Whole }) {
  const { backfill } = found;
  const done = doneOf(backfill.counts);
  const label = Object.entries(backfill.counts)
    .map(([state, count]) => `${count} ${state}`)
    .join(", ");
  return (
    <Panel {...(backfill.counts.failed ? { tone: "failed" as const } : {})}>
      <div className={css.facts}>
        <span className={css.big}>
          {done.toLocaleString("en")} of {backfill.total.toLocaleString("en")}{" "}
          {backfill.total === 1 ? "run" : "runs"}
        </span>
        <div className={css.whole}>
          <Meter parts={partsOf(backfill.counts)} total={backfill.total} label={label} height={10} />
          <Counts counts={backfill.counts} />
        </div>
        <span aria-live="polite">
          {backfill.state !== "running" ? (
            <span className="dim">
              ended <When at={backfill.finished_at} />
            </span>
          ) : backfill.paused ? (
            "paused"
          ) : found.left_s === null ? (
            <span className="dim">how long it takes is known when some are done</span>
          ) : (
            <>
              about <strong>{rough(found.left_s)}</strong> left
              {found.per_minute !== null && (
                <span className="dim">
                  {" "}
                  at {found.per_minute >= 10 ? Math.round(found.per_minute) : found.per_minute.toFixed(1)} a
                  minute
                </span>
              )}
            </>
          )}
        </span>
      </div>
    </Panel>
  );
}

/** What holds it up, and what failed first. */
function Holds({ id }: { id: string }) {
  const why = useGet("/api/v1/backfills/{backfill}/why", { path: { backfill: id } }, { live: LIVE });
  const found = why.data;
  // That it has ended, the head says.
  const reasons = found?.reasons.filter((reason) => reason.code !== "ended") ?? [];
  if (!found || (reasons.length === 0 && found.failed.length === 0 && found.queued.length === 0)) return null;
  const causes = new Map<string, Part[]>();
  for (const part of found.failed) causes.set(part.reason, [...(causes.get(part.reason) ?? []), part]);
  return (
    <Section title="Why">
      <Panel>
        <ul className={css.reasons}>
          {[...causes].map(([reason, parts]) => (
            <li key={reason}>
              <Glyph state="failed" size={12} /> {reason || "its run failed"}:{" "}
              {parts.slice(0, 6).map((part, at) => (
                <span key={`${part.stage}.${part.part}`}>
                  {at > 0 && ", "}
                  {part.run ? <To to={href(["runs", part.run])}>{part.partition}</To> : part.partition}
                </span>
              ))}
              {parts.length > 6 && ` and ${parts.length - 6} more`}
            </li>
          ))}
          {[...reasons, ...found.queued].slice(0, 8).map((reason, at) => (
            <li key={at}>{reason.text}</li>
          ))}
        </ul>
        {!found.engine && <p className="dim">No scheduler is there: nothing moves until it is back.</p>}
      </Panel>
    </Section>
  );
}

function Stages({ found, onOpen }: { found: Whole; onOpen: (stage: number, part: number) => void }) {
  return found.stages.map((stage, number) => (
    <Section
      key={number}
      title={found.stages.length > 1 ? `${number + 1}. ${stage.name}` : "Partitions"}
      aside={
        stage.needs.length > 0 && (
          <span>after {stage.needs.map((need) => found.stages[need]?.name).join(", ")}</span>
        )
      }
    >
      <Panel>
        <StageHeat stage={stage} onOpen={(part) => onOpen(number, part)} />
      </Panel>
    </Section>
  ));
}

function StageHeat({ stage, onOpen }: { stage: Schema<"StageProgress">; onOpen: (part: number) => void }) {
  // Parts that go from the newest on stand in their time all the same.
  const days = stage.parts.every((part) => /^\d{4}-\d\d-\d\d$/.test(part));
  const order = stage.parts.map((_, at) => at);
  if (days) order.sort((a, b) => ((stage.parts[a] ?? "") < (stage.parts[b] ?? "") ? -1 : 1));
  const keys = order.map((at) => stage.parts[at] ?? "");
  return (
    <Heat
      label={`runs of ${stage.name}`}
      dimensions={[{ name: "", kind: days && isDaily(keys) ? "daily" : "static", keys }]}
      states={order.map((at) => stage.states[at]).join("")}
      words={LETTERS}
      onOpen={(place) => onOpen(order[place] ?? 0)}
    />
  );
}

/** Whether these are days rather than first days of weeks or months. */
export function isDaily(keys: string[]): boolean {
  if (keys.length < 3) return true;
  const gaps = keys.slice(1).map((key, at) => Date.parse(key) - Date.parse(keys[at] ?? ""));
  return Math.min(...gaps) < 7 * 86_400_000;
}

const COLUMNS: Column<Part>[] = [
  {
    id: "partition",
    head: "Partition",
    value: (row) => row.partition,
    width: "26%",
    cell: (row) => <span className="mono">{row.partition}</span>,
  },
  {
    id: "state",
    head: "State",
    value: (row) => row.state,
    width: "140px",
    cell: (row) => <State state={row.state} />,
  },
  {
    id: "tries",
    head: "Tries",
    right: true,
    value: (row) => row.tries,
    width: "70px",
    wide: true,
    cell: (row) => row.tries,
  },
  {
    id: "run",
    head: "Run",
    value: (row) => row.run,
    width: "110px",
    cell: (row) =>
      row.run ? <To to={href(["runs", row.run])}>{row.run.slice(0, 8)}</To> : <span className="dim">–</span>,
  },
  {
    id: "ended",
    head: "Ended",
    value: (row) => row.finished_at,
    width: "120px",
    wide: true,
    cell: (row) => <When at={row.finished_at} />,
  },
  {
    id: "reason",
    head: "Why",
    value: (row) => row.reason,
    wide: true,
    cell: (row) => <span title={row.reason}>{row.reason}</span>,
  },
];

function Parts({ id, total }: { id: string; total: number }) {
  const [chosen, choose] = useChosen();
  const parts = usePages(
    "/api/v1/backfills/{backfill}/parts",
    { path: { backfill: id }, query: { state: chosen.state, limit: 200 } },
    { live: LIVE, keep: true },
  );
  const rows = parts.items as Part[];
  return (
    <Section
      title="Runs"
      aside={
        <>
          <Choice
            label="State"
            value={chosen.state}
            options={["failed", "running", "succeeded", "skipped", "cancelled"]}
            onChange={(state) => choose({ state })}
            width={130}
          />
          <Export columns={COLUMNS} rows={rows} name="parts" />
        </>
      }
    >
      <Table
        name="parts"
        columns={COLUMNS}
        rows={rows}
        rowKey={(row) => `${row.stage}.${row.part}`}
        {...(chosen.part ? { current: chosen.part } : {})}
        onOpen={(row) => choose({ part: `${row.stage}.${row.part}` })}
        more={parts.more}
        hasMore={parts.hasMore}
        empty={
          <p className="dim">
            {chosen.state
              ? `None is ${chosen.state}.`
              : `None of its ${total.toLocaleString("en")} has begun.`}
          </p>
        }
      />
    </Section>
  );
}

function Asked({ row }: { row: Schema<"Backfill"> }) {
  const spec = row.spec as Record<string, unknown>;
  const said: [string, unknown][] = [
    ["partitions", spec.partitions],
    ["of these", spec.only],
    ["with them", spec.cascade === "none" ? "" : spec.cascade],
    ["order", `${String(spec.order)} first`],
    ["runs at once", spec.max_runs],
    ["partitions in a run", spec.batch],
    ["priority", row.priority || ""],
    ["parameters", Object.keys((spec.params ?? {}) as object).length > 0 ? JSON.stringify(spec.params) : ""],
    ["note", spec.note],
  ];
  return (
    <Section title="Asked for">
      <div className={css.facts}>
        {said
          .filter(([, value]) => value !== "" && value !== null && value !== undefined)
          .map(([name, value]) => (
            <Fact key={name} name={name}>
              {String(value)}
            </Fact>
          ))}
      </div>
    </Section>
  );
}

function PartPanel({ id, place, onClose }: { id: string; place: string; onClose: () => void }) {
  const [stage, part] = place.split(".").map(Number) as [number, number];
  const why = useGet(
    "/api/v1/backfills/{backfill}/parts/{stage}/{part}/why",
    { path: { backfill: id, stage, part } },
    { live: LIVE },
  );
  return (
    <Inspector title={why.data?.partitions[0] ?? "Part"} onClose={onClose}>
      <Loaded query={why} rows={4}>
        {(found) => (
          <>
            <div className={css.facts}>
              <State state={found.part.state} soft />
              {found.part.run && (
                <To to={href(["runs", found.part.run])}>run {found.part.run.slice(0, 8)}</To>
              )}
              {found.part.tries > 1 && <Fact name="tries">{found.part.tries}</Fact>}
              {found.part.finished_at && (
                <Fact name="ended">
                  <When at={found.part.finished_at} />
                </Fact>
              )}
            </div>
            <Section title="Why">
              <ul className={css.reasons}>
                {found.reasons.map((reason, at) => (
                  <li key={at}>{reason.text}</li>
                ))}
              </ul>
            </Section>
            <Section title={`Partitions (${found.partitions.length})`}>
              <p className="mono">
                {found.partitions.slice(0, 60).join(", ")}
                {found.partitions.length > 60 && " …"}
              </p>
            </Section>
            <Fact name="made by">{found.target}</Fact>
          </>
        )}
      </Loaded>
    </Inspector>
  );
}
