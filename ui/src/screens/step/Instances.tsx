/** The instances of a mapped step, what is bad first, each with the way to it. */
import { usePages } from "@/api/client";
import { useChosen } from "@/frame/address";
import { Counts, State } from "@/parts/State";
import { rankOf } from "@/parts/states";
import { Loaded } from "@/parts/Waiting";
import { Took } from "@/parts/When";
import { errorOf, firstLine } from "./cause";
import css from "./Step.module.css";
import type { Place } from "./StepInspector";

export function Instances({ place, states }: { place: Place; states: Record<string, number> }) {
  const [, choose] = useChosen();
  const bad = (states.failed ?? 0) > 0;
  const found = usePages(
    "/api/v1/runs/{run}/steps",
    {
      path: { run: place.run },
      query: { step: place.step, limit: 200, ...(bad ? { state: ["failed"] } : {}) },
    },
    { live: ["step_"], liveRun: place.run },
  );
  const all = Object.values(states).reduce((sum, count) => sum + count, 0);
  const items = [...found.items].sort((a, b) => rankOf(a.state) - rankOf(b.state));
  return (
    <div className={css.step}>
      <div className={css.head}>
        <Counts counts={states} />
      </div>
      <p className={css.of}>
        {bad
          ? "These instances failed. The grid of the run shows all of them."
          : `${all.toLocaleString("en")} instances; choose one to see its log.`}
      </p>
      <Loaded query={found} rows={6}>
        {() => (
          <ul className={css.tree}>
            {items.map((item) => (
              <li key={item.index} className={css.name}>
                <button
                  type="button"
                  className={css.subject}
                  onClick={() => choose({ index: item.index, step: place.step }, { push: true })}
                >
                  {`${place.step}[${item.index}]`}
                </button>
                <State state={item.state} />
                <Took from={item.started_at} to={item.finished_at} />
                <span className={css.meta}>
                  {item.attempts.at(-1)?.failure ? firstLine(errorOf(item.attempts.at(-1)!.failure!)) : ""}
                </span>
              </li>
            ))}
          </ul>
        )}
      </Loaded>
      {found.hasMore && (
        <button type="button" className={css.subject} onClick={found.more}>
          more
        </button>
      )}
    </div>
  );
}
