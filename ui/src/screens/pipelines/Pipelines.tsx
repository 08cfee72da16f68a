/** All pipelines: how their last runs ended, when they start next, how long they take; what could not be loaded is on top. */

import { Tooltip } from "@mantine/core";
import { useMemo } from "react";
import { type Schema, useGet, usePages } from "@/api/client";
import { href, useChosen, useGo } from "@/frame/address";
import { Bars, Spark } from "@/parts/Bars";
import { Choice, Filters, Search } from "@/parts/Filters";
import { Page } from "@/parts/Page";
import { Glyph, State } from "@/parts/State";
import { quoted } from "@/parts/shell";
import { lookOf, rankOf } from "@/parts/states";
import { type Column, Export, Table } from "@/parts/Table";
import { To } from "@/parts/To";
import { took } from "@/parts/time";
import { Empty, Skeleton, Trouble } from "@/parts/Waiting";
import { When } from "@/parts/When";
import css from "./Pipelines.module.css";
import { nameOf, pipelineAt, runAt } from "./paths";
import { durationsOf, tookOf, trendOf, trendWords } from "./trend";

type Line = Schema<"PipelineLine">;
type Overview = Schema<"PipelinesOverview">;

const LIVE = ["run_", "schedule_", "tick_", "project_"] as const;
const CODE = `@pt.pipeline(schedule=pt.cron("0 3 * * *", tz="Europe/Berlin"), owner="ann")
def nightly(region: str = "eu"):
    load(clean(extract(region)))`;

export default function Pipelines() {
  const [chosen, choose] = useChosen();
  const go = useGo();
  const query = {
    q: chosen.q ?? "",
    state: chosen.state as Schema<"PipelineLine">["state"] & "failed",
    project: chosen.project,
    owner: chosen.owner,
    tag: chosen.tag,
  };
  const found = usePages("/api/v1/pipelines-overview", { query }, { live: LIVE, keep: true });
  const first = found.data?.pages[0] as Overview | undefined;
  const items = found.items as Line[];
  const facets = first?.facets;
  const isShared = (facets?.projects.length ?? 0) > 1;
  const columns = useMemo(() => columnsOf(sharedNames(items), choose), [items, choose]);
  const only = [query.owner && ` --owner ${quoted(query.owner)}`, query.tag && ` --tag ${quoted(query.tag)}`];
  return (
    <Page
      title="Pipelines"
      wide
      command={`partita list --kind pipelines${only.filter(Boolean).join("")}`}
      facts={facets && <Told facets={facets} state={chosen.state} choose={choose} />}
    >
      <Broken />
      {first?.all !== 0 && (
        <Filters
          aside={
            first && (
              <>
                {first.total === first.all ? `${first.all} pipelines` : `${first.total} of ${first.all}`}
                <Export columns={columns} rows={items} name="pipelines" />
              </>
            )
          }
        >
          <Search
            value={query.q}
            onChange={(q) => choose({ q })}
            placeholder="Name, words, owner, tag"
            label="Search pipelines"
          />
          {facets && <Choices facets={facets} chosen={chosen} choose={choose} />}
        </Filters>
      )}
      {found.error && <Trouble error={found.error} again={() => void found.refetch()} />}
      {found.isPending ? (
        <Skeleton rows={12} />
      ) : first?.all === 0 ? (
        <Empty title="No pipelines yet" code={CODE}>
          A pipeline is a function that says which tasks run on what. Each that your project defines stands
          here, with its last runs, its next start and how long it takes.
        </Empty>
      ) : (
        <Table
          name="pipelines"
          columns={columns}
          rows={items}
          rowKey={(row) => `${row.project}/${row.name}`}
          onOpen={(row) => go(pipelineAt(nameOf(row, sharedNames(items).has(row.name))))}
          more={found.more}
          hasMore={found.hasMore}
          groupOf={isShared && !query.project ? (row) => row.project : undefined}
          empty={<p className="dim">No pipeline is like that.</p>}
        />
      )}
    </Page>
  );
}

/** Names that several projects have. */
function sharedNames(items: Line[]): Set<string> {
  const seen = new Set<string>();
  return new Set(items.filter(({ name }) => seen.has(name) || !seen.add(name)).map(({ name }) => name));
}

type Choose = (change: Record<string, string | undefined>) => void;

