"""Maps: known, known at run time, nested, zipped, gathered, and all that can be wrong with what is mapped over."""

from __future__ import annotations

import pytest

from partita.core import plain
from partita.core.events import AttemptEnded, AttemptStarted, RunStarted
from partita.core.graph import (
    Axis,
    Binding,
    Carry,
    Const,
    Element,
    FirstOf,
    Graph,
    Guard,
    ListOf,
    Loop,
    Output,
    Param,
    Step,
)
from partita.core.machine import RunMachine
from partita.core.plan import Instance
from partita.core.policies import Policies, Retry

from .driving import SKIP, Run, graph, lines_run, mapped, packed


def with_map(over: Binding | int, *more: Step, axes: tuple[Axis, ...] = (), **fields: object) -> Graph:
    step, axis = mapped("m", over, **fields)
    return graph(Step("src"), step, *more, axes=[axis, *axes])


class TestKnownLists:
    def test_all_elements_are_instances_from_the_start(self) -> None:
        step, axis = mapped("m", 3)
        run = Run(graph(step, axes=[axis])).start()
        assert run.offered() == ["m[0]", "m[1]", "m[2]"]

    def test_an_instance_waits_for_the_needs_of_its_step(self) -> None:
        run = Run(with_map(2, needs=("src",))).start()
        assert run.states() == {"src": "ready", "m[0]": "waiting", "m[1]": "waiting"}
        run.do("src")
        assert run.offered() == ["m[0]", "m[1]"]

    def test_no_elements_are_no_instances_and_hold_nothing_up(self) -> None:
        run = Run(with_map(0, Step("all", needs=("m",), args=(("x", Output("m")),)))).start()
        assert run.offered() == ["src", "all"]

    def test_a_parameter_that_is_a_list_is_known(self) -> None:
        run = Run(with_map(Param("regions")), params={"regions": plain.pack(("eu", "us"))}).start()
        assert run.offered() == ["src", "m[0]", "m[1]"]

    @pytest.mark.parametrize("params", [{}, {"regions": plain.pack("eu")}, {"regions": plain.pack(None)}])
    def test_a_parameter_that_is_no_list_fails_the_step(self, params: dict[str, bytes]) -> None:
        run = Run(with_map(Param("regions"), Step("next", needs=("m",))), params=params).start()
        assert run.ends() == {"m": "failed", "next": "upstream_failed"}
        assert run.instance("m").reason == "the parameter regions is no list to map over"

    def test_what_cannot_be_a_list_fails_the_step(self) -> None:
        run = Run(with_map(Const(plain.pack(3)))).start()
        assert run.state("m") == "failed"
        assert run.instance("m").reason.startswith("the source of the map is no list")


class TestListsKnownAtRunTime:
    def test_a_placeholder_waits_until_the_list_is_there(self) -> None:
        run = Run(with_map(Output("src"))).start()
        assert run.states() == {"src": "ready", "m": "waiting"}
        run.do("src", value=[1, 2])
        assert run.states() == {"src": "succeeded", "m[0]": "ready", "m[1]": "ready"}

    def test_an_empty_list_is_no_failure(self) -> None:
        run = Run(with_map(Output("src"), Step("all", needs=("m",)))).start()
        run.do("src", value=[])
        assert run.offered() == ["all"]
        run.play()
        assert run.machine.state == "succeeded"

    @pytest.mark.parametrize("value", ["abc", 7, {"a": 1}, None])
    def test_a_result_that_is_no_list_fails_the_step_and_not_its_source(self, value: object) -> None:
        run = Run(with_map(Output("src"), Step("all", needs=("m",)))).start()
        run.do("src", value=value)
        assert run.ends() == {"src": "succeeded", "m": "failed", "all": "upstream_failed"}
        assert run.instance("m").reason.startswith("src returned no list to map over (")
        assert run.instance("m").because == ("src",)

    @pytest.mark.parametrize(
        ("end", "state", "what"),
        [
            ({"state": "failed"}, "upstream_failed", "did not succeed"),
            ({"state": "cancelled", "failure": SKIP}, "skipped", "was skipped"),
        ],
    )
    def test_a_source_without_a_result_ends_the_map(self, end: dict[str, object], state: str, what: str) -> None:
        run = Run(with_map(Output("src"), Step("all", needs=("m",)))).start()
        run.do("src", **end)  # type: ignore[arg-type]
        assert run.ends()["m"] == state
        assert run.ends()["all"] == state
        assert run.instance("m").reason == f"src {what}, so there is nothing to map over"
        assert run.machine.is_finished

    def test_a_source_that_is_not_in_the_graph_fails_the_step(self) -> None:
        run = Run(with_map(Output("gone"))).start()
        assert run.state("m") == "failed"
        assert "gone" in run.instance("m").reason

    def test_the_first_of_two_arms_that_succeeded_is_mapped_over(self) -> None:
        step, axis = mapped("m", FirstOf(("a", "b")), needs=("a", "b"), when="none_failed_any_succeeded")
        run = Run(graph(Step("a"), Step("b"), step, axes=[axis])).start()
        run.do("a", state="cancelled", failure=SKIP)
        assert run.state("m") == "waiting"
        run.do("b", value=[1, 2])
        assert run.offered() == ["m[0]", "m[1]"]


