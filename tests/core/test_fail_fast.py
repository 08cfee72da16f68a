"""Runs that end at their first failure, and runs that go on as far as they can."""

from __future__ import annotations

from partita.core.events import CheckReport
from partita.core.graph import Output, Step
from partita.core.machine import Known
from partita.core.policies import Policies, Retry

from .driving import SKIP, Run, graph, mapped

WIDE = graph(Step("a"), Step("b"), Step("c"), Step("d", needs=("b",)))


def test_by_default_a_run_goes_on_as_far_as_it_can() -> None:
    run = Run(WIDE).start().play(lambda i: {"state": "failed"} if i.node.key == "a" else {})
    assert run.ends() == {"a": "failed", "b": "succeeded", "c": "succeeded", "d": "succeeded"}
    assert (run.machine.state, run.machine.reason) == ("failed", "")


def test_the_first_failure_ends_what_has_not_begun_and_kills_what_runs() -> None:
    run = Run(WIDE, fail_fast=True).start()
    run.begin("b")
    run.do("a", state="failed")
    assert run.kills == [("b", "")]
    assert run.ends() == {"a": "failed", "c": "cancelled", "d": "cancelled"}
    assert run.offers == {}
    run.end("b", state="cancelled")
    assert (run.machine.state, run.machine.reason) == ("failed", "a failed, and the run ends at its first failure")


def test_a_failure_that_is_retried_does_not_end_the_run() -> None:
    run = Run(graph(Step("a", policies=Policies(retry=Retry(limit=1))), Step("b")), fail_fast=True).start()
    run.do("a", state="failed")
    assert run.machine.ending == ""
    run.play()
    assert run.machine.state == "succeeded"


def test_a_failure_that_does_not_count_does_not_end_the_run() -> None:
    run = Run(graph(Step("a", counts=False), Step("b")), fail_fast=True).start()
    run.do("a", state="failed")
    assert run.offered() == ["b"]


def test_skips_do_not_end_the_run() -> None:
    run = (
        Run(WIDE, fail_fast=True)
        .start()
        .play(lambda i: {"state": "cancelled", "failure": SKIP} if i.node.key == "b" else {})
    )
    assert run.ends() == {"a": "succeeded", "b": "skipped", "c": "succeeded", "d": "skipped"}


def test_a_failed_test_of_an_asset_ends_the_run() -> None:
    run = Run(WIDE, fail_fast=True).start()
    run.do("a", checks=(CheckReport("flights", "rows", passed=False),))
    assert run.machine.state == "failed"


def test_a_step_that_needs_attention_ends_the_run() -> None:
    run = Run(graph(Step("a", policies=Policies(on_lost="ask")), Step("b")), fail_fast=True).start()
    run.do("a", state="lost")
    assert run.ends() == {"a": "needs_attention", "b": "cancelled"}


def test_a_map_over_something_that_is_no_list_ends_the_run() -> None:
    step, axis = mapped("m", Output("src"))
    more = Step("n", axes=("m",), needs=("m",))
    run = Run(graph(Step("src"), step, more, Step("b"), axes=[axis]), fail_fast=True).start()
    run.do("src", value="no list")
    assert run.ends() == {"src": "succeeded", "m": "failed", "n": "cancelled", "b": "cancelled"}
    assert run.machine.state == "failed"


def test_one_failed_instance_ends_the_others() -> None:
    step, axis = mapped("m", 100)
    run = Run(graph(step, axes=[axis]), fail_fast=True).start()
    run.begin("m", "3")
    run.do("m", "50", state="failed")
    assert run.kills == [("m", "3")]
    assert sum(s == "cancelled" for s in run.ends().values()) == 98


def test_a_member_that_failed_kills_its_bundle() -> None:
    run = Run(
        graph(Step("b", kind="bundle"), *(Step(m, kind="member", bundle="b") for m in "xyz")), fail_fast=True
    ).start()
    run.begin("b")
    for m in "xy":
        run.begin(m)
    run.end("x", state="failed")
    assert run.kills == [("b", "")]
    assert (run.state("y"), run.state("z")) == ("running", "ready")
    run.end("b", state="cancelled")
    assert {run.state(m) for m in "byz"} == {"cancelled"}
    assert run.machine.state == "failed"


def test_a_cancel_of_a_run_that_has_failed_fast_leaves_it_failed() -> None:
    run = Run(WIDE, fail_fast=True).start()
    run.begin("b")
    run.do("a", state="failed")
    run.cancel()
    run.end("b", state="cancelled")
    assert run.machine.state == "failed"


def test_a_run_that_is_taken_up_after_its_first_failure_ends() -> None:
    run = Run(WIDE, [Known("a", "", "failed", attempt=1)], watched=False, fail_fast=True).start()
    assert run.ends() == {"a": "failed", "b": "cancelled", "c": "cancelled", "d": "cancelled"}
    assert run.machine.state == "failed"
