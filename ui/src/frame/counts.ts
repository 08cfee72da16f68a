/** What waits, for the badges of the rail. */
import { useGet } from "@/api/client";

export type Waiting = { broken: number; approvals: number; unwell: number };

/** How many causes of failure are open, approvals wait and parts are unwell. */
export function useWaiting(): Waiting {
  const waiting = useGet(
    "/api/v1/waiting",
    {},
    { live: ["gate_", "step_ended", "run_ended", "run_created", "alert_"], staleTime: 30_000 },
  );
  const health = useGet("/api/v1/health", {}, { every: 30_000 });
  return {
    broken: waiting.data?.causes ?? 0,
    approvals: waiting.data?.approvals ?? 0,
    unwell: health.data?.unwell.length ?? 0,
  };
}
