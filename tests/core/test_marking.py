"""Steps that a person ends by hand."""

from __future__ import annotations

import pytest

from partita.core.commands import Finished, Offer, Withdraw
from partita.core.events import CancelRequested, RunEnded, StepEnded, StepMarked
from partita.core.explain import explain
from partita.core.graph import Output, Step
from partita.core.marking import refusal
from partita.core.policies import Policies, Retry

from .driving import Run, graph, mapped

CHAIN = graph(Step("a"), Step("b", needs=("a",)), Step("c", needs=("b",)))


def marked(step: str, state: str = "succeeded", index: str = "", reason: str = "") -> StepMarked:
    return StepMarked(5.0, step, index, state, "anna", reason)  # type: ignore[arg-type]


def test_a_step_that_waits_is_marked_succeeded_and_those_that_need_it_go_on() -> None:
    run = Run(CHAIN).start()
    run.apply(marked("b", reason="the table is there"))
    assert run.state("b") == "succeeded"
    assert run.state("c") == "ready"
    # What it waited for ends later, and changes nothing.
    run.begin("a")
    run.end("a")
    assert run.state("b") == "succeeded"
    run.begin("c")
    run.end("c")
    assert run.machine.state == "succeeded"


def test_a_ready_step_that_is_marked_asks_for_no_slot_any_more() -> None:
    run = Run(CHAIN).start()
    assert run.apply(marked("a", "skipped")) == [Withdraw("a", ""), Finished()]
    assert run.ends() == {"a": "skipped", "b": "skipped", "c": "skipped"}


def test_a_step_marked_failed_blocks_what_needs_it_and_fails_its_run() -> None:
    run = Run(CHAIN).start()
    run.apply(marked("b", "failed", reason="the source is wrong"))
    assert run.state("c") == "upstream_failed"
    run.begin("a")
    run.end("a")
    assert [e.state for e in run.told(RunEnded)] == ["failed"]


def test_a_step_between_two_attempts_is_not_tried_again_after_a_mark() -> None:
    run = Run(graph(Step("a", policies=Policies(retry=Retry(limit=3))), Step("b", needs=("a",)))).start()
    run.begin("a")
    run.end("a", state="failed")
    assert run.state("a") == "ready"
    commands = run.apply(marked("a"))
    assert Withdraw("a", "") in commands
    assert Offer("b", "", 0.0) in commands
    assert run.machine.ignored == 0


def test_the_history_and_why_name_who_marked_it_and_for_what() -> None:
    run = Run(CHAIN).start()
    run.apply(marked("b", reason="the table is there"))
    text = "marked succeeded by anna: the table is there"
    assert [(e.step, e.state, e.reason) for e in run.told(StepEnded)] == [("b", "succeeded", text)]
    told = explain(run.machine, "b")
    assert told is not None
    assert [(r.code, r.text) for r in told.reasons] == [("marked", text)]


def test_one_instance_of_a_map_is_marked_by_its_index() -> None:
    step, axis = mapped("m", 3)
    run = Run(graph(step, Step("z", needs=("m",)), axes=(axis,))).start()
    run.apply(marked("m", "succeeded", index="1"))
    assert [run.state("m", str(i)) for i in range(3)] == ["ready", "succeeded", "ready"]
    run.play()
    assert run.machine.state == "succeeded"
    assert run.instance("m", "1").attempt == 0


def test_a_map_over_a_marked_result_is_not_made_up() -> None:
    step, axis = mapped("m", Output("a"))
    run = Run(graph(Step("a"), step, axes=(axis,))).start()
    assert "decided by its result" in refusal(run.machine, "a", "", "succeeded")
    assert refusal(run.machine, "m", "", "skipped") == "it has no such instance (yet)"


@pytest.mark.parametrize("state", ["succeeded", "failed", "skipped"])
def test_what_runs_has_ended_or_is_not_there_is_not_marked(state: str) -> None:
    run = Run(CHAIN)
    assert refusal(run.machine, "a", "", state) == "its run has not started yet"
    run.start()
    run.begin("a")
    assert refusal(run.machine, "a", "", state) == "it is running"
    run.end("a")
    assert refusal(run.machine, "a", "", state) == "it has ended: succeeded"
    assert refusal(run.machine, "b", "3", state) == "it has no such instance (yet)"
    assert refusal(run.machine, "x", "", state) == "the run has no such step"
    before = run.machine.ignored
    run.apply(marked("a", state))
    assert run.machine.ignored == before + 1
    run.apply(CancelRequested(9.0, "ann"))
    assert refusal(run.machine, "c", "", state) == "its run has ended: it cancelled"


def test_a_step_whose_result_decides_what_comes_is_not_marked_succeeded() -> None:
    run = Run(graph(Step("a", reports_choice=True), Step("b", needs=("a",)))).start()
    assert "decided by its result" in refusal(run.machine, "a", "", "succeeded")
    assert refusal(run.machine, "a", "", "skipped") == ""
