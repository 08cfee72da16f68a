/** What a step was given and what it gave, as far as it can be shown. Rule: all of it is text. */
import { address, type Schema, useGet } from "@/api/client";
import { href } from "@/frame/address";
import { Copy } from "@/parts/Command";
import { bytes, MetaValue, number, rowsOf } from "@/parts/Metadata";
import { Section } from "@/parts/Page";
import { isOver } from "@/parts/states";
import { To } from "@/parts/To";
import { Loaded } from "@/parts/Waiting";
import css from "./Step.module.css";
import type { Place } from "./StepInspector";

type Preview = Schema<"Preview">;

export default function Values({ place, state }: { place: Place; state: string }) {
  const found = useGet(
    "/api/v1/runs/{run}/steps/{step}/values",
    { path: { run: place.run, step: place.step }, query: { index: place.index } },
    { live: ["step_"], liveRun: place.run },
  );
  return (
    <Loaded query={found} rows={6}>
      {(data) => (
        <>
          <Section title="Out">
            {data.output ? (
              <Value place={place} value={data.output} argument="" />
            ) : (
              <p className="dim">{isOver(state) ? "It gave nothing." : "It has given nothing yet."}</p>
            )}
          </Section>
          <Section title={`In${data.inputs.length > 0 ? ` (${data.inputs.length})` : ""}`}>
            {data.inputs.length === 0 && <p className="dim">It takes nothing.</p>}
            {data.inputs.map((value) => (
              <Value key={value.name} place={place} value={value} argument={value.name} />
            ))}
          </Section>
        </>
      )}
    </Loaded>
  );
}

function Value({ place, value, argument }: { place: Place; value: Preview; argument: string }) {
  return (
    <div className={css.value}>
      <div className={css.name}>
        <code>{value.name}</code>
        <span className={css.meta}>{kindOf(value)}</span>
        {value.of.length > 0 && (
          <span className={css.meta}>
            {"from "}
            {value.of.slice(0, 5).map((of, at) => (
              <span key={of}>
                {at > 0 && ", "}
                {of.startsWith("parameter ") ? of : <To to={href(["runs", place.run, "steps", of])}>{of}</To>}
              </span>
            ))}
            {value.of.length > 5 && ` and ${value.of.length - 5} more`}
          </span>
        )}
        {value.digest && (
          <span className={css.meta} title={value.digest}>
            {value.digest.slice(0, 12)} <Copy text={value.digest} label="copy the digest" />
          </span>
        )}
      </div>
      <Content place={place} value={value} argument={argument} />
      {value.note && <span className={css.meta}>{value.note}</span>}
    </div>
  );
}

function kindOf(value: Preview): string {
  if (value.kind === "table" && value.table)
    return `${value.table.count.toLocaleString("en")} rows × ${value.table.width} columns`;
  if (value.kind === "image") return `${value.media}, ${bytes(value.size)}`;
  if (value.kind === "described")
    return [CODECS[value.codec] ?? value.codec, value.size > 1 ? bytes(value.size) : ""]
      .filter(Boolean)
      .join(", ");
  const many = value.length !== null ? `${value.length.toLocaleString("en")} elements` : "";
  return [many, value.size > 4096 ? bytes(value.size) : ""].filter(Boolean).join(", ");
}

const CODECS: Record<string, string> = {
  pickle: "a Python object",
  numpy: "an array",
  items: "several values",
  plain: "",
};

function Content({ place, value, argument }: { place: Place; value: Preview; argument: string }) {
  switch (value.kind) {
    case "nothing":
      return <span className={css.none}>nothing</span>;
    case "image":
      return (
        <img
          className={css.image}
          alt={argument || place.step}
          src={address("/api/v1/runs/{run}/steps/{step}/value/image", {
            path: { run: place.run, step: place.step },
            query: { index: place.index, argument },
          })}
        />
      );
    case "table":
      return value.table ? <Frame table={value.table} /> : null;
    case "several":
      return (
        <div className={css.items}>
          {value.items.map((item, at) => (
            <Value key={at} place={place} value={item} argument={argument} />
          ))}
        </div>
      );
    case "file":
      return <code>{String(value.value)}</code>;
    case "text":
      return <pre className={css.text}>{String(value.value)}</pre>;
    case "json": {
      const rows = rowsOf(value.value);
      if (rows && rows.columns.length > 0) return <MetaValue kind="table" value={value.value} />;
      if (value.value === null) return <code>None</code>;
      if (typeof value.value === "object")
        return <pre className={css.json}>{JSON.stringify(value.value, null, 2)}</pre>;
      return <code>{said(value.value)}</code>;
    }
    default:
      return value.preview ? <pre className={css.text}>{value.preview}</pre> : null;
  }
}

function said(value: unknown): string {
  if (typeof value === "number") return number(value);
  return value === true ? "True" : value === false ? "False" : String(value);
}

/** The first rows of a frame, with the types of its columns. */
function Frame({ table }: { table: Schema<"Table"> }) {
  return (
    <>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard */}
      <div className={css.scroll} tabIndex={0} role="region" aria-label="first rows">
        <table className={css.frame}>
          <thead>
            <tr>
              {table.columns.map(([name, type]) => (
                <th key={name} scope="col" title={`${name}: ${type}`}>
                  {name}
                  <span>{type}</span>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {table.rows.map((row, at) => (
              <tr key={at}>
                {row.map((cell, of) => (
                  <td key={of} className={typeof cell === "number" ? css.num : undefined}>
                    {cell === null ? (
                      <span className={css.none}>–</span>
                    ) : typeof cell === "number" ? (
                      number(cell)
                    ) : (
                      String(cell)
                    )}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {(table.count > table.rows.length || table.width > table.columns.length) && (
        <span className={css.meta}>
          {`the first ${table.rows.length} rows${table.width > table.columns.length ? ` and ${table.columns.length} columns` : ""}`}
        </span>
      )}
    </>
  );
}