class TestZip:
    def test_lists_of_equal_length_go_side_by_side_when_both_are_there(self) -> None:
        zipped = Axis("z", (Output("a"), Output("b")))
        run = Run(graph(Step("a"), Step("b"), Step("z", axes=("z",), needs=("a", "b")), axes=[zipped])).start()
        run.do("b", value=[1, 2])
        assert run.state("z") == "waiting"
        run.do("a", value=["x", "y"])
        assert run.offered() == ["z[0]", "z[1]"]

    def test_lists_of_unequal_length_fail_the_step_and_say_their_lengths(self) -> None:
        zipped = Axis("z", (Output("a"), ListOf((Const(b"\x01"), Const(b"\x02")))))
        run = Run(graph(Step("a"), Step("z", axes=("z",), needs=("a",)), axes=[zipped])).start()
        run.do("a", value=[1, 2, 3])
        assert run.state("z") == "failed"
        assert run.instance("z").reason == "the zipped sources of the map have unequal lengths: 3, 2"

    def test_a_gathered_map_is_zipped_with_a_list(self) -> None:
        step, axis = mapped("m", 2)
        zipped = Axis("z", (Output("m"), Output("names")))
        z = Step("z", axes=("z",), needs=("m", "names"))
        run = Run(graph(step, Step("names"), z, axes=[axis, zipped])).start()
        run.do("names", value=["x", "y"])
        run.do("m", "1")
        assert run.state("z") == "waiting"
        run.do("m", "0")
        assert run.offered() == ["z[0]", "z[1]"]


