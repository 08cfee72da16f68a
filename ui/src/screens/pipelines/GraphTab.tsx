/** The pipeline as a graph, as it is defined now; each step with how it ended in the last run and what it usually takes. */
import { useMemo } from "react";
import { useGet } from "@/api/client";
import { useChosen, useGo } from "@/frame/address";
import { type GraphNode, GraphView } from "@/graph/GraphView";
import { took } from "@/parts/time";
import { Empty, Loaded } from "@/parts/Waiting";
import { edgesOf, type Step } from "./changes";
import { stateOf } from "./grid";
import type { TabProps } from "./Pipeline";
import css from "./Pipeline.module.css";
import { runAt } from "./paths";

export function GraphTab({ name }: TabProps) {
  const graph = useGet(
    "/api/v1/pipelines/{pipeline}/graph",
    { path: { pipeline: name } },
    { live: ["project_"] },
  );
  return (
    <Loaded query={graph} rows={10}>
      {(data) =>
        data.steps.length === 0 ? (
          <Empty title="This pipeline has no steps">
            A step is a task that the pipeline's function calls.
          </Empty>
        ) : (
          <Drawn name={name} steps={data.steps} />
        )
      }
    </Loaded>
  );
}

function Drawn({ name, steps }: { name: string; steps: Step[] }) {
  const [chosen, choose] = useChosen();
  const go = useGo();
  const path = { pipeline: name };
  const usual = useGet("/api/v1/pipelines/{pipeline}/usual", { path }, { live: ["run_ended"] });
  const last = useGet(
    "/api/v1/pipelines/{pipeline}/grid",
    { path, query: { runs: 1 } },
    { live: ["run_", "step_"] },
  );
  const run = last.data?.runs[0];
  const states = useMemo(() => {
    const grid = last.data;
    return new Map(grid?.steps.map((step, at) => [step.step, stateOf(grid.states[0]?.[at] ?? ".")]));
  }, [last.data]);
  const medians = useMemo(
    () => new Map(usual.data?.items.map((one) => [one.step, one.median_s])),
    [usual.data],
  );
  const nodes = useMemo<GraphNode[]>(
    () =>
      steps.map((step) => ({
        id: step.step,
        label: step.step,
        group: step.group,
        state: states.get(step.step) || undefined,
        kind: step.mapped ? "mapped" : step.asset ? "asset" : undefined,
        note:
          [medians.has(step.step) && took(medians.get(step.step)), step.owner].filter(Boolean).join(" · ") ||
          undefined,
      })),
    [steps, states, medians],
  );
  const edges = useMemo(() => edgesOf(steps), [steps]);
  return (
    <>
      <p className={css.note}>
        {run
          ? `States are those of run ${run.no}, the last one; times are what each step usually takes.`
          : "It has never run."}{" "}
        {run && chosen.step && "Enter opens the step there."}
      </p>
      <GraphView
        label={`graph of ${name}`}
        nodes={nodes}
        edges={edges}
        selected={chosen.step}
        onSelect={(id) => choose({ step: id ?? undefined })}
        onOpen={(id) => run && go(runAt(run.no, id))}
        height="max(420px, calc(100vh - 360px))"
      />
    </>
  );
}
