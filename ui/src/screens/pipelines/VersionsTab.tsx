/** The versions of the project's code, and what differs between two of them: in the graph of this pipeline, and in the files. */
import { lazy, Suspense, useMemo } from "react";
import { type Schema, useGet, usePages } from "@/api/client";
import { useChosen } from "@/frame/address";
import { GraphView } from "@/graph/GraphView";
import { Choice } from "@/parts/Filters";
import { bytes } from "@/parts/Metadata";
import { Section } from "@/parts/Page";
import { Glyph } from "@/parts/State";
import { exact, useZone } from "@/parts/time";
import { Empty, Loaded, Skeleton, Trouble } from "@/parts/Waiting";
import { When } from "@/parts/When";
import { merged, type Step } from "./changes";
import type { TabProps } from "./Pipeline";
import css from "./Versions.module.css";

const CodeDiff = lazy(() => import("@/parts/CodeDiff"));
type Version = Schema<"Version">;
type Diff = Schema<"CodeDiff">;

export function VersionsTab(props: TabProps) {
  const { pipeline } = props;
  const versions = usePages(
    "/api/v1/projects/{project}/versions",
    { path: { project: pipeline.project } },
    { live: ["project_"] },
  );
  if (versions.error) return <Trouble error={versions.error} />;
  if (versions.isPending) return <Skeleton rows={8} />;
  const items = versions.items as Version[];
  if (items.length === 0)
    return (
      <Empty title="No version is kept" code="partita up">
        While it is served, each version of a project's code that was loaded is kept, and stands here.
      </Empty>
    );
  return <Shown {...props} versions={items} more={versions.hasMore ? versions.more : undefined} />;
}

function Shown({
  pipeline,
  name,
  versions,
  more,
}: TabProps & { versions: Version[]; more: (() => void) | undefined }) {
  const [chosen, choose] = useChosen();
  const place = Math.max(
    0,
    versions.findIndex((one) => one.code === chosen.version),
  );
  const code = versions[place]!.code;
  const against = chosen.against ?? versions[place + 1]?.code;
  return (
    <div className={css.both}>
      <ol className={css.list} aria-label="Versions">
        {versions.map((one, nth) => (
          <li key={one.code}>
            <button
              type="button"
              aria-current={one.code === code}
              className={css.version}
              onClick={() => choose({ version: one.code, against: undefined })}
            >
              <code>{one.code.slice(0, 10)}</code>
              {nth === 0 && <span className={css.served}>served</span>}
              <span className={css.at}>
                <When at={one.at} />
              </span>
              <span className={css.size}>{bytes(one.size)}</span>
            </button>
          </li>
        ))}
        {more && (
          <li>
            <button type="button" className={css.version} onClick={more}>
              Older ones
            </button>
          </li>
        )}
      </ol>
      <div className={css.diff}>
        {against === undefined ? (
          <Empty title={versions.length === 1 ? "There is one version" : "This is the oldest that is kept"}>
            What differs between two versions is shown here as soon as there is another one to compare with.
          </Empty>
        ) : (
          <>
            <Against
              versions={versions}
              code={code}
              against={against}
              onChange={(next) => choose({ against: next })}
            />
            <Differing
              key={`${code}:${against}`}
              pipeline={pipeline}
              name={name}
              code={code}
              against={against}
            />
          </>
        )}
      </div>
    </div>
  );
}

function Against({
  versions,
  code,
  against,
  onChange,
}: {
  versions: Version[];
  code: string;
  against: string;
  onChange: (code: string | undefined) => void;
}) {
  const [zone] = useZone();
  return (
    <div className={css.against}>
      <code>{code.slice(0, 10)}</code> against
      <Choice
        label="compare with"
        width={290}
        value={against}
        options={versions
          .filter((one) => one.code !== code)
          .map((one) => ({
            value: one.code,
            label: `${one.code.slice(0, 10)}${one.at ? ` of ${exact(one.at, zone).slice(0, 16)}` : ""}`,
          }))}
        onChange={onChange}
      />
    </div>
  );
}

