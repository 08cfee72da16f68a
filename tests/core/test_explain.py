"""Why: a reason for every state, and first causes instead of the forty steps behind them."""

from __future__ import annotations

from typing import get_args

import pytest

from partita.core.events import Failure
from partita.core.explain import Explanation, causes, explain, roots
from partita.core.graph import Axis, Graph, Output, Step
from partita.core.policies import Policies, Retry
from partita.core.states import StepState

from .driving import SKIP, Run, graph, lines_run, mapped

ASK = Policies(on_lost="ask")
AGAIN = Policies(retry=Retry(limit=1, delays_s=(60.0,)))


def why(run: Run, step: str, index: str = "", refusal: str = "") -> Explanation:
    told = explain(run.machine, step, index, refusal=refusal)
    assert told is not None
    return told


def texts(told: Explanation) -> list[str]:
    return [r.text for r in told.reasons]


def codes(told: Explanation) -> list[str]:
    return [r.code for r in told.reasons]


class TestWaiting:
    def test_it_names_the_need_that_it_waits_for_and_how_that_stands(self) -> None:
        run = Run(graph(Step("a"), Step("b", needs=("a",)))).start()
        run.at = 7.0
        run.begin("a")
        told = why(run, "b")
        assert (told.state, texts(told), told.change) == ("waiting", ["waits for a, which is running"], "a ends")
        assert told.reasons[0].subjects == ("a",)
        assert told.reasons[0].at == 7.0

    def test_needs_that_have_ended_are_not_named(self) -> None:
        run = Run(graph(Step("a"), Step("b"), Step("c", needs=("a", "b")))).start()
        run.do("a")
        assert texts(why(run, "c")) == ["waits for b, which is ready"]

    def test_of_many_needs_the_first_few_are_named_and_the_rest_is_counted(self) -> None:
        needs = tuple(f"s{i}" for i in range(40))
        told = why(Run(graph(*map(Step, needs), Step("all", needs=needs))).start(), "all")
        assert len(told.reasons) == 6
        assert told.reasons[-1].text == "and 35 more"

    def test_of_a_map_it_says_how_many_instances_have_not_ended(self) -> None:
        step, axis = mapped("m", 5)
        run = Run(graph(step, Step("all", needs=("m",)), axes=[axis])).start()
        run.do("m", "0")
        assert texts(why(run, "all")) == ["waits for m: 4 of its instances have not ended"]

    def test_a_map_that_is_not_known_names_the_step_that_it_is_over(self) -> None:
        step, axis = mapped("m", Output("src"))
        run = Run(graph(Step("src"), step, axes=[axis])).start()
        for index in ("", "17"):
            told = why(run, "m", index)
            assert (told.state, codes(told)) == ("waiting", ["map_not_known"])
            assert texts(told) == ["how many instances it has is known when src ends"]
            assert told.change == "src ends"

    def test_an_instance_that_its_map_does_not_have_is_told_so(self) -> None:
        step, axis = mapped("m", 2)
        run = Run(graph(step, axes=[axis])).start()
        assert texts(why(run, "m", "9")) == ["its map has 2 elements, and none with this index"]

    def test_a_member_waits_for_its_bundle(self) -> None:
        run = Run(graph(Step("src"), Step("b", kind="bundle", needs=("src",)), Step("x", kind="member", bundle="b")))
        told = why(run.start(), "x")
        assert (codes(told), told.change) == (["bundle"], "b starts")

    def test_a_run_that_is_queued_is_the_reason(self) -> None:
        assert texts(why(Run(graph(Step("a"))), "a")) == ["its run is still queued"]

    def test_a_run_that_ended_in_the_queue_is_the_reason(self) -> None:
        run = Run(graph(Step("a")))
        run.cancel()
        told = why(run, "a")
        assert (told.state, texts(told)) == ("cancelled", ["its run was cancelled before it started"])


class TestReady:
    def test_it_waits_for_a_worker_or_for_what_the_admission_says(self) -> None:
        run = Run(graph(Step("a"))).start()
        assert codes(why(run, "a")) == ["queued"]
        told = why(run, "a", refusal="pool db is full: 2 of 2 slots taken")
        assert (texts(told), told.change) == (["pool db is full: 2 of 2 slots taken"], "a slot becomes free")

    def test_it_waits_for_its_next_attempt_after_the_last_one(self) -> None:
        run = Run(graph(Step("a", policies=AGAIN))).start()
        run.do("a", state="failed")
        told = why(run, "a")
        assert texts(told) == ["attempt 1 failed: ValueError: boom", "failed, retry 1 of 1"]
        assert told.reasons[-1].at == 60.0
        assert told.change == "its time comes"

    def test_it_waits_for_the_run_to_be_resumed(self) -> None:
        run = Run(graph(Step("a"))).start()
        run.pause()
        assert (codes(why(run, "a")), why(run, "a").change) == (["paused"], "the run is resumed")

    def test_a_granted_member_waits_for_its_turn_in_the_bundle(self) -> None:
        run = Run(graph(Step("b", kind="bundle"), Step("x", kind="member", bundle="b"))).start()
        run.begin("b")
        assert texts(why(run, "x")) == ["b makes it together with others and has not come to it yet"]


