/** How a schedule or sensor stands, as a state of the glossary and its reason. */

export type Stands = { active: boolean; paused: boolean; reason: string; failures: number };

export function standing(of: Stands): { state: string; more: string } {
  if (!of.active) return { state: "gone", more: "" };
  if (of.paused) return { state: "paused", more: of.reason };
  if (of.failures > 0) return { state: "failing", more: `${of.failures} in a row` };
  return { state: "on", more: "" };
}
