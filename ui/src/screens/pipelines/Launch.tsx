/** A run to be started: its parameters as fields, its partition, what of it; beside it the same as a command line. */
import { Autocomplete, Button, NumberInput, Select, TagsInput, TextInput } from "@mantine/core";
import { type FormEvent, useMemo, useState } from "react";
import { type Schema, useGet, useSend } from "@/api/client";
import { asProblem, Problem } from "@/api/problem";
import { useMay } from "@/api/session";
import { useChosen, useGo } from "@/frame/address";
import { Command } from "@/parts/Command";
import { Panel, Section } from "@/parts/Page";
import { SchemaForm, useForm } from "@/parts/SchemaForm";
import { isObject, schemaOfParameters } from "@/parts/schema";
import { Loaded, Trouble } from "@/parts/Waiting";
import { commandOf, saidOf } from "./command";
import { paramsLike } from "./like";
import type { TabProps } from "./Pipeline";
import css from "./Pipeline.module.css";
import { runAt } from "./paths";

const FAST = [
  { value: "", label: "as the pipeline says" },
  { value: "yes", label: "end at the first failure" },
  { value: "no", label: "go on where possible" },
];

/** `?like=7` in the address: with all that run 7 was started with. */
export function Launch(props: TabProps) {
  const [{ like }] = useChosen();
  const run = useGet("/api/v1/runs/{run}", { path: { run: like ?? "" } }, { enabled: !!like });
  if (!like) return <Fields {...props} />;
  return <Loaded query={run}>{(found) => <Fields key={found.id} {...props} like={found} />}</Loaded>;
}

function Fields({ pipeline, name, like }: TabProps & { like?: Schema<"Run"> }) {
  const go = useGo();
  const may = useMay("operate", pipeline.namespace);
  const schema = useMemo(() => schemaOfParameters(pipeline.params), [pipeline.params]);
  const form = useForm(schema, like && paramsLike(like.params, pipeline.params));
  const [partition, setPartition] = useState(like?.partition ?? "");
  const [select, setSelect] = useState(like?.selection?.join(", ") ?? "");
  const [tags, setTags] = useState<string[]>(like?.tags.filter((tag) => !pipeline.tags.includes(tag)) ?? []);
  const [priority, setPriority] = useState<number>(like?.priority ?? pipeline.priority ?? 0);
  const [fast, setFast] = useState("");
  const [missing, setMissing] = useState(false);
  const start = useSend("post", "/api/v1/runs");
  const params = useMemo(() => (isObject(form.value) ? form.value : {}), [form.value]);
  const failFast = fast === "" ? null : fast === "yes";
  const needsKey = pipeline.partitions !== null;
  const said = useMemo(
    () =>
      saidOf(
        start.error ? asProblem(start.error).detail : "",
        pipeline.params.map((one) => one.name),
      ),
    [start.error, pipeline.params],
  );
  const submit = (event: FormEvent) => {
    event.preventDefault();
    form.showAll();
    setMissing(needsKey && !partition);
    if (Object.keys(form.wrong).length > 0 || (needsKey && !partition)) return;
    const body = {
      pipeline: name,
      params,
      partition,
      select: select.trim(),
      tags,
      priority,
      fail_fast: failFast,
    };
    start.mutate({ body }, { onSuccess: (run) => go(runAt(run.no)) });
  };
  const line = commandOf({
    pipeline: name,
    params: changed(params, pipeline.params),
    partition,
    select: select.trim(),
    tags,
    priority,
    failFast,
  });
  return (
    <form className={css.launch} onSubmit={submit} noValidate aria-label={`start a run of ${pipeline.name}`}>
      <div className={css.fields}>
        {like && <p className="dim">As run #{like.no} was started; change what is to be another way.</p>}
        {needsKey && (
          <Partition
            name={name}
            value={partition}
            onChange={setPartition}
            error={missing && !partition ? "Say which partition" : undefined}
          />
        )}
        {pipeline.params.length > 0 && (
          <Section title="Parameters">
            <SchemaForm
              form={
                Object.keys(said).length > 0
                  ? { ...form, wrong: { ...form.wrong, ...said }, shown: true }
                  : form
              }
            />
          </Section>
        )}
        {pipeline.params.length === 0 && !needsKey && <p className="dim">It has no parameters.</p>}
      </div>
      <div className={css.side}>
        <Section title="Options">
          <TextInput
            label="Only these steps"
            description="A selection: load+, tag:fast, group:raw; empty = all"
            placeholder={pipeline.steps.length > 1 ? `all ${pipeline.steps.length} steps` : "its one step"}
            value={select}
            onChange={(event) => setSelect(event.currentTarget.value)}
          />
          <TagsInput
            label="Tags"
            description="By which the run is found again; enter adds one"
            value={tags}
            onChange={setTags}
            data={pipeline.tags}
            maxTags={50}
          />
          <div className={css.pair}>
            <NumberInput
              label="Priority"
              value={priority}
              onChange={(next) => setPriority(typeof next === "number" ? next : 0)}
              allowDecimal={false}
              min={-1_000_000}
              max={1_000_000}
            />
            <Select
              label="At a failure"
              data={FAST}
              value={fast}
              onChange={(next) => setFast(next ?? "")}
              allowDeselect={false}
            />
          </div>
        </Section>
        <Panel>
          <div className={css.go}>
            <Command line={line} />
            {start.error && <Refusal error={start.error} isAtFields={Object.keys(said).length > 0} />}
            <Button
              type="submit"
              variant="filled"
              loading={start.isPending}
              disabled={!may}
              title={may ? undefined : "This needs the permission `operate`"}
            >
              Start the run
            </Button>
          </div>
        </Panel>
      </div>
    </form>
  );
}

/** What the server refused; what stands at the fields already is only pointed at. */
function Refusal({ error, isAtFields }: { error: unknown; isAtFields: boolean }) {
  if (!isAtFields) return <Trouble error={error} />;
  const problem = asProblem(error);
  return (
    <Trouble
      error={
        new Problem(
          problem.status,
          problem.title,
          "Some parameters are not as they should be; see their fields",
          problem.hint,
        )
      }
    />
  );
}

/** Parameters that are not what they would be anyway. */
function changed(
  params: Record<string, unknown>,
  specs: { name: string; required: boolean; default?: unknown }[],
): Record<string, unknown> {
  const defaults = new Map(
    specs.filter((one) => !one.required).map((one) => [one.name, JSON.stringify(one.default ?? null)]),
  );
  return Object.fromEntries(
    Object.entries(params).filter(([name, value]) => defaults.get(name) !== JSON.stringify(value)),
  );
}

function Partition({
  name,
  value,
  onChange,
  error,
}: {
  name: string;
  value: string;
  onChange: (value: string) => void;
  error: string | undefined;
}) {
  const keys = useGet("/api/v1/pipelines/{pipeline}/partition-keys", { path: { pipeline: name } });
  const newest = keys.data?.keys[0];
  return (
    <div className={css.key}>
      <Autocomplete
        label="Partition"
        description={
          keys.data && `${keys.data.kind}, ${keys.data.count.toLocaleString("en")} so far, the newest first`
        }
        withAsterisk
        placeholder={newest}
        data={keys.data?.keys ?? []}
        value={value}
        onChange={onChange}
        limit={60}
        error={error}
      />
      {newest && value !== newest && <Button onClick={() => onChange(newest)}>newest: {newest}</Button>}
      {keys.error && <Trouble error={keys.error} />}
    </div>
  );
}
