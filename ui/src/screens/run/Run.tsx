/** A run: what broke first, what its steps do and did, and what can be done about it. */

import { IconRefresh } from "@tabler/icons-react";
import { useMatch } from "@tanstack/react-router";
import { lazy, Suspense, useCallback, useMemo } from "react";
import { type Schema, useGet } from "@/api/client";
import { href, useChosen } from "@/frame/address";
import { Inspector } from "@/frame/Inspector";
import { Page } from "@/parts/Page";
import { Counts } from "@/parts/State";
import { quoted } from "@/parts/shell";
import { isOver } from "@/parts/states";
import { Tabs } from "@/parts/Tabs";
import { To } from "@/parts/To";
import { Loaded, Skeleton } from "@/parts/Waiting";
import { Actions } from "./Actions";
import { Causes } from "./Causes";
import { type All, nameOf } from "./columns";
import { EventsTab } from "./EventsTab";
import { Facts, runName } from "./Facts";
import { GraphTab } from "./GraphTab";
import { GridTab } from "./GridTab";
import css from "./Run.module.css";
import { TableTab } from "./TableTab";
import { TimelineTab } from "./TimelineTab";
import { useInstances } from "./useInstances";
import { Waits } from "./Waits";

/** A graph needs room: on a phone the list comes first. */
const FIRST = matchMedia("(max-width: 640px)").matches ? "table" : "graph";

const StepInspector = lazy(() => import("../step/StepInspector"));

export type RunOf = Schema<"Run">;
export type Selection = { step: string; index: string } | null;
export type Select = (step: string | null, index?: string) => void;
export type TabProps = { run: RunOf; all: All; selected: Selection; select: Select };

export default function Run() {
  const { run: name } = useMatch({ strict: false }).params as { run: string };
  const query = useGet(
    "/api/v1/runs/{run}",
    { path: { run: name } },
    { live: ["run_", "cancel_", "pause_", "resume_"] },
  );
  return (
    <Loaded query={query} rows={10}>
      {(run) => <Known key={run.id} run={run} />}
    </Loaded>
  );
}

function Known({ run }: { run: RunOf }) {
  const [chosen, choose] = useChosen();
  const instances = useInstances(run.id);
  const why = useGet(
    "/api/v1/runs/{run}/why",
    { path: { run: run.id } },
    {
      live: ["run_", "step_ended", "step_retried", "gate_", "pause_", "resume_"],
      liveRun: run.id,
      staleTime: 5000,
    },
  );
  const selected = useMemo<Selection>(
    () => (chosen.step ? { step: chosen.step, index: chosen.index ?? "" } : null),
    [chosen.step, chosen.index],
  );
  const select = useCallback<Select>(
    (step, index) => choose({ step: step ?? undefined, index: index || undefined }),
    [choose],
  );
  const close = useCallback(() => select(null), [select]);
  const title = runName(run);
  return (
    <Page
      title={`${title} #${run.no}`}
      name={
        <>
          {title} <span className={css.no}>#{run.no}</span>
        </>
      }
      crumbs={[
        { text: "Runs", to: href(["runs"]) },
        ...(run.pipeline ? [{ text: run.pipeline, to: href(["pipelines", run.pipeline]) }] : []),
      ]}
      facts={<Facts run={run} />}
      actions={<Actions run={run} all={instances.data} selected={selected} />}
      command={commandOf(run, selected)}
      wide
    >
      <Waits run={run} why={why.data} select={select} />
      {why.data && why.data.causes.length > 0 && (
        <Causes causes={why.data.causes} select={select} narrow={selected !== null} />
      )}
      <Loaded query={instances} rows={12}>
        {(all) => (
          <Views
            run={run}
            all={all}
            selected={selected}
            select={select}
            tab={chosen.tab ?? FIRST}
            why={why.data}
          />
        )}
      </Loaded>
      {selected && (
        <Inspector
          title={
            <To to={href(["runs", run.no, "steps", selected.step], { index: selected.index || undefined })}>
              {nameOf(selected.step, selected.index)}
            </To>
          }
          onClose={close}
        >
          <Suspense fallback={<Skeleton rows={8} />}>
            <StepInspector run={run.id} step={selected.step} index={selected.index} />
          </Suspense>
        </Inspector>
      )}
    </Page>
  );
}

function Views({
  run,
  all,
  selected,
  select,
  tab,
  why,
}: TabProps & { tab: string; why: Schema<"RunWhy"> | undefined }) {
  const [, choose] = useChosen();
  const props = { run, all, selected, select };
  const mapped = all.steps.filter((step) => step.mapped && step.indexes.length > 1);
  const instances = mapped.reduce((sum, step) => sum + step.indexes.length, 0);
  return (
    <Tabs
      label="Views of the run"
      at={tab}
      onChange={(id) => choose({ tab: id === FIRST ? undefined : id })}
      aside={
        <span className={css.sum} data-testid="counts">
          {!isOver(run.state) && all.counts.running ? (
            <IconRefresh size={13} aria-hidden className={css.live} />
          ) : null}
          <Counts counts={all.counts} brief />
        </span>
      }
      tabs={[
        { id: "graph", name: "Graph", key: "g", content: () => <GraphTab {...props} why={why} /> },
        { id: "timeline", name: "Timeline", key: "t", content: () => <TimelineTab {...props} /> },
        { id: "table", name: "Table", key: "a", content: () => <TableTab {...props} /> },
        {
          id: "grid",
          name: "Grid",
          key: "i",
          count: instances,
          hidden: mapped.length === 0,
          content: () => <GridTab {...props} />,
        },
        { id: "events", name: "Events", key: "e", content: () => <EventsTab {...props} /> },
      ]}
    />
  );
}

function commandOf(run: RunOf, selected: Selection): string {
  if (selected) return `partita why ${run.no} ${quoted(nameOf(selected.step, selected.index))}`;
  return `partita show ${run.no}`;
}