class TestEnded:
    def test_every_state_has_a_reason(self) -> None:
        run = Run(
            graph(
                Step("succeeded"),
                Step("failed"),
                Step("skipped"),
                Step("upstream_failed", needs=("failed",)),
                Step("cancelled"),
                Step("needs_attention", policies=ASK),
                Step("running"),
                Step("ready"),
                Step("waiting", needs=("ready",)),
            )
        ).start()
        run.do("succeeded")
        run.do("failed", state="failed")
        run.do("skipped", state="cancelled", failure=SKIP)
        run.do("cancelled", state="cancelled")
        run.do("needs_attention", state="lost")
        run.begin("running")
        for state in get_args(StepState):
            told = why(run, state)
            assert told.state == state
            assert all(r.text for r in told.reasons)
            assert told.reasons

    def test_a_failure_is_told_with_all_its_attempts(self) -> None:
        run = Run(graph(Step("a", policies=AGAIN))).start()
        run.do("a", state="timed_out", failure=Failure("longer than 5 s", cause="timeout"))
        run.do("a", state="failed")
        assert texts(why(run, "a")) == [
            "attempt 1 timed out: longer than 5 s",
            "attempt 2 failed: ValueError: boom",
            "boom (failed, all 1 retries used)",
        ]

    def test_a_blocked_step_names_what_broke_first_and_its_error(self) -> None:
        run = Run(graph(Step("a"), Step("b", needs=("a",)), Step("c", needs=("b",)))).start()
        run.do("a", state="failed")
        told = why(run, "c")
        assert codes(told) == ["upstream_failed", "first_cause"]
        assert texts(told)[1] == "a broke first: ValueError: boom"
        assert told.reasons[1].subjects == ("a",)

    def test_a_blocked_step_names_the_instance_that_broke(self) -> None:
        step, axis = mapped("m", Output("src"))
        run = Run(graph(Step("src"), step, Step("all", needs=("m",)), axes=[axis])).start()
        run.do("src", value=[1, 2, 3])
        run.play(lambda i: {"state": "failed"} if i.index == "1" else {})
        assert texts(why(run, "all"))[1] == "m[1] broke first: ValueError: boom"

    def test_a_skipped_step_says_which_rule_or_branch_skipped_it(self) -> None:
        run = Run(graph(Step("a"), Step("b", needs=("a",), when="any_failed"))).start()
        run.do("a")
        assert texts(why(run, "b")) == ["its rule does not hold (when=any_failed)"]

    def test_a_map_is_told_as_a_whole_by_its_worst_instance(self) -> None:
        step, axis = mapped("m", 4)
        run = Run(graph(step, axes=[axis])).start()
        run.do("m", "0")
        run.do("m", "2", state="failed")
        told = why(run, "m")
        assert told.state == "failed"
        assert texts(told)[0] == "4 instances: 1 succeeded, 2 ready, 1 failed"
        assert texts(told)[1] == "[2] attempt 1 failed: ValueError: boom"


def test_a_step_that_the_graph_does_not_have_has_no_explanation() -> None:
    assert explain(Run(graph(Step("a"))).start().machine, "b") is None


def test_asking_changes_nothing() -> None:
    step, axis = mapped("m", Output("src"))
    run = Run(graph(Step("src"), step, Step("all", needs=("m",)), axes=[axis])).start()
    before = (run.states(), len(run.events), run.offered())
    for key in ("src", "m", "all"):
        explain(run.machine, key, "3")
        explain(run.machine, key)
    causes(run.machine)
    assert (run.states(), len(run.events), run.offered()) == before


def blocked(steps: int, **first: object) -> Graph:
    """One step and a chain of steps that need it."""
    chain = [Step("s0", needs=("first",)), *(Step(f"s{i}", needs=(f"s{i - 1}",)) for i in range(1, steps))]
    return graph(Step("first", **first), *chain)  # type: ignore[arg-type]


