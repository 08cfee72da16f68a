/**
 * One stream of events for the page: it makes the answers old that events touch, and tells who listens.
 *
 * Rule: the first event refreshes at once, those that follow within a moment together, so that a busy run does not ask
 * for itself a thousand times.
 */
import type { QueryClient } from "@tanstack/react-query";
import { useEffect, useSyncExternalStore } from "react";

export type Happened = {
  no: number;
  run: string;
  at: string | null;
  events: { kind: string; [field: string]: unknown }[];
};
export type Connection = "connecting" | "live" | "lost";

const TOGETHER_MS = 200;
/** How far the scheduler's clock may be behind the one of the server that answers. */
const CLOCKS_S = 2;

let connection: Connection = "connecting";
const watchers = new Set<() => void>();
const listeners = new Set<(happened: Happened) => void>();

function become(next: Connection) {
  if (next === connection) return;
  connection = next;
  for (const tell of watchers) tell();
}

/** Whether events arrive. */
export function useConnection(): Connection {
  return useSyncExternalStore(
    (tell) => {
      watchers.add(tell);
      return () => watchers.delete(tell);
    },
    () => connection,
  );
}

/** Hear every event (of one run, when its id is given). */
export function useHappened(hear: (happened: Happened) => void, run?: string) {
  useEffect(() => {
    const listen = (happened: Happened) => {
      if (run === undefined || happened.run === run) hear(happened);
    };
    listeners.add(listen);
    return () => {
      listeners.delete(listen);
    };
  }, [hear, run]);
}

/** Which of the kept answers an event makes old. */
export function touches(meta: Record<string, unknown> | undefined, happened: Happened): boolean {
  const live = meta?.live as readonly string[] | true | undefined;
  if (!live) return false;
  const run = meta?.liveRun as string | undefined;
  if (run !== undefined && happened.run !== run) return false;
  return live === true || happened.events.some((event) => live.some((start) => event.kind.startsWith(start)));
}

/** Listen for as long as the page is open; ends with the function that it returns. */
export function follow(queries: QueryClient): () => void {
  let source: EventSource | null = null;
  let again: ReturnType<typeof setTimeout> | undefined;
  let last = "";
  const dirty = new Set<string>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let flushed = 0;

  const flush = () => {
    timer = undefined;
    flushed = performance.now();
    const wanted = new Set(dirty);
    dirty.clear();
    // An answer on its way may be from before the event: it is asked for again.
    void queries.invalidateQueries({ predicate: (query) => wanted.has(query.queryHash) });
  };

  const hear = (happened: Happened) => {
    for (const query of queries.getQueryCache().getAll()) {
      if (touches(query.meta, happened)) dirty.add(query.queryHash);
    }
    if (dirty.size > 0 && timer === undefined)
      timer = setTimeout(flush, Math.max(0, TOGETHER_MS - (performance.now() - flushed)));
    for (const listen of listeners) listen(happened);
  };

  const open = () => {
    // What the screen asked for before it listened may be older than an event that nobody has told it of.
    const from = last
      ? `after=${last}`
      : `back=${Math.min(600, performance.now() / 1000 + CLOCKS_S).toFixed(1)}`;
    source = new EventSource(`/api/v1/events/live?${from}`);
    source.onopen = () => {
      if (connection === "lost") void queries.invalidateQueries();
      become("live");
    };
    source.addEventListener("happened", (message) => {
      last = message.lastEventId || last;
      hear(JSON.parse(message.data as string) as Happened);
    });
    source.addEventListener("passed", (message) => {
      last = message.lastEventId || last;
    });
    source.addEventListener("end", () => source?.close());
    source.onerror = () => {
      become("lost");
      source?.close();
      again = setTimeout(open, 1500 + 1500 * Math.random());
    };
  };
  open();
  return () => {
    source?.close();
    clearTimeout(again);
    clearTimeout(timer);
  };
}
