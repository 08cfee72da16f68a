"""Events folded into the rows that they stand for: the memory store's engine and the audit's oracle.

What each event does to the rows is said twice, here in Python and in `rows.py` for SQL; the conformance suite holds
the two together over random histories.

Rule: pure. An event that does not fit (a late outcome, an epoch that is over, a step that has ended) changes nothing;
terminal is final.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from msgspec.structs import replace

from partita.core.events import (
    AttemptDispatched,
    AttemptEnded,
    AttemptStarted,
    CancelRequested,
    CheckEvaluated,
    CheckReport,
    Event,
    GateAnswered,
    GateHeard,
    GateOpened,
    GateReported,
    GateVoted,
    Materialized,
    PauseRequested,
    ResumeRequested,
    RunCreated,
    RunEnded,
    RunStarted,
    StepEnded,
    StepRetried,
    StepReused,
)
from partita.core.states import OPEN_ATTEMPT, TERMINAL_RUN, TERMINAL_STEP
from partita.errors import StoreError
from partita.store.contract import (
    AttemptRow,
    CheckRow,
    GateRow,
    JournalRow,
    MaterializationRow,
    RunRow,
    StepRow,
    VoteRow,
)

# Only an attempt that started can have come to these ends (the others may end a dispatched one too).
ENDS_OF_STARTED = frozenset({"succeeded", "failed", "timed_out"})

Instance = tuple[str, str]


class RunFold:
    """The rows of one run, as far as its events were applied."""

    __slots__ = (
        "attempts",
        "checks",
        "gates",
        "latest_attempt",
        "materializations",
        "materialized",
        "open",
        "run",
        "steps",
        "votes",
    )

    def __init__(self, run: RunRow) -> None:
        self.run = run
        self.steps: dict[Instance, StepRow] = {}
        self.attempts: dict[tuple[str, str, int], AttemptRow] = {}
        self.latest_attempt: dict[Instance, int] = {}
        self.open: dict[Instance, int] = {}
        self.materializations: list[MaterializationRow] = []
        self.materialized: set[tuple[str, str, int, str, str]] = set()
        self.checks: list[CheckRow] = []
        self.gates: dict[Instance, GateRow] = {}
        self.votes: dict[tuple[str, str, str], VoteRow] = {}


def created(no: int, event: RunCreated) -> RunFold:
    """The fold of a run that was just asked for."""
    return RunFold(
        RunRow(
            no=no,
            id=event.run,
            namespace=event.namespace,
            project=event.project,
            pipeline=event.pipeline,
            graph=event.graph,
            code=event.code,
            origin=event.origin,
            state="queued",
            created_at=event.at,
            started_at=None,
            finished_at=None,
            by=event.by,
            params=event.params,
            partition=event.partition,
            priority=event.priority,
            rerun_of=event.rerun_of,
            selection=event.selection,
            fail_fast=event.fail_fast,
            timeout_s=event.timeout_s,
            limit=event.limit,
            namespace_limit=event.namespace_limit,
            tags=event.tags,
            paused=False,
            cancel_requested=False,
            reason="",
            seq=0,
            keys=event.keys,
            partitions=event.partitions,
        )
    )


def apply(fold: RunFold, event: Event) -> None:
    """Let one event change the rows of its run. Raises `StoreError` for a second open attempt of a step instance."""
    rule = _RULES.get(type(event))
    if rule is not None:
        rule(fold, event)


def folded(no: int, journal: Iterable[JournalRow]) -> RunFold:
    """The fold of a run's whole journal, which begins with its RunCreated."""
    rows = iter(journal)
    first = next(rows)
    if not first.events or not isinstance(first.events[0], RunCreated):
        raise StoreError(f"the journal of run {first.run} does not begin with its creation")
    fold = created(no, first.events[0])
    for row in (first, *rows):
        for event in row.events:
            apply(fold, event)
        fold.run = replace(fold.run, seq=row.seq)
    return fold


def duration(attempt: AttemptRow) -> float:
    """Seconds in user code by the worker's clock; those of the committed attempt where that is unknown."""
    if attempt.ended_at:
        return attempt.ended_at - attempt.began_at
    return (attempt.finished_at or attempt.started_at) - attempt.started_at


# --- the run ------------------------------------------------------------------------------------------------------


def _run_started(fold: RunFold, event: RunStarted) -> None:
    if fold.run.state == "queued":
        fold.run = replace(fold.run, state="running", started_at=event.at)


def _run_ended(fold: RunFold, event: RunEnded) -> None:
    if fold.run.state not in TERMINAL_RUN:
        fold.run = replace(fold.run, state=event.state, finished_at=event.at, reason=event.reason)


