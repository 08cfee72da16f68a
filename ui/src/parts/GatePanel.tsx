/** An approval with all that there is to decide on: its question, the votes so far, the material, and the answer. */
import { Button, Textarea } from "@mantine/core";
import { useState } from "react";
import { type Schema, useSend } from "@/api/client";
import { useMay } from "@/api/session";
import css from "./GatePanel.module.css";
import { Metadata } from "./Metadata";
import { SchemaForm, useForm } from "./SchemaForm";
import { State } from "./State";
import { Trouble } from "./Waiting";
import { When } from "./When";

export type Approval = Schema<"ApprovalNow">;

/** The whole of it. `open` says whether it still waits; `onAnswered` is told what came of an answer. */
export function GatePanel({
  approval,
  open = true,
  onAnswered,
}: {
  approval: Approval;
  open?: boolean;
  onAnswered?: (state: string) => void;
}) {
  return (
    <section className={css.gate} aria-label={`approval ${approval.step}`}>
      <h3 className={css.question}>{approval.question}</h3>
      <Facts approval={approval} open={open} />
      <Material approval={approval} />
      <Votes approval={approval} />
      {open && <Answer approval={approval} onAnswered={onAnswered} />}
    </section>
  );
}

function Facts({ approval, open }: { approval: Approval; open: boolean }) {
  const { missing, quorum, due_at, on_timeout } = approval;
  return (
    <div className={css.facts}>
      {open && <State state="needs_attention" />}
      <span>
        asked <When at={approval.opened_at} />
        {approval.started_by && ` for ${approval.started_by}`}
      </span>
      <span>{approval.who} may answer</span>
      {quorum > 1 && (
        <span>{open ? `${missing} of ${quorum} answers are missing` : `${quorum} answers were needed`}</span>
      )}
      {approval.four_eyes && <span>not by who started it</span>}
      {open && due_at && (
        <span>
          until <When at={due_at} />, then {TIMEOUTS[on_timeout] ?? on_timeout}
          {on_timeout === "default" && approval.default ? ` (${approval.default})` : ""}
        </span>
      )}
    </div>
  );
}

const TIMEOUTS: Record<string, string> = {
  fail: "it fails",
  skip: "it is skipped",
  default: "it is answered by itself",
};

function Material({ approval }: { approval: Approval }) {
  const groups = new Map<string, Approval["material"]>();
  for (const piece of approval.material) {
    const of = piece.of ?? "";
    groups.set(of, [...(groups.get(of) ?? []), piece]);
  }
  return [...groups].map(([of, pieces]) => (
    <div key={of}>
      {of && <h4 className={css.of}>What {of} said</h4>}
      <Metadata items={pieces} />
    </div>
  ));
}

function Votes({ approval }: { approval: Approval }) {
  if (approval.votes.length === 0) return null;
  return (
    <ul className={css.votes} aria-label="answers so far">
      {approval.votes.map((vote, at) => (
        <li key={at} className={css.vote}>
          <span>{vote.by}</span>
          <span
            className={`${css.choice} ${approval.rejecting.includes(vote.choice) ? css.against : css.for}`}
          >
            {vote.choice}
          </span>
          <span className="dim">
            <When at={vote.at} />
          </span>
          {vote.comment && <span className={css.comment}>{vote.comment}</span>}
          {vote.answer !== null && vote.answer !== undefined && (
            <span className={css.comment}>{JSON.stringify(vote.answer)}</span>
          )}
        </li>
      ))}
    </ul>
  );
}

function Answer({
  approval,
  onAnswered,
}: {
  approval: Approval;
  onAnswered?: ((state: string) => void) | undefined;
}) {
  const [comment, setComment] = useState("");
  const [choice, setChoice] = useState("");
  const typed = approval.schema !== null && approval.schema !== undefined;
  const form = useForm(approval.schema);
  const answer = useSend("post", "/api/v1/runs/{run}/steps/{step}/answer");
  const may = useMay("operate", approval.namespace);
  const refusal = may ? approval.may_not : "answering needs the permission operate here";
  if (refusal) return <p className={css.may}>You cannot answer: {refusal}.</p>;
  const give = (chosen: string) => {
    const rejects = approval.rejecting.includes(chosen);
    // Who says no needs no numbers for it.
    if (typed && !rejects && Object.keys(form.wrong).length > 0) {
      form.showAll();
      return;
    }
    setChoice(chosen);
    answer.mutate(
      {
        path: { run: approval.run, step: approval.step },
        body: {
          choice: chosen,
          comment,
          index: approval.index,
          ...(typed && (!rejects || Object.keys(form.wrong).length === 0) ? { answer: form.value } : {}),
        },
      },
      {
        onSuccess: (result) => {
          setComment("");
          onAnswered?.(result.state);
        },
      },
    );
  };
  return (
    <form className={css.answer} onSubmit={(event) => event.preventDefault()}>
      {typed && <SchemaForm form={form} />}
      <Textarea
        label="Comment"
        placeholder="why, for whoever reads it later"
        value={comment}
        onChange={(event) => setComment(event.currentTarget.value)}
      />
      {answer.error && <Trouble error={answer.error} />}
      <div className={css.buttons}>
        {approval.choices.map((one) => (
          <Button
            key={one}
            size="xs"
            variant={approval.rejecting.includes(one) ? "default" : "filled"}
            color={approval.rejecting.includes(one) ? "red" : undefined}
            loading={answer.isPending && choice === one}
            disabled={answer.isPending}
            onClick={() => give(one)}
          >
            {one}
          </Button>
        ))}
      </div>
    </form>
  );
}