class TestElementByElementAndGathered:
    def test_a_step_on_the_same_axis_starts_element_by_element(self) -> None:
        step, axis = mapped("m", 2)
        run = Run(graph(step, Step("n", axes=("m",), needs=("m",)), axes=[axis])).start()
        run.do("m", "1")
        assert run.offered() == ["m[0]", "n[1]"]

    def test_an_element_that_failed_holds_up_only_its_own_chain(self) -> None:
        step, axis = mapped("m", 3)
        run = Run(graph(step, Step("n", axes=("m",), needs=("m",)), Step("all", needs=("n",)), axes=[axis])).start()
        run.play(lambda i: {"state": "failed"} if (i.node.key, i.index) == ("m", "1") else {})
        assert run.ends() == {
            "m[0]": "succeeded",
            "m[1]": "failed",
            "m[2]": "succeeded",
            "n[0]": "succeeded",
            "n[1]": "upstream_failed",
            "n[2]": "succeeded",
            "all": "upstream_failed",
        }
        assert run.instance("n", "1").because == ("m",)

    def test_a_step_outside_gathers_all_instances_by_its_rule(self) -> None:
        step, axis = mapped("m", 3)
        after = Step("some", needs=("m",), when="all_done_any_succeeded")
        run = Run(graph(step, after, axes=[axis])).start()
        run.do("m", "0", state="failed")
        run.do("m", "2")
        assert run.state("some") == "waiting"
        run.do("m", "1", state="failed")
        assert run.offered() == ["some"]

    @pytest.mark.parametrize("when", ["any_failed", "any_done", "any_succeeded"])
    def test_an_eager_rule_runs_at_the_first_instance_that_ended_so(self, when: str) -> None:
        step, axis = mapped("m", 4)
        run = Run(graph(step, Step("early", needs=("m",), when=when), axes=[axis])).start()  # type: ignore[arg-type]
        run.do("m", "0", state="failed")
        assert (run.state("early") == "ready") == (when != "any_succeeded")
        run.do("m", "3")
        assert run.state("early") == "ready"
        run.play()
        assert len([e for e in run.told(AttemptStarted) if e.step == "early"]) == 1  # type: ignore[attr-defined]

    def test_an_eager_instance_that_is_new_hears_of_what_ended_before_it_was_there(self) -> None:
        """`late` unfolds after an instance of `m` has failed, and has another need that has not ended."""
        step, axis = mapped("m", 2)
        late, its_axis = mapped("late", Output("src"), needs=("src", "m"), when="any_failed")
        run = Run(graph(Step("src"), step, late, axes=[axis, its_axis])).start()
        run.do("m", "0", state="failed")
        run.do("src", value=[1, 2])
        assert run.offered() == ["m[1]", "late[0]", "late[1]"]

    def test_a_map_over_the_gathered_results_of_a_map_waits_for_all_of_them(self) -> None:
        first, axis = mapped("m", 3)
        again, its_axis = mapped("again", Output("m"))
        run = Run(graph(first, again, axes=[axis, its_axis])).start()
        run.do("m", "0")
        run.do("m", "1")
        assert run.state("again") == "waiting"
        run.do("m", "2")
        assert run.offered() == ["again[0]", "again[1]", "again[2]"]

    def test_a_map_over_a_map_of_which_one_failed_is_blocked(self) -> None:
        first, axis = mapped("m", 2)
        again, its_axis = mapped("again", Output("m"))
        run = Run(graph(first, again, axes=[axis, its_axis])).start()
        run.play(lambda i: {"state": "failed"} if i.index == "1" else {})
        assert run.ends() == {"m[0]": "succeeded", "m[1]": "failed", "again": "upstream_failed"}
        assert run.instance("again").reason == "1 of m did not succeed"

    def test_a_map_over_a_map_that_was_skipped_is_skipped(self) -> None:
        first, axis = mapped("m", Output("src"))
        again, its_axis = mapped("again", Output("m"))
        run = Run(graph(Step("src"), first, again, Step("end", needs=("again",)), axes=[axis, its_axis])).start()
        run.do("src", state="cancelled", failure=SKIP)
        assert run.ends() == dict.fromkeys(("src", "m", "again", "end"), "skipped")

    def test_a_map_over_a_map_of_which_one_was_skipped_leaves_that_to_its_rule(self) -> None:
        first, axis = mapped("m", 2)
        again, its_axis = mapped("again", Output("m"), when="none_failed")
        run = Run(graph(first, again, axes=[axis, its_axis])).start()
        run.play(lambda i: {"state": "cancelled", "failure": SKIP} if i.node.key == "m" and i.index == "1" else {})
        assert run.ends() == {
            "m[0]": "succeeded",
            "m[1]": "skipped",
            "again[0]": "succeeded",
            "again[1]": "succeeded",
        }

    def test_a_map_over_a_map_of_nothing_is_a_map_of_nothing(self) -> None:
        first, axis = mapped("m", 0)
        again, its_axis = mapped("again", Output("m"))
        run = Run(graph(first, again, Step("end", needs=("again",)), axes=[axis, its_axis])).start().play()
        assert run.ends() == {"end": "succeeded"}

    def test_a_thousand_maps_of_nothing_over_each_other_are_no_recursion(self) -> None:
        pairs = [mapped("m0", Output("src"))]
        pairs += [mapped(f"m{i}", Output(f"m{i - 1}")) for i in range(1, 1000)]
        run = Run(graph(Step("src"), *(s for s, _ in pairs), axes=[a for _, a in pairs])).start()
        run.do("src", value=[])
        assert run.machine.state == "succeeded"

    def test_one_step_for_all_is_told_once_when_a_map_of_many_has_ended(self) -> None:
        step, axis = mapped("m", 50)
        run = Run(graph(Step("x"), step, Step("all", needs=("m", "x")), axes=[axis])).start()
        for i in range(50):
            run.do("m", str(i))
        assert run.instance("all").open_needs == 1
        run.do("x")
        assert run.offered() == ["all"]


def nested() -> Graph:
    outer, axis = mapped("o", 2)
    inner, inner_axis = mapped("i", Output("o"), outer=("o",))
    return graph(
        outer,
        inner,
        Step("each", axes=("o",), needs=("i",), args=(("xs", Output("i")),)),
        Step("all", needs=("i",), args=(("xss", Output("i")),)),
        axes=[axis, inner_axis],
    )


