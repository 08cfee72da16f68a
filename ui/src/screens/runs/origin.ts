/** What made a run, in words. */
import type { Schema } from "@/api/client";

/** "schedule nightly", "backfill", "retry by ann", "ann". */
export function originOf({
  origin,
  by,
  rerun_of,
}: Pick<Schema<"Run">, "origin" | "by" | "rerun_of">): string {
  const [kind = "", name = ""] = origin.split(":");
  if (rerun_of || kind === "rerun") return `retry by ${personOf(by)}`;
  switch (kind) {
    case "sched":
      return `schedule ${name}`;
    case "sensor":
      return `sensor ${name}`;
    case "trigger":
      return `${name}, started by hand`;
    case "backfill":
      return "backfill";
    case "auto":
      return `automation of ${name}`;
    default:
      return personOf(by);
  }
}

/** "local:ann" is ann at this machine. */
function personOf(by: string): string {
  return by.replace(/^local:/, "");
}
