/**
 * The last runs beside one another: a column a run, the newest at the right, a row a step under its group. Only the rows that
 * are seen are drawn, so three hundred steps are as quick as three.
 *
 * By keyboard: arrows move, enter opens.
 */
import { SegmentedControl, Switch } from "@mantine/core";
import { IconChevronDown, IconChevronRight } from "@tabler/icons-react";
import { useVirtualizer } from "@tanstack/react-virtual";
import {
  type KeyboardEvent,
  memo,
  type SyntheticEvent,
  useCallback,
  useEffect,
  useMemo,
  useRef,
  useState,
} from "react";
import { type Schema, useGet } from "@/api/client";
import { useChosen, useGo } from "@/frame/address";
import { Filters, Search } from "@/parts/Filters";
import { Counts, State } from "@/parts/State";
import { lookOf } from "@/parts/states";
import { To } from "@/parts/To";
import { took } from "@/parts/time";
import { Empty, Loaded } from "@/parts/Waiting";
import { When } from "@/parts/When";
import css from "./Grid.module.css";
import { type Row, rowsOf, stateOf } from "./grid";
import type { TabProps } from "./Pipeline";
import { runAt } from "./paths";
import { tookOf } from "./trend";

type Grid = Schema<"Grid">;
type Run = Schema<"PastRun">;
type Place = { run: number; step: number | null };

const COUNTS = ["25", "50", "100"];
const ROW = 22;
/** The narrowest column. */
const LEAST = 15;

export function GridTab({ name }: TabProps) {
  const [chosen, choose] = useChosen();
  const runs = COUNTS.includes(chosen.n ?? "") ? Number(chosen.n) : 50;
  const grid = useGet(
    "/api/v1/pipelines/{pipeline}/grid",
    { path: { pipeline: name }, query: { runs } },
    { live: ["run_", "step_", "attempt_"], keep: true },
  );
  return (
    <Loaded query={grid} rows={14}>
      {(data) =>
        data.runs.length === 0 ? (
          <Empty title="It has never run" code={`partita run ${name}`}>
            Each run is a column here, each step a row: what fails again and again is seen as a line.
          </Empty>
        ) : (
          <>
            <Filters
              aside={
                <SegmentedControl
                  aria-label="how many runs"
                  data={COUNTS.map((count) => ({ value: count, label: `${count} runs` }))}
                  value={String(runs)}
                  onChange={(n) => choose({ n: n === "50" ? undefined : n })}
                />
              }
            >
              <Search
                value={chosen.q ?? ""}
                onChange={(q) => choose({ q })}
                placeholder="Step"
                label="Search steps"
              />
              <Switch
                label="only what failed"
                checked={chosen.bad === "1"}
                onChange={(event) => choose({ bad: event.currentTarget.checked ? "1" : undefined })}
              />
            </Filters>
            <Drawn grid={data} />
          </>
        )
      }
    </Loaded>
  );
}