class TestNested:
    def test_an_inner_map_unfolds_when_its_outer_element_has_its_list(self) -> None:
        run = Run(nested()).start()
        run.do("o", "1", value=[1, 2])
        assert run.offered() == ["o[0]", "i[1.0]", "i[1.1]"]
        assert run.state("i", "0") == "waiting"

    def test_results_are_gathered_along_the_axes_that_are_not_shared(self) -> None:
        run = Run(nested()).start()
        run.do("o", "0", value=[1])
        run.do("o", "1", value=[1, 2])
        run.do("i", "1.0")
        run.do("i", "1.1")
        assert "each[1]" in run.offered()
        assert run.state("each", "0") == "waiting"
        assert run.state("all") == "waiting"
        run.do("i", "0.0")
        assert run.offered() == ["each[1]", "each[0]", "all"]

    def test_an_outer_element_that_failed_blocks_what_stands_below_it_only(self) -> None:
        run = Run(nested()).start().play(lambda i: {"state": "failed"} if i.index == "0" else {"value": [1]})
        assert run.ends() == {
            "o[0]": "failed",
            "o[1]": "succeeded",
            "i[0]": "upstream_failed",
            "i[1.0]": "succeeded",
            "each[0]": "upstream_failed",
            "each[1]": "succeeded",
            "all": "upstream_failed",
        }

    def test_inner_lists_may_be_empty(self) -> None:
        run = Run(nested()).start().play(lambda i: {"value": []})
        assert run.ends() == dict.fromkeys(("o[0]", "o[1]", "each[0]", "each[1]", "all"), "succeeded")

    def test_no_outer_elements_are_no_inner_ones(self) -> None:
        outer, axis = mapped("o", 0)
        inner, inner_axis = mapped("i", 3, outer=("o",))
        run = Run(graph(outer, inner, Step("all", needs=("i",)), axes=[axis, inner_axis])).start().play()
        assert run.ends() == {"all": "succeeded"}

    def test_an_inner_map_over_something_outside_unfolds_under_every_outer_element(self) -> None:
        outer, axis = mapped("o", 3)
        inner, inner_axis = mapped("i", Output("src"), outer=("o",))
        run = Run(graph(Step("src"), outer, inner, axes=[axis, inner_axis])).start()
        run.do("src", value=[1, 2])
        assert [o for o in run.offered() if o.startswith("i")] == [f"i[{a}.{b}]" for a in range(3) for b in range(2)]

    def test_three_levels_and_a_source_on_the_first(self) -> None:
        a, a_axis = mapped("a", 2)
        b, b_axis = mapped("b", 2, outer=("a",))
        c, c_axis = mapped("c", Output("a"), outer=("a", "b"))
        run = Run(graph(a, b, c, Step("all", needs=("c",)), axes=[a_axis, b_axis, c_axis])).start()
        run.play(lambda i: {"value": [1] if i.index == "0" else [1, 2]} if i.node.key == "a" else {})
        indexes = {i.index for i in run.machine.instances() if i.node.key == "c"}
        assert indexes == {"0.0.0", "0.1.0", "1.0.0", "1.0.1", "1.1.0", "1.1.1"}
        assert run.machine.state == "succeeded"

    def test_an_inner_map_over_a_gathered_inner_map(self) -> None:
        outer, axis = mapped("o", 2)
        first, first_axis = mapped("f", 2, outer=("o",))
        second, second_axis = mapped("s", Output("f"), outer=("o",))
        run = Run(graph(outer, first, second, axes=[axis, first_axis, second_axis])).start()
        run.do("f", "1.0")
        assert run.state("s", "1") == "waiting"
        run.do("f", "1.1")
        assert [o for o in run.offered() if o.startswith("s")] == ["s[1.0]", "s[1.1]"]
        assert run.state("s", "0") == "waiting"

    def test_a_map_inside_of_a_loop_unfolds_in_each_round(self) -> None:
        loop = Axis("l", (Const(b"\x00"),), loop=Loop("decide", 3))
        fan = Axis("fan", (Output("start"),), outer=("l",))
        run = Run(
            graph(
                Step("start", axes=("l",), args=(("state", Carry("l")),)),
                Step("work", axes=("l", "fan"), args=(("x", Element("fan")),), needs=("start",)),
                Step("decide", axes=("l",), needs=("work",), reports_again=True),
                Step("all", needs=("work",)),
                axes=[loop, fan],
            )
        ).start()

        def fate(i: Instance) -> dict[str, object]:
            if i.node.key == "start":
                return {"value": list(range(i.path[0] + 1))}
            return {"again": True} if i.node.key == "decide" else {}

        run.play(fate)
        assert {i.index for i in run.machine.instances() if i.node.key == "work"} == {
            "0.0",
            "1.0",
            "1.1",
            "2.0",
            "2.1",
            "2.2",
        }
        assert run.state("all") == "succeeded"
        assert run.machine.state == "succeeded"


