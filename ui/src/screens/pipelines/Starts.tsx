/** When a pipeline starts by itself: each schedule in words, its next five instants, and how to hold or press it. */
import { ActionIcon, Tooltip } from "@mantine/core";
import { IconPlayerPause, IconPlayerPlay, IconPlayerTrackNext } from "@tabler/icons-react";
import { useState } from "react";
import { type Schema, send, useGet, useSend } from "@/api/client";
import { useMay } from "@/api/session";
import { href, useGo } from "@/frame/address";
import { Confirm } from "@/parts/Confirm";
import { State } from "@/parts/State";
import { To } from "@/parts/To";
import { clock, day, useZone, weekday } from "@/parts/time";
import { Trouble } from "@/parts/Waiting";
import { When } from "@/parts/When";
import type { PipelineOf } from "./Pipeline";
import css from "./Pipeline.module.css";

export function Starts({ pipeline }: { pipeline: PipelineOf }) {
  if (pipeline.schedules.length === 0) return null;
  return (
    <section className={css.starts} aria-label="Schedules">
      {pipeline.schedules.map((spec) => (
        <Start key={String(spec.name)} namespace={pipeline.namespace} schedule={String(spec.name)} />
      ))}
    </section>
  );
}

function Start({ namespace, schedule }: { namespace: string; schedule: string }) {
  const path = { namespace, schedule };
  const why = useGet(
    "/api/v1/schedules/{namespace}/{schedule}/why",
    { path },
    { live: ["schedule_", "tick_"] },
  );
  const said = why.data;
  return (
    <div className={css.start}>
      <div className={css.when}>
        <To to={href(["schedules", namespace, schedule])} className={css.words}>
          {said?.words ?? schedule}
        </To>
        {said?.schedule.paused && <State state="paused" more={said.schedule.reason} />}
      </div>
      {why.error && <Trouble error={why.error} />}
      {said && <Coming next={said.next} paused={said.schedule.paused} />}
      {said && <Hold of={said.schedule} />}
    </div>
  );
}

/** The next instants; the day only where it changes. */
function Coming({ next, paused }: { next: (string | null)[]; paused: boolean }) {
  const [zone] = useZone();
  if (next.length === 0)
    return <span className="dim">{paused ? "no tick while it is paused" : "there is no tick to come"}</span>;
  return (
    <ol className={css.coming} aria-label="Next starts">
      {next.slice(0, 5).map((at, place) =>
        at === null ? null : (
          <li key={at}>
            {place === 0 ? (
              <strong>
                <When at={at} />
              </strong>
            ) : null}
            <time dateTime={at} title={at}>
              {place === 0 || day(at, zone) !== day(next[place - 1] ?? at, zone)
                ? `${weekday(at, zone)} `
                : ""}
              {clock(at, zone)}
            </time>
          </li>
        ),
      )}
    </ol>
  );
}

function Hold({ of }: { of: Schema<"Schedule"> }) {
  const path = { namespace: of.namespace, schedule: of.name };
  const may = useMay("operate", of.namespace);
  const go = useGo();
  const [asking, ask] = useState<"pause" | "trigger" | null>(null);
  const resume = useSend("post", "/api/v1/schedules/{namespace}/{schedule}/resume");
  const pause = useSend("post", "/api/v1/schedules/{namespace}/{schedule}/pause");
  const start = async () => {
    const run = await send("post", "/api/v1/schedules/{namespace}/{schedule}/trigger", { path, body: {} });
    go(href(["runs", run.no]));
  };
  return (
    <span className={css.hold}>
      {resume.error && <Trouble error={resume.error} />}
      <Tooltip label={of.paused ? `let ${of.name} go on` : `pause ${of.name}`}>
        <ActionIcon
          variant="default"
          disabled={!may}
          loading={resume.isPending}
          aria-label={of.paused ? `resume ${of.name}` : `pause ${of.name}`}
          onClick={() => (of.paused ? resume.mutate({ path, body: {} }) : ask("pause"))}
        >
          {of.paused ? <IconPlayerPlay size={14} /> : <IconPlayerPause size={14} />}
        </ActionIcon>
      </Tooltip>
      <Tooltip label={`one run now, as ${of.name} would start it`}>
        <ActionIcon
          variant="default"
          disabled={!may}
          aria-label={`trigger ${of.name}`}
          onClick={() => ask("trigger")}
        >
          <IconPlayerTrackNext size={14} />
        </ActionIcon>
      </Tooltip>
      <Confirm
        opened={asking === "pause"}
        onClose={() => ask(null)}
        title={`Pause ${of.name}?`}
        action="Pause"
        reason="optional"
        onConfirm={(reason) => pause.mutateAsync({ path, body: { reason } })}
      >
        <p>Its ticks are skipped until it is resumed. Runs that are going go on.</p>
      </Confirm>
      <Confirm
        opened={asking === "trigger"}
        onClose={() => ask(null)}
        title={`Run ${of.pipeline} now?`}
        action="Run now"
        onConfirm={start}
      >
        <p>
          One run with the parameters of schedule {of.name}. It is no tick: the next one comes as planned.
        </p>
      </Confirm>
    </span>
  );
}
