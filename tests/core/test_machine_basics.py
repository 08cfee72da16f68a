"""Chains, diamonds and what every run has in common."""

from __future__ import annotations

import pytest

from partita.core.commands import Finished, Offer
from partita.core.events import (
    AssetReport,
    AttemptEnded,
    AttemptStarted,
    CheckEvaluated,
    CheckReport,
    Materialized,
    RunEnded,
    RunStarted,
    StepEnded,
)
from partita.core.graph import CheckOf, Graph, Output, Step
from partita.core.policies import Policies, Retry

from .driving import SKIP, Run, graph

CHAIN = graph(Step("a"), Step("b", needs=("a",)), Step("c", needs=("b",)))
DIAMOND = graph(Step("a"), Step("b", needs=("a",)), Step("c", needs=("a",)), Step("d", needs=("b", "c")))


def test_a_graph_without_steps_succeeds_at_once() -> None:
    run = Run(graph())
    assert run.apply(RunStarted(3.0)) == [Finished()]
    assert run.machine.state == "succeeded"
    assert run.told(RunEnded) == [RunEnded(3.0, "succeeded", "")]


def test_nothing_is_offered_before_the_run_has_started() -> None:
    run = Run(CHAIN)
    assert list(run.machine.instances()) == []
    run.apply(AttemptStarted(1.0, "a", "", 1, 1, "w"))
    assert run.machine.state == "queued"
    assert run.machine.ignored == 1


def test_a_step_is_offered_when_its_need_has_succeeded() -> None:
    run = Run(CHAIN).start()
    assert run.offered() == ["a"]
    run.begin("a")
    assert run.offered() == []
    assert run.end("a") == [Offer("b", "")]


def test_a_step_waits_for_all_its_needs() -> None:
    run = Run(DIAMOND).start()
    run.do("a")
    assert run.offered() == ["b", "c"]
    run.do("c")
    assert run.state("d") == "waiting"
    run.do("b")
    assert run.offered() == ["d"]


def test_a_need_that_stands_twice_is_one_need() -> None:
    run = Run(graph(Step("a"), Step("b", needs=("a", "a"), args=(("x", Output("a")), ("y", Output("a")))))).start()
    run.do("a")
    assert run.offered() == ["b"]


def test_reading_a_result_is_a_need() -> None:
    run = Run(graph(Step("a"), Step("b", args=(("x", Output("a")),)))).start()
    assert run.offered() == ["a"]


def test_a_need_that_is_not_in_the_graph_is_not_waited_for() -> None:
    run = Run(graph(Step("b", needs=("gone",)))).start()
    assert run.offered() == ["b"]


def test_failure_travels_as_upstream_failed_and_names_its_cause() -> None:
    run = Run(CHAIN).start()
    run.do("a", state="failed")
    assert run.ends() == {"a": "failed", "b": "upstream_failed", "c": "upstream_failed"}
    assert run.instance("b").because == ("a",)
    assert run.instance("c").because == ("b",)
    assert run.instance("b").reason == "a did not succeed (when=all_succeeded)"
    assert run.machine.state == "failed"


def test_a_step_that_says_it_has_nothing_to_do_is_skipped_and_so_are_those_that_need_it() -> None:
    run = Run(CHAIN).start()
    run.do("a", state="cancelled", failure=SKIP)
    assert run.ends() == {"a": "skipped", "b": "skipped", "c": "skipped"}
    assert run.instance("a").reason == "nothing to do"
    assert run.machine.state == "succeeded"


def test_a_failure_that_does_not_count_leaves_the_run_succeeded() -> None:
    run = Run(graph(Step("a", counts=False), Step("b"))).start()
    run.play(lambda i: {"state": "failed"} if i.node.key == "a" else {})
    assert run.ends() == {"a": "failed", "b": "succeeded"}
    assert run.machine.state == "succeeded"


def test_a_step_that_needs_attention_fails_its_run() -> None:
    run = Run(graph(Step("a", policies=Policies(on_lost="ask")), Step("b", needs=("a",)))).start()
    run.do("a", state="lost")
    assert run.ends() == {"a": "needs_attention", "b": "upstream_failed"}
    assert run.machine.state == "failed"


def test_an_attempt_that_was_cancelled_alone_makes_a_cancelled_run() -> None:
    run = Run(graph(Step("a"))).start()
    run.do("a", state="cancelled")
    assert run.state("a") == "cancelled"
    assert run.machine.state == "cancelled"


def test_always_does_not_wait_for_its_needs() -> None:
    run = Run(graph(Step("a"), Step("b", needs=("a",), when="always"))).start()
    assert run.offered() == ["a", "b"]
    run.do("b")
    run.do("a", state="failed")
    assert run.ends() == {"a": "failed", "b": "succeeded"}


@pytest.mark.parametrize(
    ("when", "first", "runs_at_once"),
    [
        ("any_succeeded", "succeeded", True),
        ("any_succeeded", "failed", False),
        ("any_failed", "failed", True),
        ("any_failed", "succeeded", False),
        ("any_done", "failed", True),
        ("any_done", "succeeded", True),
        ("all_done", "succeeded", False),
        ("none_failed", "failed", False),
    ],
)
def test_only_an_eager_rule_runs_before_all_needs_have_ended(when: str, first: str, runs_at_once: bool) -> None:
    run = Run(graph(Step("a"), Step("b"), Step("c", needs=("a", "b"), when=when))).start()  # type: ignore[arg-type]
    run.do("a", state=first)  # type: ignore[arg-type]
    assert (run.state("c") == "ready") == runs_at_once
    run.do("b")
    run.play()
    assert len([e for e in run.told(AttemptStarted) if e.step == "c"]) <= 1  # type: ignore[attr-defined]
    assert run.machine.is_finished