def _cancel_requested(fold: RunFold, event: CancelRequested) -> None:
    if fold.run.state not in TERMINAL_RUN:
        fold.run = replace(fold.run, cancel_requested=True)


def _pause_requested(fold: RunFold, event: PauseRequested) -> None:
    if fold.run.state not in TERMINAL_RUN:
        fold.run = replace(fold.run, paused=True)


def _resume_requested(fold: RunFold, event: ResumeRequested) -> None:
    if fold.run.state not in TERMINAL_RUN:
        fold.run = replace(fold.run, paused=False)


# --- attempts -----------------------------------------------------------------------------------------------------


def _attempt_dispatched(fold: RunFold, event: AttemptDispatched) -> None:
    if (event.step, event.index, event.attempt) not in fold.attempts:
        _open(fold, event, "dispatched", event.external)


def _attempt_started(fold: RunFold, event: AttemptStarted) -> None:
    key = (event.step, event.index, event.attempt)
    known = fold.attempts.get(key)
    if known is None:
        _open(fold, event, "started", "")
    elif known.state == "dispatched" and known.epoch == event.epoch:
        fold.attempts[key] = replace(known, state="started", started_at=event.at, worker=event.worker)


def second_open_attempt(what: str) -> StoreError:
    """The refusal that holds invariant I7 in every store: what wanted to start."""
    return StoreError(
        f"{what} cannot start: another attempt of it is open",
        hint="this is a bug of Partita; nothing of the commit was written",
    )


def _open(fold: RunFold, event: AttemptDispatched | AttemptStarted, state: Any, external: str) -> None:
    instance = (event.step, event.index)
    if instance in fold.open:
        raise second_open_attempt(f"attempt {event.attempt} of step {event.step!r} {event.index}".rstrip())
    fold.open[instance] = event.attempt
    fold.attempts[(event.step, event.index, event.attempt)] = AttemptRow(
        step=event.step,
        index=event.index,
        attempt=event.attempt,
        state=state,
        epoch=event.epoch,
        worker=event.worker,
        external=external,
        started_at=event.at,
        finished_at=None,
        began_at=0.0,
        ended_at=0.0,
        failure=None,
        usage=None,
        metadata=(),
        cached_from="",
    )
    fold.latest_attempt[instance] = max(event.attempt, fold.latest_attempt.get(instance, 0))


def _attempt_ended(fold: RunFold, event: AttemptEnded) -> None:
    key = (event.step, event.index, event.attempt)
    known = fold.attempts.get(key)
    if known is None or known.state not in OPEN_ATTEMPT or known.epoch != event.epoch:
        return
    if known.state == "dispatched" and event.state in ENDS_OF_STARTED:
        return
    del fold.open[(event.step, event.index)]
    detail = event.detail
    fold.attempts[key] = replace(
        known,
        state=event.state,
        finished_at=event.at,
        began_at=event.began_at,
        ended_at=event.ended_at,
        failure=detail.failure if detail else None,
        usage=detail.usage if detail else None,
        metadata=detail.metadata if detail else (),
        cached_from=detail.cached_from if detail else "",
    )
    if event.state == "succeeded":
        _write_step(
            fold,
            StepRow(
                step=event.step,
                index=event.index,
                state="succeeded",
                attempt=event.attempt,
                not_before=0.0,
                finished_at=event.at,
                reason="",
                because=(),
                value=event.value,
                choice=detail.choice if detail else None,
                again=detail.again if detail else None,
                reused_from="",
            ),
        )


# --- steps --------------------------------------------------------------------------------------------------------


def _step_retried(fold: RunFold, event: StepRetried) -> None:
    _write_step(
        fold,
        StepRow(
            step=event.step,
            index=event.index,
            state="ready",
            attempt=event.attempt,
            not_before=event.not_before,
            finished_at=None,
            reason=event.reason,
            because=(),
            value=None,
            choice=None,
            again=None,
            reused_from="",
        ),
    )


def _step_ended(fold: RunFold, event: StepEnded) -> None:
    _write_step(
        fold,
        StepRow(
            step=event.step,
            index=event.index,
            state=event.state,
            attempt=fold.latest_attempt.get((event.step, event.index), 0),
            not_before=0.0,
            finished_at=event.at,
            reason=event.reason,
            because=event.because,
            value=None,
            choice=None,
            again=None,
            reused_from="",
        ),
    )


def _step_reused(fold: RunFold, event: StepReused) -> None:
    _write_step(
        fold,
        StepRow(
            step=event.step,
            index=event.index,
            state=event.state,
            attempt=0,
            not_before=0.0,
            finished_at=event.at,
            reason="",
            because=(),
            value=event.value,
            choice=event.choice,
            again=event.again,
            reused_from=event.from_run,
        ),
    )


