"""I9: nothing waits without a reason that can wake it, and I10: slots are held by open attempts and by nothing else.

Asked between two turns, when the engine is at rest. It looks into the engine on purpose: what is to be shown is that no
step has fallen out of every queue, timer and count.

Rule: only looks. Every check here would hold at any quiet moment of any engine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from partita.core.admission import Admission, Lane
from partita.core.gates import GateState, alarm
from partita.core.invariants import Violation
from partita.core.plan import Instance
from partita.core.states import TERMINAL_STEP
from partita.engine.active import ActiveRun
from partita.engine.loop import Engine

from .executor import SimExecutor
from .record import Record


def check_slots(engine: Engine) -> None:
    """The counters of the admission are what the open attempts ask for, no more and no less."""
    asked: Counter[tuple[str, ...]] = Counter()
    for opened in engine._open.values():
        for key, n in opened.lane.asks:
            asked[key] += n
    used = {key: n for key, n in engine.admission.used.items() if n}
    if used != dict(asked):
        raise Violation(f"I10: the admission counts {used}, the open attempts hold {dict(asked)}")


def check_waiting(engine: Engine, executor: SimExecutor) -> None:
    """Every step that has not ended has something that will move it, and an explanation in words."""
    timed = {id(instance) for _, _, _, instance in engine._timers if instance is not None}
    for run in engine.active.values():
        machine = run.machine
        if machine.state == "queued":
            if run.id not in engine.queue and not machine.paused:
                raise Violation(f"I9: run {run.id} is queued, and in no queue")
            continue
        _check_time(engine, run)
        for instance in machine.instances():
            if instance.state in TERMINAL_STEP:
                _need(instance.settled, run, instance, "has ended, and those who wait for it were not told")
                continue
            _check_instance(engine, executor, run, instance, timed)
            _check_explained(engine, run, instance)
        if machine.unended == 0 and machine.state == "running":
            raise Violation(f"I9: every step of {run.id} has ended, and the run has not")


def _check_instance(engine: Engine, executor: SimExecutor, run: ActiveRun, instance: Instance, timed: set[int]) -> None:
    bundle = instance.node.bundle.instances.get(instance.path) if instance.node.bundle is not None else None
    if instance.state == "running":
        _check_running(engine, executor, run, instance, bundle)
    elif instance.state == "ready" and instance.node.bundle is not None:
        moved = bundle is not None and bundle.state in ("ready", "running")
        _need(moved, run, instance, f"is granted, and its bundle is {bundle}")
    elif instance.state == "ready":
        _check_ready(engine, run, instance, timed)
    elif len(instance.path) < len(instance.node.step.axes):
        axis = run.machine.plan.axes[instance.node.step.axes[len(instance.path)]]
        _need(instance.path not in axis.lengths, run, instance, "stands for a map that has been unfolded")
    elif instance.node.bundle is not None:
        _need(bundle is not None and bundle.state in ("waiting", "ready"), run, instance, f"its bundle is {bundle}")
    elif instance.gate is not None and instance.gate.opened_at is not None:
        _check_gate(engine, run, instance, instance.gate)
    else:
        _check_open_needs(run, instance)


def _check_time(engine: Engine, run: ActiveRun) -> None:
    machine = run.machine
    if machine.run.timeout_s is None or machine.started_at is None or machine.ending or machine.is_finished:
        return
    if engine.clock.now() > machine.started_at + machine.run.timeout_s:
        raise Violation(f"I9: run {run.id} is out of its time and goes on as if it were not")


def check_restored(engine: Engine, records: dict[str, Record]) -> None:
    """A new engine knows of each run what was asked of it and decided about it."""
    for run in engine.active.values():
        record, machine = records[run.id], run.machine
        known = (machine.state, machine.paused, machine.cancel_requested)
        told = (record.state, record.watch.paused, record.cancelled_at is not None)
        if known != told and not machine.is_finished:
            raise Violation(f"I12: {run.id} was taken up as {known}, the journal says {told}")
        if record.timed_out and not machine.ending:
            raise Violation(f"I12: {run.id} was out of its time, and the engine that took it up does not know")


def check_kills(engine: Engine, executor: SimExecutor, run: str) -> None:
    """I13: a run was told to end, so its open attempts were told to end, but for those that clean up."""
    if engine.blocked:
        return
    for number, opened in engine._open.items():
        is_spared = opened.instance.node.step.teardown_of or number in executor.killed
        if opened.run.id == run and not is_spared:
            raise Violation(f"I13: {run} was cancelled, and {opened.instance!r} was not asked to end")


def _check_gate(engine: Engine, run: ActiveRun, instance: Instance, gate: GateState) -> None:
    """An open gate that has a time of its own is woken then; until then it waits for somebody to say something."""
    _need((instance.node.key, instance.index) in run.machine.gates, run, instance, "its gate is open, and in no list")
    spec = instance.node.step.gate
    assert spec is not None
    at = alarm(spec, gate)
    if at is None:
        _need(spec.of != "timer", run, instance, "is a timer without a time")
        return
    wakes = [when for when, _, other, inner in engine._timers if other is run and inner is None]
    _need(any(when <= at for when in wakes), run, instance, f"is due at {at}, and nothing wakes it: {wakes[:3]}")


def _check_running(
    engine: Engine, executor: SimExecutor, run: ActiveRun, instance: Instance, bundle: Instance | None
) -> None:
    _need(instance.open, run, instance, "is running without an open attempt")
    if instance.node.bundle is not None:
        _need(bundle is not None and bundle.open, run, instance, "its bundle's attempt is not open")
        return
    number = engine._tickets.get((run.id, instance.node.key, instance.index))
    if engine.blocked and any(number == n for _, _, n, _ in engine._starts):
        return
    _need(number is not None and executor.will_end(number), run, instance, "no end of its attempt is on its way")


def _check_ready(engine: Engine, run: ActiveRun, instance: Instance, timed: set[int]) -> None:
    if run.machine.paused and not run.machine.ending:
        _need(not instance.offered, run, instance, "is offered while its run is paused")
        return
    _need(instance.offered, run, instance, "is ready and not offered")
    if id(instance) in timed:
        return
    lane = run.lane_of(instance)
    places = lane.queue.count(instance)
    _need(places > 0, run, instance, "is in no lane and has no timer")
    _need(places == 1, run, instance, f"stands {places} times in its lane")
    if lane.parked_on is None:
        _need(lane.is_queued, run, instance, "its lane is in no queue")
        return
    admission = engine.admission
    _need(
        lane in admission._parked.get(lane.parked_on, ()), run, instance, f"its lane is not parked on {lane.parked_on}"
    )
    key = lane.parked_on
    is_held = admission.used.get(key, 0) > 0
    # Or it is free, and who was woken for it has not come to its turn yet: that one takes it or passes it on.
    is_passed_on = any(other.woken_for == key for other in _queued_lanes(admission))
    is_meant = is_held or is_passed_on
    would_fit = key[0] != "rate" and admission.refusal(lane) is None
    _need(is_passed_on or not would_fit, run, instance, f"nothing refuses it, and nobody has woken it from {key}")
    # A rate has room again when its time comes; a limit that people have set too low for it, when they set another one.
    is_meant |= key[0] == "rate" and admission.due_at() < float("inf")
    # Room on the machine that is kept for somebody who has waited longer comes back when that one has started.
    is_meant |= admission._kept(key, lane) > 0
    is_meant |= any(n > admission.capacity.get(asked, n) for asked, n in lane.asks)
    _need(is_meant, run, instance, f"nobody holds {key}, it waits for ever")


def _queued_lanes(admission: Admission) -> Iterator[Lane]:
    """Also those of runs that have ended: they are dropped when their turn comes."""
    for queue in admission._queues.values():
        for levels in queue.levels.values():
            for level in levels.values():
                for lanes in level.lanes.values():
                    yield from lanes


def _check_open_needs(run: ActiveRun, instance: Instance) -> None:
    """The counter of open needs is what a look at the needs says."""
    still = 0
    for edge in instance.node.needs:
        prefix = instance.path[: edge.depth]
        ends = [
            other.settled for path, other in edge.need.instances.items() if path[: len(prefix)] == prefix[: len(path)]
        ]
        is_open = not all(ends) or (edge.many and edge.need.groups[edge.depth][prefix].open > 0)
        # A loop that may have another round has an instance that is open: its decider.
        still += is_open
    _need(still > 0, run, instance, "waits, and everything that it waits for has ended")
    _need(still == instance.open_needs, run, instance, f"counts {instance.open_needs} open needs, there are {still}")


def _check_explained(engine: Engine, run: ActiveRun, instance: Instance) -> None:
    told = engine.why(run.id, instance.node.key, instance.index)
    reasons = told.reasons if told is not None else ()
    _need(any(r.text for r in reasons), run, instance, "has not ended, and nothing says why")


def _need(holds: bool, run: ActiveRun, instance: Instance, what: str) -> None:
    if not holds:
        raise Violation(f"I9: {run.id} {instance!r} {what}")
