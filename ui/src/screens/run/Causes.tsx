/** What broke first, above everything else: the step, the first line of its error, whose it is, what it blocks. */
import { Button } from "@mantine/core";
import { useState } from "react";
import type { Schema } from "@/api/client";
import { Glyph } from "@/parts/State";
import { lookOf } from "@/parts/states";
import { nameOf } from "./columns";
import type { Select } from "./Run";
import css from "./Run.module.css";

const SHOWN = 3;

export function Causes({
  causes,
  select,
  narrow,
}: {
  causes: Schema<"Cause">[];
  select: Select;
  /** A step is looked at: what broke takes a line each. */
  narrow: boolean;
}) {
  const [all, setAll] = useState(false);
  const behind = new Set(causes.flatMap((cause) => cause.blocks)).size;
  const shown = all ? causes : causes.slice(0, SHOWN);
  return (
    <section className={`${css.causes} ${narrow ? css.narrow : ""}`} aria-label="What broke">
      <h2 className={css.causesHead}>
        {causes.length === 1 ? "1 cause" : `${causes.length} causes`}
        {behind > 0 && <span className="dim">, {behind === 1 ? "1 step" : `${behind} steps`} behind</span>}
      </h2>
      {shown.map((cause) => (
        <One key={cause.step} cause={cause} select={select} />
      ))}
      {causes.length > SHOWN && (
        <button type="button" className={css.moreCauses} onClick={() => setAll(!all)}>
          {all ? "fewer" : `${causes.length - SHOWN} more`}
        </button>
      )}
    </section>
  );
}

function One({ cause, select }: { cause: Schema<"Cause">; select: Select }) {
  const index = cause.indexes[0] ?? "";
  const many = cause.indexes.length;
  return (
    <article className={css.cause}>
      <span className={css.causeGlyph}>
        <Glyph state={cause.state} size={16} label />
      </span>
      <div className={css.causeText}>
        <div className={css.causeLine}>
          <button type="button" className={css.causeStep} onClick={() => select(cause.step, index)}>
            {nameOf(cause.step, many === 1 ? index : "")}
          </button>
          {many > 1 && (
            <span className="dim">
              {many.toLocaleString("en")} instances {lookOf(cause.state).word}
            </span>
          )}
          {cause.owner && <span className={css.owner}>{cause.owner}</span>}
          {cause.blocks.length > 0 && <Blocks blocks={cause.blocks} />}
        </div>
        <code className={css.error}>{(cause.message ?? "").split("\n")[0] || "it gave no message"}</code>
      </div>
      <div className={css.causeActs}>
        <Button onClick={() => select(cause.step, index)}>Look at it</Button>
      </div>
    </article>
  );
}

function Blocks({ blocks }: { blocks: string[] }) {
  const first = blocks.slice(0, 2).join(", ");
  return (
    <span className={css.blocks} title={blocks.join("\n")}>
      blocks {first}
      {blocks.length > 2 ? ` and ${blocks.length - 2} more` : ""}
    </span>
  );
}
