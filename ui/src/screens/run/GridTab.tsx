/** Mapped steps as dense squares, one an instance, the failed ones first. Drawn, so that ten thousand are as quick as ten. */
import { SegmentedControl, useMantineColorScheme } from "@mantine/core";
import {
  type KeyboardEvent,
  type PointerEvent,
  useCallback,
  useEffect,
  useMemo,
  useRef,
  useState,
} from "react";
import { useChosen } from "@/frame/address";
import { Choice, Filters } from "@/parts/Filters";
import { Counts, Glyph } from "@/parts/State";
import { lookOf } from "@/parts/states";
import { took } from "@/parts/time";
import { type All, type Columns, countsOf, nameOf, statesOf } from "./columns";
import css from "./Grid.module.css";
import type { Selection, TabProps } from "./Run";
import { drawnOrder, moved, sideOf } from "./squares";

export function GridTab({ all, selected, select }: TabProps) {
  const [chosen, choose] = useChosen();
  const by = chosen.by === "index" ? "index" : "state";
  const mapped = all.steps.filter((step) => step.mapped && step.indexes.length > 1);
  const shown = chosen.of ? mapped.filter((step) => step.step === chosen.of) : mapped;
  return (
    <div className={css.all}>
      <Filters>
        {mapped.length > 1 && (
          <Choice
            label="all mapped steps"
            value={chosen.of}
            options={mapped.map((step) => step.step)}
            onChange={(of) => choose({ of })}
            width={220}
          />
        )}
        <SegmentedControl
          aria-label="order"
          data={[
            { value: "state", label: "failed first" },
            { value: "index", label: "by index" },
          ]}
          value={by}
          onChange={(next) => choose({ by: next === "index" ? "index" : undefined })}
        />
      </Filters>
      {shown.map((step) => (
        <section key={step.step} className={css.one}>
          <h3 className={css.head}>
            <span>{step.step}</span>
            <Counts counts={countsOf(all, step)} />
          </h3>
          <Squares
            all={all}
            step={step}
            by={by}
            selected={selected}
            onPick={(index) => select(step.step, index)}
          />
        </section>
      ))}
    </div>
  );
}

type Props = {
  all: All;
  step: Columns;
  by: "state" | "index";
  selected: Selection;
  onPick: (index: string) => void;
};

function Squares({ all, step, by, selected, onPick }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [width, measure] = useWidth();
  const [at, setAt] = useState<number | null>(null);
  const { colorScheme } = useMantineColorScheme();
  const states = useMemo(() => statesOf(all, step), [all, step]);
  const order = useMemo(() => drawnOrder(states, by), [states, by]);
  const side = sideOf(states.length, width);
  const columns = Math.max(1, Math.floor(width / side));
  const rows = Math.ceil(states.length / columns);
  const place = selected?.step === step.step ? step.indexes.indexOf(selected.index) : -1;
  const mark = place < 0 ? null : order.indexOf(place);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the colours are other ones in the dark
  useEffect(() => {
    if (canvas.current && width > 0) draw(canvas.current, { states, order, side, columns, rows, mark, at });
  }, [states, order, side, columns, rows, mark, at, width, colorScheme]);
  const under = (event: PointerEvent<HTMLCanvasElement>): number | null => {
    const { left, top } = event.currentTarget.getBoundingClientRect();
    const x = Math.floor((event.clientX - left) / side);
    const found = Math.floor((event.clientY - top) / side) * columns + x;
    return x < columns && found >= 0 && found < order.length ? found : null;
  };
  const pick = (found: number | null) => {
    if (found !== null) onPick(step.indexes[order[found]!]!);
  };
  const keys = (event: KeyboardEvent) => {
    if (event.key === "Enter" || event.key === " ") pick(at ?? mark ?? 0);
    else {
      const next = moved(event.key, at ?? mark ?? 0, order.length, columns);
      if (next === null) return;
      setAt(next);
    }
    event.preventDefault();
  };
  return (
    <div ref={measure} className={css.squares}>
      {/* biome-ignore lint/a11y/noInteractiveElementToNoninteractiveRole: it answers keys by itself, and says which */}
      <canvas
        ref={canvas}
        className={css.canvas}
        style={{ width: columns * side, height: rows * side }}
        tabIndex={0}
        role="application"
        aria-label={`instances of ${step.step}: ${saidOf(all, step)}. Arrow keys move, enter opens.`}
        onPointerMove={(event) => setAt(under(event))}
        onPointerLeave={() => setAt(null)}
        onClick={() => pick(at)}
        onPointerDown={(event) => setAt(under(event))}
        onKeyDown={keys}
        onBlur={() => setAt(null)}
      />
      <Here step={step} states={states} place={at === null ? null : (order[at] ?? null)} />
    </div>
  );
}

