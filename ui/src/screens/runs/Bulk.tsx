/** What can be done to many runs at once: asked first, answered for each. */
import { Button, Modal } from "@mantine/core";
import { useState } from "react";
import { type Schema, useSend } from "@/api/client";
import { href } from "@/frame/address";
import { useShortcut } from "@/frame/shortcuts";
import { Confirm } from "@/parts/Confirm";
import { Glyph } from "@/parts/State";
import { To } from "@/parts/To";
import type { Run } from "./columns";
import css from "./Runs.module.css";

type Action = "retry" | "retry_latest" | "cancel" | "pause" | "resume";
type Result = Schema<"BulkItem">;

const OPEN = ["queued", "running"];
const WORDS: Record<Action, string> = {
  retry: "Retry",
  retry_latest: "Retry with latest code",
  cancel: "Cancel",
  pause: "Pause",
  resume: "Resume",
};
/** Which of the chosen runs an action is for; the others are left alone. */
const FITS: Record<Action, (run: Run) => boolean> = {
  retry: (run) => !OPEN.includes(run.state),
  retry_latest: (run) => !OPEN.includes(run.state),
  cancel: (run) => OPEN.includes(run.state),
  pause: (run) => OPEN.includes(run.state) && !run.paused,
  resume: (run) => OPEN.includes(run.state) && run.paused,
};
const EXPLAINED: Record<Action, string> = {
  retry:
    "What failed is run again with the code that each run had; what succeeded is taken over. Each makes a new run.",
  retry_latest:
    "What failed is run again with the code of today; what succeeded is taken over. Each makes a new run.",
  cancel: "What runs is stopped, what waits is not started.",
  pause: "What runs goes on to its end; nothing new is started until somebody resumes.",
  resume: "They go on where they were paused.",
};

export function Bulk({ runs, onDone }: { runs: Run[]; onDone: () => void }) {
  const bulk = useSend("post", "/api/v1/runs/bulk");
  const [asked, ask] = useState<Action | null>(null);
  const [results, setResults] = useState<Result[] | null>(null);
  useShortcut("escape", onDone, "select none", runs.length > 0 && asked === null && results === null);
  useShortcut("r", () => ask("retry"), "retry the selected", runs.some(FITS.retry));
  const meant = asked ? runs.filter(FITS[asked]) : [];
  const carryOut = async (reason: string) => {
    if (!asked) return;
    const { items } = await bulk.mutateAsync({
      body: {
        action: asked === "retry_latest" ? "retry" : asked,
        version: asked === "retry" ? "same" : "latest",
        runs: meant.map((run) => run.id),
        reason,
      },
    });
    setResults(items);
  };
  const close = () => {
    setResults(null);
    onDone();
  };
  const several = (count: number) => (count === 1 ? "1 run" : `${count} runs`);
  return (
    <>
      {runs.length > 0 && (
        <div className={css.bulk} role="toolbar" aria-label="selected runs">
          <strong>{runs.length} selected</strong>
          {(Object.keys(WORDS) as Action[])
            .filter((action) => runs.some(FITS[action]))
            .map((action) => (
              <Button key={action} onClick={() => ask(action)}>
                {WORDS[action]} {runs.filter(FITS[action]).length}
              </Button>
            ))}
          <Button variant="subtle" onClick={onDone}>
            Select none
          </Button>
        </div>
      )}
      <Confirm
        opened={asked !== null}
        title={asked ? `${WORDS[asked]}: ${several(meant.length)}` : ""}
        action={asked ? `${WORDS[asked]} ${several(meant.length)}` : ""}
        danger={asked === "cancel"}
        reason={asked === "cancel" || asked === "pause" ? "optional" : undefined}
        onConfirm={carryOut}
        onClose={() => ask(null)}
      >
        <p>{asked && EXPLAINED[asked]}</p>
        <p className="dim">
          {meant
            .slice(0, 8)
            .map((run) => `#${run.no} ${run.pipeline}`)
            .join(", ")}
          {meant.length > 8 && ` and ${meant.length - 8} more`}
          {runs.length > meant.length && `; ${several(runs.length - meant.length)} left alone`}
        </p>
      </Confirm>
      <Modal opened={results !== null} onClose={close} title={<strong>What became of each</strong>}>
        <Results results={results ?? []} runs={runs} />
        <div className={css.close}>
          <Button onClick={close} variant="filled" data-autofocus>
            Done
          </Button>
        </div>
      </Modal>
    </>
  );
}

function Results({ results, runs }: { results: Result[]; runs: Run[] }) {
  const known = new Map(runs.map((run) => [run.id, run]));
  return (
    <ul className={css.results} aria-label="results">
      {results.map((result) => {
        const run = known.get(result.run);
        const good = result.status < 400;
        return (
          <li key={result.run}>
            <Glyph state={good ? "succeeded" : "failed"} label />{" "}
            <To to={href(["runs", result.run])}>
              {run ? `#${run.no} ${run.pipeline}` : result.run.slice(0, 8)}
            </To>{" "}
            {result.made ? (
              <>
                runs again as <To to={href(["runs", result.made])}>a new run</To>
              </>
            ) : (
              <span className="dim">{result.detail || "done"}</span>
            )}
          </li>
        );
      })}
    </ul>
  );
}