function Drawn({ grid }: { grid: Grid }) {
  const [chosen, choose] = useChosen();
  const go = useGo();
  const box = useRef<HTMLDivElement>(null);
  const [at, setAt] = useState<Place | null>(null);
  const [cursor, setCursor] = useState({ row: 0, run: grid.runs.length - 1 });
  const turned = useMemo(() => new Set((chosen.turned ?? "").split("\n").filter(Boolean)), [chosen.turned]);
  const rows = useMemo(
    () => rowsOf(grid.steps, grid.states, { words: chosen.q ?? "", bad: chosen.bad === "1", turned }),
    [grid, chosen.q, chosen.bad, turned],
  );
  const turn = useCallback(
    (path: string) => {
      const next = new Set(turned);
      if (!next.delete(path)) next.add(path);
      choose({ turned: [...next].join("\n") });
    },
    [turned, choose],
  );
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => box.current,
    estimateSize: () => ROW,
    overscan: 12,
  });
  const tracks = `var(--first) repeat(${grid.runs.length}, minmax(${LEAST}px, 24px))`;
  // What is newest is seen first, where not all runs have room.
  useEffect(() => {
    if (box.current) box.current.scrollLeft = box.current.scrollWidth;
  }, []);
  const point = (event: SyntheticEvent) => {
    const found = (event.target as HTMLElement).closest<HTMLElement>("[data-run]");
    if (!found) return setAt(null);
    const step = found.dataset.step;
    setAt({ run: Number(found.dataset.run), step: step === undefined ? null : Number(step) });
  };
  const move = (event: KeyboardEvent) => {
    const by = MOVES[event.key];
    if (!by || !(event.target as HTMLElement).closest("[data-cell]")) return;
    event.preventDefault();
    const next = {
      row: Math.max(0, Math.min(rows.length - 1, cursor.row + by[0])),
      run: Math.max(0, Math.min(grid.runs.length - 1, cursor.run + by[1])),
    };
    setCursor(next);
    virtual.scrollToIndex(next.row);
    requestAnimationFrame(() =>
      box.current?.querySelector<HTMLElement>(`[data-cell="${next.row}:${next.run}"]`)?.focus(),
    );
  };
  const open = (event: SyntheticEvent) => {
    const found = (event.target as HTMLElement).closest<HTMLElement>("[data-cell]");
    const run = grid.runs[Number(found?.dataset.run)];
    if (!found || !run) return;
    const step = grid.steps[Number(found.dataset.step ?? Number.NaN)];
    go(runAt(run.no, step?.step));
  };
  return (
    <>
      <div className={css.box} ref={box}>
        <div
          role="grid"
          tabIndex={-1}
          aria-label="steps of the last runs"
          aria-rowcount={rows.length + 1}
          aria-colcount={grid.runs.length + 1}
          className={css.grid}
          style={{ minWidth: `calc(var(--first) + ${grid.runs.length * LEAST}px)` }}
          onKeyDown={move}
          onClick={open}
          onMouseOver={point}
          onMouseLeave={() => setAt(null)}
          onFocus={point}
        >
          <Head runs={grid.runs} at={at?.run ?? null} tracks={tracks} />
          <div style={{ height: virtual.getTotalSize(), position: "relative" }} role="rowgroup">
            {virtual.getVirtualItems().map((item) => {
              const row = rows[item.index];
              return row ? (
                <Line
                  key={row.kind === "group" ? `group:${row.path}` : row.step.step}
                  row={row}
                  index={item.index}
                  top={item.start}
                  runs={grid.runs}
                  tracks={tracks}
                  focus={cursor.row === item.index ? cursor.run : null}
                  onTurn={turn}
                  is={at !== null && row.kind === "step" && at.step === row.place}
                />
              ) : null;
            })}
          </div>
        </div>
        {rows.length === 0 && <p className={css.none}>No step is like that.</p>}
      </div>
      <Here grid={grid} at={at} />
    </>
  );
}

const MOVES: Record<string, readonly [number, number]> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
};

/** The runs: a bar of each one's duration in the colour of its state, and its number. */
function Head({ runs, at, tracks }: { runs: Run[]; at: number | null; tracks: string }) {
  const longest = Math.max(...runs.map((run) => tookOf(run) ?? 0), 0.001);
  return (
    <div className={css.head} role="row" tabIndex={-1} style={{ gridTemplateColumns: tracks }}>
      <div role="columnheader" tabIndex={-1} className={css.corner}>
        <span>{took(longest)}</span>
      </div>
      {runs.map((run, place) => {
        const { tone, word } = lookOf(run.state);
        const seconds = tookOf(run);
        return (
          <div
            key={run.no}
            role="columnheader"
            tabIndex={-1}
            className={at === place ? css.aimed : undefined}
          >
            <To
              to={runAt(run.no)}
              className={css.run}
              data-run={place}
              aria-label={`run ${run.no}${run.partition ? ` of ${run.partition}` : ""}: ${word}${seconds === null ? "" : `, ${took(seconds)}`}`}
            >
              <span
                className={`${css.bar} ${run.state === "failed" ? css.notch : ""}`}
                style={{
                  height: Math.max(5, Math.round(((seconds ?? longest * 0.3) / longest) * 38)),
                  background: `var(--p-${tone}-fill)`,
                }}
              />
              <span className={css.no}>{run.no}</span>
            </To>
          </div>
        );
      })}
    </div>
  );
}

