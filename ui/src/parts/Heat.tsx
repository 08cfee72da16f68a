/**
 * Partitions as small squares: their states at a glance, brushed to choose some of them. Ten years of days are one canvas.
 *
 * By keyboard: arrows move, shift and arrows choose, enter opens, escape lets go. Each state has a mark of its own, so
 * that colour is not alone.
 */
import { useMantineColorScheme } from "@mantine/core";
import {
  type KeyboardEvent,
  type PointerEvent,
  type RefObject,
  useEffect,
  useMemo,
  useRef,
  useState,
} from "react";
import css from "./Heat.module.css";
import { between, type Dimension, keyAt, type Layout, layoutOf } from "./heat";
import { Glyph } from "./State";
import { lookOf, type Tone } from "./states";

type Props = {
  dimensions: Dimension[];
  /** One letter for each partition. */
  states: string;
  /** What a letter means: a state. */
  words: Record<string, string>;
  label: string;
  selected?: number[];
  onSelect?: (places: number[]) => void;
  onOpen?: (place: number) => void;
  /** How a place is called; without it by its key. */
  nameOf?: (place: number) => string;
  cell?: number;
};

const FAINT = new Set(["missing", "waiting"]);

export function Heat({ dimensions, states, words, label, selected, onSelect, onOpen, nameOf, cell }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const { colorScheme } = useMantineColorScheme();
  const layout = useMemo(() => layoutOf(dimensions), [dimensions]);
  const [box, room] = useWidth();
  const wanted = layout.leftWidth + layout.columns;
  const size = cell ?? (room ? Math.max(9, Math.min(16, Math.floor((room - 6) / wanted))) : 14);
  const [at, setAt] = useState<number | null>(null);
  const [brush, setBrush] = useState<[number, number] | null>(null);
  const places = useMemo(() => byPlace(layout), [layout]);
  const chosen = useMemo(() => {
    if (brush) return new Set(between(dimensions, layout, ...brush));
    return new Set(selected);
  }, [brush, selected, dimensions, layout]);
  const width = (layout.leftWidth + layout.columns) * size + 2;
  const height = layout.rows * size + 2;

  // biome-ignore lint/correctness/useExhaustiveDependencies: the colours are other ones in the dark
  useEffect(() => {
    if (canvas.current) draw(canvas.current, layout, states, words, size, chosen, at);
  }, [layout, states, words, size, chosen, at, colorScheme]);

  // What has happened is to be seen, where most of the map is still empty.
  const started = useRef(false);
  useEffect(() => {
    const element = box.current;
    const last = lastOf(states, words);
    if (started.current || !element || !room || last < 0) return;
    started.current = true;
    element.scrollTop = Math.max(0, (layout.y[last]! + 9) * size - element.clientHeight);
    element.scrollLeft = Math.max(0, (layout.leftWidth + layout.x[last]! + 4) * size - element.clientWidth);
  }, [box, room, layout, states, words, size]);

  const placeAt = (event: PointerEvent): number | null => {
    const box = canvas.current?.getBoundingClientRect();
    if (!box) return null;
    const x = Math.floor((event.clientX - box.left) / size) - layout.leftWidth;
    const y = Math.floor((event.clientY - box.top) / size);
    return places.get(y * 100_000 + x) ?? null;
  };
  const down = (event: PointerEvent<HTMLCanvasElement>) => {
    const place = placeAt(event);
    if (place === null || event.button !== 0) return;
    event.currentTarget.setPointerCapture(event.pointerId);
    setBrush([event.shiftKey && at !== null ? at : place, place]);
    setAt(place);
  };
  const moved = (event: PointerEvent<HTMLCanvasElement>) => {
    const place = placeAt(event);
    if (place === null) return;
    setAt(place);
    if (brush && brush[1] !== place) setBrush([brush[0], place]);
  };
  const up = () => {
    if (!brush) return;
    setBrush(null);
    if (brush[0] === brush[1]) {
      onSelect?.([brush[0]]);
      onOpen?.(brush[0]);
    } else onSelect?.(between(dimensions, layout, ...brush));
  };
  const anchor = useRef(0);
  const press = (event: KeyboardEvent) => {
    const here = at ?? 0;
    const next = moveTo(layout, places, here, event.key);
    if (next !== null) {
      event.preventDefault();
      event.stopPropagation();
      if (event.shiftKey) onSelect?.(between(dimensions, layout, anchor.current, next));
      else anchor.current = next;
      setAt(next);
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      event.stopPropagation();
      if (!chosen.has(here)) onSelect?.([here]);
      onOpen?.(here);
    } else if (event.key === "Escape" && chosen.size > 0) {
      event.stopPropagation();
      onSelect?.([]);
    }
  };
  const name = (place: number) => nameOf?.(place) ?? keyAt(dimensions, place);
  const wordOf = (place: number) => lookOf(words[states[place] ?? ""] ?? "unknown").word;
  return (
    <div className={css.heat}>
      <div className={css.scroll} ref={box}>
        {/* biome-ignore lint/a11y/noInteractiveElementToNoninteractiveRole: it answers keys by itself, and says which */}
        <canvas
          ref={canvas}
          className={css.canvas}
          style={{ width, height }}
          role="application"
          tabIndex={0}
          aria-label={`${label}: ${said(states, words)}. Arrows move, shift and arrows choose, enter opens.`}
          onPointerDown={down}
          onPointerMove={moved}
          onPointerUp={up}
          onPointerCancel={() => setBrush(null)}
          onPointerLeave={() => brush === null && setAt(null)}
          onKeyDown={press}
          onFocus={() => at === null && setAt(Math.max(0, states.length - 1))}
        />
      </div>
      <div className={css.below}>
        <Legend states={states} words={words} />
        <span className={css.here} aria-live="polite">
          {at !== null && at < states.length && (
            <>
              <Glyph state={words[states[at] ?? ""] ?? "unknown"} size={12} />{" "}
              <span className="mono">{name(at)}</span> {wordOf(at)}
            </>
          )}
        </span>
      </div>
    </div>
  );
}

