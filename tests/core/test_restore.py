"""A machine that is built from what is known goes on as if nothing had happened."""

from __future__ import annotations

from random import Random
from typing import get_args

import pytest

from partita.core import plain
from partita.core.events import AttemptStarted, Failure, StepEnded
from partita.core.graph import Axis, Carry, Const, Element, Graph, Guard, Loop, Output, Step
from partita.core.machine import Known
from partita.core.plan import Instance
from partita.core.policies import Policies, Retry
from partita.core.states import TERMINAL_STEP, StepState

from .driving import SKIP, Run, graph, known_list, mapped, packed

CHAIN = graph(Step("a", policies=Policies(retry=Retry(limit=2))), Step("b", needs=("a",)))


@pytest.mark.parametrize("state", sorted(TERMINAL_STEP))
def test_a_step_that_is_known_to_have_ended_is_over_and_tells_those_that_wait(state: StepState) -> None:
    run = Run(CHAIN, [Known("a", "", state, attempt=1, reason="why", because=("x",))], watched=False).start()
    instance = run.instance("a")
    assert (instance.state, instance.attempt, instance.reason, instance.because) == (state, 1, "why", ("x",))
    expected = {"succeeded": "ready", "skipped": "skipped"}.get(state, "upstream_failed")
    assert run.state("b") == expected
    assert "a" not in run.offered()
    assert run.told(StepEnded) == [e for e in run.told(StepEnded) if e.step == "b"]  # type: ignore[attr-defined]


def test_every_state_is_tried_here() -> None:
    assert set(get_args(StepState)) == TERMINAL_STEP | {"waiting", "ready", "running"}


def test_a_step_that_is_known_to_be_ready_is_offered_at_its_time_with_its_budget() -> None:
    known = Known(
        "a", "", "ready", attempt=2, not_before=50.0, failures=2, past=((1, "failed", "x"), (2, "failed", "y"))
    )
    run = Run(CHAIN, [known], watched=False).start()
    assert run.offers == {("a", ""): 50.0}
    run.do("a", state="failed")
    assert (run.state("a"), run.instance("a").attempt) == ("failed", 3)
    assert run.instance("a").past == [(1, "failed", "x"), (2, "failed", "y"), (3, "failed", "ValueError: boom")]


def test_a_step_that_is_known_to_run_is_not_offered_and_ends_as_it_would_have() -> None:
    run = Run(CHAIN, [Known("a", "", "running", attempt=2, epoch=7)], watched=False).start()
    assert run.offered() == []
    run.end("a", epoch=1)
    assert run.state("a") == "running"
    run.end("a", epoch=7)
    assert run.offered() == ["b"]


def test_an_attempt_that_is_known_as_dispatched_still_has_its_start_gate_before_it() -> None:
    run = Run(CHAIN, [Known("a", "", "running", attempt=2, epoch=7, dispatched=True)], watched=False).start()
    run.apply(AttemptStarted(1.0, "a", "", 2, 7, "w"))
    assert not run.instance("a").dispatched
    run.end("a", epoch=7)
    assert run.state("a") == "succeeded"


def test_a_step_known_to_wait_is_decided_anew() -> None:
    assert Run(CHAIN, [Known("a", "", "waiting")]).start().offered() == ["a"]


def test_what_is_known_of_a_step_that_the_graph_does_not_have_is_left_alone() -> None:
    run = Run(CHAIN, [Known("gone", "", "succeeded"), Known("a", "5", "succeeded")]).start()
    assert run.states() == {"a": "ready", "b": "waiting"}


def test_a_run_of_which_everything_is_known_ends_at_once() -> None:
    run = Run(CHAIN, [Known("a", "", "succeeded"), Known("b", "", "succeeded")], watched=False).start()
    assert run.machine.state == "succeeded"
    assert run.finished == 1


