/** What starts by itself: schedules, sensors, and the days to come. */
import { useMemo } from "react";
import { type Schema, usePages } from "@/api/client";
import { href, useChosen, useGo } from "@/frame/address";
import { Choice, Filters, Search } from "@/parts/Filters";
import { Page } from "@/parts/Page";
import { State } from "@/parts/State";
import { type Column, Export, Table } from "@/parts/Table";
import { Tabs } from "@/parts/Tabs";
import { To } from "@/parts/To";
import { Empty, Loaded } from "@/parts/Waiting";
import { When } from "@/parts/When";
import Calendar from "./Calendar";
import { type Stands, standing } from "./standing";

type Schedule = Schema<"Schedule">;
type Sensor = Schema<"Sensor">;

export default function Schedules() {
  const [chosen, choose] = useChosen();
  const schedules = usePages(
    "/api/v1/schedules",
    { query: { limit: 500 } },
    { live: ["schedule_", "tick_"] },
  );
  const sensors = usePages("/api/v1/sensors", { query: { limit: 500 } }, { live: ["sensor_"] });
  return (
    <Page
      title="Schedules"
      command={
        chosen.tab === "sensors"
          ? "partita sensors"
          : chosen.tab === "calendar"
            ? "partita simulate --days 7"
            : "partita schedules"
      }
    >
      <Tabs
        label="schedules"
        at={chosen.tab ?? "schedules"}
        onChange={(tab) => choose({ tab: tab === "schedules" ? undefined : tab }, { push: true })}
        tabs={[
          {
            id: "schedules",
            name: "Schedules",
            count: schedules.data ? schedules.items.length : undefined,
            content: () => (
              <Loaded query={{ ...schedules, data: schedules.data && schedules.items }}>
                {(items) => <ScheduleList items={items} />}
              </Loaded>
            ),
          },
          {
            id: "sensors",
            name: "Sensors",
            count: sensors.data ? sensors.items.length : undefined,
            content: () => (
              <Loaded query={{ ...sensors, data: sensors.data && sensors.items }}>
                {(items) => <SensorList items={items} />}
              </Loaded>
            ),
          },
          { id: "calendar", name: "Calendar", content: () => <Calendar /> },
        ]}
      />
    </Page>
  );
}

function Standing({ of }: { of: Stands }) {
  const { state, more } = standing(of);
  return <State state={state} more={more} />;
}

function useFound<T extends { name: string; project: string; paused: boolean; active: boolean }>(
  items: T[],
  text: (item: T) => string,
): T[] {
  const [chosen] = useChosen();
  return useMemo(() => {
    const words = (chosen.q ?? "").toLowerCase().split(/\s+/).filter(Boolean);
    return items.filter(
      (item) =>
        words.every((word) => text(item).toLowerCase().includes(word)) &&
        (chosen.standing === undefined ||
          (chosen.standing === "paused"
            ? item.paused
            : chosen.standing === "gone"
              ? !item.active
              : item.active && !item.paused)) &&
        // What is declared no more is history; it is asked for.
        (item.active || chosen.standing === "gone"),
    );
  }, [items, chosen.q, chosen.standing, text]);
}

const STANDINGS = [
  { value: "on", label: "on" },
  { value: "paused", label: "paused" },
  { value: "gone", label: "declared no more" },
];

function Bar({ aside }: { aside: React.ReactNode }) {
  const [chosen, choose] = useChosen();
  return (
    <Filters aside={aside}>
      <Search value={chosen.q ?? ""} onChange={(q) => choose({ q })} placeholder="Name, pipeline, words" />
      <Choice
        label="Standing"
        value={chosen.standing}
        options={STANDINGS}
        onChange={(next) => choose({ standing: next })}
      />
    </Filters>
  );
}

const scheduleText = (item: Schedule) => `${item.name} ${item.pipeline} ${item.project} ${item.words}`;
const sensorText = (item: Sensor) =>
  `${item.name} ${item.project} ${String(item.spec.of)} ${String(item.spec.description)}`;

