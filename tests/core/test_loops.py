"""Loops: an axis that grows while its deciding step asks for more."""

from __future__ import annotations

import pytest

from partita.core.events import AttemptEnded
from partita.core.graph import Axis, Carry, Const, Graph, Loop, Output, Step
from partita.core.plan import Instance
from partita.core.policies import Policies, Retry

from .driving import SKIP, Fate, Run, graph, mapped


def loop(limit: int = 5, *more: Step, on_limit: str = "succeed", start: Step | None = None, **decider: object) -> Graph:
    """`work` and then `decide` in each round, `after` when the loop is over."""
    source = Output(start.key) if start is not None else Const(b"\x00")
    needs = (start.key,) if start is not None else ()
    return graph(
        *([start] if start is not None else []),
        Step("work", axes=("l",), args=(("state", Carry("l")),), needs=needs),
        Step("decide", axes=("l",), needs=("work",), reports_again=True, **decider),  # type: ignore[arg-type]
        Step("after", needs=("decide",), args=(("x", Output("decide", last=True)),)),
        *more,
        axes=[Axis("l", (source,), loop=Loop("decide", limit, on_limit))],  # type: ignore[arg-type]
    )


def rounds(number: int) -> Fate:
    """The deciding step asks for more until there were so many rounds."""
    return lambda i: {"again": i.path[-1] + 1 < number} if i.node.key == "decide" else {}


def test_a_round_is_followed_by_another_one_while_the_deciding_step_asks_for_it() -> None:
    run = Run(loop()).start()
    assert run.offered() == ["work[0]"]
    run.do("work", "0")
    run.do("decide", "0", again=True)
    assert run.offered() == ["work[1]"]
    assert run.state("after") == "waiting"
    run.do("work", "1")
    run.do("decide", "1", again=False)
    assert run.offered() == ["after"]


@pytest.mark.parametrize("again", [None, False])
def test_a_deciding_step_that_does_not_ask_ends_the_loop(again: bool | None) -> None:
    run = Run(loop()).start()
    run.do("work", "0")
    run.do("decide", "0", again=again)
    run.play()
    assert run.ends() == dict.fromkeys(("work[0]", "decide[0]", "after"), "succeeded")


def test_the_first_round_waits_for_the_initial_state() -> None:
    run = Run(loop(start=Step("start"))).start()
    assert run.offered() == ["start"]
    run.do("start")
    assert run.offered() == ["work[0]"]


def test_an_initial_state_that_failed_blocks_the_first_round_and_what_comes_after() -> None:
    run = Run(loop(start=Step("start"))).start()
    run.do("start", state="failed")
    blocked = dict.fromkeys(("work[0]", "decide[0]", "after"), "upstream_failed")
    assert run.ends() == {"start": "failed", **blocked}


def test_the_limit_ends_a_loop_that_may_end_there() -> None:
    run = Run(loop(3)).start().play(rounds(99))
    assert [k for k in run.ends() if k.startswith("decide")] == ["decide[0]", "decide[1]", "decide[2]"]
    assert run.machine.state == "succeeded"


def test_the_limit_fails_a_loop_that_may_not_end_there() -> None:
    run = Run(loop(2, on_limit="fail")).start().play(rounds(99))
    assert run.state("decide", "1") == "failed"
    assert "has not come to its end in 2 rounds" in run.instance("decide", "1").reason
    assert run.state("after") == "upstream_failed"
    last = run.told(AttemptEnded)[-1]
    assert (last.state, last.detail.failure.cause) == ("failed", "loop_limit")  # type: ignore[attr-defined]


def test_a_loop_that_comes_to_its_end_in_its_last_round_has_not_failed() -> None:
    run = Run(loop(2, on_limit="fail")).start().play(rounds(2))
    assert run.machine.state == "succeeded"


