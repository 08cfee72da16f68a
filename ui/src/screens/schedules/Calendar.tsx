/** The days to come, as the schedules will have them: predicted by the code that will decide. */
import { SegmentedControl } from "@mantine/core";
import { type CSSProperties, useMemo } from "react";
import { type Schema, useGet } from "@/api/client";
import { href, useChosen } from "@/frame/address";
import { Search } from "@/parts/Filters";
import { State } from "@/parts/State";
import { To } from "@/parts/To";
import { clock, rough, took, useZone, weekday, zoneName } from "@/parts/time";
import { Empty, Loaded } from "@/parts/Waiting";
import css from "./Calendar.module.css";
import { byDay } from "./days";

type Tick = Schema<"TickAhead">;
const MOST_A_DAY = 40;

export default function Calendar() {
  const [chosen, choose] = useChosen();
  const [zone] = useZone();
  const days = Number(chosen.days ?? 7);
  const ahead = useGet(
    "/api/v1/simulate",
    { query: { days, limit: 500, slow: chosen.slow === "1" } },
    { live: ["schedule_"], keep: true, staleTime: 60_000 },
  );
  return (
    <>
      <div className={css.bar}>
        <Search value={chosen.q ?? ""} onChange={(q) => choose({ q })} placeholder="Pipeline or schedule" />
        <SegmentedControl
          value={String(days)}
          onChange={(next) => choose({ days: next === "7" ? undefined : next })}
          data={[
            { value: "2", label: "2 days" },
            { value: "7", label: "week" },
            { value: "30", label: "month" },
          ]}
          aria-label="How far ahead"
        />
        <SegmentedControl
          value={chosen.slow ?? "0"}
          onChange={(next) => choose({ slow: next === "0" ? undefined : next })}
          data={[
            { value: "0", label: "usual night" },
            { value: "1", label: "slow night" },
          ]}
          aria-label="With which durations"
        />
        <span className="dim">Instants in {zoneName(zone)}; durations as they usually are.</span>
      </div>
      <Loaded query={ahead}>{(data) => <Days ahead={data} days={days} />}</Loaded>
    </>
  );
}

function Days({ ahead, days }: { ahead: Schema<"Ahead">; days: number }) {
  const [chosen] = useChosen();
  const [zone] = useZone();
  const wanted = (chosen.q ?? "").toLowerCase();
  const columns = useMemo(
    () =>
      byDay(
        ahead.items.filter((tick) => `${tick.pipeline} ${tick.schedule}`.toLowerCase().includes(wanted)),
        ahead.begin ?? "",
        days,
        zone,
      ),
    [ahead, days, zone, wanted],
  );
  if (ahead.items.length === 0)
    return (
      <Empty
        title="Nothing is scheduled in these days"
        code={'@pt.pipeline(schedule=pt.cron("0 3 * * *"))\ndef nightly(): ...'}
      >
        Give a pipeline a schedule, and its coming ticks stand here with the time at which each will probably
        have landed.
      </Empty>
    );
  const leftOut = Object.entries(ahead.left_out);
  return (
    <>
      {ahead.missed > 0 && (
        <p className={css.missed}>
          <State
            state="late"
            more={`${ahead.missed} deadline${ahead.missed === 1 ? "" : "s"} will be missed`}
          />
        </p>
      )}
      <div
        className={css.days}
        style={{ "--columns": columns.length > 8 ? 7 : columns.length } as CSSProperties}
      >
        {columns.map((column) => (
          <section key={column.date} className={css.day} aria-label={column.date}>
            <h3 title={column.date}>
              {weekday(column.at, zone)}
              <span>{counted(column.ticks)}</span>
            </h3>
            <ol>
              {column.ticks.slice(0, MOST_A_DAY).map((tick) => (
                <Ahead key={`${tick.project}/${tick.schedule}/${tick.instant}`} tick={tick} zone={zone} />
              ))}
            </ol>
            {column.ticks.length > MOST_A_DAY && (
              <p className="dim">and {column.ticks.length - MOST_A_DAY} more</p>
            )}
          </section>
        ))}
      </div>
      {ahead.next && (
        <p className="dim">More ticks than fit here: choose fewer days, or ask for one pipeline.</p>
      )}
      {leftOut.length > 0 && (
        <p className="dim">Not foreseen: {leftOut.map(([name, why]) => `${name} (${why})`).join("; ")}.</p>
      )}
    </>
  );
}

function counted(ticks: Tick[]): string {
  const count = ticks.reduce((sum, tick) => sum + tick.count, 0);
  return count === 0 ? "" : ` ${count} tick${count === 1 ? "" : "s"}`;
}

function Ahead({ tick, zone }: { tick: Tick; zone: string }) {
  const at = tick.instant ?? "";
  const landed =
    tick.landed_at && tick.started_at
      ? (Date.parse(tick.landed_at) - Date.parse(tick.started_at)) / 1000
      : null;
  const waited = Object.entries(tick.waited).filter(([, seconds]) => seconds >= 1);
  const said = [
    tick.decision !== "run" ? `skipped: ${tick.reason}` : tick.reason,
    tick.clocks,
    landed ? `usually ${took(landed)}` : "",
    tick.queued_s >= 1 ? `waits ${took(tick.queued_s)} for its last run` : "",
    ...waited.map(([pool, seconds]) => `waits ${took(seconds)} for ${pool}`),
    tick.unknown ? `${tick.unknown} steps have no history` : "",
  ].filter(Boolean);
  return (
    <li
      className={`${css.tick} ${tick.decision !== "run" ? css.skipped : ""} ${tick.late_s > 0 ? css.late : ""}`}
      title={said.join("\n")}
    >
      <span className={css.at}>{clock(at, zone)}</span>
      <span className={css.what}>
        <To to={href(["schedules", "default", tick.schedule])}>{tick.pipeline}</To>
        {tick.count > 1 && <span className="dim"> ×{tick.count}</span>}
        <span className={css.then}>
          {tick.decision !== "run"
            ? tick.reason || "skipped"
            : tick.landed_at && landed
              ? `lands ${clock(tick.landed_at, zone)}`
              : ""}
          {tick.overlaps && " · overlaps"}
          {tick.clocks && ` · ${tick.clocks}`}
        </span>
        {tick.late_s > 0 && <State state="late" more={`by ${rough(tick.late_s)}`} />}
      </span>
    </li>
  );
}
