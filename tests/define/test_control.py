"""Branches, loops, setup and teardown."""

from __future__ import annotations

import pytest

import partita as pt
from partita.core.graph import Axis, Carry, Const, FirstOf, Guard, Loop, Output, Param
from partita.core.plain import pack
from partita.define.compile import compile_pipeline
from partita.errors import DefinitionError

from .building import args_of, axes_of, graph_of, machine_accepts, steps_of


@pt.task
def kind(x: object = None) -> str:
    return "full"


@pt.task
def full(x: object = None) -> object:
    return x


@pt.task
def delta(x: object = None) -> object:
    return x


@pt.task
def report(x: object) -> object:
    return x


# --- branches ---


def test_each_arm_stands_behind_a_guard_and_the_decider_reports() -> None:
    def flow() -> None:
        report(pt.branch(kind(), {"full": full, "delta": lambda: delta(1)}))

    steps = steps_of(graph_of(flow))

    assert steps["kind"].reports_choice
    assert steps["full"].guards == (Guard("kind", (pack("full"),)),)
    assert steps["delta"].guards == (Guard("kind", (pack("delta"),)),)
    assert steps["full"].needs == ("kind",)
    assert args_of(steps["report"]) == {"x": FirstOf(("full", "delta"))}
    assert steps["report"].when == "none_failed_any_succeeded"
    assert steps["report"].needs == ("full", "delta")


def test_the_default_arm_runs_when_no_other_does() -> None:
    def flow() -> None:
        pt.branch(kind(), {1: full, None: delta}, default=report.partial(x=3))

    steps = steps_of(graph_of(flow))

    assert steps["report"].guards == (Guard("kind", (pack(1), pack(None)), unless=True),)


def test_a_step_may_read_a_branch_under_another_rule() -> None:
    def flow() -> None:
        report.options(when="all_done")(pt.branch(kind(), {"full": full}))

    assert steps_of(graph_of(flow))["report"].when == "all_done"


def test_arms_without_steps_are_values() -> None:
    def flow(x: int = 1) -> None:
        before = full(0)
        report(pt.branch(kind(), {"a": None, "b": 5, "c": lambda: before, "d": lambda: x}))

    steps = steps_of(graph_of(flow))

    assert args_of(steps["branch_a"]) == {"value": Const(pack(None))}
    assert args_of(steps["branch_b"]) == {"value": Const(pack(5))}
    assert args_of(steps["branch_c"]) == {"value": Output("full")}
    assert args_of(steps["branch_d"]) == {"value": Param("x")}
    assert all(steps[f"branch_{k}"].guards for k in "abcd")
    assert not steps["full"].guards


def test_a_parameter_or_a_part_of_a_result_decides_through_a_step_of_its_own() -> None:
    def flow(mode: str = "full") -> None:
        pt.branch(mode, {"full": full})
        pt.branch(kind()["k"], {"full": full}, name="second")

    steps = steps_of(graph_of(flow))

    assert args_of(steps["branch_on"]) == {"value": Param("mode")}
    assert steps["branch_on"].reports_choice
    assert args_of(steps["second_on"]) == {"value": Output("kind", ("k",))}
    assert steps["full_2"].guards[0].step == "second_on"


def test_guards_of_nested_branches_add_up() -> None:
    def inner() -> object:
        return pt.branch(kind.named("second")(), {"x": delta}, name="inner")

    def flow() -> None:
        pt.branch(kind(), {"full": inner})

    steps = steps_of(graph_of(flow))

    assert [guard.step for guard in steps["second"].guards] == ["kind"]
    assert [guard.step for guard in steps["delta"].guards] == ["kind", "second"]


def test_a_branch_in_a_mapped_group_decides_for_each_element() -> None:
    @pt.group
    def each(x: object) -> object:
        return pt.branch(kind(x), {"full": lambda: full(x)})

    def flow() -> None:
        report(each.map([1, 2]))

    steps = steps_of(graph_of(flow))

    assert steps["each.full"].axes == steps["each.kind"].axes == ("each",)
    # Gathered as they are, the arms would come one after the other.
    assert args_of(steps["each.each_result"]) == {"value": FirstOf(("each.full",))}
    assert args_of(steps["report"]) == {"x": Output("each.each_result")}


