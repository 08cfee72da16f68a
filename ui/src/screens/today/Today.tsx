/** The first page, the report of the day: what broke, what is late, what waits, what runs, what comes. */
import { Button, Menu, Select } from "@mantine/core";
import { IconCheck, IconChevronDown, IconShare2 } from "@tabler/icons-react";
import { useEffect, useMemo, useState } from "react";
import { type Schema, useGet } from "@/api/client";
import { href, useChosen } from "@/frame/address";
import { copyText } from "@/parts/Command";
import { Page, Section } from "@/parts/Page";
import { Glyph } from "@/parts/State";
import { To } from "@/parts/To";
import { clock, day, useZone, weekday, type Zone } from "@/parts/time";
import { Empty, Loaded } from "@/parts/Waiting";
import { FloorPicture } from "../runs/Floor";
import { Causes } from "./Causes";
import { Rest } from "./Rest";
import { sinceOf, visit } from "./since";
import css from "./Today.module.css";

type Report = Schema<"Today">;

const DAY_MS = 86_400_000;
// Each step that succeeds would be too often: how far runs are is asked for by the clock.
const EVENTS = ["run_", "step_ended", "gate_", "tick_", "schedule_", "alert_", "backfill_", "freshness_"];

export default function Today() {
  const [chosen] = useChosen();
  const [zone] = useZone();
  // When the page was opened: what is meant by "24 hours" does not slide while it is read.
  const [opened] = useState(() => Date.now());
  const [before] = useState(() => visit(opened));
  const since = useMemo(
    () => new Date(Math.floor(sinceOf(chosen.since, opened, before, zone) / 60_000) * 60_000).toISOString(),
    [chosen.since, opened, before, zone],
  );
  const report = useGet(
    "/api/v1/today",
    { query: { since, owner: chosen.owner, namespace: chosen.namespace } },
    { live: EVENTS, keep: true, every: 10_000 },
  );
  return (
    <Page
      title="Today"
      name={
        <span className={css.title}>
          Today <Since since={since} before={before} zone={zone} />
        </span>
      }
      actions={<Actions since={since} owners={report.data?.owners ?? []} />}
      command="partita report"
    >
      <Loaded query={report} rows={10}>
        {(found) => <Told report={found} before={before} />}
      </Loaded>
    </Page>
  );
}

function Told({ report, before }: { report: Report; before: number | null }) {
  if (isNew(report))
    return (
      <Empty
        title="Nothing has run yet"
        code={'@pt.pipeline(schedule=pt.cron("0 3 * * *"))\ndef nightly():\n    load(extract())'}
      >
        In the morning this page says what broke in the night, whose it is and what it holds up. It begins
        with the first run: start one on <To to={href(["pipelines"])}>Pipelines</To>.
      </Empty>
    );
  return (
    <>
      <Line report={report} />
      {report.causes.length > 0 && <Causes causes={report.causes} before={before} />}
      {report.more_failed > 0 && (
        <p className="dim">
          {report.more_failed} more runs failed; <To to={href(["runs"], { state: "failed" })}>see all</To>.
        </p>
      )}
      <Rest report={report} />
      <Night />
    </>
  );
}

function isNew(report: Report): boolean {
  return (
    report.sums.runs === 0 &&
    report.causes.length === 0 &&
    report.running.length === 0 &&
    report.next.length === 0 &&
    report.queued === 0 &&
    report.waits.length === 0 &&
    report.owners.length === 0
  );
}

/** How it stands, in one line, with what the period had. */
function Line({ report }: { report: Report }) {
  const { sums } = report;
  const tone = { broken: "failed", late: "late", well: "succeeded" }[report.level];
  return (
    <div className={`${css.line} ${css[report.level]}`} data-testid="line">
      <span className={css.said}>
        <Glyph state={tone} size={18} label /> <strong>{report.line}</strong>
      </span>
      {report.level !== "well" && sums.runs > 0 && (
        <span className={css.sums}>
          {sums.runs.toLocaleString("en")} run{sums.runs === 1 ? "" : "s"} ended:{" "}
          {sums.succeeded.toLocaleString("en")} well,{" "}
          <To to={href(["runs"], { state: "failed" })}>{sums.failed.toLocaleString("en")} failed</To>
          {sums.cancelled > 0 && `, ${sums.cancelled} cancelled`}
        </span>
      )}
    </div>
  );
}

