/** The events that make answers about assets old. */
export const LIVE = [
  "materialized",
  "asset_",
  "check_",
  "freshness_",
  "attempt_",
  "partition_",
  "project_",
] as const;
