"""A late or repeated answer is an ordinary event that changes nothing."""

from __future__ import annotations

import msgspec
import pytest

from partita.core.events import AttemptEnded, AttemptStarted
from partita.core.graph import Step
from partita.core.policies import Policies, Retry

from .driving import Run, graph

CHAIN = graph(Step("a", policies=Policies(retry=Retry(limit=3))), Step("b", needs=("a",)))
END = AttemptEnded(9.0, "a", "", 1, 1, "succeeded")


def unchanged_by(run: Run, event: AttemptEnded | AttemptStarted) -> None:
    before, ignored = (run.states(), len(run.events)), run.machine.ignored
    assert run.apply(event) == []
    assert (run.states(), len(run.events)) == before
    assert run.machine.ignored == ignored + 1


@pytest.mark.parametrize(
    "changes",
    [{"attempt": 2}, {"attempt": 0}, {"epoch": 2}, {"epoch": 0}, {"step": "b"}, {"step": "x"}, {"index": "0"}],
)
def test_an_outcome_of_another_attempt_epoch_or_step_is_ignored(changes: dict[str, object]) -> None:
    run = Run(CHAIN).start()
    run.begin("a")
    unchanged_by(run, msgspec.structs.replace(END, **changes))


def test_an_outcome_before_the_start_is_ignored() -> None:
    run = Run(CHAIN).start()
    unchanged_by(run, END)


@pytest.mark.parametrize("second", ["succeeded", "failed", "lost"])
def test_a_second_outcome_of_the_same_attempt_is_ignored(second: str) -> None:
    run = Run(CHAIN).start()
    run.do("a")
    unchanged_by(run, msgspec.structs.replace(END, state=second))


def test_an_outcome_of_an_earlier_attempt_does_not_end_the_present_one() -> None:
    run = Run(CHAIN).start()
    run.do("a", state="lost")
    run.begin("a")
    unchanged_by(run, END)
    assert run.state("a") == "running"


def test_an_outcome_between_two_attempts_is_ignored() -> None:
    run = Run(CHAIN).start()
    run.do("a", state="lost")
    unchanged_by(run, END)
    assert run.offered() == ["a"]


@pytest.mark.parametrize("number", [0, 1, 3])
def test_a_start_with_the_wrong_number_is_ignored(number: int) -> None:
    run = Run(CHAIN).start()
    run.do("a", state="lost")
    unchanged_by(run, AttemptStarted(9.0, "a", "", number, 1, "w"))


def test_a_second_start_is_ignored_be_it_the_same_or_the_next() -> None:
    run = Run(CHAIN).start()
    run.begin("a")
    unchanged_by(run, AttemptStarted(9.0, "a", "", 1, 1, "w"))
    unchanged_by(run, AttemptStarted(9.0, "a", "", 2, 1, "w"))


def test_a_start_gate_of_another_epoch_is_not_passed() -> None:
    run = Run(CHAIN).start()
    run.begin("a", dispatched=True)
    unchanged_by(run, AttemptStarted(9.0, "a", "", 1, 2, "w"))
    assert run.instance("a").dispatched


def test_a_step_that_waits_or_has_ended_is_not_started() -> None:
    run = Run(CHAIN).start()
    unchanged_by(run, AttemptStarted(9.0, "b", "", 1, 1, "w"))
    run.do("a")
    unchanged_by(run, AttemptStarted(9.0, "a", "", 2, 1, "w"))


def test_everything_after_the_end_of_the_run_is_ignored() -> None:
    run = Run(CHAIN).start().play()
    unchanged_by(run, END)
    unchanged_by(run, AttemptStarted(9.0, "b", "", 2, 1, "w"))
    assert run.finished == 1
