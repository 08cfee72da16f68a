/** Why a step is as it is, as a tree: each step that is named can be asked in its turn. */
import { useMemo, useState } from "react";
import { type Schema, useGet } from "@/api/client";
import { href } from "@/frame/address";
import { State } from "@/parts/State";
import { To } from "@/parts/To";
import { Loaded } from "@/parts/Waiting";
import { When } from "@/parts/When";
import { stepOf } from "./cause";
import css from "./Step.module.css";
import { type Place, useWhy } from "./StepInspector";

const DEEPEST = 12;

export default function WhyTab({ place }: { place: Place }) {
  const graph = useGet("/api/v1/runs/{run}/graph", { path: { run: place.run } }, { staleTime: 60_000 });
  const steps = useMemo(() => new Set(graph.data?.steps.map((each) => each.step)), [graph.data]);
  return <Explained place={place} steps={steps} depth={0} />;
}

function Explained({ place, steps, depth }: { place: Place; steps: ReadonlySet<string>; depth: number }) {
  const why = useWhy(place);
  return (
    <Loaded query={why} rows={3}>
      {(found) => (
        <>
          <div className={css.head}>
            {depth > 0 && (
              <To to={href(["runs", place.run, "steps", place.step], { index: place.index || undefined })}>
                {place.index ? `${place.step}[${place.index}]` : place.step}
              </To>
            )}
            <State state={found.state} />
            {found.since && (
              <span className={css.of}>
                since <When at={found.since} />
              </span>
            )}
          </div>
          <ul className={css.tree}>
            {found.reasons.map((reason, at) => (
              <Reason key={at} reason={reason} place={place} steps={steps} depth={depth} />
            ))}
            {found.reasons.length === 0 && <li className="dim">Nothing holds it up.</li>}
          </ul>
          {found.change && <p className={css.change}>{`It moves when ${found.change}.`}</p>}
        </>
      )}
    </Loaded>
  );
}

function Reason({
  reason,
  place,
  steps,
  depth,
}: {
  reason: Schema<"Reason">;
  place: Place;
  steps: ReadonlySet<string>;
  depth: number;
}) {
  const [open, setOpen] = useState<string | null>(null);
  const subjects = reason.subjects
    .map((subject) => ({ subject, of: stepOf(subject, steps) }))
    .filter(({ of }) => of && (of.step !== place.step || of.index !== place.index));
  const shown = subjects.find(({ subject }) => subject === open)?.of;
  return (
    <li className={css.reason}>
      <div>
        {reason.text}{" "}
        {reason.at && (
          <span className={css.of}>
            <When at={reason.at} />
          </span>
        )}
      </div>
      {depth < DEEPEST &&
        subjects.slice(0, 20).map(({ subject }) => (
          <button
            key={subject}
            type="button"
            className={css.subject}
            aria-expanded={open === subject}
            onClick={() => setOpen(open === subject ? null : subject)}
          >
            <span aria-hidden>{open === subject ? "▾" : "▸"}</span> why is {subject} so?
          </button>
        ))}
      {shown && (
        <div className={css.tree}>
          <div>
            <Explained place={{ run: place.run, ...shown }} steps={steps} depth={depth + 1} />
          </div>
        </div>
      )}
    </li>
  );
}
