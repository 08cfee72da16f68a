/** All runs: a list with filters, or a picture over time. What is chosen is in the address. */

import { SegmentedControl, TextInput } from "@mantine/core";
import { useEffect, useMemo, useState } from "react";
import { type Asked, useGet, usePages } from "@/api/client";
import { type Chosen, href, useChosen } from "@/frame/address";
import { useShortcut } from "@/frame/shortcuts";
import { Choice, Filters, More, Search } from "@/parts/Filters";
import { Page } from "@/parts/Page";
import { Glyph } from "@/parts/State";
import { quoted } from "@/parts/shell";
import { lookOf } from "@/parts/states";
import { To } from "@/parts/To";
import { exact, useZone } from "@/parts/time";
import { Empty } from "@/parts/Waiting";
import { Bulk } from "./Bulk";
import { useColumns } from "./columns";
import { FloorView } from "./FloorView";
import { PAGE, RunList } from "./RunList";
import css from "./Runs.module.css";

const STATES = ["failed", "running", "queued", "succeeded", "cancelled"];

const ORIGINS = [
  { value: "sched:", label: "a schedule" },
  { value: "sensor:", label: "a sensor" },
  { value: "auto:", label: "automation" },
  { value: "backfill:", label: "a backfill" },
  { value: "rerun:", label: "a retry" },
  { value: "api:", label: "the API or this UI" },
  { value: "cli:", label: "the command line" },
];

const AGES: [string, string, number][] = [
  ["1h", "last hour", 3_600_000],
  ["24h", "last 24 hours", 86_400_000],
  ["7d", "last 7 days", 7 * 86_400_000],
  ["30d", "last 30 days", 30 * 86_400_000],
];

const FILTERS = ["q", "pipeline", "state", "partition", "tag", "by", "origin", "since", "until"];

/** Those that a phone shows only when asked. */
const FOLDED = ["pipeline", "state", "partition", "tag", "by", "origin", "since"];

/** So many runs a search looks through at once. */
const LOOKED_THROUGH = 10_000;

export default function Runs() {
  const [chosen, choose] = useChosen();
  const [picked, pick] = useState<Set<string>>(new Set());
  const view = chosen.view === "timeline" ? "timeline" : "list";
  useShortcut("t", () => choose({ view: view === "list" ? "timeline" : undefined }), "list or timeline");
  const query = useQueryOf(chosen);
  const runs = usePages("/api/v1/runs", { query }, { live: ["run_"], keep: true, enabled: view === "list" });
  const columns = useColumns(runs.items);
  const filtered = FILTERS.some((name) => chosen[name]);
  const rows = useMemo(() => runs.items.filter((run) => picked.has(run.id)), [runs.items, picked]);
  return (
    <Page
      title="Runs"
      wide
      actions={
        <SegmentedControl
          aria-label="View"
          data={[
            { value: "list", label: "List" },
            { value: "timeline", label: "Timeline" },
          ]}
          value={view}
          onChange={(next) => choose({ view: next === "list" ? undefined : next }, { push: true })}
        />
      }
      command={commandOf(chosen)}
    >
      <Bar
        view={view}
        onClear={
          filtered ? () => choose(Object.fromEntries(FILTERS.map((name) => [name, undefined]))) : undefined
        }
      />
      {view === "timeline" ? (
        <FloorView />
      ) : (
        <>
          <RunList
            runs={runs}
            columns={columns}
            picked={picked}
            onPick={pick}
            empty={filtered ? <NoneFits /> : <NoneYet />}
            bound={query.q || query.origin ? LOOKED_THROUGH : undefined}
          />
          <Bulk runs={rows} onDone={() => pick(new Set())} />
        </>
      )}
    </Page>
  );
}

/** What the API is asked for. An age is made an instant once, so that the question stays the same. */
function useQueryOf(chosen: Chosen): NonNullable<Asked<"/api/v1/runs">["query"]> {
  const { q, pipeline, state, partition, tag, by, origin, since, until } = chosen;
  const from = useMemo(() => instantOf(since), [since]);
  return {
    q,
    pipeline,
    state: state ? (state.split(",") as never[]) : undefined,
    partition,
    tag,
    by,
    origin,
    since: from,
    until,
    limit: PAGE,
  };
}

function instantOf(since: string | undefined): string | undefined {
  const age = AGES.find(([id]) => id === since);
  return age ? new Date(Math.floor((Date.now() - age[2]) / 1000) * 1000).toISOString() : since;
}

