/** What an attempt used over time, against its limit. */
import { lazy, Suspense, useMemo } from "react";
import { type Schema, useGet } from "@/api/client";
import { bytes } from "@/parts/Metadata";
import { Fact } from "@/parts/Page";
import { took } from "@/parts/time";
import { Empty, Loaded, Skeleton } from "@/parts/Waiting";
import css from "./Step.module.css";
import type { Place } from "./StepInspector";

const Plot = lazy(() => import("@/parts/Plot"));

export default function Resources({
  place,
  attempt,
}: {
  place: Place;
  attempt: Schema<"Attempt"> | undefined;
}) {
  const open = attempt?.finished_at === null;
  const found = useGet(
    "/api/v1/runs/{run}/steps/{step}/attempts/{attempt}/usage",
    {
      path: { run: place.run, step: place.step, attempt: attempt?.attempt ?? 1 },
      query: { index: place.index },
    },
    { live: ["step_", "attempt_"], liveRun: place.run, ...(open ? { every: 2000 } : {}) },
  );
  return (
    <Loaded query={found} rows={8}>
      {(curve) => (
        <>
          <Figures curve={curve} attempt={attempt} />
          {curve.seconds.length > 1 ? <Curves curve={curve} /> : <NoCurve open={open} />}
        </>
      )}
    </Loaded>
  );
}

function Figures({
  curve,
  attempt,
}: {
  curve: Schema<"UsageCurve">;
  attempt: Schema<"Attempt"> | undefined;
}) {
  const peak = Math.max(attempt?.usage?.peak_rss_bytes ?? 0, ...curve.memory_bytes);
  return (
    <div className={css.figures}>
      <Fact name="Highest memory">{peak > 0 ? bytes(peak) : "–"}</Fact>
      <Fact name="Limit">{curve.limit_bytes === null ? "none" : bytes(curve.limit_bytes)}</Fact>
      <Fact name="Processor time">{attempt?.usage ? took(attempt.usage.cpu_s) : "–"}</Fact>
      <Fact name="Duration">{attempt?.duration_s != null ? took(attempt.duration_s) : "–"}</Fact>
      {attempt?.worker && <Fact name="Worker">{attempt.worker}</Fact>}
    </div>
  );
}

function NoCurve({ open }: { open: boolean }) {
  return (
    <Empty title={open ? "No curve yet" : "No curve of this attempt"}>
      Each worker is looked at once a second, so an attempt of less than two seconds has none. Coroutines
      share a process, so of one alone nobody knows.
    </Empty>
  );
}

function Curves({ curve }: { curve: Schema<"UsageCurve"> }) {
  const { xs, memory, processors } = useMemo(() => {
    const begin = curve.began_at ? Date.parse(curve.began_at) / 1000 : 0;
    return {
      xs: curve.seconds.map((second) => begin + second),
      memory: [
        { name: "memory", values: curve.memory_bytes, colour: "accent", fill: true, points: false },
        ...(curve.limit_bytes === null
          ? []
          : [
              {
                name: "limit",
                values: curve.seconds.map(() => curve.limit_bytes),
                colour: "failed-fill",
                dash: true,
                points: false,
              },
            ]),
      ],
      processors: [
        { name: "processors", values: curve.processors, colour: "running-fill", fill: true, points: false },
      ],
    };
  }, [curve]);
  return (
    <Suspense fallback={<Skeleton rows={8} />}>
      <h3 className={css.legend}>Memory</h3>
      <Plot fromZero xs={xs} series={memory} height={190} format={bytes} label={memoryWords(curve)} />
      <h3 className={css.legend}>Processors in use</h3>
      <Plot fromZero xs={xs} series={processors} height={120} label="processors in use over time" />
    </Suspense>
  );
}

function memoryWords(curve: Schema<"UsageCurve">): string {
  const peak = bytes(Math.max(...curve.memory_bytes));
  const limit = curve.limit_bytes === null ? "without a limit" : `the limit is ${bytes(curve.limit_bytes)}`;
  return `memory over ${Math.round(curve.seconds.at(-1) ?? 0)} seconds, at most ${peak}, ${limit}`;
}
