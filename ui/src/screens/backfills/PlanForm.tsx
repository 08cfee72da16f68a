/** What a new backfill is to make; beside it what it would do and how long that takes, before anything is started. */
import { Autocomplete, Button, NumberInput, SegmentedControl, Textarea, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useState } from "react";
import { type Schema, send, useGet, useSend } from "@/api/client";
import type { Problem } from "@/api/problem";
import { href, useChosen, useGo } from "@/frame/address";
import { Command } from "@/parts/Command";
import { Heat } from "@/parts/Heat";
import { placeOf, textOf } from "@/parts/heat";
import { Panel, Section } from "@/parts/Page";
import { Skeleton, Trouble } from "@/parts/Waiting";
import { LETTERS } from "../assets/health";
import css from "./Backfills.module.css";
import { about, commandOf } from "./letters";

type Wanted = {
  target: string;
  partitions: string;
  only: "all" | "missing" | "failed";
  cascade: "none" | "upstreams" | "downstreams" | "both";
  order: "oldest" | "newest";
  batch: number | null;
  max_runs: number;
  priority: number;
  params: Record<string, string>;
  note: string;
};

export function PlanForm() {
  const [chosen, choose] = useChosen();
  const [wanted, setWanted] = useState<Wanted>(() => fromAddress(chosen));
  const set = <K extends keyof Wanted>(name: K, value: Wanted[K]) =>
    setWanted((before) => ({ ...before, [name]: value }));
  const settled = useSettled(wanted, 300);
  // What is planned has an address, so that the plan can be sent to somebody.
  useEffect(() => choose(toAddress(settled)), [settled, choose]);
  return (
    <div className={css.form}>
      <div className={css.fields}>
        <Target
          value={wanted.target}
          onChange={(target) => setWanted((before) => ({ ...before, target, params: {} }))}
        />
        <Which wanted={wanted} set={set} />
        <How wanted={wanted} set={set} />
        <Params target={wanted.target} given={wanted.params} onChange={(params) => set("params", params)} />
        <Textarea
          label="Note"
          description="Why; stands with the backfill"
          autosize
          minRows={1}
          value={wanted.note}
          onChange={(event) => set("note", event.currentTarget.value)}
        />
      </div>
      <PlanBox wanted={settled} isSettled={settled === wanted} />
    </div>
  );
}

function fromAddress(chosen: Record<string, string | undefined>): Wanted {
  const one = <T extends string>(name: string, allowed: readonly T[]): T =>
    allowed.find((value) => value === chosen[name]) ?? allowed[0]!;
  const count = (name: string) =>
    chosen[name] && /^-?\d{1,9}$/.test(chosen[name]) ? Number(chosen[name]) : undefined;
  return {
    target: chosen.target ?? "",
    partitions: chosen.partitions ?? "*",
    only: one("only", ["all", "missing", "failed"]),
    cascade: one("cascade", ["none", "upstreams", "downstreams", "both"]),
    order: one("order", ["oldest", "newest"]),
    batch: count("batch") ?? null,
    max_runs: count("max_runs") ?? 8,
    priority: count("priority") ?? 0,
    params: {},
    note: chosen.note ?? "",
  };
}

function toAddress(wanted: Wanted): Record<string, string | undefined> {
  return {
    target: wanted.target,
    partitions: wanted.partitions === "*" ? undefined : wanted.partitions,
    only: wanted.only === "all" ? undefined : wanted.only,
    cascade: wanted.cascade === "none" ? undefined : wanted.cascade,
    order: wanted.order === "oldest" ? undefined : wanted.order,
    batch: wanted.batch === null ? undefined : String(wanted.batch),
    max_runs: wanted.max_runs === 8 ? undefined : String(wanted.max_runs),
    priority: wanted.priority === 0 ? undefined : String(wanted.priority),
    note: wanted.note,
  };
}

/** The value once it has not changed for a moment. */
function useSettled<T>(value: T, ms: number): T {
  const [settled, settle] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => settle(value), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return settled;
}