function columnsOf(shared: Set<string>, choose: Choose): Column<Line>[] {
  return [
    {
      id: "pipeline",
      head: "Pipeline",
      value: (row) => row.name,
      cell: (row) => (
        <span className={css.name}>
          <Glyph state={row.state === "never" ? "missing" : row.state} label />
          <To to={pipelineAt(nameOf(row, shared.has(row.name)))} title={row.name}>
            {row.name}
          </To>
          <span className={css.what} title={row.description}>
            {row.description.replace(/[*`]/g, "")}
          </span>
        </span>
      ),
    },
    {
      id: "runs",
      head: "Last runs",
      width: "186px",
      value: (row) => rankOf(row.state),
      cell: (row) => <LastRuns of={row} />,
    },
    {
      id: "last",
      head: "Last",
      width: "92px",
      wide: true,
      value: (row) => row.runs[0]?.created_at,
      cell: (row) => <When at={row.runs[0]?.created_at} />,
    },
    {
      id: "usual",
      head: "Usually takes",
      width: "222px",
      wide: true,
      value: (row) => row.usual?.median,
      cell: (row) => <Usual of={row} />,
    },
    {
      id: "next",
      head: "Next",
      width: "104px",
      wide: true,
      value: (row) => row.next_at,
      cell: (row) => <Next of={row} />,
    },
    {
      id: "owner",
      head: "Owner",
      width: "112px",
      wide: true,
      value: (row) => row.owner,
      cell: (row) =>
        row.owner && (
          <button type="button" className={css.link} onClick={() => choose({ owner: row.owner })}>
            {row.owner}
          </button>
        ),
    },
    {
      id: "tags",
      head: "Tags",
      width: "120px",
      wide: true,
      value: (row) => row.tags.join(" "),
      cell: (row) => (
        <span className={css.tags} title={row.tags.join(", ")}>
          {row.tags.map((tag) => (
            <button key={tag} type="button" className={css.tag} onClick={() => choose({ tag })}>
              {tag}
            </button>
          ))}
        </span>
      ),
    },
  ];
}

function LastRuns({ of }: { of: Line }) {
  if (of.runs.length === 0) return <span className="dim">never run</span>;
  return (
    <Bars
      bars={of.runs.toReversed().map((run) => ({
        state: run.state,
        seconds: tookOf(run),
        title: `run ${run.no}${run.partition ? ` of ${run.partition}` : ""}`,
        to: runAt(run.no),
      }))}
    />
  );
}

function Usual({ of }: { of: Line }) {
  const durations = durationsOf(of.runs);
  if (!of.usual) return <span className="dim">–</span>;
  const trend = trendOf(durations);
  const words = trendWords(trend);
  const range = `${took(of.usual.p10)} to ${took(of.usual.p90)} in ${of.usual.count} runs`;
  return (
    <Tooltip label={words ? `${range}; lately ${words}` : range}>
      <span className={css.usual}>
        <span className={css.seconds}>{took(of.usual.median)}</span>
        {durations.length > 1 && <Spark values={durations} width={72} label={`durations: ${range}`} />}
        {trend !== null && Math.abs(trend) >= 0.25 && (
          <span className={trend > 0 ? css.longer : css.shorter}>
            {trend > 0 ? "↑" : "↓"} {Math.round(Math.abs(trend) * 100)} %
          </span>
        )}
      </span>
    </Tooltip>
  );
}

function Next({ of }: { of: Line }) {
  if (of.paused) return <State state="paused" reason={of.schedules[0]?.reason} />;
  if (!of.next_at)
    return <span className="dim">{of.schedules.length > 0 ? "no tick to come" : "when asked"}</span>;
  return (
    <Tooltip label={of.schedules.map((one) => `${one.name}: ${one.words}`).join("; ")} multiline maw={420}>
      <span>
        <When at={of.next_at} />{" "}
        <span className="dim">{of.schedules.length > 1 && `+${of.schedules.length - 1}`}</span>
      </span>
    </Tooltip>
  );
}

/** How many ended how, the last time; a click shows those. */
function Told({
  facets,
  state,
  choose,
}: {
  facets: Schema<"PipelineFacets">;
  state: string | undefined;
  choose: Choose;
}) {
  return (
    <div className={css.told} role="group" aria-label="By their last run">
      {facets.states
        .toSorted((a, b) => rankOf(a.value) - rankOf(b.value))
        .map((facet) => (
          <button
            key={facet.value}
            type="button"
            className={css.chip}
            aria-pressed={state === facet.value}
            onClick={() => choose({ state: state === facet.value ? undefined : facet.value })}
          >
            <Glyph state={facet.value === "never" ? "missing" : facet.value} size={13} />
            <strong>{facet.count}</strong> {facet.value === "never" ? "never run" : lookOf(facet.value).word}
          </button>
        ))}
    </div>
  );
}

const FIELDS = [
  ["project", "projects", "Project", 1],
  ["owner", "owners", "Owner", 0],
  ["tag", "tags", "Tag", 0],
] as const;

function Choices({
  facets,
  chosen,
  choose,
}: {
  facets: Schema<"PipelineFacets">;
  chosen: Record<string, string | undefined>;
  choose: Choose;
}) {
  return FIELDS.filter(([, of, , least]) => facets[of].length > least).map(([name, of, label]) => (
    <Choice
      key={name}
      label={label}
      value={chosen[name]}
      options={facets[of].map((facet) => ({ value: facet.value, label: `${facet.value} (${facet.count})` }))}
      onChange={(value) => choose({ [name]: value })}
    />
  ));
}

/** Projects of which something could not be loaded: what, where, what to do. */
function Broken() {
  const projects = useGet("/api/v1/projects", {}, { live: ["project_"] });
  const bad = (projects.data?.items ?? []).filter(
    (one) => one.active && (one.problems.length > 0 || one.error),
  );
  return bad.map((project) => (
    <section key={project.project} className={css.broken} aria-label={`Problems of ${project.project}`}>
      <h2>
        <Glyph state="failed" />
        {project.error
          ? `${project.project} could not be loaded`
          : `${project.project}: ${project.problems.length === 1 ? "a definition is" : `${project.problems.length} definitions are`} wrong`}
        <To to={href(["system"], { tab: "projects" })}>project</To>
      </h2>
      {project.error && <p>{project.error}. What was loaded before goes on.</p>}
      {project.problems.map((problem, at) => (
        <div key={at} className={css.problem}>
          <p>
            {problem.file && (
              <code>
                {problem.file}
                {problem.line ? `:${problem.line}` : ""}
              </code>
            )}{" "}
            {problem.message}
          </p>
          {problem.hint && <p className="dim">{problem.hint}</p>}
          {problem.traceback && (
            <details>
              <summary>Traceback</summary>
              <pre>{problem.traceback}</pre>
            </details>
          )}
        </div>
      ))}
    </section>
  ));
}
