/** What can be done with a run now. Rule: what is done most is one press; what cannot be taken back is asked for again. */
import { Button, Menu } from "@mantine/core";
import {
  IconChevronDown,
  IconPlayerPause,
  IconPlayerPlay,
  IconRotateClockwise,
  IconSquareX,
} from "@tabler/icons-react";
import { useState } from "react";
import { useSend } from "@/api/client";
import { href, useGo } from "@/frame/address";
import { useShortcut } from "@/frame/shortcuts";
import { Confirm } from "@/parts/Confirm";
import { isOver } from "@/parts/states";
import { To } from "@/parts/To";
import { Trouble } from "@/parts/Waiting";
import { type All, nameOf } from "./columns";
import { MarkDialog } from "./MarkDialog";
import type { RunOf, Selection } from "./Run";
import css from "./Run.module.css";

type Props = { run: RunOf; all: All | undefined; selected: Selection };

export function Actions({ run, all, selected }: Props) {
  return isOver(run.state) ? (
    <Again run={run} all={all} selected={selected} />
  ) : (
    <Going run={run} all={all} selected={selected} />
  );
}

/** Of a run that is over: run it again, or a part of it. */
function Again({ run, all, selected }: Props) {
  const retry = useSend("post", "/api/v1/runs/{run}/retry");
  const go = useGo();
  const again = (from: string[], version: "latest" | "same") =>
    void retry.mutateAsync({ path: { run: run.id }, body: { from, version } }).then(
      (made) => go(href(["runs", made.no])),
      () => undefined,
    );
  const failed = run.state !== "succeeded";
  useShortcut("r", () => again([], "latest"), "retry what failed", failed);
  const group = selected && all?.steps.find((step) => step.step === selected.step)?.group.join("/");
  return (
    <>
      {retry.error && <Trouble error={retry.error} />}
      <Button.Group>
        {failed && (
          <Button
            variant="filled"
            leftSection={<IconRotateClockwise size={14} />}
            loading={retry.isPending}
            onClick={() => again([], "latest")}
            title="what failed, was skipped or cancelled, with the latest code (r)"
          >
            Retry from failure
          </Button>
        )}
        <Menu position="bottom-end" width={300}>
          <Menu.Target>
            <Button
              variant={failed ? "filled" : "default"}
              aria-label="more ways to retry"
              rightSection={failed ? undefined : <IconChevronDown size={13} />}
            >
              {failed ? <IconChevronDown size={14} /> : "Run again"}
            </Button>
          </Menu.Target>
          <Menu.Dropdown>
            {failed && (
              <>
                <Menu.Label>From failure</Menu.Label>
                <Both act={(version) => again([], version)} />
              </>
            )}
            <Menu.Label>
              {selected ? `From ${selected.step} on` : "From a step on: select one first"}
            </Menu.Label>
            {selected && <Both act={(version) => again([selected.step], version)} />}
            {group && (
              <>
                <Menu.Label>Group {group}</Menu.Label>
                <Both act={(version) => again([group], version)} />
              </>
            )}
            <Menu.Divider />
            <Menu.Item
              component={To}
              to={href(["pipelines", run.pipeline], { tab: "launch", like: String(run.no) })}
            >
              A new run with these parameters …
            </Menu.Item>
          </Menu.Dropdown>
        </Menu>
      </Button.Group>
    </>
  );
}

function Both({ act }: { act: (version: "latest" | "same") => void }) {
  return (
    <>
      <Menu.Item onClick={() => act("latest")}>with the latest code</Menu.Item>
      <Menu.Item onClick={() => act("same")}>with the same code</Menu.Item>
    </>
  );
}

/** Of a run that goes on: hold it, end it, end one of its steps by hand. */
function Going({ run, all, selected }: Props) {
  const pause = useSend("post", "/api/v1/runs/{run}/pause");
  const resume = useSend("post", "/api/v1/runs/{run}/resume");
  const cancel = useSend("post", "/api/v1/runs/{run}/cancel");
  const [asking, setAsking] = useState<"cancel" | "mark" | null>(null);
  const path = { run: run.id };
  const hold = () => (run.paused ? resume.mutate({ path, body: {} }) : pause.mutate({ path, body: {} }));
  useShortcut("p", hold, run.paused ? "resume the run" : "pause the run");
  const markable = selected !== null && canMark(all, selected);
  useShortcut("m", () => setAsking("mark"), "mark the step", markable);
  return (
    <>
      {(pause.error ?? resume.error) && <Trouble error={pause.error ?? resume.error} />}
      {markable && (
        <Button onClick={() => setAsking("mark")}>Mark {nameOf(selected.step, selected.index)} …</Button>
      )}
      <Button
        leftSection={run.paused ? <IconPlayerPlay size={14} /> : <IconPlayerPause size={14} />}
        loading={pause.isPending || resume.isPending}
        onClick={hold}
        title={run.paused ? "let it go on (p)" : "what runs goes on, nothing new starts (p)"}
      >
        {run.paused ? "Resume" : "Pause"}
      </Button>
      <Button
        leftSection={<IconSquareX size={14} />}
        onClick={() => setAsking("cancel")}
        disabled={run.cancel_requested}
        className={css.danger}
      >
        {run.cancel_requested ? "Cancelling" : "Cancel"}
      </Button>
      <Confirm
        opened={asking === "cancel"}
        title={`Cancel run ${run.no}?`}
        action="Cancel the run"
        danger
        reason="optional"
        onConfirm={(reason) => cancel.mutateAsync({ path, body: { reason } })}
        onClose={() => setAsking(null)}
      >
        What runs is asked to end, what waits does not start. What is done stays done and is taken over by a
        retry.
      </Confirm>
      {selected && (
        <MarkDialog run={run} step={selected} opened={asking === "mark"} onClose={() => setAsking(null)} />
      )}
    </>
  );
}

/** Whether a step waits, so that it can be ended by hand. */
function canMark(all: All | undefined, { step, index }: NonNullable<Selection>): boolean {
  const of = all?.steps.find((each) => each.step === step);
  const at = of?.indexes.indexOf(index) ?? -1;
  const state = of && at >= 0 ? all?.letters[of.states[at] ?? ""] : undefined;
  return of?.kind !== "gate" && ["waiting", "ready", "retrying"].includes(state ?? "");
}