def test_an_eager_step_is_decided_in_the_end_when_nothing_makes_it_run() -> None:
    run = Run(graph(Step("a"), Step("b"), Step("c", needs=("a", "b"), when="any_failed"))).start().play()
    assert run.state("c") == "skipped"
    assert run.instance("c").reason == "its rule does not hold (when=any_failed)"


def test_an_attempt_that_is_dispatched_runs_when_it_passes_the_start_gate() -> None:
    run = Run(graph(Step("a"))).start()
    run.begin("a", dispatched=True)
    assert (run.state("a"), run.instance("a").dispatched) == ("running", True)

    run.begin("a", attempt=1)
    assert not run.instance("a").dispatched
    run.end("a")

    assert run.machine.state == "succeeded"


def test_an_attempt_that_never_passed_the_start_gate_cannot_have_succeeded() -> None:
    run = Run(graph(Step("a"))).start()
    run.begin("a", dispatched=True)
    run.end("a", value=1)
    assert [e.state for e in run.told(AttemptEnded)] == ["lost"]  # type: ignore[attr-defined]
    assert run.state("a") == "ready"


class TestAssetsAndChecks:
    def test_a_step_that_makes_an_asset_says_so_with_its_own_word_or_without(self) -> None:
        run = Run(graph(Step("a", asset="flights", code_version="7"), Step("b", asset="delays")), partition="2013")
        run.start()
        run.do("a", value=[1], assets=(AssetReport("flights", data_version="v1"), AssetReport("more", "2014")))
        run.do("b")
        made = [(m.asset, m.partition, m.data_version, m.code_version) for m in run.told(Materialized)]  # type: ignore[attr-defined]
        assert made == [("flights", "2013", "v1", "7"), ("more", "2014", "", "7"), ("delays", "2013", "", "")]

    def test_an_attempt_that_fails_makes_nothing(self) -> None:
        run = Run(graph(Step("a", asset="flights"))).start()
        run.do("a", state="failed", assets=(AssetReport("flights"),))
        assert run.told(Materialized) == []

    def test_a_check_that_fails_as_an_error_fails_its_step_and_is_recorded(self) -> None:
        check = Step("c", kind="check", needs=("a",), check=CheckOf("flights", "rows", blocking=True))
        run = Run(graph(Step("a"), check, Step("d", needs=("c",)))).start()
        run.do("a")
        run.do("c", checks=(CheckReport("flights", "rows", passed=False, message="no rows"),))
        assert run.ends() == {"a": "succeeded", "c": "failed", "d": "upstream_failed"}
        assert [(c.check, c.passed) for c in run.told(CheckEvaluated)] == [("rows", False)]  # type: ignore[attr-defined]
        assert run.told(Materialized) == []
        assert run.instance("c").reason == "no rows (failed, no retries)"

    def test_a_check_is_of_its_own_partition_or_of_the_runs(self) -> None:
        run = Run(graph(Step("a")), partition="2013").start()
        run.do("a", checks=(CheckReport("f", "x", passed=True), CheckReport("f", "y", passed=True, partition="2014")))
        assert [c.partition for c in run.told(CheckEvaluated)] == ["2013", "2014"]  # type: ignore[attr-defined]

    def test_a_check_that_only_warns_lets_its_step_succeed(self) -> None:
        run = Run(graph(Step("a"))).start()
        run.do("a", checks=(CheckReport("flights", "rows", passed=False, severity="warn"),))
        assert run.state("a") == "succeeded"
        assert len(run.told(CheckEvaluated)) == 1

    def test_a_step_that_is_retried_after_a_failed_check_keeps_no_value_of_the_failed_attempt(self) -> None:
        run = Run(graph(Step("a", policies=Policies(retry=Retry(limit=1))))).start()
        run.do("a", value="bad", checks=(CheckReport("flights", "rows", passed=False),))
        assert run.state("a") == "ready"
        assert run.instance("a").value is None
        assert run.told(AttemptEnded)[0].value is None  # type: ignore[attr-defined]


class TestCost:
    def test_a_chain_of_ten_thousand_skipped_steps_is_no_recursion(self) -> None:
        steps = [Step("s0"), *(Step(f"s{i}", needs=(f"s{i - 1}",)) for i in range(1, 10_000))]
        run = Run(Graph("g", tuple(steps))).start()
        run.do("s0", state="cancelled", failure=SKIP)
        assert set(run.states().values()) == {"skipped"}
        assert len(run.told(StepEnded)) == 10_000

    def test_a_fan_in_of_ten_thousand_needs_is_decided_once(self) -> None:
        needs = tuple(f"s{i}" for i in range(10_000))
        run = Run(Graph("g", (*(Step(n) for n in needs), Step("all", needs=needs))), watched=False).start()
        for need in needs:
            assert run.state("all") == "waiting"
            run.do(need)
        assert run.offered() == ["all"]
