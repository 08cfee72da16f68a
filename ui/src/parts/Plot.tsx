/** Lines over time, drawn by uPlot in the colours of the page. Loaded lazily: `lazy(() => import("@/parts/Plot"))`. */
import "uplot/dist/uPlot.min.css";
import "./Plot.css";
import { useEffect, useRef } from "react";
import uPlot from "uplot";
import { zoneName } from "./time";

export type Series = {
  name: string;
  values: (number | null)[];
  /** The name of a token without its dashes: "accent", "failed-fill". */
  colour?: string;
  dash?: boolean;
  points?: boolean;
  /** `false`: points alone. */
  line?: boolean;
  /** Fill down to the axis, or between this and the next series when `band`. */
  fill?: boolean;
};

export default function Plot({
  xs,
  series,
  height = 180,
  format,
  label,
  onPick,
  fromZero,
  numbers,
  band,
  sayX,
}: {
  /** Seconds since 1970; with `numbers`, plain numbers. */
  xs: number[];
  series: Series[];
  height?: number;
  format?: (value: number) => string;
  /** What it shows, in words. */
  label: string;
  onPick?: (index: number) => void;
  /** The axis begins at zero: for what is compared with a limit. */
  fromZero?: boolean;
  numbers?: boolean;
  /** Colour what lies between two of the series, the upper one first. */
  band?: readonly [number, number];
  /** How a place on the axis below is called, with `numbers`. */
  sayX?: (x: number) => string;
}) {
  const box = useRef<HTMLDivElement>(null);
  const pick = useRef(onPick);
  pick.current = onPick;
  useEffect(() => {
    const at = box.current;
    if (!at) return;
    const token = (name: string) =>
      getComputedStyle(document.documentElement).getPropertyValue(`--p-${name}`).trim();
    const say = (value: number | null) =>
      value === null ? "–" : (format?.(value) ?? value.toLocaleString("en", { maximumSignificantDigits: 5 }));
    const axis = {
      stroke: token("dim"),
      grid: { stroke: token("border"), width: 1 },
      ticks: { show: false },
      font: "11px Inter Variable",
    };
    const plot = new uPlot(
      {
        width: Math.max(120, at.clientWidth),
        height,
        ...(numbers ? {} : { tzDate: (ts: number) => uPlot.tzDate(new Date(ts * 1000), zoneName()) }),
        legend: { live: true },
        scales: {
          x: { time: !numbers },
          ...(fromZero
            ? { y: { range: (_: uPlot, __: number, most: number) => [0, most * 1.08 || 1] } }
            : {}),
        },
        cursor: { points: { size: 7 }, drag: { x: true, y: false } },
        axes: [
          sayX
            ? {
                ...axis,
                values: (_: uPlot, ticks: number[]) => ticks.map((x) => (Number.isInteger(x) ? sayX(x) : "")),
              }
            : axis,
          { ...axis, size: 64, values: (_: uPlot, ticks: number[]) => ticks.map(say) },
        ],
        ...(band
          ? {
              bands: [
                {
                  series: [band[0] + 1, band[1] + 1] as [number, number],
                  fill: `color-mix(in srgb, ${token(series[band[0]]?.colour ?? "accent")} 14%, transparent)`,
                },
              ],
            }
          : {}),
        series: [
          sayX ? { label: "Run", value: (_: uPlot, x: number | null) => (x === null ? "–" : sayX(x)) } : {},
          ...series.map((one) => {
            const stroke = token(one.colour ?? "accent");
            return {
              label: one.name,
              stroke,
              width: one.line === false ? 0 : 1.6,
              ...(one.dash ? { dash: [4, 4] } : {}),
              ...(one.fill ? { fill: `color-mix(in srgb, ${stroke} 14%, transparent)` } : {}),
              points: { show: one.points ?? xs.length < 60, size: 5 },
              value: (_: uPlot, value: number | null) => say(value),
            };
          }),
        ],
      },
      [xs, ...series.map((one) => one.values)] as uPlot.AlignedData,
      at,
    );
    const click = () => {
      const index = plot.cursor.idx;
      if (index !== null && index !== undefined) pick.current?.(index);
    };
    plot.over.addEventListener("click", click);
    const sizes = new ResizeObserver(() => plot.setSize({ width: Math.max(120, at.clientWidth), height }));
    sizes.observe(at);
    return () => {
      sizes.disconnect();
      plot.destroy();
    };
  }, [xs, series, height, format, fromZero, numbers, band, sayX]);
  return <div ref={box} role="img" aria-label={label} style={{ minHeight: height + 28 }} />;
}
