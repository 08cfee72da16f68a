/** How long the last runs took beside what was usual before each, and where the time goes. */
import { SegmentedControl } from "@mantine/core";
import { lazy, Suspense, useCallback, useMemo } from "react";
import { type Schema, useGet } from "@/api/client";
import { useChosen, useGo } from "@/frame/address";
import { Fact, Section } from "@/parts/Page";
import { took } from "@/parts/time";
import { Empty, Loaded, Skeleton } from "@/parts/Waiting";
import type { TabProps } from "./Pipeline";
import css from "./Pipeline.module.css";
import { runAt } from "./paths";
import { durationsOf, trendOf, trendWords } from "./trend";

const Plot = lazy(() => import("@/parts/Plot"));
const COUNTS = ["50", "100", "500"];
const BAND = [1, 2] as const;
const SHOWN = 15;

export function DurationsTab({ name }: TabProps) {
  const [chosen, choose] = useChosen();
  const runs = COUNTS.includes(chosen.n ?? "") ? Number(chosen.n) : 100;
  const query = useGet(
    "/api/v1/pipelines/{pipeline}/durations",
    { path: { pipeline: name }, query: { runs } },
    { live: ["run_"], keep: true },
  );
  return (
    <Loaded query={query} rows={10}>
      {(data) =>
        data.items.every((one) => one.took_s === null) ? (
          <Empty title="No run has ended yet" code={`partita run ${name}`}>
            Each run is a point here, beside the range from the fastest to the slowest tenth of those before
            it.
          </Empty>
        ) : (
          <div className={css.stack}>
            <div className={css.facts}>
              <Said data={data} />
              <SegmentedControl
                aria-label="how many runs"
                className={css.right}
                data={COUNTS.map((count) => ({ value: count, label: `${count} runs` }))}
                value={String(runs)}
                onChange={(n) => choose({ n: n === "100" ? undefined : n })}
              />
            </div>
            <Curve data={data} />
            <Slowest name={name} />
          </div>
        )
      }
    </Loaded>
  );
}

function Said({ data }: { data: Schema<"Durations"> }) {
  const { usual } = data;
  const last = data.items.findLast((one) => one.took_s !== null);
  const trend = trendWords(trendOf(durationsOf(data.items.map((one) => one.run).toReversed())));
  const waited = data.items.map((one) => one.queued_s ?? 0).toSorted((a, b) => b - a)[0] ?? 0;
  return (
    <>
      {usual && (
        <>
          <Fact name="usually">
            {took(usual.p10)} to {took(usual.p90)}
          </Fact>
          <Fact name="median">{took(usual.median)}</Fact>
        </>
      )}
      {last && <Fact name="the last one">{took(last.took_s)}</Fact>}
      {trend && <Fact name="the last three">{trend}</Fact>}
      {waited >= 1 && <Fact name="longest in the queue">{took(waited)}</Fact>}
    </>
  );
}

/** Finer than elsewhere, for the numbers of an axis differ by little. */
const fine = (seconds: number) => (seconds < 1 ? `${Math.round(seconds * 1000)} ms` : took(seconds));

function Curve({ data }: { data: Schema<"Durations"> }) {
  const go = useGo();
  const ended = useMemo(() => data.items.filter((one) => one.took_s !== null), [data]);
  const { xs, series } = useMemo(() => {
    const of = (state: (one: (typeof ended)[number]) => boolean) =>
      ended.map((one) => (state(one) ? one.took_s : null));
    const is = (state: string) => (one: (typeof ended)[number]) => one.run.state === state;
    return {
      xs: ended.map((_, at) => at),
      series: [
        { name: "succeeded", values: of(is("succeeded")), colour: "succeeded-fill", points: true },
        {
          name: "p90 before",
          values: ended.map((one) => one.usual?.p90 ?? null),
          colour: "waiting-fill",
          dash: true,
          points: false,
        },
        {
          name: "p10 before",
          values: ended.map((one) => one.usual?.p10 ?? null),
          colour: "waiting-fill",
          dash: true,
          points: false,
        },
        { name: "failed", values: of(is("failed")), colour: "failed-fill", points: true, line: false },
        { name: "cancelled", values: of(is("cancelled")), colour: "late-fill", points: true, line: false },
      ].filter((one) => one.values.some((value) => value !== null) || one.name.startsWith("p")),
    };
  }, [ended]);
  const sayX = useCallback((x: number) => (ended[x] ? `#${ended[x].run.no}` : ""), [ended]);
  return (
    <div className={css.card}>
      <Suspense fallback={<Skeleton rows={7} />}>
        <Plot
          xs={xs}
          series={series}
          height={260}
          format={fine}
          numbers
          sayX={sayX}
          band={series[1]?.name === "p90 before" ? BAND : undefined}
          label={`how long the last ${ended.length} runs took`}
          onPick={(at) => ended[at] && go(runAt(ended[at].run.no))}
        />
      </Suspense>
      <p className="dim">
        Each run is a point, a click opens it. The range is that of the twenty that succeeded before each.
      </p>
    </div>
  );
}

/** The steps that usually take longest. */
function Slowest({ name }: { name: string }) {
  const query = useGet(
    "/api/v1/pipelines/{pipeline}/usual",
    { path: { pipeline: name } },
    { live: ["run_ended"] },
  );
  const steps = (query.data?.items ?? []).toSorted((a, b) => b.median_s - a.median_s);
  const longest = steps[0]?.p90_s || 0.001;
  if (steps.length < 2) return null;
  return (
    <Section
      title="Where the time goes"
      aside={`median and p90 of ${steps.length.toLocaleString("en")} steps, last 20 runs`}
    >
      <ol className={css.slow}>
        {steps.slice(0, SHOWN).map((one) => (
          <li key={one.step}>
            <span className={css.slowName} title={one.step}>
              {one.step}
            </span>
            <span className={css.slowBar} aria-hidden>
              <span
                className={css.slowP90}
                style={{ width: `${Math.min(100, (100 * one.p90_s) / longest)}%` }}
              />
              <span
                className={css.slowMedian}
                style={{ width: `${Math.min(100, (100 * one.median_s) / longest)}%` }}
              />
            </span>
            <span className={css.slowTook}>{took(one.median_s)}</span>
            <span className={css.slowMost}>{took(one.p90_s)}</span>
          </li>
        ))}
      </ol>
    </Section>
  );
}
