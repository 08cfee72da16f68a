/** Every state that the engine knows: its word, its colour and which glyph it has. The same everywhere. */

export type Look = { word: string; tone: Tone; glyph: Glyph };
export type Tone =
  | "succeeded"
  | "running"
  | "failed"
  | "retrying"
  | "waiting"
  | "person"
  | "upstream"
  | "late"
  | "stale";
export type Glyph =
  | "check"
  | "half"
  | "half-still"
  | "cross"
  | "again"
  | "dotted"
  | "ring"
  | "hand"
  | "dash"
  | "hatch"
  | "slash"
  | "clock"
  | "broken-ring"
  | "plus"
  | "pause";

const look = (word: string, tone: Tone, glyph: Glyph): Look => ({ word, tone, glyph });

export const LOOKS: Record<string, Look> = {
  succeeded: look("succeeded", "succeeded", "check"),
  running: look("running", "running", "half"),
  started: look("running", "running", "half"),
  dispatched: look("dispatched", "running", "dotted"),
  failed: look("failed", "failed", "cross"),
  timed_out: look("timed out", "failed", "cross"),
  lost: look("lost", "retrying", "cross"),
  refused: look("refused", "retrying", "cross"),
  retrying: look("retrying", "retrying", "again"),
  ready: look("ready", "waiting", "dotted"),
  queued: look("queued", "waiting", "ring"),
  waiting: look("waiting", "waiting", "ring"),
  needs_attention: look("waits for a person", "person", "hand"),
  awaiting: look("waits for an answer", "person", "hand"),
  paused: look("paused", "person", "pause"),
  skipped: look("skipped", "waiting", "dash"),
  upstream_failed: look("upstream failed", "upstream", "hatch"),
  cancelled: look("cancelled", "waiting", "slash"),
  late: look("late", "late", "clock"),
  stale: look("stale", "stale", "broken-ring"),
  missing: look("missing", "waiting", "dotted"),
  partial: look("made in part", "waiting", "half-still"),
  made: look("made", "succeeded", "check"),
  external: look("made elsewhere", "waiting", "ring"),
  current: look("current", "succeeded", "check"),
  fresh: look("fresh", "succeeded", "check"),
  failing: look("failing", "failed", "cross"),
  warn: look("late", "late", "clock"),
  fail: look("too late", "failed", "clock"),
  warned: look("warns", "late", "clock"),
  reachable: look("reachable", "succeeded", "check"),
  connecting: look("is being reached", "waiting", "ring"),
  away: look("cannot be reached", "failed", "cross"),
  wrong: look("its settings are wrong", "failed", "cross"),
  unused: look("not used yet", "waiting", "dotted"),
  unknown: look("not known", "waiting", "ring"),
  passed: look("passed", "succeeded", "check"),
  on: look("on", "succeeded", "check"),
  closed: look("closed", "waiting", "slash"),
  gone: look("declared no more", "waiting", "dash"),
  added: look("added", "succeeded", "plus"),
  removed: look("removed", "failed", "dash"),
  changed: look("changed", "retrying", "again"),
  healthy: look("healthy", "succeeded", "check"),
  unwell: look("unwell", "failed", "cross"),
};

/** The look of a state; of one that is not known its own word. */
export function lookOf(state: string): Look {
  return LOOKS[state] ?? look(state.replaceAll("_", " "), "waiting", "ring");
}

/** What is bad first: the order in which states are told, sorted and summed. */
export const ORDER = [
  "failed",
  "timed_out",
  "lost",
  "needs_attention",
  "awaiting",
  "upstream_failed",
  "retrying",
  "running",
  "ready",
  "queued",
  "waiting",
  "cancelled",
  "skipped",
  "succeeded",
] as const;

/** The place of a state in that order. */
export function rankOf(state: string): number {
  const found = (ORDER as readonly string[]).indexOf(state);
  return found < 0 ? ORDER.length : found;
}

/** `{succeeded: 3, failed: 1}` as pairs, what is bad first, without zeros. */
export function inOrder(counts: Record<string, number>): [string, number][] {
  return Object.entries(counts)
    .filter(([, count]) => count > 0)
    .sort(([a], [b]) => rankOf(a) - rankOf(b));
}

/** Whether a run or step is over. */
export function isOver(state: string): boolean {
  return ["succeeded", "failed", "cancelled", "skipped", "upstream_failed"].includes(state);
}
