/** What stands where data will be: a skeleton after a moment, an error that says what to do, a page that teaches. */
import { Button } from "@mantine/core";
import { type ReactNode, useEffect, useState } from "react";
import { asProblem } from "@/api/problem";
import { Copy } from "./Command";
import css from "./Waiting.module.css";

/** Grey lines in the shape of what comes, after 300 ms: what is quick never flickers. */
export function Skeleton({ rows = 6, height }: { rows?: number; height?: number }) {
  const [shown, show] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => show(true), 300);
    return () => clearTimeout(timer);
  }, []);
  return (
    <div
      className={css.skeleton}
      aria-busy="true"
      role="status"
      aria-label="loading"
      style={{ visibility: shown ? "visible" : "hidden", height }}
    >
      {Array.from({ length: rows }, (_, row) => (
        <div key={row} className={css.bone} style={{ width: `${92 - ((row * 37) % 45)}%` }} />
      ))}
    </div>
  );
}

/** What went wrong: what, and what to do about it. */
export function Trouble({ error, again }: { error: unknown; again?: () => void }) {
  const problem = asProblem(error);
  return (
    <div className={css.trouble} role="alert">
      <strong>{problem.detail || problem.title}</strong>
      {problem.hint && <span className={css.hint}>{problem.hint}</span>}
      {again && (
        <div>
          <Button onClick={again}>Try again</Button>
        </div>
      )}
    </div>
  );
}

/** A place where nothing is yet: what belongs here, and the lines of code that put it there. */
export function Empty({ title, children, code }: { title: string; children?: ReactNode; code?: string }) {
  return (
    <div className={css.empty}>
      <h3>{title}</h3>
      {children && <p>{children}</p>}
      {code && (
        <div className={css.code}>
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard */}
          <pre tabIndex={0}>{code}</pre>
          <Copy text={code} />
        </div>
      )}
    </div>
  );
}

/** An answer in its three lives: not there yet, failed, there. What was there stays while it is asked for again. */
export function Loaded<T>({
  query,
  rows,
  children,
}: {
  query: { data: T | undefined; error: unknown; refetch: () => unknown };
  rows?: number;
  children: (data: T) => ReactNode;
}) {
  if (query.data !== undefined) return <>{children(query.data)}</>;
  if (query.error) return <Trouble error={query.error} again={() => void query.refetch()} />;
  return <Skeleton rows={rows} />;
}
