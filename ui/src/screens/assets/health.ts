/** How the health of an asset is told on a screen. Rule: the API says what is; here it only gets its word and its order. */
import type { Schema } from "@/api/client";

/** The letters of partition states. */
export const LETTERS: Record<string, string> = {
  f: "failed",
  s: "stale",
  r: "running",
  m: "made",
  ".": "missing",
};

export function isLate(freshness: string | null | undefined): boolean {
  return freshness === "warn" || freshness === "fail";
}

const ORDER = ["failing", "late", "stale", "missing", "partial", "current", "external"];

/** What is bad first. */
export function rankOf(state: string): number {
  const at = ORDER.indexOf(state);
  return at < 0 ? ORDER.length : at;
}

/** Why it is so, in a line. */
export function reasonOf(asset: Schema<"CatalogEntry">): string {
  return asset.health === "late" ? asset.freshness_reason : asset.reason;
}

/** "3 of 365", or "all 365". */
export function madeOf(made: number, partitions: number): string {
  const all = partitions.toLocaleString("en");
  return made === partitions ? `all ${all}` : `${made.toLocaleString("en")} of ${all}`;
}
