/** All about one step instance of a run: why it waits or how it died, then log, values, use, attempts, code. */

import { Select } from "@mantine/core";
import { lazy, Suspense } from "react";
import { type Schema, useGet } from "@/api/client";
import { useMay } from "@/api/session";
import { href, useChosen } from "@/frame/address";
import { Command } from "@/parts/Command";
import { GatePanel } from "@/parts/GatePanel";
import { Metadata } from "@/parts/Metadata";
import { State } from "@/parts/State";
import { quoted } from "@/parts/shell";
import { isOver } from "@/parts/states";
import { type Tab, Tabs } from "@/parts/Tabs";
import { To } from "@/parts/To";
import { Empty, Loaded, Skeleton } from "@/parts/Waiting";
import { Took, When } from "@/parts/When";
import { errorOf, howOf, ownFrame } from "./cause";
import { Instances } from "./Instances";
import css from "./Step.module.css";

const LogView = lazy(() => import("@/logs/LogView"));
const Values = lazy(() => import("./Values"));
const Resources = lazy(() => import("./Resources"));
const Attempts = lazy(() => import("./Attempts"));
const CodeTab = lazy(() => import("./CodeTab"));
const WhyTab = lazy(() => import("./WhyTab"));

export type StepOf = Schema<"Step">;
export type Place = { run: string; step: string; index: string };

const EVENTS = ["step_", "attempt_", "gate_", "run_ended"] as const;

/** The content of the inspector, and of the step's own page. */
export default function StepInspector({
  run,
  step,
  index = "",
}: {
  run: string;
  step: string;
  index?: string;
}) {
  const place = { run, step, index };
  const found = useGet(
    "/api/v1/runs/{run}/steps/{step}",
    { path: { run, step }, query: { index } },
    { live: EVENTS, liveRun: run },
  );
  return (
    <Loaded query={found} rows={8}>
      {(data) => <Inspected key={`${step} ${index}`} place={place} step={data} />}
    </Loaded>
  );
}

function Inspected({ place, step }: { place: Place; step: StepOf }) {
  const graph = useGet("/api/v1/runs/{run}/graph", { path: { run: place.run } }, { staleTime: 60_000 });
  const node = graph.data?.steps.find((each) => each.step === place.step);
  // The whole of a mapped step has no attempts of its own: its instances have.
  if (node?.mapped && !place.index) return <Instances place={place} states={node.states} />;
  return (
    <div className={css.step}>
      <Head place={place} step={step} isGate={node?.kind === "gate"} />
      {node?.kind === "gate" && <Gate place={place} step={step} />}
      <Parts place={place} step={step} />
      <Command line={commandOf(place)} />
    </div>
  );
}

function commandOf({ run, step, index }: Place): string {
  const name = index ? `${step}[${index}]` : step;
  return `partita logs ${run.length > 12 ? run.slice(0, 8) : run} ${quoted(name)}`;
}

function Head({ place, step, isGate }: { place: Place; step: StepOf; isGate: boolean }) {
  const last = step.attempts.at(-1);
  const waits = ["waiting", "ready", "retrying", "needs_attention"].includes(step.state);
  return (
    <>
      <div className={css.head}>
        <State state={step.state} />
        {step.started_at && (
          <span>
            <Took from={step.started_at} to={step.finished_at} />
          </span>
        )}
        <span className={css.of}>
          {step.finished_at ? (
            <>
              ended <When at={step.finished_at} />
            </>
          ) : step.started_at ? (
            <>
              begun <When at={step.started_at} />
            </>
          ) : null}
        </span>
        {step.attempts.length > 1 && <Which attempts={step.attempts} />}
        {last?.cached_from && <span className={css.of}>its result is from the cache</span>}
        {step.reused_from && (
          <span className={css.of}>
            reused from <To to={href(["runs", step.reused_from])}>an earlier run</To>
          </span>
        )}
      </div>
      {last?.failure && step.state !== "succeeded" && !isSkip(step.state) && (
        <div className={css.cause}>
          <span className={css.how}>{howOf(last.failure)}</span>
          {errorOf(last.failure) && <code className={css.error}>{errorOf(last.failure)}</code>}
          {last.failure.traceback && <Traceback text={last.failure.traceback} />}
        </div>
      )}
      {(waits || isSkip(step.state)) && !isGate && <Brief place={place} />}
    </>
  );
}

/** Where it broke: the frame of the user's own code first, then all of it. */
function Traceback({ text }: { text: string }) {
  const frame = ownFrame(text);
  return (
    <>
      {frame && (
        <div className={css.frame}>
          <span className={css.of}>
            <code>{`${frame.file}:${frame.line}`}</code> in <code>{frame.name}</code>
          </span>
          {frame.code && <code className={css.source}>{frame.code}</code>}
        </div>
      )}
      <details open>
        <summary>Traceback</summary>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard */}
        <pre className={css.trace} tabIndex={0}>
          {text}
        </pre>
      </details>
    </>
  );
}

