/** End a step by hand: as what it is to count, and why. */
import { Button, Modal, SegmentedControl, Textarea } from "@mantine/core";
import { useState } from "react";
import { useSend } from "@/api/client";
import { Command } from "@/parts/Command";
import { Trouble } from "@/parts/Waiting";
import { nameOf } from "./columns";
import type { RunOf, Selection } from "./Run";
import css from "./Run.module.css";

const MEANS = {
  succeeded: "Steps that need it go on. It has no result: they get None.",
  skipped: "Steps that need it are skipped as well, unless their rule says otherwise.",
  failed: "Steps that need it do not run, and the run fails.",
};
type As = keyof typeof MEANS;

export function MarkDialog({
  run,
  step,
  opened,
  onClose,
}: {
  run: RunOf;
  step: NonNullable<Selection>;
  opened: boolean;
  onClose: () => void;
}) {
  const [as, setAs] = useState<As>("succeeded");
  const [reason, setReason] = useState("");
  const mark = useSend("post", "/api/v1/runs/{run}/steps/{step}/mark");
  const name = nameOf(step.step, step.index);
  const send = () =>
    mark.mutate(
      {
        path: { run: run.id, step: step.step },
        body: { state: as, reason: reason.trim(), index: step.index },
      },
      { onSuccess: onClose },
    );
  return (
    <Modal opened={opened} onClose={onClose} title={<strong>Mark {name}</strong>}>
      <form
        className={css.form}
        onSubmit={(event) => {
          event.preventDefault();
          send();
        }}
      >
        <SegmentedControl
          aria-label="as what it is to count"
          data={Object.keys(MEANS)}
          value={as}
          onChange={(value) => setAs(value as As)}
          fullWidth
        />
        <p className="dim">{MEANS[as]}</p>
        <Textarea
          label="Reason"
          description="Stands in the history and in why, with your name"
          value={reason}
          onChange={(event) => setReason(event.currentTarget.value)}
          data-autofocus
        />
        <Command line={`partita mark ${run.no} ${as} '${name}'`} />
        {mark.error && <Trouble error={mark.error} />}
        <div className={css.formActs}>
          <Button type="button" onClick={onClose}>
            Leave it
          </Button>
          <Button type="submit" variant="filled" loading={mark.isPending}>
            Mark {as}
          </Button>
        </div>
      </form>
    </Modal>
  );
}