def test_results_choices_and_rounds_that_are_known_count_as_if_just_made() -> None:
    step, axis = mapped("m", Output("list"))
    loop = Axis("l", (Const(b"\x00"),), loop=Loop("decide", 9))
    arm = Step("arm", needs=("choose",), guards=(Guard("choose", (plain.pack("x"),)),))
    run = Run(
        graph(Step("list"), step, Step("choose"), arm, Step("decide", axes=("l",)), axes=[axis, loop]),
        [
            Known("list", "", "succeeded", value=packed([1, 2, 3])),
            Known("m", "1", "succeeded"),
            Known("choose", "", "succeeded", choice=plain.pack("x")),
            Known("decide", "0", "succeeded", again=True),
            Known("decide", "1", "succeeded", again=True),
        ],
        watched=False,
    ).start()
    assert sorted(run.offered()) == ["arm", "decide[2]", "m[0]", "m[2]"]


def test_members_of_a_bundle_that_is_known_to_run_are_granted_whatever_became_of_the_others() -> None:
    """`y` needs `x`: it was granted together with it, and the attempt still knows nothing of the end of `x`."""
    run = Run(
        graph(
            Step("b", kind="bundle", policies=Policies(retry=Retry(limit=1))),
            Step("x", kind="member", bundle="b"),
            Step("y", kind="member", bundle="b", needs=("x",)),
        ),
        [Known("b", "", "running", attempt=1, epoch=1), Known("x", "", "skipped", reason="passed over")],
        watched=False,
    ).start()
    assert run.machine.granted_members(run.instance("b")) == ("y",)
    run.begin("y")
    run.end("y")
    assert run.state("y") == "succeeded"


def test_a_teardown_in_a_map_that_was_cancelled_is_not_left_waiting_after_a_crash() -> None:
    """The map unfolds for its teardowns alone: one of their needs ended as a placeholder, which tells nobody of it."""
    up, axis = mapped("up", Output("src"))
    down = Step("down", axes=("up",), needs=("up", "other"), when="all_done", teardown_of=("up",))
    run = Run(graph(Step("src"), Step("other", teardown_of=("src",)), up, down, axes=[axis])).start()
    run.begin("src")
    run.begin("other")
    run.cancel()
    run.end("src", value=[1])
    assert run.ends() == {"src": "succeeded", "up": "cancelled"}

    for again in (run.crashed(), run):
        assert again.instance("down", "0").open_needs == 1
        again.end("other")
        assert again.offered() == ["down[0]"]


# --- crashes anywhere -----------------------------------------------------------------------------------------------


def rich() -> Graph:
    """A graph with everything in it."""
    once = Policies(retry=Retry(limit=1, delays_s=(5.0,)))
    m, m_axis = mapped("m", Output("src"), policies=once)
    inner, inner_axis = mapped("inner", Output("m"), outer=("m",))
    again, again_axis = mapped("again", Output("m"), when="all_done")
    zipped = Axis("z", (Output("m"), known_list("x", "y", "z")))
    loop = Axis("l", (Output("src"),), loop=Loop("decide", 4))
    return graph(
        Step("src", policies=once),
        m,
        Step("each", axes=("m",), args=(("x", Output("m")),)),
        inner,
        Step("gather", needs=("inner",), when="all_done"),
        again,
        Step("z", axes=("z",), args=(("x", Element("z")),), needs=("m",), when="all_done"),
        Step("work", axes=("l",), args=(("s", Carry("l")),)),
        Step("decide", axes=("l",), needs=("work",), reports_again=True),
        Step("after", needs=("decide",), when="all_done"),
        Step("choose", needs=("src",), reports_choice=True),
        Step("left", needs=("choose",), guards=(Guard("choose", (plain.pack("left"),)),)),
        Step("right", needs=("choose",), guards=(Guard("choose", (plain.pack("left"),), unless=True),)),
        Step("join", needs=("left", "right"), when="none_failed_any_succeeded"),
        Step("b", kind="bundle", policies=once),
        Step("x", kind="member", bundle="b", needs=("src",)),
        Step("y", kind="member", bundle="b", needs=("x", "m")),
        Step("w", kind="member", bundle="b", needs=("x", "choose"), asset="made"),
        Step("up", needs=("src",)),
        Step("use", needs=("up", "y")),
        Step("down", needs=("up", "use"), when="all_done_setup_succeeded", teardown_of=("up",)),
        Step("alert", needs=("m", "use", "each"), when="any_failed"),
        axes=[m_axis, inner_axis, again_axis, zipped, loop],
    )


