/** The head of a run: its state and since when, who or what started it, on which code, with which parameters. */
import { useGet } from "@/api/client";
import { href } from "@/frame/address";
import { Key } from "@/parts/Command";
import { Fact } from "@/parts/Page";
import { Glyph, State } from "@/parts/State";
import { isOver } from "@/parts/states";
import { To } from "@/parts/To";
import { Took, When } from "@/parts/When";
import type { RunOf } from "./Run";
import css from "./Run.module.css";

/** What a run is called: its pipeline and partition, or what was selected. */
export function runName(run: RunOf): string {
  const what = run.pipeline || (run.selection ?? []).slice(0, 3).join(", ") || "assets";
  return run.partition ? `${what} ${run.partition}` : what;
}

export function Facts({ run }: { run: RunOf }) {
  const params = Object.entries(run.params);
  return (
    <>
      <State
        state={run.paused && !isOver(run.state) ? "paused" : run.state}
        soft
        more={<Since run={run} />}
      />
      <Fact name="started">
        <When at={run.started_at ?? run.created_at} /> by <StartedBy run={run} />
      </Fact>
      <Version run={run} />
      {params.length > 0 && (
        <Fact name="with">
          <span className={css.params}>
            {params.slice(0, 6).map(([name, value]) => (
              <code key={name} className={css.param} title={`${name}=${said(value)}`}>
                {name}={said(value)}
              </code>
            ))}
            {params.length > 6 && <span className="dim">and {params.length - 6} more</span>}
          </span>
        </Fact>
      )}
      {run.tags.map((tag) => (
        <To key={tag} to={href(["runs"], { tag })} className={css.tag}>
          {tag}
        </To>
      ))}
      <Kin run={run} />
      {run.reason && isOver(run.state) && <span className="dim">{run.reason}</span>}
    </>
  );
}

function Since({ run }: { run: RunOf }) {
  if (run.finished_at && run.started_at)
    return (
      <>
        after <Took from={run.started_at} to={run.finished_at} />, <When at={run.finished_at} />
      </>
    );
  if (run.finished_at) return <When at={run.finished_at} />;
  return (
    <>
      for <Took from={run.started_at ?? run.created_at} />
      {run.cancel_requested ? ", is being cancelled" : ""}
    </>
  );
}

/** A person, a schedule's tick, a sensor, a backfill or another run. */
function StartedBy({ run }: { run: RunOf }) {
  const [kind, name = ""] = run.origin.split(":");
  if (kind === "sched")
    return (
      <>
        schedule <To to={href(["schedules", run.namespace, name])}>{name}</To>
      </>
    );
  if (kind === "sensor")
    return (
      <>
        sensor <To to={href(["sensors", run.namespace, name])}>{name}</To>
      </>
    );
  if (kind === "backfill")
    return (
      <>
        <To to={href(["backfills", name])}>a backfill</To>, {run.by}
      </>
    );
  return <>{run.by || kind}</>;
}

/** The code it ended on, and whether that is the code of the last run that went well. */
function Version({ run }: { run: RunOf }) {
  const good = useGet(
    "/api/v1/runs",
    { query: { pipeline: run.pipeline, state: ["succeeded"], until: run.created_at ?? undefined, limit: 1 } },
    { staleTime: 60_000, enabled: run.pipeline !== "" },
  );
  const before = good.data?.items.find((each) => each.id !== run.id);
  return (
    <Fact name="code">
      <Key short>{run.code}</Key>
      {before && before.code !== run.code && (
        <To
          to={href(["pipelines", run.pipeline], { tab: "versions", version: run.code, against: before.code })}
          title={`what has changed since run ${before.no}, the last good one`}
        >
          changed since #{before.no}
        </To>
      )}
      {before && before.code === run.code && (
        <span className="dim"> as in #{before.no}, the last good one</span>
      )}
    </Fact>
  );
}

/** The run that this one repeats, and the ones that repeat this one. */
function Kin({ run }: { run: RunOf }) {
  const later = useGet(
    "/api/v1/runs/{run}/reruns",
    { path: { run: run.id } },
    { live: ["run_created", "run_ended"], staleTime: 60_000, enabled: isOver(run.state) },
  );
  const repeated = later.data?.items ?? [];
  return (
    <>
      {run.rerun_of && (
        <Fact name="retry of">
          <Parent id={run.rerun_of} />
        </Fact>
      )}
      {repeated.map((each) => (
        <Fact key={each.id} name="retried as">
          <To to={href(["runs", each.no])} className={css.kin}>
            <Glyph state={each.state} size={12} label /> #{each.no}
          </To>
        </Fact>
      ))}
    </>
  );
}

function Parent({ id }: { id: string }) {
  const query = useGet("/api/v1/runs/{run}", { path: { run: id } }, { staleTime: 60_000 });
  const before = query.data;
  return (
    <To to={href(["runs", before?.no ?? id])} className={css.kin}>
      {before && <Glyph state={before.state} size={12} label />} #{before?.no ?? id.slice(0, 8)}
    </To>
  );
}

function said(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length > 40 ? `${text.slice(0, 39)}…` : text;
}
