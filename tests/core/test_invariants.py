"""Each violation of an invariant is noticed, and a sound history is not."""

from __future__ import annotations

import msgspec
import pytest

from partita.core.events import (
    AttemptDispatched,
    AttemptEnded,
    AttemptStarted,
    CancelRequested,
    Event,
    Materialized,
    PauseRequested,
    ResumeRequested,
    RunCreated,
    RunEnded,
    RunStarted,
    StepEnded,
    StepRetried,
    StepReused,
    TimerDue,
)
from partita.core.graph import Axis, Graph, Step
from partita.core.invariants import Violation, Watch

from .driving import graph, known_list

CREATED = RunCreated(0.0, "r", "default", "p", "g", "", "", "o")
GRAPH = graph(
    Step("a"),
    Step("b", needs=("a",)),
    Step("late", needs=("a",), when="all_done"),
    Step("m", axes=("m",)),
    Step("n", axes=("m",), needs=("m",)),
    Step("all", needs=("m",)),
    Step("down", needs=("a",), teardown_of=("a",)),
    axes=[Axis("m", (known_list(1, 2),))],
)


def started(step: str = "a", index: str = "", attempt: int = 1, epoch: int = 1) -> AttemptStarted:
    return AttemptStarted(1.0, step, index, attempt, epoch, "w")


def ended(step: str = "a", index: str = "", state: str = "succeeded", attempt: int = 1, epoch: int = 1) -> AttemptEnded:
    return AttemptEnded(2.0, step, index, attempt, epoch, state)  # type: ignore[arg-type]


def dispatched(step: str = "a", attempt: int = 1) -> AttemptDispatched:
    return AttemptDispatched(1.0, step, "", attempt, 1, "w")


def over(step: str = "a", state: str = "failed") -> StepEnded:
    return StepEnded(3.0, step, "", state, "why")  # type: ignore[arg-type]


RUNNING = (CREATED, RunStarted(0.0))
FAILED = (*RUNNING, started(), ended(state="failed"))
DONE = (*RUNNING, started(), ended())
MADE = Materialized(2.0, "a", "", 1, "flights", "", "", "")


def feed(*events: Event, over: Graph = GRAPH) -> Watch:
    watch = Watch(over)
    watch.feed(events)
    return watch


@pytest.mark.parametrize(
    "history",
    [
        (*DONE, started("b"), ended("b"), started("late")),
        (*FAILED, StepRetried(3.0, "a", "", 2, 0.0, "x"), started(attempt=2, epoch=2), ended(attempt=2, epoch=2)),
        (*FAILED, over(), started("late"), ended("late"), RunEnded(4.0, "failed")),
        (*RUNNING, dispatched(), started(), ended(), MADE),
        (*RUNNING, dispatched(), ended(state="lost")),
        (*DONE, started("m", "0"), ended("m", "0"), started("n", "0")),
        (*DONE, CancelRequested(2.0, "x"), started("down")),
        (*RUNNING, PauseRequested(1.0, "x"), ResumeRequested(2.0, "x"), started()),
        (CREATED, StepReused(0.0, "a", "", "earlier"), RunStarted(1.0), started("b")),
        (CREATED, CancelRequested(1.0, "x"), RunEnded(1.0, "cancelled")),
    ],
)
def test_a_sound_history_passes(history: tuple[Event, ...]) -> None:
    feed(*history)


