/** The history of a run in words. Rule: pure; what an event says is told, nothing is made up. */
import { lookOf } from "@/parts/states";
import { took } from "@/parts/time";
import { nameOf } from "./columns";

export type RunEvent = { kind: string; [field: string]: unknown };
export type Told = {
  key: string;
  at: string | null;
  kind: string;
  state: string;
  step: string;
  index: string;
  words: string;
};

/** One line for each event. */
export function told(items: readonly { seq: number; at: string | null; events: RunEvent[] }[]): Told[] {
  return items.flatMap(({ seq, at, events }) =>
    events.map((event, n) => ({
      key: `${seq}.${n}`,
      at: typeof event.at === "string" ? event.at : at,
      kind: event.kind,
      state: stateOf(event),
      step: text(event.step),
      index: text(event.index),
      words: wordsOf(event),
    })),
  );
}

function text(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}

function stateOf(event: RunEvent): string {
  switch (event.kind) {
    case "run_created":
      return "queued";
    case "run_started":
    case "attempt_started":
    case "attempt_dispatched":
    case "resume_requested":
      // Not "running", which turns: this is long ago.
      return "dispatched";
    case "step_retried":
      return "retrying";
    case "step_reused":
    case "materialized":
      return "succeeded";
    case "pause_requested":
      return "paused";
    case "gate_opened":
    case "gate_voted":
      return "awaiting";
    case "gate_answered":
      return event.accepted ? "succeeded" : "cancelled";
    case "check_evaluated":
      return event.passed ? "passed" : "failed";
    case "cancel_requested":
      return "cancelled";
    default:
      return text(event.state) || "waiting";
  }
}

const by = (event: RunEvent) => (event.by ? ` by ${text(event.by)}` : "");
const because = (event: RunEvent) => (event.reason ? `: ${text(event.reason)}` : "");

function wordsOf(event: RunEvent): string {
  const attempt = text(event.attempt);
  switch (event.kind) {
    case "run_created":
      return `asked for${by(event)}`;
    case "run_started":
      return "the run started";
    case "run_ended":
      return `the run ${lookOf(text(event.state)).word}${because(event)}`;
    case "attempt_started":
      return `attempt ${attempt} started`;
    case "attempt_dispatched":
      return `attempt ${attempt} was handed out`;
    case "attempt_ended":
      return `attempt ${attempt} ${lookOf(text(event.state)).word}${spent(event)}${failure(event)}`;
    case "step_retried":
      return `attempt ${attempt} is to come${because(event)}`;
    case "step_ended":
      return event.reason ? text(event.reason) : lookOf(text(event.state)).word;
    case "step_reused":
      return `taken over from an earlier run (${text(event.from_run).slice(0, 8)})`;
    case "materialized":
      return `made ${text(event.asset)}${event.partition ? ` ${text(event.partition)}` : ""}`;
    case "check_evaluated":
      return `check ${text(event.check)} of ${text(event.asset)} ${event.passed ? "passed" : "failed"}`;
    case "pause_requested":
      return `paused${by(event)}${because(event)}`;
    case "resume_requested":
      return `resumed${by(event)}`;
    case "cancel_requested":
      return `to be cancelled, asked${by(event)}${because(event)}`;
    case "gate_opened":
      return `waits (${text(event.of)})`;
    case "gate_voted":
      return `${text(event.by)} said ${text(event.choice)}`;
    case "gate_answered":
      return `answered: ${text(event.choice) || text(event.how)}`;
    default:
      return event.kind.replaceAll("_", " ");
  }
}

function spent(event: RunEvent): string {
  const [began, ended] = [Number(event.began_at), Number(event.ended_at)];
  return began > 0 && ended > 0 ? ` after ${took(ended - began)}` : "";
}

function failure(event: RunEvent): string {
  const detail = event.detail as { failure?: { message?: unknown } | null } | null | undefined;
  const message = text(detail?.failure?.message).split("\n")[0];
  return message ? `: ${message}` : "";
}

/** Where it happened, for search. */
export function placeOf(each: Told): string {
  return each.step ? nameOf(each.step, each.index) : "";
}
