/** What steps and people say about their work: numbers, text, markdown, tables, links. Rule: all of it is text. */
import { lazy, Suspense } from "react";
import { safeHref } from "./links";
import css from "./Metadata.module.css";

const Markdown = lazy(() => import("./Markdown"));

export type Meta = { name: string; kind: string; value?: unknown; data?: unknown };

/** Name and value, one under the other. */
export function Metadata({ items }: { items: Meta[] }) {
  return (
    <dl className={css.list}>
      {items.map((item) => (
        <div key={item.name} className={css.item}>
          <dt>{item.name}</dt>
          <dd>
            <MetaValue kind={item.kind} value={item.value ?? item.data} />
          </dd>
        </div>
      ))}
    </dl>
  );
}

export function MetaValue({ kind, value }: { kind: string; value: unknown }) {
  if (kind === "number" && typeof value === "number") return <span className="num">{number(value)}</span>;
  if (kind === "markdown" && typeof value === "string")
    return (
      <Suspense fallback={<span className={css.text}>{value}</span>}>
        <Markdown text={value} />
      </Suspense>
    );
  if (kind === "url" && typeof value === "string") {
    const address = safeHref(value);
    return address ? (
      <a href={address} rel="noreferrer noopener" target="_blank">
        {value}
      </a>
    ) : (
      <span className={css.text}>{value}</span>
    );
  }
  if (kind === "path") return <code className={css.text}>{String(value)}</code>;
  const rows = kind === "table" ? rowsOf(value) : null;
  if (rows) return <Rows rows={rows} />;
  if (typeof value === "string") return <span className={css.text}>{value}</span>;
  return <pre className={css.json}>{JSON.stringify(value, null, 2)}</pre>;
}

/** A table out of `[{a: 1}, ...]`, `{columns, rows}` or `[[...], ...]`; null if it is none of them. */
export function rowsOf(value: unknown): { columns: string[]; rows: unknown[][] } | null {
  if (value !== null && typeof value === "object" && "columns" in value && "rows" in value) {
    const { columns, rows } = value as { columns: unknown; rows: unknown };
    if (Array.isArray(columns) && Array.isArray(rows))
      return {
        columns: columns.map(String),
        rows: rows.map((row) => (Array.isArray(row) ? row : Object.values(row as object))),
      };
  }
  if (!Array.isArray(value) || value.length === 0) return null;
  if (value.every(Array.isArray)) return { columns: [], rows: value as unknown[][] };
  if (value.every((row) => row !== null && typeof row === "object")) {
    const columns = [...new Set(value.flatMap((row) => Object.keys(row as object)))];
    return {
      columns,
      rows: value.map((row) => columns.map((column) => (row as Record<string, unknown>)[column])),
    };
  }
  return null;
}

/** A small table of any values. */
export function Rows({ rows: { columns, rows } }: { rows: { columns: string[]; rows: unknown[][] } }) {
  return (
    <div className={css.scroll}>
      <table className={css.rows}>
        {columns.length > 0 && (
          <thead>
            <tr>
              {columns.map((column) => (
                <th key={column} scope="col">
                  {column}
                </th>
              ))}
            </tr>
          </thead>
        )}
        <tbody>
          {rows.slice(0, 200).map((row, at) => (
            <tr key={at}>
              {row.map((cell, of) => (
                <td key={of} className={typeof cell === "number" ? "num" : undefined}>
                  {said(cell)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length > 200 && (
        <p className="dim">{`and ${(rows.length - 200).toLocaleString("en")} more rows`}</p>
      )}
    </div>
  );
}

function said(cell: unknown): string {
  if (cell === null || cell === undefined) return "";
  if (typeof cell === "number") return number(cell);
  return typeof cell === "object" ? JSON.stringify(cell) : String(cell);
}

/** A number as people read it: thousands apart, not more digits than mean something. */
export function number(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (Number.isInteger(value)) return value.toLocaleString("en");
  const size = Math.abs(value);
  return size >= 1e15 || size < 1e-4
    ? value.toPrecision(4)
    : value.toLocaleString("en", { maximumSignificantDigits: 6 });
}

/** Bytes as people read them: "3.9 GiB". */
export function bytes(size: number | null | undefined): string {
  if (size === null || size === undefined) return "";
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let at = 0;
  let value = size;
  while (value >= 1024 && at < units.length - 1) {
    value /= 1024;
    at += 1;
  }
  return `${at === 0 || value >= 99.5 ? Math.round(value) : value.toFixed(1)} ${units[at]}`;
}