/** The last place at which anything has happened; -1 if nothing has. */
export function lastOf(states: string, words: Record<string, string>): number {
  let last = states.length - 1;
  while (last >= 0 && FAINT.has(words[states[last] ?? ""] ?? "")) last -= 1;
  return last;
}

function useWidth(): [RefObject<HTMLDivElement | null>, number] {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    if (!box.current) return;
    const sizes = new ResizeObserver(([entry]) => entry && setWidth(Math.round(entry.contentRect.width)));
    sizes.observe(box.current);
    return () => sizes.disconnect();
  }, []);
  return [box, width];
}

/** How many are in which state, with the mark that each has. */
function Legend({ states, words }: { states: string; words: Record<string, string> }) {
  const counts = useMemo(() => countsOf(states), [states]);
  return (
    <span className={css.legend}>
      {Object.entries(words)
        .filter(([letter]) => counts.get(letter))
        .map(([letter, word]) => (
          <span key={letter} className={css.entry}>
            <Mark state={word} />
            {counts.get(letter)?.toLocaleString("en")} {lookOf(word).word}
          </span>
        ))}
    </span>
  );
}

function Mark({ state }: { state: string }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const { colorScheme } = useMantineColorScheme();
  // biome-ignore lint/correctness/useExhaustiveDependencies: the colours are other ones in the dark
  useEffect(() => {
    const element = canvas.current;
    const to = element && scaled(element, 12, 12);
    if (to) square(to, 0, 0, 12, state, fills(), false);
  }, [state, colorScheme]);
  return <canvas ref={canvas} className={css.mark} style={{ width: 12, height: 12 }} aria-hidden />;
}

export function countsOf(states: string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const letter of states) counts.set(letter, (counts.get(letter) ?? 0) + 1);
  return counts;
}

function said(states: string, words: Record<string, string>): string {
  const counts = countsOf(states);
  return Object.entries(words)
    .filter(([letter]) => counts.get(letter))
    .map(([letter, word]) => `${counts.get(letter)} ${lookOf(word).word}`)
    .join(", ");
}

function byPlace(layout: Layout): Map<number, number> {
  const found = new Map<number, number>();
  for (let at = 0; at < layout.x.length; at++) found.set(layout.y[at]! * 100_000 + layout.x[at]!, at);
  return found;
}

/** Where an arrow leads: the nearest place in its direction; null for a key that is no arrow. */
function moveTo(layout: Layout, places: Map<number, number>, from: number, key: string): number | null {
  const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
  if (key === "Home") return 0;
  if (key === "End") return layout.x.length - 1;
  if (!by) return null;
  let x = layout.x[from]!;
  let y = layout.y[from]!;
  for (let steps = 0; steps < 40; steps++) {
    x += by[0]!;
    y += by[1]!;
    const found = places.get(y * 100_000 + x);
    if (found !== undefined) return found;
  }
  return from;
}