def test_a_round_that_fails_is_the_last() -> None:
    run = Run(loop()).start().play(lambda i: {"state": "failed"} if i.index == "1" else {"again": True})
    assert run.ends() == {
        "work[0]": "succeeded",
        "decide[0]": "succeeded",
        "work[1]": "failed",
        "decide[1]": "upstream_failed",
        "after": "upstream_failed",
    }


def test_a_deciding_step_that_is_skipped_ends_the_loop() -> None:
    run = Run(loop()).start()
    run.do("work", "0")
    run.do("decide", "0", state="cancelled", failure=SKIP)
    assert run.state("after") == "skipped"
    assert run.machine.is_finished


def test_a_deciding_step_is_retried_before_its_loop_goes_on() -> None:
    run = Run(loop(policies=Policies(retry=Retry(limit=1)))).start()
    run.do("work", "0")
    run.do("decide", "0", state="failed")
    assert run.offered() == ["decide[0]"]
    run.do("decide", "0", again=True)
    assert run.offered() == ["work[1]"]


def test_no_round_begins_once_the_run_is_to_end() -> None:
    run = Run(loop()).start()
    run.do("work", "0")
    run.begin("decide", "0")
    run.cancel()
    run.end("decide", "0", again=True)
    assert run.ends() == {"work[0]": "succeeded", "decide[0]": "succeeded", "after": "cancelled"}
    assert run.machine.state == "cancelled"


def test_each_element_of_a_map_has_a_loop_of_its_own() -> None:
    outer, axis = mapped("m", 2)
    inner = Axis("l", (Output("m"),), outer=("m",), loop=Loop("decide", 9))
    run = Run(
        graph(
            outer,
            Step("decide", axes=("m", "l"), args=(("state", Carry("l")),), needs=("m",), reports_again=True),
            Step("each", axes=("m",), needs=("decide",)),
            Step("all", needs=("decide",)),
            axes=[axis, inner],
        )
    ).start()

    def fate(i: Instance) -> dict[str, object]:
        # Element 0 takes one round, element 1 takes three.
        return {"again": i.path[1] < 2 * i.path[0]} if i.node.key == "decide" else {}

    run.do("m", "0")
    run.do("decide", "0.0", again=False)
    assert "each[0]" in run.offered()
    run.play(fate)
    decided = [i.index for i in run.machine.instances() if i.node.key == "decide"]
    assert decided == ["0.0", "1.0", "1.1", "1.2"]
    assert run.machine.state == "succeeded"


def test_a_loop_below_an_empty_map_never_begins() -> None:
    outer, axis = mapped("m", 0)
    inner = Axis("l", (Const(b"\x00"),), outer=("m",), loop=Loop("decide", 9))
    decide = Step("decide", axes=("m", "l"), needs=("m",), reports_again=True)
    run = Run(graph(outer, decide, Step("all", needs=("decide",)), axes=[axis, inner])).start()
    assert run.offered() == ["all"]


def test_a_loop_inside_of_a_loop_begins_anew_in_each_round() -> None:
    outer = Axis("o", (Const(b"\x00"),), loop=Loop("whether", 9))
    inner = Axis("i", (Const(b"\x00"),), outer=("o",), loop=Loop("decide", 9))
    run = Run(
        graph(
            Step("decide", axes=("o", "i"), reports_again=True),
            Step("whether", axes=("o",), needs=("decide",), reports_again=True),
            Step("after", needs=("whether",)),
            axes=[outer, inner],
        )
    ).start()

    run.play(lambda i: {"again": i.path[-1] < 1} if i.path else {})

    assert list(run.ends()) == [
        "decide[0.0]",
        "decide[0.1]",
        "decide[1.0]",
        "decide[1.1]",
        "whether[0]",
        "whether[1]",
        "after",
    ]
    assert run.machine.state == "succeeded"


def test_a_loop_of_a_thousand_rounds_is_no_recursion() -> None:
    run = Run(loop(1000)).start().play(rounds(1000))
    assert run.machine.state == "succeeded"
    assert len(run.ends()) == 2001
