/** What stands in a graph: a step or asset, a folded group, the others of a group, and the ground of an open group. */
import { IconChevronDown, IconStack2 } from "@tabler/icons-react";
import type { NodeProps } from "@xyflow/react";
import { memo } from "react";
import { Meter } from "@/parts/Bars";
import { Glyph } from "@/parts/State";
import { inOrder, lookOf } from "@/parts/states";
import css from "./Drawn.module.css";
import type { Seen } from "./folding";

export type Holder = {
  seen: Seen;
  state: string | undefined;
  counts: Record<string, number> | undefined;
  isChosen: boolean;
  fold: (group: Seen) => void;
  [more: string]: unknown;
};

export const Stand = memo(function Stand({ data }: NodeProps) {
  const { seen, state, counts, isChosen } = data as Holder;
  const tone = state ? lookOf(state).tone : "waiting";
  const many =
    counts !== undefined && Object.keys(counts).length > 0 && (seen.kind !== "node" || sizeOf(counts) > 1);
  const isLit = seen.members.some((member) => member.lit);
  const look = [
    css.stand,
    css[`is_${state ?? "plain"}`] ?? "",
    seen.kind === "node" ? "" : css.many,
    isChosen ? css.chosen : "",
    isLit ? css.lit : "",
    seen.node?.dim ? css.dim : "",
  ].join(" ");
  return (
    <button
      type="button"
      className={look}
      data-node={seen.id}
      data-state={state}
      tabIndex={isChosen ? 0 : -1}
      aria-pressed={seen.kind === "node" ? isChosen : undefined}
      aria-expanded={seen.kind === "group" ? false : undefined}
      title={seen.kind === "node" ? seen.node?.id : undefined}
    >
      <span
        className={css.strip}
        style={{ background: state ? `var(--p-${tone}-fill)` : "var(--p-border-strong)" }}
      />
      <span className={css.line}>
        {seen.kind === "node" ? (
          state && <Glyph state={state} size={13} label />
        ) : (
          <IconStack2 size={14} className={css.stack} />
        )}
        <span className={css.name}>{seen.name}</span>
        {seen.node?.kind && <span className={css.kind}>{seen.node.kind}</span>}
        {seen.kind === "group" && <span className={css.kind}>{seen.members.length}</span>}
      </span>
      {many ? (
        <Sum counts={counts} />
      ) : seen.node?.note ? (
        <span className={css.note}>{seen.node.note}</span>
      ) : null}
    </button>
  );
});

/** The ground of an open group; its head folds it. */
export const GroupBack = memo(function GroupBack({ data }: NodeProps) {
  const { seen, counts, fold } = data as Holder;
  return (
    <div className={css.back}>
      <button
        type="button"
        className={css.backHead}
        data-node={seen.id}
        aria-expanded
        aria-label={`fold group ${seen.path}`}
        onClick={(event) => {
          event.stopPropagation();
          fold({ ...seen, fold: "all" });
        }}
      >
        <IconChevronDown size={14} />
        <span className={css.name}>{seen.name}</span>
        <span className={css.kind}>{seen.members.length}</span>
        <span className={css.backSum}>
          {inOrder(counts ?? {}).map(([state, count]) => (
            <span key={state} className={css.one} title={`${count} ${lookOf(state).word}`}>
              <Glyph state={state} size={11} />
              {count}
            </span>
          ))}
        </span>
      </button>
    </div>
  );
});

function Sum({ counts }: { counts: Record<string, number> }) {
  const total = sizeOf(counts);
  const [first] = inOrder(counts);
  const done = (counts.succeeded ?? 0) + (counts.skipped ?? 0);
  const said =
    first && first[0] !== "succeeded" && first[0] !== "skipped"
      ? `${first[1].toLocaleString("en")} ${lookOf(first[0]).word}`
      : `${done.toLocaleString("en")} of ${total.toLocaleString("en")}`;
  return (
    <span className={css.sum}>
      <span className={css.meter}>
        <Meter
          parts={inOrder(counts).map(([state, count]) => ({ state, count }))}
          total={total}
          label={said}
          height={5}
        />
      </span>
      <span className={css.note}>{said}</span>
    </span>
  );
}

function sizeOf(counts: Record<string, number>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}
