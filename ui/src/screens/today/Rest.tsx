/** What is not broken and still to be known: late, waiting for people, stale, running, next. */
import { type ReactNode, useState } from "react";
import type { Schema } from "@/api/client";
import { href } from "@/frame/address";
import { Meter } from "@/parts/Bars";
import { Glyph, State } from "@/parts/State";
import { To } from "@/parts/To";
import { Took, When } from "@/parts/When";
import css from "./Today.module.css";

type Report = Schema<"Today">;

export function Rest({ report }: { report: Report }) {
  const { stale, aged } = report;
  const working = report.running.length + report.backfills.length + report.more_running;
  return (
    <dl className={css.rest}>
      {report.late.length > 0 && (
        <Row name="Late, or will be" count={report.late.length}>
          <Few items={report.late} keyOf={(late) => `${late.subject} ${late.text}`}>
            {(late) => <LateLine late={late} />}
          </Few>
        </Row>
      )}
      {report.waits.length > 0 && (
        <Row name="Waits for a person" count={report.waits.length}>
          <Few items={report.waits} keyOf={(wait) => `${wait.run} ${wait.step} ${wait.index}`}>
            {(wait) => <WaitLine wait={wait} />}
          </Few>
        </Row>
      )}
      {(aged.length > 0 || stale.stale + stale.failing > 0) && (
        <Row name="Stale" count={aged.length + stale.stale + stale.failing}>
          <Few items={aged} keyOf={(asset) => `${asset.asset} ${asset.partition}`}>
            {(asset) => <AgedLine asset={asset} />}
          </Few>
          <StaleLine stale={stale} />
        </Row>
      )}
      {(working > 0 || report.queued > 0) && (
        <Row name="Running now" count={working}>
          {report.backfills.map((filling) => (
            <FillingLine key={filling.backfill} filling={filling} />
          ))}
          <Few items={report.running} keyOf={(going) => going.run.id}>
            {(going) => <GoingLine going={going} />}
          </Few>
          {report.more_running + report.queued > 0 && (
            <To to={href(["runs"], { state: report.more_running ? "running" : "queued" })}>
              {[
                report.more_running ? `${report.more_running} more running` : "",
                report.queued ? `${report.queued} in the queue` : "",
              ]
                .filter(Boolean)
                .join(", ")}
            </To>
          )}
        </Row>
      )}
      <Row name="Next">
        {report.next.length > 0 ? (
          <Next ticks={report.next} />
        ) : (
          <span className="dim">No schedule is on.</span>
        )}
      </Row>
    </dl>
  );
}

function Row({ name, count, children }: { name: string; count?: number; children: ReactNode }) {
  return (
    <div className={css.row}>
      <dt>
        {name}
        {count !== undefined && count > 1 && <span className={css.count}>{count}</span>}
      </dt>
      <dd>{children}</dd>
    </div>
  );
}

/** The first of a list; the others on demand. */
function Few<T>({
  items,
  keyOf,
  children,
}: {
  items: T[];
  keyOf: (item: T) => string;
  children: (item: T) => ReactNode;
}) {
  const [all, showAll] = useState(false);
  const shown = all ? items : items.slice(0, 5);
  return (
    <>
      {shown.map((item) => (
        <div key={keyOf(item)} className={css.item}>
          {children(item)}
        </div>
      ))}
      {items.length > shown.length && (
        <button type="button" className={css.more} onClick={() => showAll(true)}>
          {items.length - shown.length} more
        </button>
      )}
    </>
  );
}

function LateLine({ late }: { late: Report["late"][number] }) {
  const to = late.run ? href(["runs", late.run]) : href(["pipelines", late.pipeline]);
  return (
    <>
      <Glyph state="late" label />
      <span className={css.grow}>
        <To to={to}>{late.text}</To>
        <span className={css.aside}>
          {late.due_at && (
            <>
              due <When at={late.due_at} as="clock" />,{" "}
            </>
          )}
          {late.is_missed ? "missed" : "known"} <When at={late.since} />
        </span>
      </span>
      {late.owner && <span className={css.owner}>{late.owner}</span>}
    </>
  );
}

function WaitLine({ wait }: { wait: Report["waits"][number] }) {
  return (
    <>
      <Glyph state="needs_attention" label />
      <span className={css.grow}>
        <To to={href(["approvals", wait.run, wait.step], { index: wait.index })}>{wait.question}</To>
        <span className={css.aside}>
          asked by {wait.pipeline} #{wait.run_no}, <When at={wait.opened_at} />
          {wait.due_at && (
            <>
              , due <When at={wait.due_at} />
            </>
          )}
        </span>
      </span>
      <span className={css.owner}>{wait.who}</span>
    </>
  );
}

