/** The attempts of a step side by side, and how each of them died. */
import type { ReactNode } from "react";
import type { Schema } from "@/api/client";
import { Copy } from "@/parts/Command";
import { bytes } from "@/parts/Metadata";
import { State } from "@/parts/State";
import { took } from "@/parts/time";
import { Took, When } from "@/parts/When";
import { errorOf, howOf } from "./cause";
import css from "./Step.module.css";

type Attempt = Schema<"Attempt">;

const ROWS: [string, (attempt: Attempt) => ReactNode][] = [
  ["State", (one) => <State state={one.state} />],
  ["Began", (one) => <When at={one.started_at} as="exact" />],
  [
    "Took",
    (one) =>
      one.duration_s !== null ? (
        <Took seconds={one.duration_s} />
      ) : (
        <Took from={one.started_at} to={one.finished_at} />
      ),
  ],
  ["Cause", (one) => (one.failure ? howOf(one.failure) : "–")],
  ["Error", (one) => (one.failure ? <code>{errorOf(one.failure)}</code> : "–")],
  ["Processor time", (one) => (one.usage ? took(one.usage.cpu_s) : "–")],
  ["Highest memory", (one) => (one.usage?.peak_rss_bytes ? bytes(one.usage.peak_rss_bytes) : "–")],
  ["Worker", (one) => one.worker || "–"],
];

export default function Attempts({ attempts }: { attempts: Attempt[] }) {
  const rows = ROWS.filter(
    ([name]) => !["Cause", "Error"].includes(name) || attempts.some((one) => one.failure),
  );
  const failed = attempts.filter((one) => one.failure?.traceback);
  return (
    <>
      <div style={{ overflowX: "auto" }}>
        <table className={css.attempts}>
          <thead>
            <tr>
              <th scope="col">
                <span className="visually-hidden">what</span>
              </th>
              {attempts.map((one) => (
                <th key={one.attempt} scope="col">{`Attempt ${one.attempt}`}</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map(([name, said]) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                {attempts.map((one) => (
                  <td key={one.attempt}>{said(one)}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {failed.map((one) => (
        <details key={one.attempt} open={one === failed.at(-1)}>
          <summary>{`Traceback of attempt ${one.attempt}`}</summary>
          <div style={{ display: "flex", justifyContent: "flex-end" }}>
            <Copy text={one.failure?.traceback ?? ""} label="copy the traceback" />
          </div>
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard */}
          <pre className={css.trace} tabIndex={0}>
            {one.failure?.traceback}
          </pre>
        </details>
      ))}
    </>
  );
}