function Target({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  const pipelines = useGet("/api/v1/pipelines", { query: { limit: 500 } });
  const assets = useGet("/api/v1/catalog", { query: { limit: 500, order: "name" } });
  const data = useMemo(() => {
    const of = (names: string[] | undefined) => [...new Set(names ?? [])];
    return [
      {
        group: "Pipelines",
        items: of(pipelines.data?.items.filter((one) => one.partitions !== null).map((one) => one.name)),
      },
      {
        group: "Assets",
        items: of(
          assets.data?.items.filter((one) => one.partitioned && !one.external).map((one) => one.name),
        ),
      },
    ];
  }, [pipelines.data, assets.data]);
  const known = new Set(data[0]?.items);
  // A name may be both; the list takes each once.
  const shown = data.map((one, at) =>
    at === 0 ? one : { ...one, items: one.items.filter((name) => !known.has(name)) },
  );
  return (
    <Autocomplete
      label="Of what"
      description="A partitioned pipeline, an asset, or a selection of assets such as group:raw+"
      placeholder="daily_delays"
      data={shown}
      limit={60}
      value={value}
      onChange={onChange}
      data-autofocus
      required
    />
  );
}

type Setter = <K extends keyof Wanted>(name: K, value: Wanted[K]) => void;

function Which({ wanted, set }: { wanted: Wanted; set: Setter }) {
  return (
    <>
      <TextInput
        label="Partitions"
        description="A range a..b, a list a,b, or * for all that have ended; of two dimensions a..b|x,y"
        value={wanted.partitions}
        onChange={(event) => set("partitions", event.currentTarget.value)}
        classNames={{ input: "mono" }}
      />
      <Brush
        target={wanted.target}
        partitions={wanted.partitions}
        onChange={(text) => set("partitions", text)}
      />
      <div className={css.row}>
        <div>
          <div className={css.label}>Of these</div>
          <SegmentedControl
            aria-label="Of these"
            value={wanted.only}
            onChange={(value) => set("only", value as Wanted["only"])}
            data={[
              { value: "all", label: "all" },
              { value: "missing", label: "missing" },
              { value: "failed", label: "failed" },
            ]}
          />
        </div>
        <div className={css.two}>
          <div className={css.label}>And with them</div>
          <SegmentedControl
            aria-label="And with them"
            value={wanted.cascade}
            onChange={(value) => set("cascade", value as Wanted["cascade"])}
            data={[
              { value: "none", label: "nothing else" },
              { value: "upstreams", label: "what they read" },
              { value: "downstreams", label: "what reads them" },
              { value: "both", label: "both" },
            ]}
          />
        </div>
      </div>
    </>
  );
}

/** The partitions of an asset to brush over; the text above says what was brushed. */
function Brush({
  target,
  partitions,
  onChange,
}: {
  target: string;
  partitions: string;
  onChange: (text: string) => void;
}) {
  const isName = /^[^:+*,|&!()\s/]+$/.test(target);
  const states = useGet(
    "/api/v1/assets/{asset}/partition-states",
    { path: { asset: target } },
    { enabled: isName && target !== "" },
  );
  const dimensions = states.data?.dimensions;
  const selected = useMemo(
    () => (dimensions ? placesOf(dimensions, partitions) : []),
    [dimensions, partitions],
  );
  if (!dimensions?.length || !states.data || states.data.asset !== target) return null;
  return (
    <Panel>
      <Heat
        label={`partitions of ${target}`}
        dimensions={dimensions}
        states={states.data.states}
        words={LETTERS}
        selected={selected}
        onSelect={(places) => onChange(places.length > 0 ? textOf(dimensions, places) : "*")}
      />
    </Panel>
  );
}

/** The places that a text names, where it is a plain one: to show it in the map. */
function placesOf(dimensions: Schema<"Dimension">[], text: string): number[] {
  if (text === "*" || dimensions.length > 1) return [];
  const found: number[] = [];
  for (const part of text.split(",")) {
    const [first, last] = part.split("..");
    const from = placeOf(dimensions, (first ?? "").trim());
    const to = last === undefined ? from : placeOf(dimensions, last.trim());
    if (from < 0 || to < 0) return [];
    for (let place = from; place <= to; place++) found.push(place);
  }
  return found;
}

function How({ wanted, set }: { wanted: Wanted; set: Setter }) {
  return (
    <div className={css.row}>
      <div>
        <div className={css.label}>Order</div>
        <SegmentedControl
          aria-label="Order"
          value={wanted.order}
          onChange={(value) => set("order", value as Wanted["order"])}
          data={[
            { value: "oldest", label: "oldest first" },
            { value: "newest", label: "newest first" },
          ]}
        />
      </div>
      <NumberInput
        label="Runs at once"
        min={1}
        max={10_000}
        value={wanted.max_runs}
        onChange={(value) => set("max_runs", Number(value) || 1)}
      />
      <NumberInput
        label="Partitions in a run"
        placeholder="as they say"
        min={0}
        max={1_000_000}
        value={wanted.batch ?? ""}
        onChange={(value) => set("batch", value === "" ? null : Number(value))}
      />
      <NumberInput
        label="Priority"
        value={wanted.priority}
        min={-1_000_000}
        max={1_000_000}
        onChange={(value) => set("priority", Number(value) || 0)}
      />
    </div>
  );
}

/** Parameters of a pipeline; what is left empty has its default. */
function Params({
  target,
  given,
  onChange,
}: {
  target: string;
  given: Record<string, string>;
  onChange: (given: Record<string, string>) => void;
}) {
  const pipelines = useGet("/api/v1/pipelines", { query: { limit: 500 } });
  const pipeline = pipelines.data?.items.find((one) => one.name === target);
  if (!pipeline || pipeline.params.length === 0) return null;
  return (
    <Section title="Parameters">
      <div className={css.row}>
        {pipeline.params.map((param) => (
          <TextInput
            key={param.name}
            label={param.name}
            description={param.description || undefined}
            placeholder={
              param.default === null || param.default === undefined
                ? ""
                : String(typeof param.default === "object" ? JSON.stringify(param.default) : param.default)
            }
            value={given[param.name] ?? ""}
            onChange={(event) => {
              const { [param.name]: _, ...rest } = given;
              const value = event.currentTarget.value;
              onChange(value === "" ? rest : { ...rest, [param.name]: value });
            }}
          />
        ))}
      </div>
    </Section>
  );
}

function PlanBox({ wanted, isSettled }: { wanted: Wanted; isSettled: boolean }) {
  const go = useGo();
  const start = useSend("post", "/api/v1/backfills");
  const body = wanted as unknown as Schema<"BackfillWanted">;
  const plan = useQuery<Schema<"Plan">, Problem>({
    queryKey: ["plan", wanted],
    queryFn: () => send("post", "/api/v1/backfills/plan", { body }),
    enabled: wanted.target !== "" && wanted.partitions !== "",
    placeholderData: (before) => before,
    retry: false,
  });
  const runs = plan.data?.runs ?? 0;
  const ready = isSettled && !plan.isFetching && !plan.error && runs > 0 && wanted.target !== "";
  return (
    <aside className={css.plan} aria-label="Plan">
      <Panel>
        {wanted.target === "" ? (
          <p className="dim">
            Say of what, and this says how many runs it takes, what is there already and how long it lasts.
            Nothing starts before you press the button.
          </p>
        ) : plan.error ? (
          <Trouble error={plan.error} />
        ) : plan.data ? (
          <Planned plan={plan.data} />
        ) : (
          <Skeleton rows={5} />
        )}
      </Panel>
      {start.error && <Trouble error={start.error} />}
      <div className={css.ends}>
        <Button onClick={() => go(href(["backfills"]))}>Leave it</Button>
        <Button
          variant="filled"
          disabled={!ready}
          loading={start.isPending}
          onClick={() => start.mutate({ body }, { onSuccess: (made) => go(href(["backfills", made.id])) })}
        >
          {ready ? `Start ${runs.toLocaleString("en")} ${runs === 1 ? "run" : "runs"}` : "Start"}
        </Button>
      </div>
      <Command line={commandOf(wanted)} />
    </aside>
  );
}

function Planned({ plan }: { plan: Schema<"Plan"> }) {
  const { estimate } = plan;
  if (plan.runs === 0)
    return (
      <>
        <p className={css.big}>Nothing to make</p>
        <p className="dim">All that was asked for is there already, or none of it failed.</p>
      </>
    );
  return (
    <>
      <p className={css.big}>
        {plan.runs.toLocaleString("en")} {plan.runs === 1 ? "run" : "runs"},{" "}
        {estimate.seconds === null ? "how long is not known yet" : about(estimate.seconds)}
      </p>
      <p className="dim">
        {plan.partitions.toLocaleString("en")} partitions, {estimate.steps.toLocaleString("en")} steps
        {estimate.seconds !== null && `, ${about(estimate.work_s)} of work`}
        {estimate.bottleneck && `; ${estimate.bottleneck} bounds it`}.
        {estimate.unknown > 0 &&
          ` ${estimate.unknown.toLocaleString("en")} of the steps never ran, so it may take longer.`}
      </p>
      <table className={css.subjects}>
        <thead>
          <tr>
            <th scope="col">To make</th>
            <th scope="col" className="num">
              Chosen
            </th>
            <th scope="col" className="num">
              There
            </th>
            <th scope="col" className="num">
              Planned
            </th>
          </tr>
        </thead>
        <tbody>
          {plan.subjects.slice(0, 40).map((subject) => (
            <tr key={`${subject.project}/${subject.name}`}>
              <td>
                {plan.subjects.length > 1 && <span className="dim num">{subject.stage + 1}. </span>}
                {subject.name}
              </td>
              <td className="num">{subject.chosen.toLocaleString("en")}</td>
              <td className="num">{subject.present.toLocaleString("en")}</td>
              <td className="num">
                <strong>{subject.planned.toLocaleString("en")}</strong>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {plan.subjects.length > 40 && <p className="dim">and {plan.subjects.length - 40} more</p>}
    </>
  );
}
