/** What a form begins with that is to start a run like an earlier one. Rule: pure. */

type Spec = { name: string; required: boolean; default?: unknown; schema?: unknown };

/** What the run was given, of the parameters that the pipeline still has; the others are what they would be anyway. */
export function paramsLike(given: Record<string, unknown>, specs: Spec[]): Record<string, unknown> {
  return Object.fromEntries(
    specs.flatMap((spec): [string, unknown][] => {
      if (spec.name in given) return [[spec.name, asWritten(given[spec.name], spec.schema)]];
      return spec.required ? [] : [[spec.name, spec.default ?? null]];
    }),
  );
}

/** A run keeps a length of time in seconds; forms and defaults have it as ISO 8601 writes it. */
function asWritten(value: unknown, schema: unknown): unknown {
  const isDuration = (schema as { format?: string } | undefined)?.format === "duration";
  return isDuration && typeof value === "number" ? durationOf(value) : value;
}

/** 900 = "PT15M", 90061.5 = "P1DT1H1M1.5S". */
export function durationOf(seconds: number): string {
  const all = Math.abs(seconds);
  const days = Math.floor(all / 86_400);
  const hours = Math.floor((all % 86_400) / 3600);
  const minutes = Math.floor((all % 3600) / 60);
  const rest = Math.round((all % 60) * 1e6) / 1e6;
  const clock = `${hours ? `${hours}H` : ""}${minutes ? `${minutes}M` : ""}${rest ? `${rest}S` : ""}`;
  const text = `P${days ? `${days}D` : ""}${clock ? `T${clock}` : ""}`;
  return (seconds < 0 ? "-" : "") + (text === "P" ? "PT0S" : text);
}
