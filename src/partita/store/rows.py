"""Which rows each event writes, as named statements with their parameters: for every SQL store.

One small function per event, one table of them at the end. The statements are in `sql/`; the same rules in
Python are in `fold.py`.

Rule: hot. Statements of one kind are collected and run together; order matters only where two of them touch the same
step instance (or run), and there `Batch` keeps it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from partita.core.events import (
    AttemptDispatched,
    AttemptEnded,
    AttemptStarted,
    CancelRequested,
    CheckEvaluated,
    Detail,
    Event,
    Failure,
    GateAnswered,
    GateHeard,
    GateOpened,
    GateReported,
    GateVoted,
    Materialized,
    Meta,
    PauseRequested,
    ResumeRequested,
    RunCreated,
    RunEnded,
    RunStarted,
    StepEnded,
    StepRetried,
    StepReused,
    Usage,
)
from partita.core.values import Value
from partita.errors import StoreError
from partita.store.fold import ENDS_OF_STARTED

# In the order in which a batch runs them: what ends comes before what starts, for the retry of a step starts in the
# commit that ended its last attempt more often than an attempt ends in the commit that started it.
STATEMENTS: Final = (
    "insert_journal",
    "start_run",
    "open_gate",
    "report_to_gate",
    "hear_of_gate",
    "vote",
    "gate_succeeded",
    "answer_gate",
    "end_started_attempt",
    "end_open_attempt",
    "step_succeeded",
    "step_retried",
    "step_ended",
    "step_reused",
    "insert_materialization",
    "point_latest",
    "insert_check",
    "put_verdict",
    "dispatch_attempt",
    "start_attempt",
    "request_cancel",
    "set_paused",
    "end_run",
)
_RANK: Final = {name: rank for rank, name in enumerate(STATEMENTS)}
_JOURNAL, _START_RUN = _RANK["insert_journal"], _RANK["start_run"]
_END_STARTED, _END_OPEN = _RANK["end_started_attempt"], _RANK["end_open_attempt"]
_SUCCEEDED, _RETRIED, _ENDED, _REUSED = (
    _RANK[name] for name in ("step_succeeded", "step_retried", "step_ended", "step_reused")
)
_MATERIALIZE, _POINT, _CHECK, _VERDICT = (
    _RANK[name] for name in ("insert_materialization", "point_latest", "insert_check", "put_verdict")
)
_DISPATCH, _START = _RANK["dispatch_attempt"], _RANK["start_attempt"]
_OPEN_GATE, _REPORT, _HEAR, _VOTE, _GATE_SUCCEEDED, _ANSWER = (
    _RANK[name] for name in ("open_gate", "report_to_gate", "hear_of_gate", "vote", "gate_succeeded", "answer_gate")
)
_CANCEL, _PAUSE, _END_RUN = _RANK["request_cancel"], _RANK["set_paused"], _RANK["end_run"]

Params = tuple[Any, ...]


class AttemptDetail(msgspec.Struct, frozen=True, array_like=True):
    """What column attempts.detail holds."""

    failure: Failure | None = None
    usage: Usage | None = None
    metadata: tuple[Meta, ...] = ()


class Batch:
    """Statements collected by kind; `execute(name, params of each)` runs those of a kind."""

    __slots__ = ("_execute", "_groups", "_last")

    def __init__(self, execute: Callable[[str, list[Params]], None]) -> None:
        self._execute = execute
        self._groups: list[list[Params]] = [[] for _ in STATEMENTS]
        # The highest rank that waits for each thing: a lower one after it would overtake it.
        self._last: dict[Any, int] = {}

    def put(self, rank: int, thing: Any, params: Params) -> None:
        """Add one statement about `thing`, a run's number or a step instance."""
        last = self._last
        if last.get(thing, 0) > rank:
            self.flush()
        last[thing] = rank
        self._groups[rank].append(params)

    def flush(self) -> None:
        """Run all that was collected."""
        self._last.clear()
        for rank, group in enumerate(self._groups):
            if group:
                self._groups[rank] = []
                self._execute(STATEMENTS[rank], group)


