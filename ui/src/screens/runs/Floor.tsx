/**
 * All runs over a window of time, a lane for each pipeline, with a line that is now.
 *
 * Rule: the picture is made of links; only what goes on and the line of now move, and they move alone.
 */
import { memo, type PointerEvent, useMemo, useRef, useState } from "react";
import type { Schema } from "@/api/client";
import { href } from "@/frame/address";
import { Counts, Glyph } from "@/parts/State";
import { lookOf } from "@/parts/states";
import { To } from "@/parts/To";
import { clock, exact, took, useZone, weekday, zoneName } from "@/parts/time";
import { useNow } from "@/parts/When";
import { areDays, dragged, marks, placeOf, type Window } from "./axis";
import css from "./Floor.module.css";

type Bar = Schema<"FloorBar">;
type Lane = Schema<"Lane">;
type Pointed = { bar: Bar; lane: Lane; x: number; y: number };

const percent = (share: number) => `${(100 * share).toFixed(3)}%`;

export function FloorPicture({
  floor,
  window: shown,
  onZoom,
}: {
  floor: Schema<"Floor">;
  window: Window;
  onZoom?: (window: Window) => void;
}) {
  const [pointed, point] = useState<Pointed | null>(null);
  const zero = Date.parse(floor.since ?? "");
  const box = useRef<HTMLDivElement>(null);
  return (
    <div className={css.floor} ref={box} onPointerLeave={() => point(null)}>
      <Axis window={shown} />
      <Lanes floor={floor} zero={zero} window={shown} onPoint={point} box={box} />
      <div className={css.over}>
        <Now window={shown} />
        {onZoom && <Dragging window={shown} onZoom={onZoom} />}
      </div>
      {pointed && <Tip of={pointed} zero={zero} />}
      {floor.cut && (
        <p className={css.note}>
          There were more runs than are looked at, so the earliest of them are missing.
        </p>
      )}
      {floor.more > 0 && <p className={css.note}>{floor.more} more pipelines ran; filter to see them.</p>}
    </div>
  );
}

/** The distance of the chosen zone from UTC. */
function shiftOf(at: number, zone: string): number {
  return (
    Date.parse(`${exact(new Date(at).toISOString(), zone).replace(" ", "T")}Z`) - Math.floor(at / 1000) * 1000
  );
}

function Axis({ window: shown }: { window: Window }) {
  const [zone] = useZone();
  const found = useMemo(() => marks(shown, 12, shiftOf(shown.from, zone)), [shown, zone]);
  // Where the line of now has its own word, and where a word would be cut.
  const now = placeOf(Date.now(), shown);
  const isFree = (at: number) =>
    Math.abs(placeOf(at, shown) - now) > (globalThis.innerWidth < 640 ? 0.14 : 0.04) &&
    placeOf(at, shown) < 0.985;
  const days = areDays(found);
  return (
    <div className={css.axis} aria-hidden>
      <div className={css.track}>
        {found.filter(isFree).map((at, number) => {
          const iso = new Date(at).toISOString();
          const text = days || clock(iso, zone) === "00:00" ? weekday(iso, zone) : clock(iso, zone);
          return (
            <span
              key={at}
              className={`${css.mark} ${number % 2 ? css.odd : ""}`}
              style={{ left: percent(placeOf(at, shown)) }}
            >
              <span className={css.markText}>{text}</span>
            </span>
          );
        })}
      </div>
    </div>
  );
}

const Lanes = memo(function Lanes({
  floor,
  zero,
  window: shown,
  onPoint,
  box,
}: {
  floor: Schema<"Floor">;
  zero: number;
  window: Window;
  onPoint: (pointed: Pointed | null) => void;
  box: React.RefObject<HTMLDivElement | null>;
}) {
  const point = (bar: Bar, lane: Lane) => (event: { currentTarget: HTMLElement }) => {
    const at = event.currentTarget.getBoundingClientRect();
    const around = box.current?.getBoundingClientRect();
    if (around) onPoint({ bar, lane, x: at.left - around.left, y: at.bottom - around.top });
  };
  return (
    <ul className={css.lanes} aria-label="runs by pipeline">
      {floor.lanes.map((lane) => (
        <li key={`${lane.namespace}/${lane.project}/${lane.pipeline}`} className={css.lane}>
          <div className={css.label}>
            <To to={href(["pipelines", lane.pipeline])} title={lane.pipeline} className={css.name}>
              {lane.pipeline}
            </To>
            <span className={css.sum}>
              <Counts counts={lane.counts} brief />
            </span>
          </div>
          <div className={css.track} data-testid={`lane-${lane.pipeline}`}>
            {lane.bars.map((bar) => (
              <FloorBar
                key={bar.no}
                bar={bar}
                lane={lane}
                zero={zero}
                window={shown}
                onPoint={point(bar, lane)}
                onLeave={() => onPoint(null)}
              />
            ))}
          </div>
        </li>
      ))}
    </ul>
  );
});

type BarProps = {
  bar: Bar;
  lane: Lane;
  zero: number;
  window: Window;
  onPoint: (event: { currentTarget: HTMLElement }) => void;
  onLeave: () => void;
};

