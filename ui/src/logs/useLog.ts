/** The log of one attempt: what is known of the whole, the lines as they are looked at, and those that come. */
import { useCallback, useEffect, useMemo, useReducer, useRef, useState } from "react";
import { address, get, type Schema, useGet } from "@/api/client";
import { BLOCK, type Fold, Rows } from "./rows";

export type Where = { run: string; step: string; index: string; attempt: number };
export type Whole = Schema<"LogLines">;

export type Log = {
  rows: Rows;
  total: number;
  /** Lines still come. */
  live: boolean;
  folds: readonly Fold[];
  firstError: number | null;
  levels: Record<string, number>;
  error: unknown;
  isLoading: boolean;
  /** Have these lines fetched, unless they are here. */
  want: (first: number, last: number) => void;
  /** Changes when lines have come. */
  version: number;
  again: () => void;
};

const TOGETHER_MS = 60;

export function useLog(where: Where): Log {
  const { run, step, index, attempt } = where;
  const asked = useMemo(
    () => ({ path: { run, step }, query: { index, attempt, limit: BLOCK } }),
    [run, step, index, attempt],
  );
  const whole = useGet("/api/v1/runs/{run}/steps/{step}/log/lines", asked, { staleTime: 0 });
  // biome-ignore lint/correctness/useExhaustiveDependencies: another log, other lines
  const rows = useMemo(() => new Rows(), [asked]);
  const [version, changed] = useReducer((n: number) => n + 1, 0);
  const [grown, setGrown] = useState({ of: rows, total: 0 });
  const [failure, setFailure] = useState<unknown>(null);
  const asking = useRef(new Set<number>());
  const data = whole.data;

  useEffect(() => {
    if (!data) return;
    rows.put(data.lines);
    changed();
  }, [data, rows]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: what was asked of another log is nothing to this one
  useEffect(() => asking.current.clear(), [rows]);

  const total = Math.max(data?.total ?? 0, grown.of === rows ? grown.total : 0);
  const want = useCallback(
    (first: number, last: number) => {
      if (last < first) return;
      for (const at of rows.missing(first, last, total)) {
        if (asking.current.has(at)) continue;
        asking.current.add(at);
        get("/api/v1/runs/{run}/steps/{step}/log/lines", {
          ...asked,
          query: { ...asked.query, first: at * BLOCK + 1 },
        })
          .then((found) => {
            rows.put(found.lines);
            setFailure(null);
            changed();
          })
          .catch(setFailure)
          .finally(() => asking.current.delete(at));
      }
    },
    [asked, rows, total],
  );

  const over = data?.over;
  const next = data?.next;
  const known = data?.total ?? 0;
  const refetch = whole.refetch;
  useEffect(() => {
    if (over !== false || next === undefined) return;
    return follow(
      address("/api/v1/runs/{run}/steps/{step}/log/live", {
        path: { run, step },
        query: { index, attempt, offset: next },
      }),
      known,
      (lines, count) => {
        rows.put(lines);
        setGrown({ of: rows, total: count });
        changed();
      },
      () => void refetch(),
    );
  }, [over, next, known, run, step, index, attempt, rows, refetch]);

  return {
    rows,
    total,
    live: over === false,
    folds: (data?.folds ?? []) as unknown as Fold[],
    firstError: data?.first_error ?? null,
    levels: data?.levels ?? {},
    error: whole.error ?? failure,
    isLoading: whole.isPending,
    want,
    version,
    again: () => {
      setFailure(null);
      void refetch();
      changed();
    },
  };
}

type Said = { at: string; level: string; text: string };

/** Lines as they are written, numbered on from `total`, some at a time. Ends with the function that it returns. */
function follow(
  path: string,
  total: number,
  take: (lines: { no: number; at: string; level: string; text: string }[], total: number) => void,
  ended: () => void,
): () => void {
  const source = new EventSource(path);
  let come: Said[] = [];
  let count = total;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const flush = () => {
    timer = undefined;
    const lines = come.map((line, at) => ({ no: count + at + 1, ...line }));
    count += lines.length;
    come = [];
    if (lines.length > 0) take(lines, count);
  };
  source.addEventListener("line", (message) => {
    come.push(JSON.parse((message as MessageEvent<string>).data) as Said);
    timer ??= setTimeout(flush, TOGETHER_MS);
  });
  source.addEventListener("end", () => {
    source.close();
    flush();
    ended();
  });
  return () => {
    source.close();
    clearTimeout(timer);
  };
}