function Night() {
  const [opened, reopen] = useState(() => Date.now());
  // The window goes on with the clock, a step at a time, so that the picture stands still while it is read.
  useEffect(() => {
    const timer = setInterval(() => reopen(Date.now()), 5 * 60_000);
    return () => clearInterval(timer);
  }, []);
  const shown = useMemo(() => {
    const to = Math.ceil(opened / 300_000) * 300_000 + 1_200_000;
    return { from: to - DAY_MS, to };
  }, [opened]);
  const floor = useGet(
    "/api/v1/floor",
    { query: { since: new Date(shown.from).toISOString(), until: new Date(shown.to).toISOString() } },
    { live: ["run_"], keep: true },
  );
  return (
    <Section
      title="Timeline, 24 hours"
      aside={<To to={href(["runs"], { view: "timeline" })}>all runs over time</To>}
    >
      <Loaded query={floor} rows={4}>
        {(found) =>
          found.lanes.length > 0 ? (
            <FloorPicture floor={found} window={shown} />
          ) : (
            <p className="dim">No run in the last 24 hours.</p>
          )
        }
      </Loaded>
    </Section>
  );
}

const CHOICES: [string, string][] = [
  ["1h", "1 hour"],
  ["12h", "12 hours"],
  ["today", "today, midnight"],
  ["yesterday", "yesterday 18:00"],
  ["24h", "24 hours"],
  ["7d", "7 days"],
];

function Since({ since, before, zone }: { since: string; before: number | null; zone: Zone }) {
  const [chosen, choose] = useChosen();
  return (
    <Menu position="bottom-start">
      <Menu.Target>
        <button type="button" className={css.since} title={since}>
          since {sinceWords(since, zone)} <IconChevronDown size={13} />
        </button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>What happened since</Menu.Label>
        {before !== null && (
          <Menu.Item onClick={() => choose({ since: "visit" })}>
            your last visit, {sinceWords(new Date(before).toISOString(), zone)}
          </Menu.Item>
        )}
        {CHOICES.map(([id, words]) => (
          <Menu.Item
            key={id}
            onClick={() => choose({ since: id })}
            fw={chosen.since === id ? 600 : undefined}
          >
            {words}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}

/** "yesterday 18:00", "03:12", "Fri 20 16:00". */
function sinceWords(since: string, zone: Zone): string {
  const at = clock(since, zone);
  const now = Date.now();
  if (day(since, zone) === day(new Date(now).toISOString(), zone)) return at;
  if (day(since, zone) === day(new Date(now - DAY_MS).toISOString(), zone)) return `yesterday ${at}`;
  return `${weekday(since, zone)} ${at}`;
}

function Actions({ since, owners }: { since: string; owners: string[] }) {
  const [chosen, choose] = useChosen();
  return (
    <>
      {(owners.length > 0 || chosen.owner) && (
        <Select
          aria-label="Owner"
          placeholder="all owners"
          data={chosen.owner && !owners.includes(chosen.owner) ? [chosen.owner, ...owners] : owners}
          value={chosen.owner ?? null}
          onChange={(owner) => choose({ owner: owner ?? undefined })}
          clearable
          searchable={owners.length > 8}
          w={150}
        />
      )}
      <Share since={since} owner={chosen.owner} namespace={chosen.namespace} />
    </>
  );
}

/** A link to this report as it is seen here: its instant is written out, for "yesterday" is another day tomorrow. */
function Share({ since, owner, namespace }: { since: string; owner?: string; namespace?: string }) {
  const [done, setDone] = useState(false);
  const share = async () => {
    await copyText(`${location.origin}${href([], { since, owner, namespace })}`);
    setDone(true);
    setTimeout(() => setDone(false), 2000);
  };
  return (
    <Button
      onClick={() => void share()}
      leftSection={done ? <IconCheck size={14} /> : <IconShare2 size={14} />}
      aria-live="polite"
    >
      {done ? "Link copied" : "Share"}
    </Button>
  );
}