def _write_step(fold: RunFold, row: StepRow) -> None:
    known = fold.steps.get((row.step, row.index))
    if known is None or known.state not in TERMINAL_STEP:
        fold.steps[(row.step, row.index)] = row


# --- gates --------------------------------------------------------------------------------------------------------


def _gate_opened(fold: RunFold, event: GateOpened) -> None:
    instance = (event.step, event.index)
    known = fold.gates.get(instance)
    if known is None:
        known = GateRow(event.step, event.index, "", None)
    if known.opened_at is None and known.answered_at is None:
        fold.gates[instance] = replace(known, of=event.of, opened_at=event.at, due_at=event.due_at)


def _gate_reported(fold: RunFold, event: GateReported) -> None:
    instance = (event.step, event.index)
    if instance not in fold.gates:
        fold.gates[instance] = GateRow(event.step, event.index, "", None, report=event)


def _gate_voted(fold: RunFold, event: GateVoted) -> None:
    if _open_gate(fold, event) is not None:
        fold.votes[(event.step, event.index, event.by)] = VoteRow(
            step=event.step,
            index=event.index,
            by=event.by,
            at=event.at,
            choice=event.choice,
            roles=event.roles,
            comment=event.comment,
            answer=event.answer,
        )


def _gate_heard(fold: RunFold, event: GateHeard) -> None:
    known = _open_gate(fold, event)
    if known is not None:
        fold.gates[(event.step, event.index)] = replace(known, heard_at=event.at, message=event.message)


def _gate_answered(fold: RunFold, event: GateAnswered) -> None:
    known = fold.gates.get((event.step, event.index))
    if known is None or known.answered_at is not None:
        return
    fold.gates[(event.step, event.index)] = replace(
        known,
        answered_at=event.at,
        how=event.how,
        accepted=event.accepted,
        choice=event.choice,
        by=event.by,
        comment=event.comment,
        metadata=event.metadata,
    )
    if event.accepted:
        _write_step(
            fold,
            StepRow(
                step=event.step,
                index=event.index,
                state="succeeded",
                attempt=0,
                not_before=0.0,
                finished_at=event.at,
                reason="",
                because=(),
                value=event.value,
                choice=event.decision,
                again=None,
                reused_from="",
            ),
        )


def _open_gate(fold: RunFold, event: GateVoted | GateHeard) -> GateRow | None:
    known = fold.gates.get((event.step, event.index))
    return known if known is not None and known.opened_at is not None and known.answered_at is None else None


# --- assets and checks --------------------------------------------------------------------------------------------


def _materialized(fold: RunFold, event: Materialized) -> None:
    attempt = fold.attempts.get((event.step, event.index, event.attempt))
    # Invariant I14: only an accepted success publishes.
    if attempt is None or attempt.state != "succeeded":
        return
    key = (event.step, event.index, event.attempt, event.asset, event.partition)
    if key in fold.materialized:
        return
    fold.materialized.add(key)
    fold.materializations.append(
        MaterializationRow(
            asset=event.asset,
            partition=event.partition,
            run=fold.run.id,
            step=event.step,
            index=event.index,
            attempt=event.attempt,
            at=event.at,
            data_version=event.data_version,
            code_version=event.code_version,
            metadata=event.metadata,
            value=event.value,
            began_at=event.began_at,
            ended_at=event.ended_at,
        )
    )


def _check_evaluated(fold: RunFold, event: CheckEvaluated) -> None:
    fold.checks.append(
        CheckRow(
            run=fold.run.id,
            step=event.step,
            index=event.index,
            attempt=event.attempt,
            at=event.at,
            report=CheckReport(
                asset=event.asset,
                check=event.check,
                passed=event.passed,
                severity=event.severity,
                message=event.message,
                partition=event.partition,
                metadata=event.metadata,
            ),
        )
    )


# A TimerDue is not journaled and changes no row; a RunCreated makes the fold itself.
_RULES: dict[type, Callable[[RunFold, Any], None]] = {
    RunStarted: _run_started,
    RunEnded: _run_ended,
    CancelRequested: _cancel_requested,
    PauseRequested: _pause_requested,
    ResumeRequested: _resume_requested,
    AttemptDispatched: _attempt_dispatched,
    AttemptStarted: _attempt_started,
    AttemptEnded: _attempt_ended,
    StepRetried: _step_retried,
    StepEnded: _step_ended,
    StepReused: _step_reused,
    GateOpened: _gate_opened,
    GateReported: _gate_reported,
    GateVoted: _gate_voted,
    GateHeard: _gate_heard,
    GateAnswered: _gate_answered,
    Materialized: _materialized,
    CheckEvaluated: _check_evaluated,
}
