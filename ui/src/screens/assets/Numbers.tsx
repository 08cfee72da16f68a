/** The numbers in an asset's metadata over its materializations; those that a check found bad are marked. */
import { lazy, Suspense, useMemo } from "react";
import { type Schema, useGet } from "@/api/client";
import { useChosen, useGo } from "@/frame/address";
import { number } from "@/parts/Metadata";
import { Panel, Section } from "@/parts/Page";
import { Glyph } from "@/parts/State";
import { took } from "@/parts/time";
import { Skeleton } from "@/parts/Waiting";
import type { Definition } from "./Asset";
import css from "./Asset.module.css";
import { LIVE } from "./live";
import { runAt } from "./paths";

const Plot = lazy(() => import("@/parts/Plot"));

type Series = Schema<"Series">;

/** Two ways to lie in time: when it was made, and which time the partition is of. */
export type Across = "made" | "partition";

export function Numbers({
  asset,
  most,
  partition,
}: {
  asset: Definition;
  most?: number;
  partition?: string;
}) {
  const [chosen] = useChosen();
  const series = useGet(
    "/api/v1/assets/{asset}/series",
    { path: { asset: asset.name }, query: { limit: most ? 200 : 2000, partition } },
    { live: LIVE },
  );
  const across: Across = chosen.across === "made" || !isTimed(asset) || partition ? "made" : "partition";
  const shown = useMemo(() => (series.data ? inOrder(series.data, across) : null), [series.data, across]);
  if (!shown) return <Skeleton rows={4} />;
  const numbers = [...shown.numbers, { name: "took", values: shown.took }];
  if (shown.xs.length < 2) return null;
  return (
    <Section
      title={across === "partition" ? "Numbers by partition" : "Numbers over time"}
      aside={
        shown.failed.some(Boolean) && (
          <span>
            <Glyph state="failed" size={11} /> a check failed
          </span>
        )
      }
    >
      <div className={css.plots}>
        {numbers.slice(0, most).map((one) => (
          <One key={one.name} name={one.name} values={one.values} shown={shown} />
        ))}
      </div>
    </Section>
  );
}

function One({ name, values, shown }: { name: string; values: (number | null)[]; shown: Shown }) {
  const go = useGo();
  const series = useMemo(
    () => [
      { name, values },
      ...(shown.failed.some(Boolean)
        ? [
            {
              name: "check failed",
              values: values.map((value, at) => (shown.failed[at] ? value : null)),
              colour: "failed-fill",
              points: true,
              line: false,
            },
          ]
        : []),
    ],
    [name, values, shown.failed],
  );
  const known = values.filter((value): value is number => value !== null);
  const last = known[known.length - 1];
  const format = name === "took" ? seconds : number;
  return (
    <Panel>
      <div className={css.plotHead}>
        <strong>{name}</strong>
        <span className="dim">last {last === undefined ? "–" : format(last)}</span>
      </div>
      <Suspense fallback={<Skeleton rows={4} height={190} />}>
        <Plot
          xs={shown.xs}
          series={series}
          height={150}
          format={format}
          label={`${name} over ${known.length} materializations, last ${last === undefined ? "none" : format(last)}`}
          onPick={(at) => shown.runs[at] && go(runAt(shown.runs[at]))}
        />
      </Suspense>
    </Panel>
  );
}

function seconds(value: number): string {
  return took(value) || "0";
}

type Shown = {
  xs: number[];
  runs: string[];
  failed: boolean[];
  took: (number | null)[];
  numbers: { name: string; values: (number | null)[] }[];
};

/** In the order of the axis; of each partition only the newest materialization, when it goes by partitions. */
export function inOrder(series: Series, across: Across): Shown {
  const at = (place: number) =>
    across === "partition"
      ? Date.parse(
          `${(series.partitions[place] ?? "").split("|").find((part) => /^\d{4}-\d\d-\d\d/.test(part)) ?? ""}Z`,
        ) / 1000
      : Date.parse(series.at[place] ?? "") / 1000;
  const places = new Map<string | number, number>();
  for (let place = 0; place < series.at.length; place++) {
    if (Number.isFinite(at(place)))
      places.set(across === "partition" ? (series.partitions[place] ?? "") : place, place);
  }
  const order = [...places.values()].sort((a, b) => at(a) - at(b));
  const take = <T,>(values: T[]): T[] => order.map((place) => values[place]!);
  return {
    xs: order.map(at),
    runs: take(series.runs),
    failed: take(series.failed),
    took: take(series.took_s),
    numbers: series.numbers.map((one) => ({ name: one.name, values: take(one.values) })),
  };
}

const TIMED = ["hourly", "daily", "weekly", "monthly"];

export function isTimed(asset: Definition): boolean {
  const spec = asset.partitions as { kind?: string; dimensions?: [string, { kind: string }][] } | null;
  if (!spec) return false;
  return TIMED.includes(spec.kind ?? "");
}
