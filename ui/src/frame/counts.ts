/** What waits, for the badges of the rail. */
import { useGet } from "@/api/client";

export type Waiting = { broken: number; approvals: number; unwell: number };

/** How many causes of failure are open, approvals wait and parts are unwell. */
export function useWaiting(): Waiting {
  const approvals = useGet(
    "/api/v1/approvals",
    { query: { limit: 100 } },
    { live: ["gate_", "step_", "run_ended"], staleTime: 30_000 },
  );
  const health = useGet("/api/v1/health", {}, { every: 30_000 });
  return {
    broken: 0,
    approvals: approvals.data?.items.length ?? 0,
    unwell: health.data?.unwell.length ?? 0,
  };
}
