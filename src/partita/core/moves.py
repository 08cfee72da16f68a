"""The moves of step instances and of the run, each with its line in the journal and what is to be done about it.

Rule: whether a move is made is decided elsewhere; that it is made, is made here, and by the table of `states`. Whoever
waits for an instance that ends here is told later (`settling`), so that no move depends on how deep a graph is.
"""

from __future__ import annotations

from partita.core.commands import Finished, Kill, Offer, Withdraw
from partita.core.course import Course
from partita.core.events import AttemptDispatched, AttemptStarted, GateAnswered, RunEnded, StepEnded, StepRetried
from partita.core.plan import Instance
from partita.core.states import STEP_MOVES, TERMINAL_STEP, RunState, StepState
from partita.errors import InvalidTransition

_BAD = frozenset({"failed", "needs_attention"})
# How the reason of what a run's timeout has ended begins; an engine that takes the run up knows it by this.
OUT_OF_TIME = "the run took longer than its"


def move(course: Course, instance: Instance, state: StepState) -> None:
    """Change the state of an instance. Raises `InvalidTransition` where the table forbids it."""
    if state not in STEP_MOVES[instance.state]:
        story = f"run {course.run.run}; last events: {course.journal[-5:]}"
        raise InvalidTransition(f"{instance!r} -> {state} in {story}")
    instance.state = state
    instance.since = course.at


def make_ready(course: Course, instance: Instance) -> None:
    """All that it waits for is there: it asks for a slot."""
    if course.ending and not instance.node.step.teardown_of:
        end(course, instance, "cancelled", course.ending)
        return
    move(course, instance, "ready")
    offer(course, instance)


def offer(course: Course, instance: Instance) -> None:
    """Ask for a slot, unless the run is paused."""
    if course.paused and not course.ending:
        return
    instance.offered = True
    course.commands.append(Offer(instance.node.key, instance.index, instance.not_before))


def withdraw(course: Course, instance: Instance) -> None:
    """It no longer asks for a slot."""
    instance.offered = False
    course.commands.append(Withdraw(instance.node.key, instance.index))


def start(course: Course, instance: Instance, event: AttemptStarted | AttemptDispatched) -> None:
    """An attempt is open from here on."""
    move(course, instance, "running")
    instance.attempt = event.attempt
    instance.open = True
    instance.dispatched = type(event) is AttemptDispatched
    instance.epoch = event.epoch
    instance.offered = False
    course.journal.append(event)


def close_gate(course: Course, instance: Instance) -> None:
    """It waits no longer."""
    course.gates.pop((instance.node.key, instance.index), None)
    instance.gate = None


def try_again(course: Course, instance: Instance, delay_s: float, reason: str) -> None:
    """Back to ready for one more attempt; the caller offers it if it is to be offered."""
    move(course, instance, "ready")
    instance.not_before = course.at + delay_s if delay_s > 0 else 0.0
    instance.reason = reason
    course.journal.append(
        StepRetried(
            at=course.at,
            step=instance.node.key,
            index=instance.index,
            attempt=instance.attempt + 1,
            not_before=instance.not_before,
            reason=reason,
        )
    )


def end(course: Course, instance: Instance, state: StepState, reason: str, because: tuple[str, ...] = ()) -> None:
    """End a step instance other than by success, and say so in the journal."""
    if instance.offered:
        withdraw(course, instance)
    if instance.gate is not None:
        close_gate(course, instance)
        address = (instance.node.key, instance.index)
        course.journal.append(GateAnswered(course.at, *address, "withdrawn", accepted=False, comment=reason))
    instance.reason = reason
    instance.because = because
    course.journal.append(StepEnded(course.at, instance.node.key, instance.index, state, reason, because))
    move(course, instance, state)
    count_end(course, instance)
    step = instance.node.step
    if state in _BAD and step.counts and course.run.fail_fast and not course.ending:
        end_early(course, f"{step.key} failed, and the run ends at its first failure")


def succeed(course: Course, instance: Instance) -> None:
    """Its attempt succeeded; the journal says so already."""
    move(course, instance, "succeeded")
    count_end(course, instance)


def count_end(course: Course, instance: Instance) -> None:
    """It is over: whoever waits for it is to be told."""
    state = instance.state
    instance.open = False
    instance.granted = False
    course.unended -= 1
    if state in _BAD and instance.node.step.counts:
        course.bad += 1
    elif state == "cancelled":
        course.cancelled += 1
    course.ended.append(instance)


def end_early(course: Course, reason: str) -> None:
    """Nothing new starts but teardowns; what runs is asked to end."""
    course.ending = reason
    for instance in list(course.instances()):
        if instance.open:
            if instance.node.bundle is None and not instance.node.step.teardown_of:
                course.commands.append(Kill(instance.node.key, instance.index, instance.attempt, reason))
        elif instance.state not in TERMINAL_STEP and not instance.node.step.teardown_of:
            bundle = instance.node.bundle.instances.get(instance.path) if instance.node.bundle else None
            if bundle is None or not bundle.open:
                end(course, instance, "cancelled", reason)
        elif instance.state == "ready" and not instance.offered:
            # A teardown that was held back by a pause.
            offer(course, instance)


def end_run(course: Course) -> None:
    """Every step has ended."""
    if course.bad:
        finish(course, "failed", course.ending if not course.cancel_requested else "")
    elif course.cancel_requested or course.cancelled:
        finish(course, "cancelled", course.ending)
    else:
        finish(course, "succeeded", "")


def finish(course: Course, state: RunState, reason: str) -> None:
    """The run is over."""
    course.state = state
    course.reason = reason
    course.journal.append(RunEnded(course.at, state, reason))
    course.commands.append(Finished())
