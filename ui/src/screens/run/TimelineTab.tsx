/** The run in time: waiting hatched by its reason, working solid, attempt by attempt, the longest way marked; zoom by drag. */
import { Button, Switch } from "@mantine/core";
import { useVirtualizer } from "@tanstack/react-virtual";
import { type PointerEvent, useCallback, useMemo, useRef, useState } from "react";
import { useGet } from "@/api/client";
import { useChosen } from "@/frame/address";
import { Filters, Search } from "@/parts/Filters";
import { Counts, Glyph } from "@/parts/State";
import { isOver, lookOf } from "@/parts/states";
import { took } from "@/parts/time";
import { Empty, Loaded } from "@/parts/Waiting";
import { useNow } from "@/parts/When";
import type { TabProps } from "./Run";
import css from "./Timeline.module.css";
import {
  type Line,
  linesOf,
  nameOf,
  sumsOf,
  type TimelineOf,
  type TimelineRow,
  ticksOf,
  tickText,
  type View,
  waitText,
} from "./timeline";

const LIVE = ["attempt_", "step_", "gate_", "run_"] as const;

export function TimelineTab(props: TabProps) {
  const query = useGet(
    "/api/v1/runs/{run}/timeline",
    { path: { run: props.run.id } },
    { live: LIVE, liveRun: props.run.id, keep: true },
  );
  return <Loaded query={query}>{(timeline) => <Shown {...props} timeline={timeline} />}</Loaded>;
}

function Shown({ run, timeline, selected, select }: TabProps & { timeline: TimelineOf }) {
  const [chosen, choose] = useChosen();
  const now = useNow();
  const goes = !isOver(run.state) && timeline.zero !== null;
  const end = Math.max(timeline.end, goes ? (now - Date.parse(timeline.zero ?? "")) / 1000 : 0, 0.001);
  const view = useMemo<View>(() => viewOf(chosen.from, chosen.to, end), [chosen.from, chosen.to, end]);
  const filter = { critical: chosen.way === "longest", text: chosen.q ?? "" };
  // biome-ignore lint/correctness/useExhaustiveDependencies: the filter is made of these two
  const lines = useMemo(() => linesOf(timeline, filter), [timeline, filter.critical, filter.text]);
  const zoomed = chosen.from !== undefined;
  const zoom = useCallback(
    (next: View | null) => choose({ from: next?.from.toFixed(3), to: next?.to.toFixed(3) }),
    [choose],
  );
  const search = useCallback((q: string) => choose({ q: q || undefined }), [choose]);
  if (timeline.rows.length === 0)
    return (
      <Empty title="Nothing has happened yet">The first bar stands here when the run has started.</Empty>
    );
  return (
    <div className={css.timeline}>
      <Filters
        aside={
          <>
            {zoomed && <Button onClick={() => zoom(null)}>The whole run</Button>}
            <Legend />
          </>
        }
      >
        <Search value={filter.text} onChange={search} placeholder="Find a step" />
        <Switch
          label="longest way only"
          checked={filter.critical}
          onChange={(event) => choose({ way: event.currentTarget.checked ? "longest" : undefined })}
        />
      </Filters>
      <Chart
        lines={lines}
        view={view}
        end={end}
        goes={goes}
        selected={selected ? `${selected.step}\n${selected.index}` : ""}
        onPick={(row) => select(row.step, row.index)}
        onZoom={zoom}
        onFolded={() => choose({ tab: "grid" })}
      />
    </div>
  );
}

function viewOf(from: string | undefined, to: string | undefined, end: number): View {
  const [a, b] = [Number(from), Number(to)];
  if (from !== undefined && to !== undefined && b > a) return { from: a, to: b };
  return { from: 0, to: end * 1.01 };
}

type ChartProps = {
  lines: Line[];
  view: View;
  end: number;
  goes: boolean;
  selected: string;
  onPick: (row: TimelineRow) => void;
  onZoom: (view: View) => void;
  onFolded: () => void;
};

function Chart({ lines, view, end, goes, selected, onPick, onZoom, onFolded }: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: lines.length,
    getScrollElement: () => box.current,
    estimateSize: () => 28,
    overscan: 20,
  });
  const { drag, start } = useDrag(view, onZoom);
  const at = (second: number) => `${((100 * (second - view.from)) / (view.to - view.from)).toFixed(3)}%`;
  const ticks = ticksOf(view, 8);
  return (
    <div className={css.chart} ref={box}>
      <div className={css.axis}>
        <span className={css.corner}>step</span>
        <div className={css.track}>
          {ticks.map((tick) => (
            <span key={tick} className={css.tick} style={{ left: at(tick) }}>
              {tickText(tick)}
            </span>
          ))}
        </div>
      </div>
      <div
        className={css.rows}
        style={{ height: virtual.getTotalSize() }}
        role="list"
        aria-label="steps in time"
      >
        <div className={css.under} onPointerDown={start} data-testid="timeline-track">
          {ticks.map((tick) => (
            <span key={tick} className={css.grid} style={{ left: at(tick) }} />
          ))}
          {goes && <span className={css.now} style={{ left: at(end) }} />}
          {drag && <span className={css.drag} style={{ left: at(drag.from), width: width(drag, view) }} />}
        </div>
        {virtual.getVirtualItems().map((item) => {
          const line = lines[item.index]!;
          return (
            <div key={line.key} role="listitem" className={css.line} style={{ top: item.start }}>
              {line.kind === "row" ? (
                <Row row={line.row} view={view} now={end} isChosen={line.key === selected} onPick={onPick} />
              ) : (
                <FoldedRow folded={line.folded} view={view} onOpen={onFolded} />
              )}
            </div>
          );
        })}
      </div>
    </div>
  );
}