const Line = memo(function Line({
  row,
  index,
  top,
  runs,
  tracks,
  focus,
  onTurn,
  is,
}: {
  row: Row;
  index: number;
  top: number;
  runs: Run[];
  tracks: string;
  focus: number | null;
  onTurn: (path: string) => void;
  is: boolean;
}) {
  return (
    <div
      role="row"
      tabIndex={-1}
      aria-rowindex={index + 2}
      className={`${css.line} ${row.kind === "group" ? css.group : ""} ${is ? css.aimed : ""}`}
      style={{
        transform: `translateY(${top}px)`,
        gridTemplateColumns: tracks,
      }}
    >
      <div role="rowheader" tabIndex={-1} className={css.name} style={{ paddingLeft: 8 + row.depth * 20 }}>
        {row.kind === "group" ? (
          <button type="button" aria-expanded={row.open} onClick={() => onTurn(row.path)} title={row.path}>
            {row.open ? <IconChevronDown size={14} /> : <IconChevronRight size={14} />}
            <span>{row.name}</span>
            <small>{row.steps}</small>
          </button>
        ) : (
          <span title={row.step.step} className={row.step.gone ? css.gone : undefined}>
            {shortOf(row.step)}
            {row.step.mapped && <small> ×</small>}
            {row.step.gone && <small> gone</small>}
          </span>
        )}
      </div>
      {[...row.letters].map((letter, run) => {
        const state = stateOf(letter);
        const step = row.kind === "step" ? row.place : undefined;
        const what = row.kind === "group" ? row.name : row.step.step;
        return (
          <div
            key={run}
            role="gridcell"
            tabIndex={focus === run ? 0 : -1}
            className={css.cell}
            data-cell={`${index}:${run}`}
            data-run={run}
            data-step={step}
            data-state={state || undefined}
            aria-label={`${what}, run ${runs[run]?.no}: ${state ? lookOf(state).word : "nothing"}`}
            onKeyDown={(event) => event.key === "Enter" && event.currentTarget.click()}
          >
            {(state || row.kind === "step") && (
              <span className={`${css.square} ${css[state] ?? css.nothing}`} />
            )}
          </div>
        );
      })}
    </div>
  );
});

/** The name of a step as it stands under its group: without what the group says already. */
function shortOf({ step, group }: { step: string; group: string[] }): string {
  const before = `${group.join(".")}.`;
  return group.length > 0 && step.startsWith(before) && step.length > before.length
    ? step.slice(before.length)
    : step;
}

/** What is pointed at, in words; where it stands does not move. */
function Here({ grid, at }: { grid: Grid; at: Place | null }) {
  const run = at === null ? undefined : grid.runs[at.run];
  if (!at || !run) return <p className={css.here}>Point at a square to see what it is; a click opens it.</p>;
  const step = at.step === null ? undefined : grid.steps[at.step];
  const counts = grid.counts.find((one) => one.run === at.run && one.step === at.step)?.counts as
    | Record<string, number>
    | undefined;
  const state = at.step === null ? run.state : stateOf(grid.states[at.run]?.[at.step] ?? ".");
  return (
    <p className={css.here}>
      <strong>{step?.step ?? `run ${run.no}`}</strong>
      {counts ? <Counts counts={counts} /> : state ? <State state={state} /> : "nothing yet"}
      <span>
        {step && `run ${run.no} · `}
        {run.partition && `${run.partition} · `}
        <When at={run.created_at} /> · {took(tookOf(run)) || "goes on"} · by {run.by}
      </span>
    </p>
  );
}
