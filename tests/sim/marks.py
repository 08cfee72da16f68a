"""What a simulation must have seen to be worth anything: each of these has to happen somewhere in the seeds of the tests.

Rule: a mark is a sentence about something that happened; one that is never hit means that the fault or the state behind it
is not tried any more.
"""

from __future__ import annotations

from collections import Counter

from partita.core.states import TERMINAL_STEP
from partita.engine.active import ActiveRun
from partita.engine.loop import Engine

from .record import Address, Record

MARKS: tuple[str, ...] = (
    # faults of workers
    "a worker was killed",
    "a worker died while no engine was there",
    "a worker ended between place and submit",
    "a report came late",
    "an outcome came again and was ignored",
    "an outcome came for a ticket that nobody knows",
    "a member's end came twice",
    "there was no room for a worker for a while",
    # faults of the engine's process and of its store
    "a crash before a durable write",
    "a crash after a durable write",
    "a crash while telling",
    "a crash while handing out",
    "a crash while adopting",
    "the store failed before a commit",
    "the store failed after a commit",
    "a write was refused for lack of space",
    "an engine went on by itself when there was space again",
    # several engines
    "a second engine was refused while the first lived",
    "an engine stood still before its commit",
    "an engine stood still between its commit and what follows",
    "a commit of an engine that was taken over from was refused",
    "an engine that was taken over from noticed it by its lease",
    "an engine woke after the lease of its successor had run out",
    # time
    "the wall clock jumped forward",
    "the wall clock jumped backward",
    "the wall clock stood still",
    "a lease ran out and its holder took it again",
    # what a new engine found
    "a running attempt was adopted",
    "a spooled outcome was taken over",
    "an open attempt of an earlier engine was found to be lost",
    "restored in the middle of a loop",
    "restored in the middle of a bundle",
    "restored in the middle of a map",
    "restored with a retry that waits for its time",
    "restored while paused",
    "restored while a cancel was under way",
    "restored a run in the queue",
    # requests
    "a run was paused",
    "a run was cancelled",
    "a run was cancelled while it was queued",
    "a run that was asked for twice was made once",
    "something was said to a gate",
    "a teardown ran after a cancel",
    "a run ended at its first failure",
    "a run ran out of its time",
    "a run took results over from an earlier one",
    "a cancel was given while nothing could be written",
    # decisions
    "a pool was full and a lane was parked",
    "a run waited for another one of its pipeline",
    "a step ran because another had failed",
    "a map had no elements",
    "a step was skipped by a branch",
    "a loop came to its limit",
    "a lost step needed a person's attention",
    "an attempt got more memory than the one before it",
    "room on the machine was kept for a step that had waited longer",
    "a step failed after all its retries",
)


def mark_restored(engine: Engine, marks: Counter[str]) -> None:
    """What a new engine took up."""
    now = engine.clock.now()
    for run in engine.active.values():
        machine = run.machine
        if machine.state == "queued":
            marks["restored a run in the queue"] += 1
            continue
        if machine.paused:
            marks["restored while paused"] += 1
        if machine.cancel_requested:
            marks["restored while a cancel was under way"] += 1
        if any(i.not_before > now and i.state == "ready" for i in machine.instances()):
            marks["restored with a retry that waits for its time"] += 1
        _mark_shapes(run, marks)


def _mark_shapes(run: ActiveRun, marks: Counter[str]) -> None:
    for axis in run.machine.plan.axes.values():
        states = {i.state in TERMINAL_STEP for node in axis.nodes for i in node.instances.values()}
        if len(states) == 2:
            marks[f"restored in the middle of a {'map' if axis.axis.loop is None else 'loop'}"] += 1
    for node in run.machine.plan.nodes.values():
        if node.members:
            states = {i.state in TERMINAL_STEP for member in node.members for i in member.instances.values()}
            if len(states) == 2:
                marks["restored in the middle of a bundle"] += 1


def mark_run(record: Record, marks: Counter[str]) -> None:
    """What the journal of a finished run shows."""
    run, end = record.run, record.end
    assert run is not None
    assert end is not None
    if record.was_paused:
        marks["a run was paused"] += 1
    if record.cancelled_at is not None:
        marks["a run was cancelled" if record.started else "a run was cancelled while it was queued"] += 1
    if record.reused:
        marks["a run took results over from an earlier one"] += 1
    if "first failure" in end.reason:
        marks["a run ended at its first failure"] += 1
    if record.timed_out:
        marks["a run ran out of its time"] += 1
    for address, state in record.watch.ended.items():
        _mark_end(record, address, state, marks)
    for axis in record.graph.axes:
        if axis.loop is not None and (axis.loop.decider, str(axis.loop.limit - 1)) in record.watch.ended:
            marks["a loop came to its limit"] += 1
        key = next((s.key for s in record.graph.steps if s.axes == (axis.name,)), "")
        if axis.loop is None and not axis.outer and record.started and key and not record.watch.by_step[key]:
            marks["a map had no elements"] += 1


def _mark_end(record: Record, address: Address, state: str, marks: Counter[str]) -> None:
    step = record.steps[address[0]]
    began = record.started_at.get(address)
    if began is not None and step.teardown_of and record.cancelled_at is not None and began > record.cancelled_at:
        marks["a teardown ran after a cancel"] += 1
    if began is not None and step.when in ("any_failed", "all_failed"):
        marks["a step ran because another had failed"] += 1
    if state == "skipped" and step.guards and began is None:
        marks["a step was skipped by a branch"] += 1
    if state == "needs_attention":
        marks["a lost step needed a person's attention"] += 1
    if state == "failed" and record.tries.get(address, {}).get("failed", 0) > 1:
        marks["a step failed after all its retries"] += 1