def test_a_mapped_value_decides_nothing() -> None:
    def flow() -> None:
        pt.branch(kind.map([1, 2]), {"full": full})

    with pytest.raises(DefinitionError) as caught:
        graph_of(flow)
    assert "@pt.group" in (caught.value.hint or "")


def test_a_value_that_is_known_now_needs_no_branch() -> None:
    def flow() -> None:
        pt.branch("full", {"full": full})

    with pytest.raises(DefinitionError, match="use a plain `if`"):
        graph_of(flow)


def test_an_arm_that_wants_arguments_is_refused() -> None:
    def flow() -> None:
        pt.branch(kind(), {"full": lambda x: full(x)})

    with pytest.raises(DefinitionError, match="called without arguments"):
        graph_of(flow)


def test_outside_of_a_pipeline_the_arm_is_called() -> None:
    assert pt.branch("a", {"a": lambda: 1, "b": 2}) == 1
    assert pt.branch("b", {"a": lambda: 1, "b": 2}) == 2
    assert pt.branch("c", {"a": 1}, default=lambda: 3) == 3
    assert pt.branch("c", {"a": 1}) is None


# --- loops ---


@pt.task
def improve(state: int, by: int = 1) -> int:
    return state + by


def test_a_loop_is_an_axis_that_grows_while_its_decider_asks_for_more() -> None:
    @pt.pipeline
    def flow(start: int) -> None:
        report(pt.loop(improve, start, until=lambda s: s > 5, max_iterations=10, on_limit="fail", by=2))

    compiled = compile_pipeline(flow)
    machine_accepts(compiled.graph)
    steps = steps_of(compiled.graph)

    assert axes_of(compiled.graph) == {
        "improve_loop": Axis("improve_loop", (Param("start"),), loop=Loop("improve", 10, "fail"))
    }
    assert steps["improve"].axes == ("improve_loop",)
    assert steps["improve"].reports_again
    assert args_of(steps["improve"]) == {"state": Carry("improve_loop"), "by": Const(pack(2))}
    assert args_of(steps["report"]) == {"x": Output("improve", last=True)}
    assert steps["report"].axes == ()
    until = compiled.calls[steps["improve"].call].until
    assert until is not None
    assert until(6)
    assert not until(5)


def test_a_loop_over_several_steps_is_a_group() -> None:
    def round_of(state: object, other: object) -> object:
        return improve(report(state), by=other)

    def flow() -> None:
        pt.loop(round_of, full(), until=bool, max_iterations=3, other=delta())

    graph = graph_of(flow)
    steps = steps_of(graph)

    assert axes_of(graph)["round_of"].loop == Loop("round_of.improve", 3, "succeed")
    assert axes_of(graph)["round_of"].sources == (Output("full"),)
    assert args_of(steps["round_of.report"]) == {"x": Carry("round_of")}
    assert steps["round_of.report"].needs == ("full",)
    assert steps["round_of.improve"].reports_again
    assert not steps["round_of.report"].reports_again


def test_the_same_task_in_and_outside_of_a_loop_has_two_calls() -> None:
    @pt.pipeline
    def flow() -> None:
        improve(1)
        pt.loop(improve, 1, until=bool, max_iterations=2)
        pt.loop(improve, 1, until=all, max_iterations=2)

    compiled = compile_pipeline(flow)
    calls = [compiled.calls[step.call].until for step in compiled.graph.steps]

    assert calls == [None, bool, all]


def test_what_decides_whether_a_loop_goes_on_is_part_of_its_code() -> None:
    def first() -> None:
        pt.loop(improve, 1, until=lambda s: s > 5, max_iterations=2)

    def second() -> None:
        pt.loop(improve, 1, until=lambda s: s > 6, max_iterations=2)

    assert steps_of(graph_of(first))["improve"].code_version != steps_of(graph_of(second))["improve"].code_version


