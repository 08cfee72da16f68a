/** The cause of a death in a sentence. Rule: pure; what the engine has written is shortened, never replaced. */
import type { Schema } from "@/api/client";

type Failure = Schema<"Failure">;

const HOW: Record<string, string> = {
  exception: "It raised an exception",
  timeout: "It took too long",
  signal: "Its process was killed",
  out_of_memory: "It ran out of memory",
  exit: "It ended its process",
  lost: "It was lost with its worker",
  not_storable: "Its result cannot be stored",
  input: "Its input cannot be read",
  cancelled: "It was cancelled",
  skipped: "It skipped itself",
  check: "Its check did not pass",
  loop_limit: "Its loop did not end",
  members: "Some of its members failed",
  not_begun: "It was never begun",
};

const SIGNALS: Record<number, string> = {
  1: "SIGHUP",
  2: "SIGINT",
  3: "SIGQUIT",
  4: "SIGILL",
  6: "SIGABRT",
  7: "SIGBUS",
  8: "SIGFPE",
  9: "SIGKILL",
  11: "SIGSEGV",
  13: "SIGPIPE",
  15: "SIGTERM",
};

/** How it ended: "Its process was killed by SIGSEGV". */
export function howOf(failure: Failure): string {
  const how = HOW[failure.cause] ?? failure.cause.replaceAll("_", " ");
  if (failure.signal !== null) return `${how} by ${SIGNALS[failure.signal] ?? `signal ${failure.signal}`}`;
  return failure.exit_code === null ? how : `${how} with exit code ${failure.exit_code}`;
}

/** The kind of the exception and what it says: "ValueError: no such file". */
export function errorOf(failure: Failure): string {
  const kind = failure.cause === "exception" ? (failure.types[0]?.split(".").pop() ?? "") : "";
  const text = failure.message.trim();
  if (!kind || text.startsWith(kind)) return text;
  return text ? `${kind}: ${text}` : kind;
}

export type Frame = { file: string; line: number; name: string; code: string };

const FRAME = /^ {2}File "(.+)", line (\d+), in (.+)$/;
const OTHERS = /[\\/](?:site-packages|dist-packages|lib[\\/]python[\d.]+|partita[\\/]worker)[\\/]|^</;

/** Of a traceback the frame to look at first: the last one that is the user's own code; null if it is all of libraries. */
export function ownFrame(traceback: string): Frame | null {
  const lines = traceback.split("\n");
  for (let at = lines.length - 1; at >= 0; at -= 1) {
    const match = FRAME.exec(lines[at]!);
    if (!match || OTHERS.test(match[1]!)) continue;
    const next = lines[at + 1] ?? "";
    return {
      file: match[1]!.split(/[\\/]/).slice(-2).join("/"),
      line: Number(match[2]),
      name: match[3]!,
      code: next.startsWith("    ") ? next.trim() : "",
    };
  }
  return null;
}

/** The first line of what was said. */
export function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? "";
}

/** A subject of a reason as the step that it names: "extract[3]" is the third instance of extract; null = no step. */
export function stepOf(subject: string, steps: ReadonlySet<string>): { step: string; index: string } | null {
  if (steps.has(subject)) return { step: subject, index: "" };
  const match = /^(.*)\[([\d.]+)\]$/s.exec(subject);
  return match && steps.has(match[1]!) ? { step: match[1]!, index: match[2]! } : null;
}
