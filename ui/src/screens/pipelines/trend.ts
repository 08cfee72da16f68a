/** What the last durations say: are the newest longer or shorter than those before them. Rule: pure. */

export type Past = {
  state: string;
  started_at: string | null;
  finished_at: string | null;
};

/** How long a run took that has ended, seconds. */
export function tookOf(run: Past): number | null {
  if (!run.started_at || !run.finished_at) return null;
  return Math.max(0, (Date.parse(run.finished_at) - Date.parse(run.started_at)) / 1000);
}

/** Durations of those that succeeded, oldest first; `runs` are newest first. */
export function durationsOf(runs: readonly Past[]): number[] {
  return runs
    .filter((run) => run.state === "succeeded")
    .map(tookOf)
    .filter((seconds): seconds is number => seconds !== null)
    .reverse();
}

/** The change of the newest three against the median of those before them, as a share; null where there are too few. */
export function trendOf(durations: readonly number[]): number | null {
  if (durations.length < 6) return null;
  const before = median(durations.slice(0, -3));
  const now = median(durations.slice(-3));
  return before > 0 ? now / before - 1 : null;
}

/** "18 % longer", "about the same". */
export function trendWords(trend: number | null): string {
  if (trend === null) return "";
  const percent = Math.round(Math.abs(trend) * 100);
  if (percent < 10) return "about the same";
  return trend > 0 ? `${percent} % longer` : `${percent} % shorter`;
}

function median(values: readonly number[]): number {
  const ordered = [...values].sort((a, b) => a - b);
  const middle = ordered.length >> 1;
  return ordered.length % 2 ? ordered[middle]! : (ordered[middle - 1]! + ordered[middle]!) / 2;
}