function Bar({ view, onClear }: { view: string; onClear?: () => void }) {
  const [chosen, choose] = useChosen();
  const pipelines = useGet("/api/v1/pipelines", { query: { limit: 500 } }, { staleTime: 60_000 });
  const names = useMemo(
    () => [...new Set((pipelines.data?.items ?? []).map((found) => found.name))],
    [pipelines.data],
  );
  const options = chosen.pipeline && !names.includes(chosen.pipeline) ? [chosen.pipeline, ...names] : names;
  const pipeline = (
    <Choice
      label="Pipeline"
      value={chosen.pipeline}
      options={options}
      onChange={(next) => choose({ pipeline: next })}
      width={180}
    />
  );
  if (view === "timeline") return <Filters>{pipeline}</Filters>;
  return (
    <div className={css.filters}>
      <Filters
        aside={
          onClear && (
            <button type="button" className={css.clear} onClick={onClear}>
              clear the filters
            </button>
          )
        }
      >
        <Search
          value={chosen.q ?? ""}
          onChange={(q) => choose({ q })}
          placeholder="Number, name, region=eu"
        />
        <More set={FOLDED.filter((name) => chosen[name]).length}>
          {pipeline}
          <Typed label="Partition" name="partition" />
          <Typed label="Tag" name="tag" />
          <Typed label="Who" name="by" />
          <Choice
            label="Made by"
            value={chosen.origin}
            options={
              chosen.origin && !ORIGINS.some((each) => each.value === chosen.origin)
                ? [...ORIGINS, { value: chosen.origin, label: chosen.origin }]
                : ORIGINS
            }
            onChange={(next) => choose({ origin: next })}
            width={150}
          />
          <Since />
          <States />
        </More>
      </Filters>
    </div>
  );
}

/** A filter that is typed whole; it counts on enter, or when one leaves the field. */
function Typed({ label, name }: { label: string; name: string }) {
  const [chosen, choose] = useChosen();
  const [text, setText] = useState(chosen[name] ?? "");
  useEffect(() => setText(chosen[name] ?? ""), [chosen, name]);
  const take = () => text !== (chosen[name] ?? "") && choose({ [name]: text.trim() || undefined });
  return (
    <TextInput
      aria-label={label}
      placeholder={label}
      value={text}
      onChange={(event) => setText(event.currentTarget.value)}
      onBlur={take}
      onKeyDown={(event) => event.key === "Enter" && take()}
      w={110}
    />
  );
}

function Since() {
  const [chosen, choose] = useChosen();
  const [zone] = useZone();
  const options = AGES.map(([value, label]) => ({ value, label }));
  const is = chosen.since;
  // A window that was chosen in the timeline, or came with a link.
  if (is && !AGES.some(([id]) => id === is))
    options.push({
      value: is,
      label: `since ${Number.isNaN(Date.parse(is)) ? is : exact(is, zone).slice(5, 16)}`,
    });
  return (
    <Choice
      label="Any time"
      value={is}
      options={options}
      onChange={(next) => choose({ since: next, until: undefined })}
      width={150}
    />
  );
}

/** States as switches; none is all. */
function States() {
  const [chosen, choose] = useChosen();
  const on = new Set((chosen.state ?? "").split(",").filter(Boolean));
  const flip = (state: string) => {
    const next = new Set(on);
    if (!next.delete(state)) next.add(state);
    choose({ state: [...next].join(",") || undefined });
  };
  return (
    <fieldset className={css.states}>
      <legend className="visually-hidden">States</legend>
      {STATES.map((state) => (
        <button
          key={state}
          type="button"
          aria-pressed={on.has(state)}
          className={css.state}
          onClick={() => flip(state)}
        >
          <Glyph state={state} /> {lookOf(state).word}
        </button>
      ))}
    </fieldset>
  );
}

function commandOf(chosen: Chosen): string {
  const parts = ["partita runs"];
  if (chosen.pipeline) parts.push(quoted(chosen.pipeline));
  const [state] = (chosen.state ?? "").split(",");
  if (state) parts.push(`--state ${state}`);
  if (chosen.partition) parts.push(`--partition ${quoted(chosen.partition)}`);
  return parts.join(" ");
}

function NoneFits() {
  return <Empty title="No run fits">No run has all of that. Clear a filter to see more.</Empty>;
}

function NoneYet() {
  return (
    <Empty title="Nothing has run yet" code={"partita run nightly\npartita run nightly --param region=eu"}>
      A run is one execution of a pipeline, flow or selection of assets. Start one on{" "}
      <To to={href(["pipelines"])}>Pipelines</To>, or let a schedule do it.
    </Empty>
  );
}