function FloorBar(props: BarProps) {
  return props.bar.to === null ? (
    <Going {...props} />
  ) : (
    <Drawn {...props} end={props.zero + props.bar.to * 1000} />
  );
}

function Going(props: BarProps) {
  return <Drawn {...props} end={useNow()} />;
}

function Drawn({ bar, lane, zero, window: shown, end, onPoint, onLeave }: BarProps & { end: number }) {
  const from = placeOf(zero + bar.from * 1000, shown);
  const to = placeOf(end, shown);
  const began = bar.began === null ? to : placeOf(zero + bar.began * 1000, shown);
  const waits = to > from ? Math.min(1, (began - from) / (to - from)) : 0;
  return (
    <To
      to={
        bar.count > 1
          ? href(["runs"], {
              pipeline: lane.pipeline,
              since: iso(zero + bar.from * 1000 - 1),
              until: iso(end + 1),
            })
          : href(["runs", bar.no])
      }
      className={`${css.bar} ${bar.failed > 0 ? css.failed : ""} ${bar.to === null ? css.going : ""}`}
      style={{
        left: percent(from),
        width: percent(to - from),
        background: `var(--p-${lookOf(bar.state).tone}-fill)`,
      }}
      aria-label={`${wordsOf(bar, lane)}, ${took((bar.to ?? (end - zero) / 1000) - bar.from || 0)}`}
      onPointerEnter={onPoint}
      onFocus={onPoint}
      onBlur={onLeave}
      draggable={false}
    >
      {waits > 0.02 && <span className={css.waited} style={{ width: percent(waits) }} />}
    </To>
  );
}

function iso(at: number): string {
  return new Date(at).toISOString();
}

function wordsOf(bar: Bar, lane: Lane): string {
  if (bar.count > 1) return `${bar.count} runs of ${lane.pipeline}, ${bar.failed} failed`;
  const partition = bar.partition ? ` ${bar.partition}` : "";
  return `run ${bar.no} of ${lane.pipeline}${partition}: ${lookOf(bar.state).word}`;
}

function Tip({ of: { bar, lane, x, y }, zero }: { of: Pointed; zero: number }) {
  const [zone] = useZone();
  const from = iso(zero + bar.from * 1000);
  const end = bar.to === null ? null : iso(zero + bar.to * 1000);
  const waited = bar.began === null ? null : bar.began - bar.from;
  return (
    <div
      className={css.tip}
      style={{ left: `clamp(4px, ${Math.round(x)}px, calc(100% - 260px))`, top: Math.round(y) + 6 }}
      role="tooltip"
    >
      <strong>
        <Glyph state={bar.state} /> {bar.count > 1 ? `${bar.count} runs` : `#${bar.no}`} {lane.pipeline}
      </strong>
      {bar.partition && bar.count === 1 && <span className="mono">{bar.partition}</span>}
      {bar.count > 1 && bar.failed > 0 && <span>{bar.failed} of them failed</span>}
      <span title={zoneName(zone)}>
        {clock(from, zone, true)} to {end ? clock(end, zone, true) : "now"}
        {bar.to !== null && `, ${took(bar.to - bar.from)}`}
      </span>
      {bar.count === 1 && waited !== null && waited > 1 && (
        <span>waited {took(waited)} before it started</span>
      )}
    </div>
  );
}

function Now({ window: shown }: { window: Window }) {
  const now = useNow();
  const [zone] = useZone();
  if (now < shown.from || now > shown.to) return null;
  return (
    <div className={css.now} style={{ left: percent(placeOf(now, shown)) }} data-testid="now">
      <span className={css.nowText}>{clock(iso(now), zone)}</span>
    </div>
  );
}

/** A drag over the picture chooses a part of it. It begins beside the bars, for these are pressed. */
function Dragging({ window: shown, onZoom }: { window: Window; onZoom: (window: Window) => void }) {
  const [drag, setDrag] = useState<{ from: number; to: number } | null>(null);
  const share = (event: PointerEvent<HTMLDivElement>) => {
    const at = event.currentTarget.getBoundingClientRect();
    return Math.max(0, Math.min(1, (event.clientX - at.left) / at.width));
  };
  return (
    <div
      className={css.drag}
      data-testid="drag"
      title="drag to look closer"
      onPointerDown={(event) => {
        if (event.button !== 0) return;
        event.currentTarget.setPointerCapture(event.pointerId);
        setDrag({ from: share(event), to: share(event) });
      }}
      onPointerMove={(event) => drag && setDrag({ ...drag, to: share(event) })}
      onPointerUp={(event) => {
        if (!drag) return;
        setDrag(null);
        const found = dragged(shown, drag.from, share(event));
        if (found) onZoom(found);
      }}
      onPointerCancel={() => setDrag(null)}
    >
      {drag && (
        <div
          className={css.chosen}
          style={{
            left: percent(Math.min(drag.from, drag.to)),
            width: percent(Math.abs(drag.to - drag.from)),
          }}
        />
      )}
    </div>
  );
}