function Differing({ pipeline, name, code, against }: TabProps & { code: string; against: string }) {
  const diff = useGet("/api/v1/projects/{project}/versions/{code}/diff", {
    path: { project: pipeline.project, code },
    query: { against },
  });
  return (
    <Loaded query={diff} rows={10}>
      {(data) => (
        <>
          <Graphs diff={data} pipeline={pipeline.name} name={name} />
          <Files diff={data} />
        </>
      )}
    </Loaded>
  );
}

/** The graph of this pipeline with what came, went and is another one; and which other pipelines differ. */
function Graphs({ diff, pipeline, name }: { diff: Diff; pipeline: string; name: string }) {
  const mine = diff.pipelines.find((one) => one.pipeline === pipeline);
  const others = diff.pipelines.filter((one) => one !== mine);
  return (
    <Section
      title="Graph"
      aside={
        others.length > 0 && `other pipelines that differ: ${others.map((one) => one.pipeline).join(", ")}`
      }
    >
      {!mine ? (
        <p className="dim">The graph of {pipeline} is the same in both.</p>
      ) : mine.change !== "changed" ? (
        <p className="dim">
          {pipeline} was {mine.change} with this version.
        </p>
      ) : (
        <Merged diff={diff} mine={mine} name={name} />
      )}
    </Section>
  );
}

function Merged({ diff, mine, name }: { diff: Diff; mine: Schema<"ChangedPipeline">; name: string }) {
  const path = { pipeline: name };
  const now = useGet("/api/v1/pipelines/{pipeline}/graph", { path, query: { version: diff.code } });
  const before = useGet("/api/v1/pipelines/{pipeline}/graph", { path, query: { version: diff.against } });
  const graph = useMemo(
    () => now.data && before.data && merged(now.data.steps as Step[], before.data.steps as Step[], mine),
    [now.data, before.data, mine],
  );
  const told = (
    [
      ["added", mine.steps_added],
      ["removed", mine.steps_removed],
      ["changed", mine.steps_changed],
    ] as const
  ).filter(([, steps]) => steps.length > 0);
  return (
    <>
      <ul className={css.changes}>
        {told.map(([kind, steps]) => (
          <li key={kind}>
            <Glyph state={kind} />
            <strong>
              {steps.length} {kind}
            </strong>
            <span className={css.steps} title={steps.join(", ")}>
              {steps.join(", ")}
            </span>
          </li>
        ))}
      </ul>
      {(now.error || before.error) && <Trouble error={now.error ?? before.error} />}
      {graph && (
        <GraphView
          label={`what differs in the graph of ${name}`}
          nodes={graph.nodes}
          edges={graph.edges}
          height="380px"
          focus={graph.nodes.find((node) => node.kind)?.id}
        />
      )}
    </>
  );
}

function Files({ diff }: { diff: Diff }) {
  const files = diff.files;
  return (
    <Section title="Code" aside={files && `${files.length} ${files.length === 1 ? "file" : "files"}`}>
      {files === null ? (
        <p className="dim">
          The files of one of the two are kept no more: the last twenty versions are, and those of open runs.
        </p>
      ) : files.length === 0 ? (
        <p className="dim">No file differs.</p>
      ) : (
        files.map((file) => (
          <details key={file.file} className={css.file} open={files.length <= 5}>
            <summary>
              <Glyph state={file.change} />
              <code>{file.file}</code>
              <span className={css.lines}>
                <span className={css.plus}>+{file.lines_added}</span>{" "}
                <span className={css.minus}>−{file.lines_removed}</span>
              </span>
            </summary>
            <Suspense fallback={<Skeleton rows={6} />}>
              <CodeDiff
                before={file.before}
                after={file.after}
                file={file.file}
                label={`what differs in ${file.file}`}
                height={360}
              />
            </Suspense>
            {file.is_cut && <p className="dim">The file is long; this is its beginning.</p>}
          </details>
        ))
      )}
    </Section>
  );
}
