/** The command line that starts what a launch form says. Rule: pure. */
import { quoted } from "@/parts/shell";

export type Launch = {
  pipeline: string;
  params: Record<string, unknown>;
  partition: string;
  select: string;
  tags: string[];
  priority: number;
  failFast: boolean | null;
};

/** A value of a parameter as the command line takes it: text as it is, all else as JSON. */
function textOf(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

export function commandOf(launch: Launch): string {
  const words = ["partita", "run", launch.pipeline];
  if (launch.partition) words.push("--partition", launch.partition);
  if (launch.select) words.push("--select", launch.select);
  for (const [name, value] of Object.entries(launch.params))
    if (value !== undefined) words.push("-p", `${name}=${textOf(value)}`);
  for (const tag of launch.tags) words.push("--tag", tag);
  if (launch.priority !== 0) words.push("--priority", String(launch.priority));
  if (launch.failFast !== null) words.push(launch.failFast ? "--fail-fast" : "--no-fail-fast");
  return words.map(quoted).join(" ");
}

/**
 * What the server says of parameters, by their names: "pipeline `x` cannot run with these parameters: `a` is 3: …; `b` is
 * missing: …". Empty if it speaks of something else.
 */
export function saidOf(detail: string, names: readonly string[]): Record<string, string> {
  const told = detail.split(/cannot run with these parameters: /)[1];
  const found: Record<string, string> = {};
  if (told === undefined) return found;
  for (const part of told.split(/; (?=`)/)) {
    const name = /^`([^`]+)`/.exec(part)?.[1];
    if (name !== undefined && names.includes(name)) found[name] = part.replace(/^`[^`]+` /, "");
  }
  return found;
}
