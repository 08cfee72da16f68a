/**
 * The instances of a run, kept up to date: events are applied as they come, and now and then all is asked for again.
 *
 * Rule: what an event says is seen at once; how much is asked for again depends on how large the run is.
 */
import { useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useRef } from "react";
import { keyOf, useGet } from "@/api/client";
import { type Happened, useHappened } from "@/api/live";
import { type All, applied, sizeOf } from "./columns";

const PATH = "/api/v1/runs/{run}/instances" as const;
const TOGETHER_MS = 80;
const AGAIN_MS = { small: 700, large: 3000 };
const LARGE = 2000;
/** A run that has begun or ended, or was put together anew: its answer is another one. */
const WHOLE = new Set(["run_started", "run_ended", "step_reused"]);

export function useInstances(run: string) {
  const asked = { path: { run } };
  const query = useGet(PATH, asked, { staleTime: 30_000 });
  const queries = useQueryClient();
  const waiting = useRef<Happened[]>([]);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const again = useRef<ReturnType<typeof setTimeout>>(undefined);
  const hear = useCallback(
    (happened: Happened) => {
      const key = keyOf(PATH, { path: { run } });
      const refresh = (after: number) => {
        again.current ??= setTimeout(() => {
          again.current = undefined;
          void queries.invalidateQueries({ queryKey: key });
        }, after);
      };
      waiting.current.push(happened);
      timer.current ??= setTimeout(() => {
        timer.current = undefined;
        const news = waiting.current;
        waiting.current = [];
        const now = queries.getQueryData<All>(key);
        if (!now) return refresh(0);
        const next = applied(now, news);
        if (next.all !== now) queries.setQueryData(key, next.all);
        const whole = news.some((each) => each.events.some((event) => WHOLE.has(event.kind)));
        refresh(whole ? 0 : sizeOf(now) > LARGE ? AGAIN_MS.large : AGAIN_MS.small);
      }, TOGETHER_MS);
    },
    [queries, run],
  );
  useHappened(hear, run);
  useEffect(
    () => () => {
      clearTimeout(timer.current);
      clearTimeout(again.current);
      timer.current = again.current = undefined;
    },
    [],
  );
  return query;
}