/** What is under the pointer, or under the keys. */
function Here({ step, states, place }: { step: Columns; states: string[]; place: number | null }) {
  if (place === null) return <p className={css.here}>Each square is an instance.</p>;
  const [state, ms, tries] = [states[place] ?? "unknown", step.took[place], step.attempts[place] ?? 0];
  return (
    <p className={css.here} aria-live="polite">
      <Glyph state={state} size={13} />{" "}
      <span className="mono">{nameOf(step.step, step.indexes[place] ?? "")}</span> {lookOf(state).word}
      {ms !== null && ms !== undefined && ` in ${took(ms / 1000)}`}
      {tries > 1 && `, ${tries} attempts`}
    </p>
  );
}

function saidOf(all: All, step: Columns): string {
  return Object.entries(countsOf(all, step))
    .map(([state, count]) => `${count} ${lookOf(state).word}`)
    .join(", ");
}

function useWidth(): [number, (element: HTMLDivElement | null) => void] {
  const [width, setWidth] = useState(0);
  const observer = useRef<ResizeObserver>(undefined);
  const measure = useCallback((element: HTMLDivElement | null) => {
    observer.current?.disconnect();
    if (!element) return;
    observer.current = new ResizeObserver(([entry]) => setWidth(Math.floor(entry?.contentRect.width ?? 0)));
    observer.current.observe(element);
  }, []);
  return [width, measure];
}

type Picture = {
  states: string[];
  order: number[];
  side: number;
  columns: number;
  rows: number;
  mark: number | null;
  at: number | null;
};

function draw(canvas: HTMLCanvasElement, { states, order, side, columns, rows, mark, at }: Picture) {
  const scale = window.devicePixelRatio || 1;
  canvas.width = Math.round(columns * side * scale);
  canvas.height = Math.round(rows * side * scale);
  const to = canvas.getContext("2d");
  if (!to) return;
  to.scale(scale, scale);
  const style = getComputedStyle(document.documentElement);
  const token = (name: string) => style.getPropertyValue(`--p-${name}`).trim();
  const fills = new Map([...new Set(states)].map((state) => [state, token(`${lookOf(state).tone}-fill`)]));
  const surface = token("surface");
  const size = side - (side > 12 ? 3 : 2);
  order.forEach((place, n) => {
    const state = states[place]!;
    const [x, y] = [(n % columns) * side + 1, Math.floor(n / columns) * side + 1];
    square(to, state, fills.get(state) ?? surface, surface, x, y, size);
  });
  for (const [n, colour] of [
    [mark, token("accent")],
    [at, token("text")],
  ] as const) {
    if (n === null) continue;
    to.strokeStyle = colour;
    to.lineWidth = 2;
    to.strokeRect((n % columns) * side + 0.5, Math.floor(n / columns) * side + 0.5, size + 1, size + 1);
  }
}

/** A square with its state's colour, and a mark by which it is known without: a cross, a half, a hatch, a ring. */
function square(
  to: CanvasRenderingContext2D,
  state: string,
  fill: string,
  surface: string,
  x: number,
  y: number,
  size: number,
) {
  const { glyph } = lookOf(state);
  if (glyph === "ring" || glyph === "dotted") {
    to.strokeStyle = fill;
    to.lineWidth = 1;
    to.strokeRect(x + 0.5, y + 0.5, size - 1, size - 1);
    return;
  }
  to.fillStyle = fill;
  to.fillRect(x, y, size, size);
  if (glyph === "check") return;
  to.strokeStyle = surface;
  to.fillStyle = surface;
  to.lineWidth = 1.3;
  to.beginPath();
  const [a, b] = [size * 0.25, size * 0.75];
  if (glyph === "cross") {
    to.moveTo(x + a, y + a);
    to.lineTo(x + b, y + b);
    to.moveTo(x + b, y + a);
    to.lineTo(x + a, y + b);
  } else if (glyph === "half") to.fillRect(x + size / 2, y + 1.5, size / 2 - 1.5, size - 3);
  else if (glyph === "dash") {
    to.moveTo(x + a, y + size / 2);
    to.lineTo(x + b, y + size / 2);
  } else {
    to.moveTo(x + a, y + b);
    to.lineTo(x + b, y + a);
  }
  to.stroke();
}
