"""What happened. The journal is made of these, the machine eats some of them, the rows are their fold.

Inputs of the machine (`RunMachine.apply`): RunStarted, AttemptDispatched, AttemptStarted, AttemptEnded,
CancelRequested, PauseRequested, ResumeRequested, StepMarked, StepUnfit, TimerDue; of gates: GateVoted, GateReported, GateHeard.
Made by the machine: StepRetried, StepEnded, Materialized, CheckEvaluated, RunEnded, GateOpened, GateAnswered.
Made when the run is created: RunCreated, StepReused.
All but TimerDue, StepMarked and StepUnfit (whose StepEnded says it all) are journaled (a GateReported only if it comes before its gate has opened). `at` is seconds since the epoch (UTC) and is the only clock there is.

What an AttemptEnded in state "succeeded" says about its step is not said again: the step has succeeded.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from partita.core.graph import GateKind
from partita.core.run_queue import Asked
from partita.core.states import AttemptState, RunState, StepState
from partita.core.values import Value


class Failure(msgspec.Struct, frozen=True, array_like=True):
    """Why an attempt did not succeed, as plain data.

    `types` is the ancestry of the exception's class by dotted name, nearest first, without `object`.
    `cause` names what ended it: "exception", "timeout", "signal", "out_of_memory", "exit", "lost", "not_storable",
    "input", "cancelled", "skipped".
    """

    message: str
    types: tuple[str, ...] = ()
    traceback: str = ""
    cause: str = "exception"
    # The user's retry predicate, where there is one; None = not asked.
    retryable: bool | None = None
    # User code asked for this delay before the next attempt (`pt.RetryAfter`), seconds.
    retry_after_s: float | None = None
    signal: int | None = None
    exit_code: int | None = None


def failure_text(failure: Failure | None, otherwise: str = "") -> str:
    """What went wrong: the message, with the class of the exception in front."""
    if failure is None:
        return otherwise
    text = failure.message.strip() or otherwise
    kind = failure.types[0].rpartition(".")[2] if failure.types and failure.cause == "exception" else ""
    # The worker may have put the class's name into the message already.
    if kind and not text.startswith(kind):
        text = f"{kind}: {text}" if text else kind
    return text


def failure_line(failure: Failure | None, otherwise: str = "") -> str:
    """`SchemaError: column 'dep_delay' is missing`: what went wrong, in one line."""
    return failure_text(failure, otherwise).partition("\n")[0]


class Usage(msgspec.Struct, frozen=True, array_like=True):
    """What an attempt used."""

    cpu_s: float = 0.0
    peak_rss_bytes: int = 0


class Meta(msgspec.Struct, frozen=True, array_like=True):
    """One typed entry of metadata; `data` is packed plain data."""

    name: str
    kind: Literal["number", "text", "markdown", "table", "path", "url", "json"]
    data: bytes


class AssetReport(msgspec.Struct, frozen=True, array_like=True):
    """User code made an asset (partition)."""

    asset: str
    partition: str = ""
    data_version: str = ""
    metadata: tuple[Meta, ...] = ()
    # Of an attempt that made several partitions: what this one is, if each has a value of its own.
    value: Value | None = None


class CheckReport(msgspec.Struct, frozen=True, array_like=True):
    """User code tested an asset (partition). A failed check that is `severity` "error" fails its step."""

    asset: str
    check: str
    passed: bool
    severity: Literal["warn", "error"] = "error"
    message: str = ""
    partition: str = ""
    metadata: tuple[Meta, ...] = ()


class Detail(msgspec.Struct, frozen=True, array_like=True):
    """What an outcome has beyond state, times and value; absent on the common path."""

    failure: Failure | None = None
    usage: Usage | None = None
    # The packed branch choice; whether the loop goes on.
    choice: bytes | None = None
    again: bool | None = None
    metadata: tuple[Meta, ...] = ()
    assets: tuple[AssetReport, ...] = ()
    checks: tuple[CheckReport, ...] = ()
    # "run/step/index/attempt" whose stored result was taken.
    cached_from: str = ""


class _Event(msgspec.Struct, frozen=True, array_like=True, tag_field="kind"):
    at: float


class RunCreated(_Event, frozen=True, array_like=True, tag="run_created"):
    """A run was asked for. `origin` is unique per namespace: "cli:<uuid>", "sched:<name>:<tick>", "rerun:<run>:<n>"."""

    run: str
    namespace: str
    project: str
    pipeline: str
    # The version of the graph, and of the project's code, that this run ends on.
    graph: str
    code: str
    origin: str
    by: str = ""
    params: dict[str, bytes] = {}
    partition: str = ""
    priority: int = 0
    rerun_of: str = ""
    # Steps (keys) that this run executes; empty = all. The rest was reused or is not part of it.
    selection: tuple[str, ...] = ()
    fail_fast: bool = False
    timeout_s: float | None = None
    limit: int | None = None
    namespace_limit: int | None = None
    tags: tuple[str, ...] = ()
    # Values of the keys by which runs are limited at once.
    keys: tuple[Asked, ...] = ()
    # Of a run over several partitions: all of them; `partition` is then how they are called ("2013-01-01..2013-01-31").
    partitions: tuple[str, ...] = ()


class StepReused(_Event, frozen=True, array_like=True, tag="step_reused"):
    """A finished step of an earlier run counts here too."""

    step: str
    index: str
    from_run: str
    state: StepState = "succeeded"
    value: Value | None = None
    choice: bytes | None = None
    again: bool | None = None


class RunStarted(_Event, frozen=True, array_like=True, tag="run_started"):
    """The run left the queue."""


class AttemptDispatched(_Event, frozen=True, array_like=True, tag="attempt_dispatched"):
    """An attempt was handed to an engine of others, under the name `external`; it has not asked to start yet."""

    step: str
    index: str
    attempt: int
    epoch: int
    worker: str
    external: str = ""


class AttemptStarted(_Event, frozen=True, array_like=True, tag="attempt_started"):
    """The start gate: user code runs only after this was committed. `worker` is "host:pid:start_time" here."""

    step: str
    index: str
    attempt: int
    epoch: int
    worker: str


class AttemptEnded(_Event, frozen=True, array_like=True, tag="attempt_ended"):
    """An outcome came back, or the engine found out that none will."""

    step: str
    index: str
    attempt: int
    epoch: int
    state: AttemptState
    value: Value | None = None
    detail: Detail | None = None
    # When user code really began and ended, by the worker's clock; 0 = unknown.
    began_at: float = 0.0
    ended_at: float = 0.0


class StepRetried(_Event, frozen=True, array_like=True, tag="step_retried"):
    """The step is ready again, but not before `not_before`; `attempt` is the coming one."""

    step: str
    index: str
    attempt: int
    not_before: float
    reason: str


class StepEnded(_Event, frozen=True, array_like=True, tag="step_ended"):
    """A step ended other than by a successful attempt. `because` names the steps that decided it."""

    step: str
    index: str
    state: StepState
    reason: str
    because: tuple[str, ...] = ()


class Materialized(_Event, frozen=True, array_like=True, tag="materialized"):
    """An asset (partition) was made by an accepted attempt."""

    step: str
    index: str
    attempt: int
    asset: str
    partition: str
    data_version: str
    code_version: str
    metadata: tuple[Meta, ...] = ()
    value: Value | None = None
    began_at: float = 0.0
    ended_at: float = 0.0


class CheckEvaluated(_Event, frozen=True, array_like=True, tag="check_evaluated"):
    """A quality test was made by an accepted attempt."""

    step: str
    index: str
    attempt: int
    asset: str
    check: str
    partition: str
    passed: bool
    severity: Literal["warn", "error"]
    message: str = ""
    metadata: tuple[Meta, ...] = ()


class GateOpened(_Event, frozen=True, array_like=True, tag="gate_opened"):
    """A step waits for people, for another system, for a time or a condition; without a slot, until `due_at` at most."""

    step: str
    index: str
    of: GateKind
    due_at: float | None = None


class GateVoted(_Event, frozen=True, array_like=True, tag="gate_voted"):
    """One person's answer to an approval; a second one of the same person takes the place of the first."""

    step: str
    index: str
    by: str
    choice: str
    roles: tuple[str, ...] = ()
    comment: str = ""
    # Packed plain data.
    answer: bytes | None = None