encode = msgspec.msgpack.Encoder().encode
# What encoding and binding raise for content that no database takes: lone surrogates, numbers over 64 bits.
UNSTORABLE: Final = (UnicodeEncodeError, OverflowError)


def unstorable(error: Exception) -> StoreError:
    """The refusal of a commit with such content."""
    return StoreError(
        f"an event holds what cannot be stored: {error}",
        hint="text must be valid Unicode, and numbers must fit into 64 bits",
    )


def new_run(event: RunCreated) -> Params:
    """The parameters of `insert_run`."""
    return (
        event.run,
        event.namespace,
        event.project,
        event.pipeline,
        event.graph,
        event.code,
        event.origin,
        event.at,
        event.by,
        packed(event.params),
        event.partition,
        event.priority,
        event.rerun_of,
        packed(event.selection),
        int(event.fail_fast),
        event.timeout_s,
        event.limit,
        event.namespace_limit,
        packed(event.tags),
        packed(event.keys),
        packed(event.partitions),
    )


def put_journal(batch: Batch, run: int, seq: int, at: float, events: tuple[Event, ...]) -> None:
    """The journal row of a commit, and the rows that its events make."""
    batch._groups[_JOURNAL].append((run, seq, at, encode(events)))
    rules = _RULES
    for event in events:
        rule = rules.get(type(event))
        if rule is not None:
            rule(batch, run, event)


def packed(content: Any) -> bytes | None:
    """Msgpack, or NULL for what is empty."""
    return encode(content) if content else None


# --- the run ------------------------------------------------------------------------------------------------------


def _run_started(batch: Batch, run: int, event: RunStarted) -> None:
    batch.put(_START_RUN, run, (event.at, run))


def _run_ended(batch: Batch, run: int, event: RunEnded) -> None:
    batch.put(_END_RUN, run, (event.state, event.at, event.reason, run))


def _cancel_requested(batch: Batch, run: int, event: CancelRequested) -> None:
    batch.put(_CANCEL, run, (run,))


def _pause_requested(batch: Batch, run: int, event: PauseRequested) -> None:
    batch.put(_PAUSE, run, (1, run))


def _resume_requested(batch: Batch, run: int, event: ResumeRequested) -> None:
    batch.put(_PAUSE, run, (0, run))


# --- attempts -----------------------------------------------------------------------------------------------------


def _attempt_dispatched(batch: Batch, run: int, e: AttemptDispatched) -> None:
    batch.put(_DISPATCH, (run, e.step, e.index), (run, e.step, e.index, e.attempt, e.epoch, e.worker, e.external, e.at))


def _attempt_started(batch: Batch, run: int, e: AttemptStarted) -> None:
    batch.put(_START, (run, e.step, e.index), (run, e.step, e.index, e.attempt, e.epoch, e.worker, e.at))


def _attempt_ended(batch: Batch, run: int, e: AttemptEnded) -> None:
    instance = (run, e.step, e.index)
    detail = e.detail
    key = (run, e.step, e.index, e.attempt, e.epoch)
    rank = _END_STARTED if e.state in ENDS_OF_STARTED else _END_OPEN
    if detail is None:
        batch.put(rank, instance, (e.state, e.at, e.began_at, e.ended_at, "", None, *key))
    else:
        batch.put(rank, instance, (e.state, e.at, e.began_at, e.ended_at, detail.cached_from, _detail(detail), *key))
    if e.state == "succeeded":
        value = None if e.value is None else encode(e.value)
        choice, again = (None, None) if detail is None else (detail.choice, _flag(detail.again))
        batch.put(_SUCCEEDED, instance, (value, choice, again, *key))


