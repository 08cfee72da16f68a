/** A step of a run on a page of its own: wide enough for its log. */
import { useParams } from "@tanstack/react-router";
import { useGet } from "@/api/client";
import { href, useChosen } from "@/frame/address";
import { Page } from "@/parts/Page";
import { Loaded } from "@/parts/Waiting";
import css from "./Step.module.css";
import StepInspector from "./StepInspector";

export default function StepPage() {
  const { run, step } = useParams({ strict: false }) as { run: string; step: string };
  const [chosen] = useChosen();
  const index = chosen.index ?? "";
  const found = useGet("/api/v1/runs/{run}", { path: { run } }, { live: ["run_"] });
  const name = index ? `${step}[${index}]` : step;
  const no = found.data?.no;
  return (
    <Page
      title={`${name} · run ${no ?? run.slice(0, 8)}`}
      name={name}
      crumbs={[
        { text: "Runs", to: href(["runs"]) },
        ...(found.data?.pipeline
          ? [{ text: found.data.pipeline, to: href(["pipelines", found.data.pipeline]) }]
          : []),
        {
          text: no === undefined ? run.slice(0, 8) : `#${no}`,
          to: href(["runs", no ?? run], { step, index: index || undefined }),
        },
      ]}
      wide
    >
      <Loaded query={found}>
        {(data) => (
          <div className={css.page}>
            <StepInspector run={data.id} step={step} index={index} />
          </div>
        )}
      </Loaded>
    </Page>
  );
}