def test_a_loop_in_a_mapped_group_and_a_map_in_a_loop() -> None:
    def round_of(state: object) -> object:
        return report(improve.map(state))

    @pt.group
    def each(x: object) -> object:
        return pt.loop(round_of, x, until=bool, max_iterations=2)

    def flow() -> None:
        report(each.map([[1], [2]]))

    graph = graph_of(flow)
    axes, steps = axes_of(graph), steps_of(graph)

    assert axes["each.round_of"].outer == ("each",)
    assert axes["each.round_of.improve"].outer == ("each", "each.round_of")
    assert steps["each.round_of.report"].axes == ("each", "each.round_of")
    assert args_of(steps["report"]) == {"x": Output("each.round_of.report", last=True)}


def test_a_loop_must_return_its_state_and_be_bounded() -> None:
    def nothing() -> None:
        pt.loop(lambda s: None, 1, until=bool, max_iterations=2)

    def unbounded() -> None:
        pt.loop(improve, 1, until=bool, max_iterations=0)

    with pytest.raises(DefinitionError, match="must return the new state"):
        graph_of(nothing)
    with pytest.raises(DefinitionError, match="1 or more"):
        graph_of(unbounded)


def test_a_loop_of_a_task_with_a_wrong_constant_says_so() -> None:
    def flow() -> None:
        pt.loop(improve, 1, until=bool, max_iterations=2, bye=3)

    with pytest.raises(DefinitionError, match="no parameter `bye`"):
        graph_of(flow)


def test_outside_of_a_pipeline_the_loop_just_runs() -> None:
    assert pt.loop(improve, 0, until=lambda s: s >= 3, max_iterations=10) == 3
    assert pt.loop(improve, 0, until=lambda s: False, max_iterations=4) == 4
    with pytest.raises(RuntimeError, match="4 rounds"):
        pt.loop(improve, 0, until=lambda s: False, max_iterations=4, on_limit="fail")


# --- setup and teardown ---


@pt.task
def create() -> str:
    return "cluster"


@pt.task
def delete(cluster: str) -> None: ...


def test_a_teardown_waits_for_every_step_between() -> None:
    def flow() -> None:
        with pt.setup_teardown(create(), delete) as cluster:
            a = full()
            report(a)
            delta(cluster)

    steps = steps_of(graph_of(flow))

    assert steps["full"].needs == ("create",)
    assert steps["report"].needs == ("full",)
    # Not only the last ones: a step that could not run has ended while its siblings are still at work.
    assert set(steps["delete"].needs) == {"create", "full", "report", "delta"}
    assert steps["delete"].when == "all_done_setup_succeeded"
    assert steps["delete"].teardown_of == ("create",)
    assert not steps["delete"].counts
    assert args_of(steps["delete"]) == {"cluster": Output("create")}


def test_a_teardown_may_count() -> None:
    def flow() -> None:
        with pt.setup_teardown(create(), lambda c: delete(c), counts=True):
            full()

    assert steps_of(graph_of(flow))["delete"].counts


def test_any_step_can_be_made_a_teardown() -> None:
    def flow() -> None:
        cluster = create()
        work = full(cluster)
        work >> delete(cluster).as_teardown(setups=cluster)

    step = steps_of(graph_of(flow))["delete"]

    assert step.teardown_of == ("create",)
    assert set(step.needs) == {"create", "full"}
    assert step.when == "all_done_setup_succeeded"


def test_a_setup_must_be_a_step() -> None:
    def flow() -> None:
        with pt.setup_teardown("cluster", delete):
            full()

    with pytest.raises(DefinitionError, match="is no step"):
        graph_of(flow)


def test_outside_of_a_pipeline_the_teardown_is_called_whatever_happens() -> None:
    removed: list[str] = []

    def use() -> None:
        with pt.setup_teardown("c", removed.append) as cluster:
            raise ValueError(cluster)

    with pytest.raises(ValueError, match="c"):
        use()
    assert removed == ["c"]