function ScheduleList({ items }: { items: Schedule[] }) {
  const go = useGo();
  const found = useFound(items, scheduleText);
  const columns: Column<Schedule>[] = [
    {
      id: "name",
      head: "Schedule",
      cell: (row) => <To to={href(["schedules", row.namespace, row.name])}>{row.name}</To>,
      value: (row) => row.name,
      width: "18%",
    },
    {
      id: "pipeline",
      head: "Starts",
      cell: (row) => <To to={href(["pipelines", row.pipeline])}>{row.pipeline}</To>,
      value: (row) => row.pipeline,
      width: "16%",
      wide: true,
    },
    {
      id: "words",
      head: "When",
      cell: (row) => (
        <span title={`${row.words} (${String(row.spec.tz)})`}>
          {row.words} <span className="dim">{zoneOf(row)}</span>
        </span>
      ),
      value: (row) => row.words,
      wide: true,
    },
    {
      id: "next",
      head: "Next",
      cell: (row) => (row.active && !row.paused ? <When at={row.next_at} /> : <span className="dim">–</span>),
      value: (row) => row.next_at,
      width: "110px",
    },
    {
      id: "last",
      head: "Last tick",
      cell: (row) => <When at={row.last_at} />,
      value: (row) => row.last_at,
      width: "110px",
      wide: true,
    },
    {
      id: "decision",
      head: "Decided",
      cell: (row) => <Decision decision={row.last_decision} />,
      value: (row) => row.last_decision,
      width: "110px",
      wide: true,
    },
    {
      id: "standing",
      head: "Standing",
      cell: (row) => <Standing of={row} />,
      value: (row) => standing(row).state,
      width: "190px",
    },
  ];
  if (items.length === 0)
    return (
      <Empty
        title="No schedule yet"
        code={
          '@pt.pipeline(schedule=pt.cron("0 3 * * *", tz="Europe/Berlin"))\ndef nightly():\n    load(extract())'
        }
      >
        A schedule starts a pipeline at certain instants. Each tick gets exactly one decision: a run, or
        skipped with the reason.
      </Empty>
    );
  return (
    <>
      <Bar aside={<Export columns={columns} rows={found} name="schedules" />} />
      <Table
        name="schedules"
        columns={columns}
        rows={found}
        rowKey={(row) => `${row.namespace}/${row.name}`}
        onOpen={(row) => go(href(["schedules", row.namespace, row.name]))}
        sort={{ id: "next", desc: false }}
      />
    </>
  );
}

/** The zone of a schedule, if it is not UTC. */
export function zoneOf(row: Schedule): string {
  const zone = String(row.spec.tz ?? "UTC");
  return zone === "UTC" ? "UTC" : zone;
}

/** What was decided about a tick. */
export function Decision({ decision }: { decision: string }) {
  if (!decision) return <span className="dim">–</span>;
  return decision === "run" ? <span>run</span> : <State state="skipped" />;
}

function SensorList({ items }: { items: Sensor[] }) {
  const go = useGo();
  const found = useFound(items, sensorText);
  const columns: Column<Sensor>[] = [
    {
      id: "name",
      head: "Sensor",
      cell: (row) => <To to={href(["sensors", row.namespace, row.name])}>{row.name}</To>,
      value: (row) => row.name,
      width: "20%",
    },
    {
      id: "of",
      head: "Looks at",
      cell: (row) => String(row.spec.of).replaceAll("_", " "),
      value: (row) => String(row.spec.of),
      width: "120px",
    },
    {
      id: "targets",
      head: "Starts",
      cell: (row) => targetsOf(row).join(", "),
      value: (row) => targetsOf(row).join(" "),
      wide: true,
    },
    {
      id: "looked",
      head: "Looked",
      cell: (row) => <When at={row.evaluated_at} />,
      value: (row) => row.evaluated_at,
      width: "110px",
    },
    {
      id: "looks",
      head: "Looks",
      right: true,
      cell: (row) => row.looks.toLocaleString("en"),
      value: (row) => row.looks,
      width: "80px",
      wide: true,
    },
    {
      id: "quiet",
      head: "Nothing seen",
      right: true,
      cell: (row) => row.quiet.toLocaleString("en"),
      value: (row) => row.quiet,
      width: "110px",
      wide: true,
    },
    {
      id: "standing",
      head: "Standing",
      cell: (row) => <Standing of={row} />,
      value: (row) => standing(row).state,
      width: "190px",
    },
  ];
  if (items.length === 0)
    return (
      <Empty
        title="No sensor yet"
        code={
          '@pt.sensor(load, interval="1m")\ndef new_files(ctx: pt.SensorContext):\n    return [pt.RunRequest(key=name) for name in arrived(since=ctx.cursor)]'
        }
      >
        A sensor looks at the world, or listens to it, and asks for runs: files, objects, HTTP, SQL, webhooks,
        other pipelines, assets, silence.
      </Empty>
    );
  return (
    <>
      <Bar aside={<Export columns={columns} rows={found} name="sensors" />} />
      <Table
        name="sensors"
        columns={columns}
        rows={found}
        rowKey={(row) => `${row.namespace}/${row.name}`}
        onOpen={(row) => go(href(["sensors", row.namespace, row.name]))}
      />
    </>
  );
}

function targetsOf(row: Sensor): string[] {
  return Array.isArray(row.spec.targets) ? row.spec.targets.map(String) : [];
}