class Play:
    """Plays a run by seed: what a step does is a function of its name and its failures, when it does it is chance."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = Random(f"order {seed}")

    def step(self, run: Run) -> bool:
        """One event; False when there is nothing to do."""
        opened = [i for i in run.machine.instances() if i.open]
        if run.offers and (not opened or self.rng.random() < 0.5):
            step, index = self.rng.choice(list(run.offers))
            run.at = max(run.at, run.offers[step, index])
            run.begin(step, index)
            return True
        if not opened:
            return False
        instance = self.rng.choice(opened)
        if instance.node.members:
            self._perform(run, instance)
        else:
            run.end(instance.node.key, instance.index, **self.fate(instance))  # type: ignore[arg-type]
        return True

    def _perform(self, run: Run, bundle: Instance) -> None:
        """One event of a bundle's attempt, which makes its members one after the other, in the order of their needs."""
        members = [m.instances[bundle.path] for m in bundle.node.members]
        if any(m.open for m in members):
            return
        tried = {m.node.key for m in members if m.state == "ready" and m.attempt == bundle.attempt}
        for member in members:
            inside = [m for m in members if m.node.key in member.node.step.needs]
            if member.state != "ready" or member.node.key in tried or any(m.node.key in tried for m in inside):
                continue
            if any(m.state in ("failed", "upstream_failed") for m in inside):
                run.apply(StepEnded(run.at, member.node.key, member.index, "upstream_failed", "passed over"))
            elif any(m.state == "skipped" for m in inside):
                run.apply(StepEnded(run.at, member.node.key, member.index, "skipped", "passed over"))
            else:
                run.begin(member.node.key, member.index, attempt=bundle.attempt)
            return
        if tried or self.fate(bundle).get("state") == "failed":
            broken = Failure("members failed", cause="members")
            run.end(bundle.node.key, bundle.index, "failed", failure=broken)
        else:
            run.end(bundle.node.key, bundle.index)

    def fate(self, instance: Instance) -> dict[str, object]:
        failures = sum(state == "failed" for _, state, _ in instance.past or ())
        rng = Random(f"{self.seed} {instance.node.key} {instance.index} {failures}")
        chance = rng.random()
        if chance < 0.12:
            return {"state": "failed"}
        if chance < 0.18:
            return {"state": "cancelled", "failure": SKIP}
        if chance < 0.2:
            return {"value": "no list"}
        return {
            "value": list(range(rng.choice((0, 1, 3)))),
            "choice": rng.choice(("left", "right")),
            "again": rng.random() < 0.6,
        }


def played(seed: int, *, crash: float, cancel_at: int = -1) -> Run:
    run, play, chance = Run(rich()).start(), Play(seed), Random(f"crash {seed}")
    for number in range(2000):
        if number == cancel_at:
            run.cancel()
        if chance.random() < crash:
            run = run.crashed()
        if not play.step(run):
            return run
    raise AssertionError("does not come to an end")


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_a_run_that_crashes_at_every_turn_ends_as_the_undisturbed_one(first: int) -> None:
    for seed in range(first, first + 50):
        calm, crashed = played(seed, crash=0.0), played(seed, crash=0.6)
        assert calm.machine.is_finished, f"seed {seed}"
        assert crashed.machine.state == calm.machine.state, f"seed {seed}"
        assert crashed.ends() == calm.ends(), f"seed {seed}"


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_a_cancelled_run_that_crashes_at_every_turn_comes_to_its_end(first: int) -> None:
    for seed in range(first, first + 50):
        run = played(seed, crash=0.5, cancel_at=seed % 40)
        assert run.machine.is_finished, f"seed {seed}: {run.states()}"


def test_a_crash_without_anything_in_between_changes_nothing() -> None:
    for seed in range(20):
        run, play = Run(rich()).start(), Play(seed)
        while play.step(run):
            again = run.crashed()
            assert again.states() == run.states(), f"seed {seed}"
            assert again.events == run.events, f"seed {seed}"
            assert again.offers == run.offers, f"seed {seed}"
            granted = [i.granted for i in run.machine.instances()]
            assert [i.granted for i in again.machine.instances()] == granted, f"seed {seed}"
            needs = {i.node.key + i.index: i.open_needs for i in run.machine.instances() if i.state == "waiting"}
            assert {
                i.node.key + i.index: i.open_needs for i in again.machine.instances() if i.state == "waiting"
            } == needs, f"seed {seed}"
