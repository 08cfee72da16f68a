"""Gates in the machine: how a step waits without a slot, and how its waiting ends.

A gate opens when its needs let it; its step stays `waiting`, with the gate as the reason. It ends by answers, a report,
its time, or the end of its run, and is journaled as answered in each case; a pause of the run does not stop it.

Rule: what suffices is asked of `gates.py`; here it is carried out.
"""

from __future__ import annotations

import heapq
import math

from partita.core import gates, moves, plain
from partita.core.commands import WakeAt
from partita.core.course import Course
from partita.core.events import GateAnswered, GateHeard, GateOpened, GateReported, GateVoted, Meta
from partita.core.gates import GateState
from partita.core.graph import GateSpec
from partita.core.inputs import Inputs
from partita.core.plan import Instance
from partita.core.values import Value


def vote(course: Course, event: GateVoted) -> bool:
    """A person answers; was it taken?"""
    instance = course.gates.get((event.step, event.index))
    if instance is None:
        return False
    spec, gate = spec_of(instance), state_of(instance)
    wrong = gates.wrong_vote(spec, choice=event.choice, comment=event.comment, answer=event.answer)
    if spec.of != "approval" or wrong:
        return False
    if gates.may_not(spec, by=event.by, roles=event.roles, starter=course.run.by):
        return False
    course.journal.append(event)
    gate.votes[event.by] = event
    choice = gates.deciding(spec, gate.votes)
    if choice is not None:
        _decide(course, instance, choice)
    return True


def report(course: Course, event: GateReported) -> bool:
    """What a gate waits for has come; was it taken?"""
    instance = course.instance(event.step, event.index)
    if instance is None or instance.node.step.gate is None or instance.state != "waiting":
        return False
    if instance.node.step.gate.of not in ("external", "condition"):
        return False
    if instance.gate is None or instance.gate.opened_at is None:
        if instance.gate is not None and instance.gate.report is not None:
            return False
        # Quicker than the step that handed out the token: it is kept until the gate opens.
        course.journal.append(event)
        instance.gate = instance.gate or GateState()
        instance.gate.report = event
        return True
    _take_report(course, instance, event)
    return True


def hear(course: Course, event: GateHeard) -> bool:
    """The other system is alive; was it taken?"""
    instance = course.gates.get((event.step, event.index))
    if instance is None or spec_of(instance).of != "external":
        return False
    gate = state_of(instance)
    gate.heard_at = event.at
    gate.message = event.message
    course.journal.append(event)
    at = gates.alarm(spec_of(instance), gate)
    # Later than what was asked for, as a rule; earlier if the clock was set back.
    if at is not None and at < course.wakes_at:
        heapq.heappush(course.alarms, (at, event.step, event.index))
        _ask_for_wake(course)
    return True


def open_gate(course: Course, instance: Instance) -> None:
    """Its needs let it: it waits on, now as a gate. One that was open in an earlier engine is taken over as it was."""
    spec = spec_of(instance)
    gate = instance.gate = instance.gate or GateState()
    step, index = instance.node.key, instance.index
    if gate.opened_at is None:
        try:
            gate.due_at = _due_at(course, instance)
        except ValueError as error:
            instance.gate = None
            moves.end(course, instance, "failed", str(error))
            return
        gate.opened_at = instance.since = course.at
        course.journal.append(GateOpened(course.at, step, index, spec.of, gate.due_at))
    course.gates[step, index] = instance
    if gate.report is not None:
        _take_report(course, instance, gate.report)
        return
    at = gates.alarm(spec, gate)
    if at is not None:
        heapq.heappush(course.alarms, (at, step, index))
        _ask_for_wake(course)


def ring(course: Course) -> None:
    """The clock has moved: end the gates whose time is over."""
    alarms = course.alarms
    while alarms and alarms[0][0] <= course.at:
        _, step, index = heapq.heappop(alarms)
        instance = course.gates.get((step, index))
        if instance is None:
            continue
        spec, gate = spec_of(instance), state_of(instance)
        at = gates.alarm(spec, gate)
        if at is not None and at > course.at:
            heapq.heappush(alarms, (at, step, index))
        elif spec.of == "timer":
            answer(course, instance, how="time", accepted=True)
        elif gate.due_at is not None and gate.due_at <= course.at:
            _be_late(course, instance)
        else:
            refuse(course, instance, gates.silence(spec, gate), how="silence")
    if course.wakes_at <= course.at:
        course.wakes_at = math.inf
    _ask_for_wake(course)


def question(course: Course, instance: Instance) -> str:
    """What a gate asks or waits for, with its arguments filled in: "deploy {version}?" is "deploy 1.4?"."""
    text = spec_of(instance).text
    if "{" not in text:
        return text
    inputs = Inputs(course, lambda asset: None)
    for name, binding in instance.node.step.args:
        if "{" + name + "}" in text:
            found, value = gates.plain_input(inputs.one(instance, binding))
            if found and isinstance(value, str | int | float) and len(str(value)) <= 200:
                text = text.replace("{" + name + "}", str(value))
    return text


def spec_of(instance: Instance) -> GateSpec:
    """What the gate of an instance is."""
    spec = instance.node.step.gate
    assert spec is not None, f"{instance!r} is no gate"
    return spec