def _detail(detail: Detail) -> bytes | None:
    if detail.failure is None and detail.usage is None and not detail.metadata:
        return None
    return encode(AttemptDetail(detail.failure, detail.usage, detail.metadata))


def _flag(again: bool | None) -> int | None:
    return None if again is None else int(again)


# --- steps --------------------------------------------------------------------------------------------------------


def _step_retried(batch: Batch, run: int, e: StepRetried) -> None:
    batch.put(_RETRIED, (run, e.step, e.index), (run, e.step, e.index, e.attempt, e.not_before, e.reason))


def _step_ended(batch: Batch, run: int, e: StepEnded) -> None:
    instance = (run, e.step, e.index)
    batch.put(_ENDED, instance, (*instance, e.state, e.at, e.reason, packed(e.because), *instance))


def _step_reused(batch: Batch, run: int, e: StepReused) -> None:
    instance = (run, e.step, e.index)
    batch.put(_REUSED, instance, (*instance, e.state, e.at, _value(e.value), e.choice, _flag(e.again), e.from_run))


def _value(value: Value | None) -> bytes | None:
    return None if value is None else encode(value)


# --- gates --------------------------------------------------------------------------------------------------------


def _gate_opened(batch: Batch, run: int, e: GateOpened) -> None:
    batch.put(_OPEN_GATE, (run, e.step, e.index), (run, e.step, e.index, e.of, e.at, e.due_at))


def _gate_reported(batch: Batch, run: int, e: GateReported) -> None:
    batch.put(_REPORT, (run, e.step, e.index), (run, e.step, e.index, encode(e)))


def _gate_heard(batch: Batch, run: int, e: GateHeard) -> None:
    batch.put(_HEAR, (run, e.step, e.index), (e.at, e.message, run, e.step, e.index))


def _gate_voted(batch: Batch, run: int, e: GateVoted) -> None:
    said = (e.by, e.at, e.choice, packed(e.roles), e.comment, e.answer)
    batch.put(_VOTE, (run, e.step, e.index), (*said, run, e.step, e.index))


def _gate_answered(batch: Batch, run: int, e: GateAnswered) -> None:
    instance = (run, e.step, e.index)
    if e.accepted:
        # Reads the gate, so it comes before the gate is answered.
        batch.put(_GATE_SUCCEEDED, instance, (e.at, _value(e.value), e.decision, *instance))
    said = (e.at, e.how, int(e.accepted), e.choice, packed(e.by), e.comment, packed(e.metadata))
    batch.put(_ANSWER, instance, (*said, *instance))


# --- assets and checks --------------------------------------------------------------------------------------------


def _materialized(batch: Batch, run: int, e: Materialized) -> None:
    instance = (run, e.step, e.index)
    what = (e.asset, e.partition)
    made = (e.at, e.data_version, e.code_version, packed(e.metadata), _value(e.value), e.began_at, e.ended_at)
    batch.put(_MATERIALIZE, instance, (*what, *made, *instance, e.attempt))
    batch._groups[_POINT].append((*instance, e.attempt, *what))


def _check_evaluated(batch: Batch, run: int, e: CheckEvaluated) -> None:
    tested = (e.asset, e.check, e.partition, int(e.passed), e.severity, e.message, packed(e.metadata))
    batch.put(_CHECK, (run, e.step, e.index), (run, e.step, e.index, e.attempt, e.at, *tested))
    verdict = (e.asset, e.check, e.partition, int(e.passed), e.severity, e.message, e.at)
    batch.put(_VERDICT, (e.asset, e.partition, e.check), verdict)


# A TimerDue is not journaled; a RunCreated is written at once, for its number is needed by all others.
_RULES: dict[type, Callable[[Batch, int, Any], None]] = {
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
    GateHeard: _gate_heard,
    GateVoted: _gate_voted,
    GateAnswered: _gate_answered,
    Materialized: _materialized,
    CheckEvaluated: _check_evaluated,
}
