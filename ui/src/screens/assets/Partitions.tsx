/** The partitions of an asset as a heat map: brushed, they are a backfill with its plan beside it. */
import { Button, SegmentedControl } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { type Schema, send, useGet } from "@/api/client";
import type { Problem } from "@/api/problem";
import { useChosen, useGo } from "@/frame/address";
import { Command } from "@/parts/Command";
import { countsOf, Heat } from "@/parts/Heat";
import { keyAt, textOf } from "@/parts/heat";
import { Panel, Section } from "@/parts/Page";
import { Counts, State } from "@/parts/State";
import { quoted } from "@/parts/shell";
import { Table } from "@/parts/Table";
import { Loaded, Trouble } from "@/parts/Waiting";
import { about } from "../backfills/letters";
import type { Definition } from "./Asset";
import css from "./Asset.module.css";
import { LETTERS } from "./health";
import { LIVE } from "./live";
import { partitionWords } from "./Overview";
import { backfillOf } from "./paths";

type States = Schema<"PartitionStates">;

export function Partitions({ asset }: { asset: Definition }) {
  const states = useGet(
    "/api/v1/assets/{asset}/partition-states",
    { path: { asset: asset.name } },
    { live: LIVE },
  );
  return (
    <Loaded query={states} rows={10}>
      {(found) => <Whole asset={asset} found={found} />}
    </Loaded>
  );
}

function Whole({ asset, found }: { asset: Definition; found: States }) {
  const [selected, select] = useState<number[]>([]);
  const [chosen, choose] = useChosen();
  const open = (place: number) => choose({ partition: keyAt(found.dimensions, place) });
  const only = chosen.only ?? "";
  return (
    <>
      <Section title={partitionWords(asset.partitions)} aside="Drag over them to choose; a click opens one">
        <Panel>
          <Heat
            label={`partitions of ${asset.name}`}
            dimensions={found.dimensions}
            states={found.states}
            words={LETTERS}
            selected={selected}
            onSelect={(places) => {
              select(places);
              if (places.length !== 1) choose({ partition: undefined });
            }}
            onOpen={open}
          />
        </Panel>
      </Section>
      {selected.length > 0 && !asset.external && (
        <Selection asset={asset} found={found} selected={selected} onClear={() => select([])} />
      )}
      <Section
        title="List"
        aside={
          <SegmentedControl
            size="xs"
            aria-label="Which partitions"
            value={only}
            onChange={(value) => choose({ only: value })}
            data={[
              { value: "", label: "all" },
              ...["f", "s", "r", "m", "."]
                .filter((letter) => found.states.includes(letter))
                .map((letter) => ({ value: letter, label: LETTERS[letter] ?? letter })),
            ]}
          />
        }
      >
        <List found={found} only={only} current={chosen.partition} onOpen={open} />
      </Section>
    </>
  );
}

function List({
  found,
  only,
  current,
  onOpen,
}: {
  found: States;
  only: string;
  current: string | undefined;
  onOpen: (place: number) => void;
}) {
  const rows = useMemo(() => {
    const places: number[] = [];
    for (let place = found.states.length - 1; place >= 0; place--) {
      if (only === "" || found.states[place] === only) places.push(place);
    }
    return places;
  }, [found.states, only]);
  return (
    <Table
      name="partitions"
      rows={rows}
      rowKey={(place) => keyAt(found.dimensions, place)}
      {...(current ? { current } : {})}
      onOpen={onOpen}
      height="420px"
      columns={[
        {
          id: "partition",
          head: "Partition",
          value: (place) => keyAt(found.dimensions, place),
          cell: (place) => <span className="mono">{keyAt(found.dimensions, place)}</span>,
        },
        {
          id: "state",
          head: "State",
          value: (place) => LETTERS[found.states[place] ?? ""],
          cell: (place) => <State state={LETTERS[found.states[place] ?? ""] ?? "unknown"} />,
        },
      ]}
    />
  );
}

/** What was brushed: how it is, and what a backfill of it would do. */
function Selection({
  asset,
  found,
  selected,
  onClear,
}: {
  asset: Definition;
  found: States;
  selected: number[];
  onClear: () => void;
}) {
  const go = useGo();
  const text = useMemo(() => textOf(found.dimensions, selected), [found.dimensions, selected]);
  const [only, setOnly] = useState<"all" | "missing" | "failed">("all");
  const counts = useMemo(() => {
    const letters = countsOf(selected.map((place) => found.states[place]).join(""));
    return Object.fromEntries([...letters].map(([letter, count]) => [LETTERS[letter] ?? letter, count]));
  }, [found.states, selected]);
  return (
    <Panel>
      <div className={css.bar}>
        <strong>{selected.length.toLocaleString("en")} chosen</strong>
        <Counts counts={counts} />
        <span className={css.grow} />
        <SegmentedControl
          size="xs"
          aria-label="Which of them"
          value={only}
          onChange={(value) => setOnly(value as typeof only)}
          data={["all", "missing", "failed"]}
        />
        <Button onClick={onClear}>Let go</Button>
        <Button variant="filled" onClick={() => go(`${backfillOf(asset.name, text)}&only=${only}`)}>
          Backfill…
        </Button>
      </div>
      <Preview target={asset.name} partitions={text} only={only} />
      <Command
        line={`partita backfill start ${quoted(asset.name)} --partition ${quoted(text)}${only === "all" ? "" : ` --only ${only}`}`}
      />
    </Panel>
  );
}

/** What a backfill would do, in a line. */
function Preview({
  target,
  partitions,
  only,
}: {
  target: string;
  partitions: string;
  only: "all" | "missing" | "failed";
}) {
  const plan = useQuery<Schema<"Plan">, Problem>({
    queryKey: ["plan", target, partitions, only],
    queryFn: () => send("post", "/api/v1/backfills/plan", { body: { target, partitions, only } }),
    placeholderData: (before) => before,
    retry: false,
  });
  if (plan.error) return <Trouble error={plan.error} />;
  const estimate = plan.data?.estimate;
  return (
    <p className="dim" aria-live="polite" style={{ minHeight: 20, padding: "6px 0" }}>
      {plan.data &&
        (plan.data.runs === 0
          ? "There is nothing to make of these."
          : `A backfill would make ${plan.data.partitions.toLocaleString("en")} of them in ${plan.data.runs.toLocaleString("en")} runs, ${
              estimate?.seconds === null || estimate === undefined
                ? "of a duration that is not known yet"
                : `in ${about(estimate.seconds)}`
            }.`)}
    </p>
  );
}