def state_of(instance: Instance) -> GateState:
    """How the gate of an instance stands."""
    assert instance.gate is not None, f"{instance!r} has not opened"
    return instance.gate


def answer(
    course: Course,
    instance: Instance,
    *,
    how: str,
    accepted: bool,
    choice: str = "",
    by: tuple[str, ...] = (),
    comment: str = "",
    value: Value | None = None,
    decision: bytes | None = None,
    metadata: tuple[Meta, ...] = (),
) -> None:
    """The gate waits no longer. Accepted: its step has succeeded; else the caller ends it."""
    moves.close_gate(course, instance)
    course.journal.append(
        GateAnswered(
            course.at,
            instance.node.key,
            instance.index,
            how,  # type: ignore[arg-type]
            accepted,
            choice,
            by,
            comment,
            value,
            decision,
            metadata,
        )
    )
    if accepted:
        instance.value = value
        instance.choice = decision
        moves.succeed(course, instance)


def refuse(course: Course, instance: Instance, reason: str, *, how: str, message: str = "") -> None:
    """The gate's step fails."""
    answer(course, instance, how=how, accepted=False, comment=message)
    moves.end(course, instance, "failed", reason)


def _decide(course: Course, instance: Instance, choice: str) -> None:
    """The answers suffice."""
    gate = state_of(instance)
    mine = [v for v in gate.votes.values() if v.choice == choice]
    by = tuple(v.by for v in mine)
    comment = next((v.comment for v in reversed(mine) if v.comment), "")
    given = next((v.answer for v in reversed(mine) if v.answer is not None), None)
    _conclude(course, instance, choice, by=by, comment=comment, given=given, how="people")


def _conclude(
    course: Course,
    instance: Instance,
    choice: str,
    *,
    by: tuple[str, ...],
    comment: str,
    given: bytes | None,
    how: str,
) -> None:
    """An approval has come to a choice: a result, or a rejection."""
    spec = spec_of(instance)
    is_rejected = choice in spec.rejecting and spec.on_reject != "continue"
    value = None if is_rejected else gates.approval_value(spec, choice, by=by, comment=comment, answer=given)
    answer(
        course,
        instance,
        how=how,
        accepted=not is_rejected,
        choice=choice,
        by=by,
        comment=comment,
        value=value,
        decision=None if is_rejected else plain.pack(choice),
    )
    if is_rejected:
        whom = " and ".join(by) or "its deadline"
        reason = f"{choice} by {whom}" + (f": {comment}" if comment else "")
        moves.end(course, instance, "skipped" if spec.on_reject == "skip" else "failed", reason)


def _take_report(course: Course, instance: Instance, event: GateReported) -> None:
    by = (event.by,) if event.by else ()
    said = {"how": "report", "by": by, "comment": event.message, "metadata": event.metadata}
    if event.state == "succeeded":
        decision = event.value.data if event.value is not None else None
        answer(course, instance, accepted=True, value=event.value, decision=decision, **said)  # type: ignore[arg-type]
        return
    answer(course, instance, accepted=False, **said)  # type: ignore[arg-type]
    what = "the other system" if spec_of(instance).of == "external" else "its condition"
    moves.end(course, instance, "failed", event.message or f"{what} reported a failure")


def _be_late(course: Course, instance: Instance) -> None:
    """Its deadline has passed: the default, or an end."""
    spec, gate = spec_of(instance), state_of(instance)
    reason = gates.lateness(spec, gate)
    if spec.on_timeout == "default" and spec.of == "approval":
        _conclude(course, instance, spec.default, by=(), comment=f"{reason}: its default", given=None, how="deadline")
    elif spec.on_timeout == "default":
        data = spec.default_value
        value = gates.value_of(data) if data is not None else None
        answer(course, instance, how="deadline", accepted=True, comment=reason, value=value, decision=data)
    else:
        answer(course, instance, how="deadline", accepted=False, comment=reason)
        moves.end(course, instance, "skipped" if spec.on_timeout == "skip" else "failed", reason)


def _due_at(course: Course, instance: Instance) -> float | None:
    """When it has waited long enough. Raises `ValueError` for a timer whose time is none."""
    spec = spec_of(instance)
    if spec.of != "timer":
        return course.at + spec.timeout_s if spec.timeout_s is not None else None
    name, binding = instance.node.step.args[0]
    given = Inputs(course, lambda asset: None).one(instance, binding)
    found, value = gates.plain_input(given)
    if not found:
        raise ValueError("the time to wait for is no plain value: give it a number, a text, a timedelta or a datetime")
    at = gates.instant_of(value) if name == "until" else gates.seconds_of(value)
    if at is None:
        wanted = "an instant" if name == "until" else "a duration"
        raise ValueError(f"the time to wait for is {value!r:.80}, which is not {wanted}")
    return at if name == "until" else course.at + at


def _ask_for_wake(course: Course) -> None:
    """One wake-up at a time: at the first of the alarms."""
    if course.alarms and course.alarms[0][0] < course.wakes_at:
        course.wakes_at = course.alarms[0][0]
        course.commands.append(WakeAt(course.wakes_at))