def test_guards_on_a_mapped_step_are_asked_element_by_element() -> None:
    step, axis = mapped("m", 3, reports_choice=True)
    left = Step("left", axes=("m",), needs=("m",), guards=(Guard("m", (plain.pack("l"),)),))
    run = Run(graph(step, left, Step("all", needs=("left",), when="none_failed_any_succeeded"), axes=[axis])).start()
    run.play(lambda i: {"choice": "l" if i.index == "1" else "r"} if i.node.key == "m" else {})
    assert [run.state("left", str(i)) for i in range(3)] == ["skipped", "succeeded", "skipped"]
    assert run.state("all") == "succeeded"


def test_a_mapped_instance_that_is_retried_keeps_its_index() -> None:
    run = Run(with_map(Output("src"), policies=Policies(retry=Retry(limit=2)))).start()
    run.play(lambda i: {"value": [1, 2]} if i.node.key == "src" else {"state": "failed"} if i.attempt < 3 else {})
    assert run.ends() == {"src": "succeeded", "m[0]": "succeeded", "m[1]": "succeeded"}


class TestCost:
    def test_the_cost_of_an_event_does_not_grow_with_the_map(self) -> None:
        """An elementwise chain of three: lines of Python run per step, over 200 and over 2,000 elements."""
        small, large = (lines_run(lambda size=size: _chain_of_three(size)) / size for size in (200, 2_000))
        assert large < 1.02 * small

    def test_the_cost_of_an_end_does_not_grow_with_those_who_wait_for_the_last_one(self) -> None:
        """One of 100 instances fails, and 10 or 1,000 others gather all of them."""
        few, many = (_waited_for_by(number) for number in (10, 1_000))
        assert lines_run(lambda: many.do("a", "0", state="failed")) == lines_run(
            lambda: few.do("a", "0", state="failed")
        )

    def test_the_cost_of_an_end_does_not_grow_with_the_steps_that_gather_the_map(self) -> None:
        few, many = (_gathered_by(number) for number in (10, 1_000))
        assert lines_run(lambda: many.do("a", "0")) == lines_run(lambda: few.do("a", "0"))

    def test_the_cost_of_unfolding_below_one_element_does_not_grow_with_the_others(self) -> None:
        few, many = (_two_levels(outer) for outer in (10, 1_000))
        assert lines_run(lambda: many.do("o", "3", value=[1])) == lines_run(lambda: few.do("o", "3", value=[1]))

    def test_a_hundred_thousand_instances_come_to_their_end(self) -> None:
        machine = _chain_of_three(33_333)
        assert machine.state == "succeeded"


def _chain_of_three(size: int) -> RunMachine:
    step, axis = mapped("a", Output("src"))
    steps = (Step("src"), step, Step("b", axes=("a",), needs=("a",)), Step("c", axes=("a",), needs=("b",)))
    run = Run(graph(*steps, axes=[axis]))
    machine = RunMachine(run.graph, run.created)
    machine.apply(RunStarted(0.0))
    _finish(machine, "src", "", list(range(size)))
    for key in "abc":
        for i in range(size):
            _finish(machine, key, str(i))
    return machine


def _finish(machine: RunMachine, step: str, index: str, value: object = None) -> None:
    stored = packed(value) if value is not None else None
    machine.apply(AttemptStarted(0.0, step, index, 1, 1, "w"))
    machine.apply(AttemptEnded(0.0, step, index, 1, 1, "succeeded", stored))
    machine.take_journal()


def _waited_for_by(number: int) -> Run:
    a, a_axis = mapped("a", 100)
    b, b_axis = mapped("b", number, needs=("a",))
    return Run(graph(a, b, axes=[a_axis, b_axis]), watched=False).start()


def _gathered_by(number: int) -> Run:
    a, a_axis = mapped("a", 100)
    return Run(graph(a, *(Step(f"s{i}", needs=("a",)) for i in range(number)), axes=[a_axis]), watched=False).start()


def _two_levels(outer: int) -> Run:
    o, o_axis = mapped("o", outer)
    i, i_axis = mapped("i", Output("o"), outer=("o",))
    return Run(graph(o, i, axes=[o_axis, i_axis]), watched=False).start()
