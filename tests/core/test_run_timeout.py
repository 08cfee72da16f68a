"""The time a whole run may take."""

from __future__ import annotations

from partita.core.commands import WakeAt
from partita.core.events import RunEnded, RunStarted, StepEnded
from partita.core.graph import Step

from .driving import Run, graph

CHAIN = graph(Step("a"), Step("b", needs=("a",)))


def test_a_run_with_a_timeout_asks_to_be_woken_at_it() -> None:
    run = Run(CHAIN, timeout_s=60.0)
    assert WakeAt(65.0) in run.apply(RunStarted(5.0))
    assert Run(CHAIN).start().wakes == []


def test_at_its_time_the_run_ends_as_failed_when_what_runs_has_ended() -> None:
    run = Run(CHAIN, timeout_s=60.0).start()
    run.begin("a")
    run.ring(60.0)
    assert run.kills == [("a", "")]
    assert run.ends() == {"b": "cancelled"}
    run.end("a", state="cancelled")
    assert run.told(RunEnded) == [RunEnded(60.0, "failed", "the run took longer than its 60 s")]
    assert [e.reason for e in run.told(StepEnded)] == ["the run took longer than its 60 s"] * 2  # type: ignore[attr-defined]


def test_a_timer_before_its_time_or_of_somebody_else_changes_nothing() -> None:
    run = Run(CHAIN, timeout_s=60.0).start()
    run.ring(59.9)
    assert run.machine.ending == ""
    run = Run(CHAIN).start()
    run.ring(10.0**9)
    assert run.machine.ending == ""


def test_a_timer_that_rings_twice_or_after_the_end_changes_nothing() -> None:
    run = Run(CHAIN, timeout_s=60.0).start()
    run.begin("a")
    run.ring(60.0)
    run.ring(61.0)
    assert run.kills == [("a", "")]
    run.end("a", state="cancelled")
    before = len(run.events)
    run.ring(62.0)
    assert len(run.events) == before


def test_a_queued_run_has_all_its_time_before_it() -> None:
    run = Run(CHAIN, timeout_s=60.0)
    run.ring(1000.0)
    assert run.machine.state == "queued"


def test_a_run_that_was_cancelled_before_its_time_is_cancelled() -> None:
    run = Run(CHAIN, timeout_s=60.0).start()
    run.begin("a")
    run.cancel()
    run.ring(60.0)
    run.end("a", state="cancelled")
    assert run.machine.state == "cancelled"


def test_a_run_that_is_taken_up_again_is_timed_from_its_first_start() -> None:
    run = Run(CHAIN, timeout_s=60.0).start()
    run.begin("a")
    run.at = 50.0
    again = run.crashed()
    assert again.wakes == [60.0]
    again.ring(60.0)
    assert again.kills == [("a", "")]