// --- drawing ------------------------------------------------------------------------------------------------------

type Fills = Record<Tone, string> & {
  surface: string;
  border: string;
  text: string;
  dim: string;
  accent: string;
};

function fills(): Fills {
  const style = getComputedStyle(document.documentElement);
  const token = (name: string) => style.getPropertyValue(`--p-${name}`).trim();
  const tones: Tone[] = [
    "succeeded",
    "running",
    "failed",
    "retrying",
    "waiting",
    "person",
    "upstream",
    "late",
    "stale",
  ];
  return {
    ...(Object.fromEntries(tones.map((tone) => [tone, token(`${tone}-fill`)])) as Record<Tone, string>),
    surface: token("surface"),
    border: token("border-strong"),
    text: token("text"),
    dim: token("dim"),
    accent: token("accent"),
  };
}

function scaled(canvas: HTMLCanvasElement, width: number, height: number): CanvasRenderingContext2D | null {
  const scale = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const to = canvas.getContext("2d");
  to?.scale(scale, scale);
  return to;
}

function draw(
  canvas: HTMLCanvasElement,
  layout: Layout,
  states: string,
  words: Record<string, string>,
  size: number,
  chosen: Set<number>,
  at: number | null,
) {
  const to = scaled(canvas, (layout.leftWidth + layout.columns) * size + 2, layout.rows * size + 2);
  if (!to) return;
  const colours = fills();
  const left = layout.leftWidth * size;
  to.font = "10.5px Inter Variable, sans-serif";
  to.textBaseline = "middle";
  to.fillStyle = colours.dim;
  for (const label of layout.left)
    to.fillText(clipped(to, label.text, left - 6), 0, label.y * size + size / 2);
  for (const label of layout.top) to.fillText(label.text, left + label.x * size, label.y * size + size / 2);
  for (let place = 0; place < layout.x.length; place++) {
    const x = left + layout.x[place]! * size;
    const y = layout.y[place]! * size;
    square(
      to,
      x,
      y,
      size - 2,
      words[states[place] ?? ""] ?? "unknown",
      colours,
      chosen.size > 0 && !chosen.has(place),
    );
    if (chosen.has(place) || place === at) {
      to.strokeStyle = place === at ? colours.text : colours.accent;
      to.lineWidth = 1.5;
      to.strokeRect(x - 0.25, y - 0.25, size - 1.5, size - 1.5);
    }
  }
}

function clipped(to: CanvasRenderingContext2D, text: string, width: number): string {
  if (to.measureText(text).width <= width) return text;
  let length = text.length;
  while (length > 1 && to.measureText(`${text.slice(0, length)}…`).width > width) length -= 1;
  return `${text.slice(0, length)}…`;
}

/** One square: its colour, and a mark by which it is known without colour. */
function square(
  to: CanvasRenderingContext2D,
  x: number,
  y: number,
  size: number,
  state: string,
  colours: Fills,
  pale: boolean,
) {
  const { tone, glyph } = lookOf(state);
  to.globalAlpha = pale ? 0.35 : 1;
  const fill = colours[tone];
  if (FAINT.has(state)) {
    to.strokeStyle = colours.border;
    to.lineWidth = 1;
    to.strokeRect(x + 0.5, y + 0.5, size - 1, size - 1);
  } else {
    to.fillStyle = fill;
    to.fillRect(x, y, size, size);
  }
  to.strokeStyle = colours.surface;
  to.lineWidth = 1.4;
  to.beginPath();
  if (glyph === "cross") {
    to.moveTo(x + size * 0.28, y + size * 0.28);
    to.lineTo(x + size * 0.72, y + size * 0.72);
    to.moveTo(x + size * 0.72, y + size * 0.28);
    to.lineTo(x + size * 0.28, y + size * 0.72);
  } else if (glyph === "broken-ring") {
    to.rect(x + size * 0.3, y + size * 0.3, size * 0.4, size * 0.4);
  } else if (glyph === "half" || glyph === "half-still") {
    to.fillStyle = colours.surface;
    to.fillRect(x + size / 2, y + 1.5, size / 2 - 1.5, size - 3);
  } else if (glyph === "slash" || glyph === "dash") {
    to.moveTo(x + size * 0.25, y + (glyph === "dash" ? size / 2 : size * 0.75));
    to.lineTo(x + size * 0.75, y + (glyph === "dash" ? size / 2 : size * 0.25));
  }
  to.stroke();
  to.globalAlpha = 1;
}
