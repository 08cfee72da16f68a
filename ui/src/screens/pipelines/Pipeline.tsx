/** One pipeline: what it is and when it starts, its history by steps, days and durations, its graph, versions and launch form. */
import { Button } from "@mantine/core";
import { IconPlayerPlay } from "@tabler/icons-react";
import { useParams } from "@tanstack/react-router";
import { lazy, Suspense } from "react";
import { type Schema, useGet } from "@/api/client";
import { useMay } from "@/api/session";
import { href, useChosen } from "@/frame/address";
import { useShortcut } from "@/frame/shortcuts";
import { Bars } from "@/parts/Bars";
import { Fact, Page } from "@/parts/Page";
import { quoted } from "@/parts/shell";
import { Tabs } from "@/parts/Tabs";
import { To } from "@/parts/To";
import { rough } from "@/parts/time";
import { Loaded, Skeleton } from "@/parts/Waiting";
import { CalendarTab } from "./CalendarTab";
import { DurationsTab } from "./DurationsTab";
import { GraphTab } from "./GraphTab";
import { GridTab } from "./GridTab";
import { Launch } from "./Launch";
import css from "./Pipeline.module.css";
import { runAt } from "./paths";
import { RunsTab } from "./RunsTab";
import { Starts } from "./Starts";
import { tookOf } from "./trend";
import { VersionsTab } from "./VersionsTab";

export type PipelineOf = Schema<"Pipeline">;
/** `name` is how the address calls it, maybe with its project. */
export type TabProps = { pipeline: PipelineOf; name: string };

const Markdown = lazy(() => import("@/parts/Markdown"));

export default function Pipeline() {
  const { pipeline: name } = useParams({ strict: false }) as { pipeline: string };
  const query = useGet("/api/v1/pipelines/{pipeline}", { path: { pipeline: name } }, { live: ["project_"] });
  return (
    <Loaded query={query} rows={12}>
      {(pipeline) => <Shown key={name} pipeline={pipeline} name={name} />}
    </Loaded>
  );
}

function Shown({ pipeline, name }: TabProps) {
  const [chosen, choose] = useChosen();
  const may = useMay("operate", pipeline.namespace);
  const show = (tab: string) => choose({ tab });
  useShortcut("n", () => show("launch"), "start a run", may);
  const of = { pipeline, name };
  const tab = chosen.tab ?? "grid";
  return (
    <Page
      title={pipeline.name}
      wide
      crumbs={[{ text: "Pipelines", to: "/pipelines" }]}
      facts={<Facts pipeline={pipeline} name={name} />}
      actions={
        <Button
          variant="filled"
          leftSection={<IconPlayerPlay size={14} />}
          onClick={() => show("launch")}
          disabled={!may}
          title={may ? "start a run (n)" : "This needs the permission `operate`"}
        >
          Run…
        </Button>
      }
      command={`partita runs ${quoted(pipeline.name)}`}
    >
      {pipeline.description && (
        <div className={css.about}>
          <Suspense fallback={<Skeleton rows={2} />}>
            <Markdown text={pipeline.description} />
          </Suspense>
        </div>
      )}
      <Starts pipeline={pipeline} />
      <Tabs
        label="pipeline"
        at={tab}
        onChange={show}
        tabs={[
          { id: "grid", name: "Grid", content: () => <GridTab {...of} /> },
          { id: "graph", name: "Graph", key: "g", content: () => <GraphTab {...of} /> },
          { id: "calendar", name: "Calendar", key: "c", content: () => <CalendarTab {...of} /> },
          { id: "durations", name: "Durations", key: "d", content: () => <DurationsTab {...of} /> },
          { id: "runs", name: "Runs", content: () => <RunsTab {...of} /> },
          { id: "versions", name: "Versions", key: "v", content: () => <VersionsTab {...of} /> },
          { id: "launch", name: "Launch", content: () => <Launch {...of} /> },
        ]}
      />
    </Page>
  );
}

function Facts({ pipeline, name }: TabProps) {
  const past = useGet(
    "/api/v1/pipelines/{pipeline}/durations",
    { path: { pipeline: name }, query: { runs: 30 } },
    { live: ["run_"] },
  );
  return (
    <>
      {past.data && past.data.items.length > 0 && (
        <Bars
          bars={past.data.items.map(({ run }) => ({
            state: run.state,
            seconds: tookOf(run),
            title: `run ${run.no}${run.partition ? ` of ${run.partition}` : ""}`,
            to: runAt(run.no),
          }))}
        />
      )}
      {pipeline.owner && (
        <Fact name="owner">
          <To to={href(["pipelines"], { owner: pipeline.owner })}>{pipeline.owner}</To>
        </Fact>
      )}
      <Fact name="project">
        <To to={href(["pipelines"], { project: pipeline.project })}>{pipeline.project}</To>
      </Fact>
      <Fact name="steps">{pipeline.steps.length.toLocaleString("en")}</Fact>
      {pipeline.partitions && <Fact name="partitions">{String(pipeline.partitions.kind)}</Fact>}
      {limitsOf(pipeline).map(([what, said]) => (
        <Fact key={what} name={what}>
          {said}
        </Fact>
      ))}
      {pipeline.tags.map((tag) => (
        <To key={tag} className={css.tag} to={href(["pipelines"], { tag })}>
          {tag}
        </To>
      ))}
      {pipeline.written_at && (
        <Fact name="written at">
          <code>{pipeline.written_at}</code>
        </Fact>
      )}
    </>
  );
}

/** Limits and deadlines, in words. */
export function limitsOf(pipeline: PipelineOf): [string, string][] {
  const found: [string, string][] = [];
  if (pipeline.max_runs !== null) found.push(["runs at once", String(pipeline.max_runs)]);
  if (pipeline.max_steps !== null) found.push(["steps at once", String(pipeline.max_steps)]);
  for (const one of pipeline.concurrency ?? [])
    found.push([`at once for each ${String(one.key)}`, String(one.limit)]);
  if (pipeline.timeout_s !== null) found.push(["timeout", rough(pipeline.timeout_s)]);
  if (pipeline.priority) found.push(["priority", String(pipeline.priority)]);
  if (pipeline.fail_fast) found.push(["at a failure", "ends at once"]);
  for (const one of pipeline.deadlines ?? []) found.push(["deadline", deadlineOf(one)]);
  return found;
}

function deadlineOf(one: { [name: string]: unknown }): string {
  const subject = one.subject && one.of !== "run" ? `${String(one.subject)} ` : "";
  if (typeof one.after_s === "number") return `${subject}${rough(one.after_s)} after the start`;
  return `${subject}by ${String(one.at)} ${String(one.tz)}`;
}
