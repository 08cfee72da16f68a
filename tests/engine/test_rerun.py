"""What a rerun repeats, and what it takes over."""

from __future__ import annotations

from partita.core import plain
from partita.core.events import AttemptEnded, AttemptStarted, Detail, Failure, RunCreated, RunStarted
from partita.core.graph import Axis, Carry, Const, Element, Graph, ListOf, Loop, Output, Step
from partita.core.machine import RunMachine
from partita.core.values import Value
from partita.engine.rerun import reused_steps, steps_named

RUN = RunCreated(
    at=0.0, run="old", namespace="default", project="p", pipeline="x", graph="g", code="c", origin="test:1"
)


def played(graph: Graph, failing: set[str] = frozenset(), again: int = 0) -> RunMachine:  # type: ignore[assignment]
    """The machine of a finished run in which the named instances ("a", "m[3]") failed."""
    machine = RunMachine(graph, RUN)
    offers = machine.apply(RunStarted(1.0))
    while offers:
        offer = offers.pop(0)
        if type(offer).__name__ != "Offer":
            continue
        step, index = offer.step, offer.index
        name = f"{step}[{index}]" if index else step
        machine.apply(AttemptStarted(2.0, step, index, 1, 1, "w"))
        goes_on = int(index.split(".")[-1] or 0) < again if graph.step(step).reports_again else None
        detail = Detail(again=goes_on) if goes_on is not None else None
        if name in failing:
            event = AttemptEnded(3.0, step, index, 1, 1, "failed", detail=Detail(failure=Failure("boom")))
        else:
            data = plain.pack([1, 2, 3])
            event = AttemptEnded(3.0, step, index, 1, 1, "succeeded", Value("plain", 4, data, length=3), detail)
        offers += machine.apply(event)
    assert machine.is_finished
    return machine


def kept(machine: RunMachine, graph: Graph, again: list[str] | None = None) -> set[str]:
    events = reused_steps(machine, graph, at=9.0, again=again)
    return {f"{e.step}[{e.index}]" if e.index else e.step for e in events}


CHAIN = Graph("x", (Step("a"), Step("b", needs=("a",)), Step("c", needs=("b",)), Step("d", needs=("a",))))


def test_from_failure_repeats_what_failed_and_what_was_behind_it():
    assert kept(played(CHAIN, {"b"}), CHAIN) == {"a", "d"}


def test_from_a_step_repeats_it_and_all_its_consequences():
    assert kept(played(CHAIN), CHAIN, ["b"]) == {"a", "d"}
    assert kept(played(CHAIN), CHAIN, ["a"]) == set()


MAPPED = Graph(
    "x",
    (
        Step("list"),
        Step("m", axes=("m",), args=(("x", Element("m")),), needs=("list",)),
        Step("n", axes=("m",), args=(("x", Output("m")),), needs=("m",)),
        Step("all", args=(("xs", Output("n")),), needs=("n",)),
    ),
    (Axis("m", (Output("list"),)),),
)


def test_of_a_map_only_the_failed_instance_and_its_readers_are_repeated():
    assert kept(played(MAPPED, {"m[1]"}), MAPPED) == {"list", "m[0]", "m[2]", "n[0]", "n[2]"}


def test_a_list_that_is_made_again_makes_the_whole_map_again():
    assert kept(played(MAPPED), MAPPED, ["list"]) == set()


def test_a_rerun_executes_just_the_rest():
    machine = played(MAPPED, {"m[1]"})
    from partita.core.machine import Known

    known = [Known(e.step, e.index, e.state, value=e.value) for e in reused_steps(machine, MAPPED, at=9.0)]
    rerun = RunMachine(MAPPED, RUN, known)
    offers = rerun.apply(RunStarted(10.0))
    assert [(o.step, o.index) for o in offers] == [("m", "1")]


SETUP = Graph(
    "x",
    (
        Step("create"),
        Step("work", needs=("create",)),
        Step(
            "delete", needs=("create", "work"), when="all_done_setup_succeeded", teardown_of=("create",), counts=False
        ),
        Step("other"),
    ),
)


def test_a_setup_is_repeated_with_the_work_that_stands_on_it():
    assert kept(played(SETUP, {"work"}), SETUP) == {"other"}


BUNDLE = Graph(
    "x",
    (
        Step("dbt", kind="bundle"),
        Step("one", kind="member", bundle="dbt"),
        Step("two", kind="member", bundle="dbt", needs=("one",)),
        Step("after", needs=("one",)),
    ),
)


def test_a_bundle_is_repeated_with_a_member_and_the_other_members_are_kept():
    machine = RunMachine(BUNDLE, RUN)
    machine.apply(RunStarted(1.0))
    machine.apply(AttemptStarted(2.0, "dbt", "", 1, 1, "w"))
    for member, state in (("one", "succeeded"), ("two", "failed")):
        machine.apply(AttemptStarted(3.0, member, "", 1, 1, "in dbt"))
        machine.apply(AttemptEnded(4.0, member, "", 1, 1, state))
    machine.apply(AttemptStarted(4.0, "after", "", 1, 1, "w"))
    machine.apply(AttemptEnded(5.0, "after", "", 1, 1, "succeeded"))
    machine.apply(AttemptEnded(5.0, "dbt", "", 1, 1, "failed"))
    assert machine.is_finished
    assert kept(machine, BUNDLE) == {"one", "after"}


LOOP = Graph(
    "x",
    (
        Step("start"),
        Step("body", axes=("l",), args=(("x", Carry("l")),), needs=("start",), reports_again=True),
        Step("end", args=(("x", Output("body", last=True)),), needs=("body",)),
    ),
    (Axis("l", (Output("start"),), loop=Loop("body", 10)),),
)


def test_a_loop_goes_on_from_the_round_that_failed():
    machine = played(LOOP, {"body[2]"}, again=5)
    assert kept(machine, LOOP) == {"start", "body[0]", "body[1]"}


def test_steps_that_the_new_graph_does_not_have_are_not_taken_over():
    smaller = Graph("x", CHAIN.steps[:2])
    assert kept(played(CHAIN, {"b"}), smaller) == {"a"}


def test_a_name_means_a_step_or_a_group_as_a_unit():
    graph = Graph("x", (Step("g.a", group=("g",)), Step("g.b", group=("g",)), Step("h")))
    assert steps_named(graph, "g") == ["g.a", "g.b"]
    assert steps_named(graph, "h") == ["h"]
    assert steps_named(graph, "nothing") == []


def test_constants_of_a_map_do_not_make_it_again():
    items = tuple(Const(plain.pack(i)) for i in range(3))
    graph = Graph("x", (Step("m", axes=("m",), args=(("x", Element("m")),)),), (Axis("m", (ListOf(items),)),))
    assert kept(played(graph, {"m[0]"}), graph) == {"m[1]", "m[2]"}