@pytest.mark.parametrize(
    ("said", "history"),
    [
        ("I4: a run is created once", (CREATED, CREATED)),
        ("the run goes from  to running", (RunStarted(0.0),)),
        ("the run goes from running to running", (*RUNNING, RunStarted(1.0))),
        ("the run goes from succeeded to failed", (*RUNNING, RunEnded(1.0, "succeeded"), RunEnded(1.0, "failed"))),
        ("the run goes from queued to succeeded", (CREATED, RunEnded(1.0, "succeeded"))),
        ("I5: an attempt starts in a run that is not running", (CREATED, started())),
        ("I5: an attempt starts in a run that is not running", (*RUNNING, RunEnded(1.0, "failed"), started())),
        ("I4: an attempt of a step that has ended", (*DONE, started(attempt=2))),
        ("I7: a second open attempt", (*RUNNING, started(), started(attempt=2))),
        ("I7: a second open attempt", (*RUNNING, started(), started())),
        ("I7: a second open attempt", (*RUNNING, dispatched(), started(attempt=2))),
        ("I3: attempt numbers grow", (*FAILED, started(attempt=1))),
        ("I3: attempt numbers grow by one", (*FAILED, started(attempt=3))),
        ("I12: another attempt, and no line of the journal", (*FAILED, started(attempt=2))),
        ("I7: epochs never fall", (*RUNNING, started(epoch=2), ended(state="lost", epoch=2), started(attempt=2, epoch=1))),
        ("an attempt starts while its run is paused", (*RUNNING, PauseRequested(1.0, "x"), started())),
        ("I13: an attempt starts", (*RUNNING, CancelRequested(1.0, "x"), started())),
        ("I6: a has not ended", (*RUNNING, started("b"))),
        ("I6: a has not ended", (*RUNNING, started("late"))),
        ("I6: a has not succeeded", (*FAILED, over(), started("b"))),
        ("I6: m has not succeeded", (*RUNNING, started("m", "0"), ended("m", "0", "failed"), StepEnded(3.0, "m", "0", "failed", ""), started("all"))),
        ("I6: m is still running", (*RUNNING, started("m", "0"), ended("m", "0"), started("m", "1"), started("all"))),
        ("I6: m has not ended", (*RUNNING, started("m", "0"), ended("m", "0"), started("n", "1"))),
        ("I3: an outcome of an attempt not open", (*RUNNING, ended())),
        ("I3: an outcome of an attempt not open", (*DONE, ended())),
        ("I3: an outcome of an attempt not open", (*RUNNING, started(), ended(attempt=2))),
        ("I3: an outcome under another epoch", (*RUNNING, started(), ended(epoch=2))),
        ("an attempt goes from dispatched to succeeded", (*RUNNING, dispatched(), ended())),
        ("I4: a step ends twice", (*DONE, over())),
        ("I4: a step ends twice", (*FAILED, over(), over())),
        ("a step ends in a state that is no end", (*FAILED, over(state="ready"))),
        ("I7: ended while an attempt is open", (*RUNNING, started(), over())),
        ("I4: a step that has ended is not retried", (*DONE, StepRetried(3.0, "a", "", 2, 0.0, "x"))),
        ("I7: retried while an attempt is open", (*RUNNING, started(), StepRetried(3.0, "a", "", 2, 0.0, "x"))),
        ("I14: materialized without an accepted success", (*FAILED, MADE)),
        ("I14: materialized without an accepted success", (*DONE, msgspec.structs.replace(MADE, attempt=2))),
        ("I4: the run ends while attempts are open", (*RUNNING, started(), RunEnded(3.0, "failed"))),
        ("I9: the run ends while steps have not", (*FAILED, RunEnded(3.0, "failed"))),
        ("an event that is not to be journaled", (*RUNNING, TimerDue(1.0))),
    ],
)  # fmt: skip
def test_a_violation_is_noticed_and_named(said: str, history: tuple[Event, ...]) -> None:
    feed(*history[:-1])
    with pytest.raises(Violation, match=said):
        feed(*history)


def test_a_run_that_fails_fast_starts_nothing_after_its_first_failure() -> None:
    history = (msgspec.structs.replace(CREATED, fail_fast=True), *FAILED[1:], over())
    with pytest.raises(Violation, match="I13"):
        feed(*history, started("late"))
    feed(*history, StepEnded(4.0, "late", "", "cancelled", ""))


def test_members_of_a_bundle_have_its_attempt_numbers_and_its_time_of_start() -> None:
    bundle = graph(Step("b", kind="bundle"), Step("x", kind="member", bundle="b", needs=("y",)), Step("y"))
    again = StepRetried(3.0, "b", "", 2, 0.0, "lost")
    lost = (*RUNNING, started("b"), ended("b", state="lost"), again, started("b", attempt=2))
    feed(*lost, PauseRequested(1.0, "p"), started("x", attempt=2), over=bundle)
