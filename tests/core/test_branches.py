"""Branches: a step chooses, guarded steps run or are skipped."""

from __future__ import annotations

import pytest

from partita.core import plain
from partita.core.graph import Graph, Guard, Step

from .driving import SKIP, Run, graph, mapped

LEFT, RIGHT = plain.pack("left"), plain.pack("right")


def branch(**join: object) -> Graph:
    """`choose`, an arm for "left", an arm for all else, and a step that joins them."""
    return graph(
        Step("choose", reports_choice=True),
        Step("left", needs=("choose",), guards=(Guard("choose", (LEFT,)),)),
        Step("other", needs=("choose",), guards=(Guard("choose", (LEFT,), unless=True),)),
        Step("more", needs=("other",)),
        Step("join", needs=("left", "more"), when=join.get("when", "none_failed_any_succeeded")),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("choice", "ran", "skipped"), [("left", ["left"], ["other", "more"]), ("x", ["other", "more"], ["left"])]
)
def test_the_arm_that_was_chosen_runs_and_the_other_is_skipped_with_all_behind_it(
    choice: str, ran: list[str], skipped: list[str]
) -> None:
    run = Run(branch()).start()
    run.do("choose", choice=choice)
    run.play()
    assert {k for k, s in run.ends().items() if s == "skipped"} == set(skipped)
    assert run.ends()["join"] == "succeeded"
    assert run.instance(skipped[0]).reason == "choose chose another branch"
    assert run.instance(skipped[0]).because == ("choose",)
    assert run.machine.state == "succeeded"


@pytest.mark.parametrize("choice", [1, 1.5, True, None, "none"])
def test_choices_are_compared_as_packed_scalars_so_one_is_not_true(choice: object) -> None:
    arm = Step("arm", needs=("choose",), guards=(Guard("choose", (plain.pack(1),)),))
    run = Run(graph(Step("choose", reports_choice=True), arm)).start()
    run.do("choose", choice=choice)
    assert (run.state("arm") == "ready") == (choice == 1 and choice is not True)


def test_a_step_that_chose_nothing_leaves_both_arms_skipped() -> None:
    run = Run(branch()).start()
    run.do("choose")
    assert run.ends() == {
        "choose": "succeeded",
        "left": "skipped",
        "other": "skipped",
        "more": "skipped",
        "join": "skipped",
    }
    assert run.instance("other").reason == "choose chose no branch"


@pytest.mark.parametrize(("end", "state"), [("failed", "upstream_failed"), ("cancelled", "skipped")])
def test_a_choosing_step_without_a_result_decides_by_the_arms_rules(end: str, state: str) -> None:
    run = Run(branch()).start()
    run.do("choose", state=end, failure=SKIP if end == "cancelled" else None)  # type: ignore[arg-type]
    assert {run.state(k) for k in ("left", "other", "more", "join")} == {state}


def test_an_arm_that_would_run_anyway_is_skipped_when_the_choosing_step_failed() -> None:
    arm = Step("arm", needs=("choose",), guards=(Guard("choose", (LEFT,), unless=True),), when="all_done")
    run = Run(graph(Step("choose", reports_choice=True), arm)).start()
    run.do("choose", state="failed")
    assert run.state("arm") == "skipped"


def test_a_guard_waits_for_its_choosing_step_though_it_is_no_written_need() -> None:
    run = Run(graph(Step("choose"), Step("arm", guards=(Guard("choose", (LEFT,)),)))).start()
    assert run.offered() == ["choose"]
    run.do("choose", choice="left")
    assert run.offered() == ["arm"]


def test_a_guard_makes_even_an_eager_arm_wait() -> None:
    arm = Step("arm", needs=("a", "choose"), guards=(Guard("choose", (LEFT,)),), when="any_succeeded")
    run = Run(graph(Step("a"), Step("choose"), arm)).start()
    run.do("a")
    assert run.state("arm") == "waiting"
    run.do("choose", choice="left")
    assert run.state("arm") == "ready"


def test_two_guards_must_both_let_a_step_pass() -> None:
    arm = Step("arm", guards=(Guard("a", (LEFT,)), Guard("b", (LEFT, RIGHT))))
    for one, two, state in (("left", "right", "ready"), ("left", "x", "skipped"), ("right", "left", "skipped")):
        run = Run(graph(Step("a"), Step("b"), arm)).start()
        run.do("a", choice=one)
        run.do("b", choice=two)
        assert run.state("arm") == state


def test_a_guard_by_a_step_that_is_not_in_the_graph_skips() -> None:
    run = Run(graph(Step("arm", guards=(Guard("gone", (LEFT,)),)))).start()
    assert run.ends() == {"arm": "skipped"}
    assert run.machine.state == "succeeded"


def test_a_guard_by_a_mapped_step_is_not_answered_outside_of_its_map() -> None:
    step, axis = mapped("m", 2, reports_choice=True)
    run = Run(graph(step, Step("arm", guards=(Guard("m", (LEFT,)),)), axes=[axis])).start()
    run.play(lambda i: {"choice": "left"})
    assert (run.state("arm"), run.instance("arm").reason) == ("skipped", "m chose no branch")
