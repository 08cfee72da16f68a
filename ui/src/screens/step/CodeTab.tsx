/** The code of a step as its run has it, and what became of it since. */
import { Select } from "@mantine/core";
import { lazy, Suspense } from "react";
import { useGet } from "@/api/client";
import { asProblem } from "@/api/problem";
import { useChosen } from "@/frame/address";
import { Copy } from "@/parts/Command";
import { Empty, Loaded, Skeleton, Trouble } from "@/parts/Waiting";
import css from "./Step.module.css";
import type { Place } from "./StepInspector";

const Code = lazy(() => import("@/parts/Code"));
const CodeDiff = lazy(() => import("@/parts/CodeDiff"));

export default function CodeTab({ place }: { place: Place }) {
  const [chosen, choose] = useChosen();
  const path = { run: place.run, step: place.step };
  const own = useGet("/api/v1/runs/{run}/steps/{step}/code", { path }, { staleTime: 600_000 });
  const project = own.data?.project ?? "";
  const versions = useGet(
    "/api/v1/projects/{project}/versions",
    { path: { project }, query: { limit: 20 } },
    { enabled: project !== "", staleTime: 30_000 },
  );
  const others = (versions.data?.items ?? []).filter((one) => one.code !== own.data?.code);
  const against = others.some((one) => one.code === chosen.against) ? chosen.against : undefined;
  // Its files are kept no more, or it was written by a tool: that is no failure of the page.
  if (own.error && asProblem(own.error).status === 409)
    return (
      <Empty title="This code is not kept">
        {asProblem(own.error).detail}. {asProblem(own.error).hint}.
      </Empty>
    );
  return (
    <Loaded query={own} rows={10}>
      {(code) => (
        <>
          <div className={css.codebar}>
            <code>{`${code.file}:${code.first}`}</code>
            <Copy text={`${code.file}:${code.first}`} label="copy the place" />
            <span className={css.of}>{`version ${code.code.slice(0, 8)}`}</span>
            {others.length > 0 && (
              <Select
                aria-label="compare with another version"
                placeholder="compare with …"
                data={others.map((one) => ({
                  value: one.code,
                  label: `${one.code.slice(0, 8)}${one.at ? ` of ${one.at.slice(0, 16).replace("T", " ")}` : ""}`,
                }))}
                value={against ?? null}
                onChange={(next) => choose({ against: next ?? undefined })}
                clearable
                w={230}
              />
            )}
          </div>
          {code.is_cut && <p className={css.of}>The file is longer than what is shown here.</p>}
          <div className={css.code}>
            <Suspense fallback={<Skeleton rows={10} />}>
              {against ? (
                <Compared place={place} against={against} text={code.text} file={code.file} />
              ) : (
                <Code
                  text={code.text}
                  file={code.file}
                  mark={{ first: code.first, last: code.last }}
                  label={`${code.file}, from line ${code.first}`}
                  height="100%"
                />
              )}
            </Suspense>
          </div>
        </>
      )}
    </Loaded>
  );
}

function Compared({
  place,
  against,
  text,
  file,
}: {
  place: Place;
  against: string;
  text: string;
  file: string;
}) {
  const other = useGet(
    "/api/v1/runs/{run}/steps/{step}/code",
    { path: { run: place.run, step: place.step }, query: { version: against } },
    { staleTime: 600_000 },
  );
  if (other.error) return <Trouble error={other.error} />;
  if (!other.data) return <Skeleton rows={10} />;
  if (other.data.text === text)
    return <Empty title="Nothing changed">This file is the same in both versions.</Empty>;
  return (
    <CodeDiff
      before={other.data.text}
      after={text}
      file={file}
      label={`${file}, version ${against.slice(0, 8)} compared with that of the run`}
      height="100%"
    />
  );
}
