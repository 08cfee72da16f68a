"""What the store's rows say about an unfinished (or finished) run, as the machine wants to know it.

Rule: rows are the truth. Nothing is replayed; what follows from the rows, the machine decides again, and decides the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from partita.core.events import GateVoted, RunCreated, RunStarted, failure_text
from partita.core.graph import Graph
from partita.core.known import KnownGate
from partita.core.machine import Known, RunMachine
from partita.core.states import INFRA_FAILURE, OPEN_ATTEMPT, USER_FAILURE
from partita.store.contract import AttemptRow, GateRow, RunRow, StepRow, VoteRow


def run_created_of(row: RunRow) -> RunCreated:
    """The event that made the run."""
    return RunCreated(
        at=row.created_at,
        run=row.id,
        namespace=row.namespace,
        project=row.project,
        pipeline=row.pipeline,
        graph=row.graph,
        code=row.code,
        origin=row.origin,
        by=row.by,
        params=row.params,
        partition=row.partition,
        priority=row.priority,
        rerun_of=row.rerun_of,
        selection=row.selection,
        fail_fast=row.fail_fast,
        timeout_s=row.timeout_s,
        limit=row.limit,
        namespace_limit=row.namespace_limit,
        tags=row.tags,
        keys=row.keys,
        partitions=row.partitions,
    )


def known_of(
    steps: Iterable[StepRow],
    attempts: Iterable[AttemptRow],
    gates: Iterable[GateRow] = (),
    votes: Iterable[VoteRow] = (),
) -> list[Known]:
    """What is known of each step instance that has done something."""
    tries: dict[tuple[str, str], list[AttemptRow]] = {}
    for attempt in attempts:
        tries.setdefault((attempt.step, attempt.index), []).append(attempt)
    known = [_known(row, tries.pop((row.step, row.index), [])) for row in steps]
    known.extend(_known_by_attempts(key, rows) for key, rows in tries.items())
    known.extend(_known_gates(gates, votes))
    return known


def rebuilt(
    graph: Graph,
    row: RunRow,
    steps: Iterable[StepRow],
    attempts: Iterable[AttemptRow],
    gates: Iterable[GateRow] = (),
    votes: Iterable[VoteRow] = (),
) -> RunMachine:
    """The machine of a run as the rows leave it, to ask questions of; it is not to be driven on."""
    machine = RunMachine(graph, run_created_of(row), known_of(steps, attempts, gates, votes))
    if row.started_at is not None:
        machine.apply(RunStarted(row.started_at))
    machine.state = row.state
    machine.reason = row.reason
    machine.paused = row.paused
    machine.cancel_requested = row.cancel_requested
    return machine


def _known(row: StepRow, attempts: list[AttemptRow]) -> Known:
    last = attempts[-1] if attempts else None
    is_open = last is not None and last.state in OPEN_ATTEMPT
    return Known(
        step=row.step,
        index=row.index,
        state="running" if is_open else row.state,
        attempt=last.attempt if last is not None else 0,
        value=row.value,
        choice=row.choice,
        again=row.again,
        reason=row.reason,
        because=row.because,
        not_before=row.not_before,
        failures=_failures(attempts),
        losses=_losses(attempts),
        out_of_memory=_out_of_memory(attempts),
        epoch=last.epoch if last is not None and is_open else None,
        dispatched=last is not None and last.state == "dispatched",
        past=_past(attempts),
    )


def _known_by_attempts(key: tuple[str, str], attempts: list[AttemptRow]) -> Known:
    """No row yet: the step is in its first attempt."""
    last = attempts[-1]
    return Known(
        step=key[0],
        index=key[1],
        state="running" if last.state in OPEN_ATTEMPT else "ready",
        attempt=last.attempt,
        failures=_failures(attempts),
        losses=_losses(attempts),
        out_of_memory=_out_of_memory(attempts),
        epoch=last.epoch if last.state in OPEN_ATTEMPT else None,
        dispatched=last.state == "dispatched",
        past=_past(attempts),
    )


def _known_gates(gates: Iterable[GateRow], votes: Iterable[VoteRow]) -> Iterator[Known]:
    """Steps whose gate has not been answered."""
    said: dict[tuple[str, str], list[GateVoted]] = {}
    for v in sorted(votes, key=lambda v: v.at):
        vote = GateVoted(v.at, v.step, v.index, v.by, v.choice, v.roles, v.comment, v.answer)
        said.setdefault((v.step, v.index), []).append(vote)
    for g in gates:
        if g.answered_at is None:
            heard = tuple(said.get((g.step, g.index), ()))
            gate = KnownGate(g.opened_at, g.due_at, g.heard_at, g.message, heard, g.report)
            yield Known(g.step, g.index, "waiting", gate=gate)


def _failures(attempts: list[AttemptRow]) -> int:
    return sum(a.state in USER_FAILURE for a in attempts)


def _out_of_memory(attempts: list[AttemptRow]) -> int:
    return sum(a.state == "failed" and a.failure is not None and a.failure.cause == "out_of_memory" for a in attempts)


def _losses(attempts: list[AttemptRow]) -> int:
    return sum(
        a.state in INFRA_FAILURE and not (a.failure is not None and a.failure.cause == "not_begun") for a in attempts
    )


def _past(attempts: list[AttemptRow]) -> tuple[tuple[int, str, str], ...]:
    return tuple(
        (a.attempt, a.state, failure_text(a.failure, a.state))
        for a in attempts
        if a.state not in OPEN_ATTEMPT and a.state != "succeeded"
    )