function AgedLine({ asset }: { asset: Report["aged"][number] }) {
  return (
    <>
      <Glyph state={asset.state} label />
      <span className={css.grow}>
        <To to={href(["assets", asset.asset])}>{asset.asset}</To>
        {asset.partition && <span className="mono"> {asset.partition}</span>}
        <span className={css.aside}>{asset.reason}</span>
      </span>
      {asset.owner && <span className={css.owner}>{asset.owner}</span>}
    </>
  );
}

function StaleLine({ stale }: { stale: Report["stale"] }) {
  const total = stale.stale + stale.failing;
  if (total === 0) return null;
  return (
    <div className={css.item}>
      <Glyph state={stale.failing > 0 ? "failing" : "stale"} label />
      <span className={css.grow}>
        {stale.failing > 0 && (
          <To to={href(["assets"], { state: "failing" })}>
            {stale.failing} asset{stale.failing === 1 ? "" : "s"} with a failed check
          </To>
        )}
        {stale.failing > 0 && stale.stale > 0 && ", "}
        {stale.stale > 0 && (
          <To to={href(["assets"], { state: "stale" })}>
            {stale.stale} stale asset{stale.stale === 1 ? "" : "s"}
          </To>
        )}
        <span className={css.aside}>
          {stale.first
            .slice(0, 4)
            .map((asset) => asset.asset)
            .join(", ")}
          {total > 4 && " ..."}
        </span>
      </span>
    </div>
  );
}

function GoingLine({ going }: { going: Report["running"][number] }) {
  const { run, done, total } = going;
  const state = run.paused ? "paused" : "running";
  return (
    <div className={css.going}>
      <Glyph state={state} label />
      <span className={css.goingName}>
        <To to={href(["runs", run.no])}>
          {run.pipeline} #{run.no}
        </To>
        {run.partition && <span className="mono"> {run.partition}</span>}
        {going.failed && <State state="failed" more="in part" />}
      </span>
      <span className={css.meter}>
        <Meter
          parts={[{ state, count: done }]}
          total={Math.max(1, total)}
          label={`${done} of ${total} steps`}
        />
      </span>
      <span className={css.steps}>
        {done} of {total} steps
      </span>
      <span className={css.took}>
        <Took
          from={run.started_at ?? run.created_at}
          usual={
            going.usual && { p10: going.usual.p10_s, p90: going.usual.p90_s, median: going.usual.median_s }
          }
        />
      </span>
      <span className={css.ends}>
        {going.ends_at ? (
          <>
            done <When at={going.ends_at} />
          </>
        ) : (
          going.usual && "longer than usual"
        )}
      </span>
    </div>
  );
}

function FillingLine({ filling }: { filling: Report["backfills"][number] }) {
  const parts = [
    { state: "failed", count: filling.failed },
    { state: "running", count: filling.done - filling.failed },
  ];
  return (
    <div className={css.going}>
      <Glyph state={filling.paused ? "paused" : "running"} label />
      <span className={css.goingName}>
        <To to={href(["backfills", filling.no])}>
          backfill #{filling.no} of {filling.target}
        </To>
      </span>
      <span className={css.meter}>
        <Meter
          parts={parts}
          total={Math.max(1, filling.total)}
          label={`${filling.done} of ${filling.total} parts`}
        />
      </span>
      <span className={css.steps}>
        {filling.done} of {filling.total} runs
      </span>
      <span className={css.took}>
        <Took from={filling.started_at} />
      </span>
      <span className={css.ends}>
        {filling.ends_at && (
          <>
            done <When at={filling.ends_at} />
          </>
        )}
      </span>
    </div>
  );
}

function Next({ ticks }: { ticks: Report["next"] }) {
  return (
    <ul className={css.next}>
      {ticks.slice(0, 8).map((tick) => (
        <li key={`${tick.namespace}/${tick.schedule}`}>
          <span className={css.tick}>
            <When at={tick.at} as="clock" />
          </span>{" "}
          <To to={href(["schedules", tick.namespace, tick.schedule])}>{tick.pipeline || tick.schedule}</To>{" "}
          <span className="dim">
            <When at={tick.at} />
          </span>
        </li>
      ))}
    </ul>
  );
}