class TestCauses:
    def test_forty_blocked_steps_are_one_cause(self) -> None:
        run = Run(blocked(40, owner="flights")).start()
        run.do("first", state="failed")
        (cause,) = causes(run.machine)
        told = (cause.step, cause.state, cause.message, cause.owner)
        assert told == ("first", "failed", "ValueError: boom", "flights")
        assert len(cause.blocks) == 40

    def test_the_cause_that_blocks_the_most_is_first(self) -> None:
        run = Run(graph(Step("alone"), *blocked(3).steps)).start()
        run.play(lambda i: {"state": "failed"})
        assert [(c.step, len(c.blocks)) for c in causes(run.machine)] == [("first", 3), ("alone", 0)]

    def test_a_step_behind_two_causes_stands_behind_both(self) -> None:
        run = Run(graph(Step("a"), Step("b"), Step("c", needs=("a", "b")), Step("d", needs=("c",)))).start()
        run.play(lambda i: {"state": "failed"})
        assert [(c.step, c.blocks) for c in causes(run.machine)] == [("a", ("c", "d")), ("b", ("c", "d"))]
        assert roots(run.machine, "d") in (["a", "b"], ["b", "a"])

    def test_a_step_behind_more_causes_than_its_reason_names_stands_behind_all(self) -> None:
        needs = tuple("abcdef")
        run = Run(graph(*map(Step, needs), Step("z", needs=needs))).start().play(lambda i: {"state": "failed"})
        assert [c.blocks for c in causes(run.machine)] == [("z",)] * 6

    def test_failed_instances_of_one_map_are_one_cause(self) -> None:
        step, axis = mapped("m", 5)
        run = Run(graph(step, Step("all", needs=("m",)), axes=[axis])).start()
        run.play(lambda i: {"state": "failed"} if i.index in ("1", "3") else {})
        (cause,) = causes(run.machine)
        assert (cause.step, cause.indexes, cause.blocks) == ("m", ("1", "3"), ("all",))

    def test_a_failure_that_let_another_one_fail_later_is_a_cause_of_its_own(self) -> None:
        run = Run(graph(Step("a"), Step("b", needs=("a",), when="all_done"), Step("c", needs=("b",)))).start()
        run.play(lambda i: {"state": "failed"})
        assert [(c.step, c.blocks) for c in causes(run.machine)] == [("b", ("c",)), ("a", ())]

    def test_a_map_over_something_that_is_no_list_is_a_cause(self) -> None:
        step, axis = mapped("m", Output("src"))
        run = Run(graph(Step("src"), step, axes=[axis])).start()
        run.do("src", value=3)
        (cause,) = causes(run.machine)
        assert cause.message.startswith("src returned no list to map over")

    def test_a_bundle_that_failed_with_a_member_is_no_cause_beside_it(self) -> None:
        run = Run(graph(Step("b", kind="bundle"), Step("x", kind="member", bundle="b"), Step("y", needs=("x",))))
        run.start()
        run.begin("b")
        run.do("x", state="failed")
        run.end("b", state="failed", failure=Failure("members failed", cause="members"))
        assert [(c.step, c.blocks) for c in causes(run.machine)] == [("x", ("y",))]

    def test_what_needs_attention_is_a_cause(self) -> None:
        run = Run(blocked(2, policies=ASK)).start()
        run.do("first", state="lost")
        assert [(c.step, c.state) for c in causes(run.machine)] == [("first", "needs_attention")]

    @pytest.mark.parametrize("state", ["succeeded", "cancelled"])
    def test_a_run_in_which_nothing_broke_has_none(self, state: str) -> None:
        run = Run(graph(Step("a"), Step("b", needs=("a",)))).start()
        run.do("a", state=state, failure=SKIP if state == "cancelled" else None)  # type: ignore[arg-type]
        assert causes(run.machine) == []

    def test_the_cost_grows_with_the_steps_and_not_with_their_square(self) -> None:
        def cost(steps: int) -> int:
            run = Run(blocked(steps)).start()
            run.do("first", state="failed")
            return lines_run(lambda: causes(run.machine))

        assert cost(2_000) < 11 * cost(200)

    def test_the_cost_grows_with_the_instances_and_not_with_their_square(self) -> None:
        def cost(size: int) -> int:
            step, axis = mapped("m", size)
            run = Run(graph(step, Step("n", axes=("m",), needs=("m",)), axes=[Axis("m", axis.sources)]), watched=False)
            run.start().play(lambda i: {"state": "failed"})
            return lines_run(lambda: causes(run.machine))

        assert cost(1_000) < 11 * cost(100)