class GateReported(_Event, frozen=True, array_like=True, tag="gate_reported"):
    """What a gate waits for has come, or never will: another system's callback, a condition that was looked at."""

    step: str
    index: str
    state: Literal["succeeded", "failed"]
    by: str = ""
    value: Value | None = None
    message: str = ""
    metadata: tuple[Meta, ...] = ()


class GateHeard(_Event, frozen=True, array_like=True, tag="gate_heard"):
    """The other system that a gate waits for says that it is alive."""

    step: str
    index: str
    message: str = ""


class GateAnswered(_Event, frozen=True, array_like=True, tag="gate_answered"):
    """A gate waits no longer. `accepted`: its step has succeeded with `value`; else a StepEnded follows.

    `how`: "people", "report", "time", "deadline", "silence" (no heartbeat), or "withdrawn" when its run needs no answer any more.
    """

    step: str
    index: str
    how: Literal["people", "report", "time", "deadline", "silence", "withdrawn"]
    accepted: bool
    choice: str = ""
    by: tuple[str, ...] = ()
    comment: str = ""
    value: Value | None = None
    # What branches go by, packed.
    decision: bytes | None = None
    metadata: tuple[Meta, ...] = ()


class CancelRequested(_Event, frozen=True, array_like=True, tag="cancel_requested"):
    by: str
    reason: str = ""


class PauseRequested(_Event, frozen=True, array_like=True, tag="pause_requested"):
    by: str
    reason: str = ""


class ResumeRequested(_Event, frozen=True, array_like=True, tag="resume_requested"):
    by: str


class StepMarked(_Event, frozen=True, array_like=True, tag="step_marked"):
    """A person ends a step that does not run; its StepEnded says so."""

    step: str
    index: str
    state: Literal["succeeded", "failed", "skipped"]
    by: str
    reason: str = ""


class StepUnfit(_Event, frozen=True, array_like=True, tag="step_unfit"):
    """A ready step asks for more than there is of the machine that would perform it; its StepEnded says so."""

    step: str
    index: str
    reason: str


class TimerDue(_Event, frozen=True, array_like=True, tag="timer_due"):
    """The clock has reached an instant that the machine asked for by `WakeAt`."""


class RunEnded(_Event, frozen=True, array_like=True, tag="run_ended"):
    state: RunState
    reason: str = ""


Event = (
    RunCreated
    | StepReused
    | RunStarted
    | AttemptDispatched
    | AttemptStarted
    | AttemptEnded
    | StepRetried
    | StepEnded
    | Materialized
    | CheckEvaluated
    | GateOpened
    | GateVoted
    | GateReported
    | GateHeard
    | GateAnswered
    | CancelRequested
    | PauseRequested
    | ResumeRequested
    | StepMarked
    | StepUnfit
    | TimerDue
    | RunEnded
)
