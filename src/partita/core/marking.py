"""Steps that a person ends by hand: what may be marked, and how it is written down.

Rule: a mark is an end like any other. Whoever needs the step is told of it by the same rules; nothing of a run knows afterwards
that there are marks, but the reason of the step.
"""

from __future__ import annotations

from partita.core import moves
from partita.core.course import Course
from partita.core.events import StepMarked
from partita.core.states import TERMINAL_STEP

# How the reason of a marked step begins; explanations know it by this.
MARKED = "marked "


def mark(course: Course, event: StepMarked) -> bool:
    """End the step as the person says; False if it cannot be (see `refusal`)."""
    instance = course.instance(event.step, event.index)
    if instance is None or refusal(course, event.step, event.index, event.state):
        return False
    moves.end(course, instance, event.state, reason_of(event))
    return True


def reason_of(event: StepMarked) -> str:
    """How a mark stands in the history.

    >>> reason_of(StepMarked(0.0, "load", "", "skipped", "anna", "the source has no data today"))
    'marked skipped by anna: the source has no data today'
    """
    return f"{MARKED}{event.state} by {event.by}" + (f": {event.reason}" if event.reason else "")


def refusal(course: Course, step: str, index: str, state: str) -> str:
    """Why a step cannot be marked so; "" if it can."""
    if course.is_finished:
        return f"its run has ended: it {course.state}"
    if course.state == "queued":
        return "its run has not started yet"
    instance = course.instance(step, index)
    if instance is None or len(instance.path) < instance.node.axis_count:
        return "it has no such instance (yet)" if step in course.plan.nodes else "the run has no such step"
    if instance.open:
        return "it is running"
    if instance.state in TERMINAL_STEP:
        return f"it has ended: {instance.state.replace('_', ' ')}"
    found = instance.node.step
    if found.gate is not None:
        return "it waits for an answer, and is to be given one"
    if instance.node.bundle is not None or instance.node.members:
        return "it is made together with others, in one piece of work"
    if state == "succeeded" and (found.reports_choice or found.reports_again or instance.node.unfolds):
        return "what comes after it is decided by its result, which a mark does not have"
    return ""