/** Which attempt log, use and metadata are of. */
function Which({ attempts }: { attempts: StepOf["attempts"] }) {
  const [chosen, choose] = useChosen();
  const last = attempts.at(-1)?.attempt;
  const known = attempts.some((one) => String(one.attempt) === chosen.attempt);
  return (
    <Select
      aria-label="attempt"
      w={150}
      data={attempts.map((one) => ({
        value: String(one.attempt),
        label: `attempt ${one.attempt} of ${attempts.length}`,
      }))}
      value={known ? (chosen.attempt ?? null) : String(last)}
      onChange={(next) => choose({ attempt: next === String(last) ? undefined : (next ?? undefined) })}
      allowDeselect={false}
    />
  );
}

function isSkip(state: string): boolean {
  return state === "skipped" || state === "upstream_failed" || state === "cancelled";
}

/** Why it does not run, in a sentence; all of it stands under Why. */
function Brief({ place }: { place: Place }) {
  const why = useWhy(place);
  const reasons = why.data?.reasons ?? [];
  if (reasons.length === 0) return null;
  return (
    <div className={css.waits}>
      {reasons.slice(0, 3).map((reason, at) => (
        <span key={at}>{reason.text}</span>
      ))}
      {reasons.length > 3 && <span className={css.of}>{`and ${reasons.length - 3} more reasons`}</span>}
    </div>
  );
}

/** Why the step is as it is. */
export function useWhy({ run, step, index }: Place) {
  return useGet(
    "/api/v1/runs/{run}/steps/{step}/why",
    { path: { run, step }, query: { index } },
    { live: true, liveRun: run },
  );
}

/** What a person is asked, if the step is a gate. */
function Gate({ place, step }: { place: Place; step: StepOf }) {
  const approval = useGet(
    "/api/v1/runs/{run}/steps/{step}/approval",
    { path: { run: place.run, step: place.step }, query: { index: place.index } },
    { live: ["gate_"], liveRun: place.run },
  );
  if (!approval.data) return null;
  return <GatePanel approval={approval.data} open={!isOver(step.state)} />;
}

function Parts({ place, step }: { place: Place; step: StepOf }) {
  const [chosen, choose] = useChosen();
  const may = useMay("log.read");
  const { attempts } = step;
  const number = Number(chosen.attempt) || (attempts.at(-1)?.attempt ?? 0);
  const attempt = attempts.find((one) => one.attempt === number) ?? attempts.at(-1);
  const metadata = attempt?.metadata ?? [];
  const tabs: Tab[] = [
    {
      id: "log",
      name: "Log",
      key: "l",
      content: () =>
        !may ? (
          <NotAllowed />
        ) : attempt ? (
          <LogView
            where={{ ...place, attempt: attempt.attempt }}
            failed={attempt.state !== "succeeded" && attempt.state !== "started"}
          />
        ) : (
          <Empty title="No log yet">
            A step that was never started has written nothing. What it prints or logs will stand here as it
            comes.
          </Empty>
        ),
    },
    {
      id: "values",
      name: "In & out",
      key: "i",
      content: () => (may ? <Values place={place} state={step.state} /> : <NotAllowed />),
    },
    {
      id: "why",
      name: "Why",
      key: "w",
      content: () => <WhyTab place={place} />,
    },
    {
      id: "attempts",
      name: "Attempts",
      key: "a",
      ...(attempts.length > 1 ? { count: attempts.length } : {}),
      hidden: attempts.length === 0,
      content: () => <Attempts attempts={attempts} />,
    },
    {
      id: "use",
      name: "Resources",
      key: "u",
      hidden: attempts.length === 0,
      content: () => <Resources place={place} attempt={attempt} />,
    },
    {
      id: "code",
      name: "Code",
      key: "c",
      content: () => (may ? <CodeTab place={place} /> : <NotAllowed />),
    },
    {
      id: "metadata",
      name: "Metadata",
      key: "m",
      count: metadata.length,
      hidden: metadata.length === 0,
      content: () => <Metadata items={metadata} />,
    },
  ];
  return (
    <Tabs
      label="step"
      tabs={tabs.map((tab) => ({
        ...tab,
        content: () => (
          <div
            className={`${css.panel} ${["log", "code"].includes(tab.id) && attempts.length > 0 ? css.tall : ""}`}
          >
            <Suspense fallback={<Skeleton rows={6} />}>{tab.content()}</Suspense>
          </div>
        ),
      }))}
      at={chosen.pane ?? (attempts.length === 0 ? "why" : "log")}
      onChange={(pane) => choose({ pane })}
    />
  );
}

function NotAllowed() {
  return (
    <Empty title="This is not for everybody">
      Logs, values and code need the permission log.read here, which operators have. Whoever administers this
      service can give it.
    </Empty>
  );
}