/** Drag along the track to see a part of it. */
function useDrag(view: View, onZoom: (view: View) => void) {
  const [drag, setDrag] = useState<View | null>(null);
  const start = (event: PointerEvent<HTMLDivElement>) => {
    if (event.button !== 0) return;
    const track = event.currentTarget;
    const second = (x: number) => {
      const { left, width } = track.getBoundingClientRect();
      const share = Math.min(1, Math.max(0, (x - left) / width));
      return view.from + share * (view.to - view.from);
    };
    const from = second(event.clientX);
    const both = (x: number): View => ({ from: Math.min(from, second(x)), to: Math.max(from, second(x)) });
    track.setPointerCapture(event.pointerId);
    const move = (moved: globalThis.PointerEvent) => setDrag(both(moved.clientX));
    const end = (ended: globalThis.PointerEvent) => {
      track.removeEventListener("pointermove", move);
      track.removeEventListener("pointerup", end);
      track.removeEventListener("pointercancel", end);
      setDrag(null);
      const chosen = both(ended.clientX);
      // A click, or a hand that trembles, is no wish to see less.
      if (ended.type === "pointerup" && chosen.to - chosen.from > (view.to - view.from) / 100) onZoom(chosen);
    };
    track.addEventListener("pointermove", move);
    track.addEventListener("pointerup", end);
    track.addEventListener("pointercancel", end);
  };
  return { drag, start };
}

function Row({
  row,
  view,
  now,
  isChosen,
  onPick,
}: {
  row: TimelineRow;
  view: View;
  now: number;
  isChosen: boolean;
  onPick: (row: TimelineRow) => void;
}) {
  const { worked, waited } = sumsOf(row, now);
  const told = [
    lookOf(row.state).word,
    worked > 0 ? `worked ${took(worked)}` : "",
    waited > 0.02 ? `waited ${took(waited)}` : "",
    row.critical ? "on the longest way" : "",
  ].filter(Boolean);
  return (
    <>
      <button
        type="button"
        className={`${css.name} ${isChosen ? css.chosen : ""}`}
        aria-pressed={isChosen}
        title={`${nameOf(row)}: ${told.join(", ")}`}
        onClick={() => onPick(row)}
      >
        <Glyph state={row.state} size={13} label />
        <span className="clip">{nameOf(row)}</span>
        {row.critical && <span className={css.critical}>◆</span>}
        <span className={css.worked}>{worked > 0 ? took(worked) : ""}</span>
      </button>
      <div className={css.track}>
        {row.waits.map((wait, at) => (
          <span
            key={`w${at}`}
            className={`${css.wait} ${css[wait.reason] ?? ""}`}
            style={span(wait.from, wait.to ?? now, view)}
            title={`${waitText(wait)}, ${took((wait.to ?? now) - wait.from)}`}
          />
        ))}
        {row.work.map((work) => (
          <button
            key={work.attempt}
            type="button"
            tabIndex={-1}
            className={`${css.work} ${row.critical ? css.onWay : ""} ${lookOf(work.state).tone === "failed" ? css.bad : ""}`}
            style={{
              ...span(work.from, work.to ?? now, view),
              background: `var(--p-${lookOf(work.state).tone}-fill)`,
            }}
            title={`attempt ${work.attempt} ${lookOf(work.state).word}, ${took((work.to ?? now) - work.from)}${work.reason ? `: ${work.reason}` : ""}`}
            onClick={() => onPick(row)}
          />
        ))}
      </div>
    </>
  );
}

function FoldedRow({
  folded,
  view,
  onOpen,
}: {
  folded: TimelineOf["folded"][number];
  view: View;
  onOpen: () => void;
}) {
  const count = Object.values(folded.counts).reduce((sum, each) => sum + each, 0);
  return (
    <>
      <button
        type="button"
        className={`${css.name} ${css.folded}`}
        onClick={onOpen}
        title="show them in the grid"
      >
        <span className="clip">
          {count.toLocaleString("en")} more of {folded.step}
        </span>
        <Counts counts={folded.counts} brief />
      </button>
      <div className={css.track}>
        {folded.from !== null && folded.to !== null && (
          <span className={css.many} style={span(folded.from, folded.to, view)} />
        )}
      </div>
    </>
  );
}

const REASONS = [
  ["upstreams", "waits for upstream"],
  ["queue", "in the queue"],
  ["limits", "for a pool or rate"],
  ["bundle", "for its turn in a bundle"],
  ["retry", "for its retry"],
  ["gate", "for an answer"],
] as const;

function Legend() {
  return (
    <span className={css.legend}>
      {REASONS.map(([reason, words]) => (
        <span key={reason} className={css.entry}>
          <span className={`${css.swatch} ${css.wait} ${css[reason]}`} aria-hidden />
          {words}
        </span>
      ))}
      <span className={css.entry}>
        <span className={css.critical} aria-hidden>
          ◆
        </span>
        longest way
      </span>
    </span>
  );
}

/** Where a bar stands; what lies outside of the view is cut off, so that no bar is millions of pixels long. */
function span(from: number, to: number, view: View) {
  const size = view.to - view.from;
  const left = Math.max(-0.02, (from - view.from) / size);
  const right = Math.min(1.02, (to - view.from) / size);
  if (right < -0.01 || left > 1.01) return { display: "none" };
  return {
    left: `${(100 * left).toFixed(3)}%`,
    width: `max(2px, ${(100 * Math.max(0, right - left)).toFixed(3)}%)`,
  };
}

function width(drag: View, view: View): string {
  return `${((100 * (drag.to - drag.from)) / (view.to - view.from)).toFixed(3)}%`;
}
