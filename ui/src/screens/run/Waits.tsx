/** What a run waits for: its turn in the queue, a person who has paused it, an answer to a question. */
import { Button, Textarea } from "@mantine/core";
import { useState } from "react";
import { type Schema, useGet, useSend } from "@/api/client";
import { href } from "@/frame/address";
import { Panel } from "@/parts/Page";
import { Glyph } from "@/parts/State";
import { isOver } from "@/parts/states";
import { To } from "@/parts/To";
import { Trouble } from "@/parts/Waiting";
import { When } from "@/parts/When";
import { nameOf } from "./columns";
import type { RunOf, Select } from "./Run";
import css from "./Run.module.css";

export function Waits({
  run,
  why,
  select,
}: {
  run: RunOf;
  why: Schema<"RunWhy"> | undefined;
  select: Select;
}) {
  const open = !isOver(run.state);
  const approvals = useGet(
    "/api/v1/approvals",
    { query: { limit: 100 } },
    { live: ["gate_", "run_ended"], liveRun: run.id, enabled: open, staleTime: 5000 },
  );
  const asked = open ? (approvals.data?.items ?? []).filter((each) => each.run === run.id) : [];
  const line = run.state === "queued" ? why?.line : undefined;
  return (
    <>
      {line && (
        <Panel>
          <span className={css.wait}>
            <Glyph state="queued" /> In the queue{line.before !== null ? `, ${line.before} before it` : ""}
            {line.refusal && `: ${line.refusal}`}
          </span>
        </Panel>
      )}
      {asked.map((approval) => (
        <Question key={nameOf(approval.step, approval.index)} run={run} approval={approval} select={select} />
      ))}
    </>
  );
}

function Question({
  run,
  approval,
  select,
}: {
  run: RunOf;
  approval: Schema<"ApprovalNow">;
  select: Select;
}) {
  const [comment, setComment] = useState("");
  const answer = useSend("post", "/api/v1/runs/{run}/steps/{step}/answer");
  const say = (choice: string) =>
    answer.mutate({
      path: { run: run.id, step: approval.step },
      body: { choice, comment, index: approval.index },
    });
  const whole = href(["approvals", run.no, approval.step], { index: approval.index || undefined });
  return (
    <Panel tone="person">
      <div className={css.question}>
        <div className={css.questionText}>
          <span className={css.wait}>
            <Glyph state="needs_attention" label /> <strong>{approval.question}</strong>
          </span>
          <span className="dim">
            <button type="button" className={css.plain} onClick={() => select(approval.step, approval.index)}>
              {nameOf(approval.step, approval.index)}
            </button>{" "}
            asks {approval.who} since <When at={approval.opened_at} />
            {approval.due_at && (
              <>
                ; due <When at={approval.due_at} />
              </>
            )}
            {approval.quorum > 1 && `, ${approval.missing} of ${approval.quorum} answers missing`}
          </span>
        </div>
        {approval.schema === null && approval.may_not === "" ? (
          <>
            <Textarea
              aria-label="Comment"
              placeholder="Comment"
              minRows={1}
              value={comment}
              onChange={(event) => setComment(event.currentTarget.value)}
              className={css.comment}
            />
            <div className={css.causeActs}>
              {approval.choices.map((choice) => (
                <Button
                  key={choice}
                  variant={approval.rejecting.includes(choice) ? "default" : "filled"}
                  loading={answer.isPending}
                  onClick={() => say(choice)}
                >
                  {choice}
                </Button>
              ))}
              <To to={whole}>more to decide on</To>
            </div>
          </>
        ) : (
          <div className={css.causeActs}>
            <span className="dim">{approval.may_not}</span>
            <To to={whole}>look at it</To>
          </div>
        )}
      </div>
      {answer.error && <Trouble error={answer.error} />}
    </Panel>
  );
}
