"""Setup and teardown pairs."""

from __future__ import annotations

import pytest

from partita.core.events import Failure
from partita.core.graph import Graph, Output, Step
from partita.core.policies import Policies, Retry

from .driving import SKIP, Run, graph, mapped


def pair(**teardown: object) -> Graph:
    """`up` makes what `work` uses and `down` takes away; `after` needs the work."""
    return graph(
        Step("up"),
        Step("work", needs=("up",)),
        Step("down", needs=("up", "work"), when="all_done_setup_succeeded", teardown_of=("up",), **teardown),  # type: ignore[arg-type]
        Step("after", needs=("work",)),
    )


@pytest.mark.parametrize("end", [{}, {"state": "failed"}, {"state": "cancelled", "failure": SKIP}])
def test_a_teardown_runs_however_the_work_ended(end: dict[str, object]) -> None:
    run = Run(pair()).start()
    run.do("up")
    assert run.state("down") == "waiting"
    run.do("work", **end)  # type: ignore[arg-type]
    assert "down" in run.offered()


@pytest.mark.parametrize(
    ("end", "state"), [({"state": "failed"}, "upstream_failed"), ({"state": "cancelled", "failure": SKIP}, "skipped")]
)
def test_a_teardown_does_not_run_when_there_is_nothing_to_tear_down(end: dict[str, object], state: str) -> None:
    run = Run(pair()).start()
    run.do("up", **end)  # type: ignore[arg-type]
    assert run.state("down") == state


def test_a_teardown_that_fails_fails_the_run_unless_it_does_not_count() -> None:
    for counts, state in ((True, "failed"), (False, "succeeded")):
        run = Run(pair(counts=counts)).start().play(lambda i: {"state": "failed"} if i.node.key == "down" else {})
        assert run.machine.state == state


def test_a_cancelled_run_is_torn_down_when_the_work_has_ended() -> None:
    run = Run(pair()).start()
    run.do("up")
    run.begin("work")
    run.cancel()
    assert run.kills == [("work", "")]
    assert run.state("after") == "cancelled"

    run.end("work", state="cancelled")
    assert run.offered() == ["down"]
    assert not run.machine.is_finished

    run.do("down")
    assert run.ends() == {"up": "succeeded", "work": "cancelled", "down": "succeeded", "after": "cancelled"}
    assert run.machine.state == "cancelled"


def test_a_cancel_before_the_setup_leaves_nothing_to_tear_down() -> None:
    run = Run(pair()).start()
    run.cancel()
    assert run.ends() == {"up": "cancelled", "work": "cancelled", "down": "upstream_failed", "after": "cancelled"}
    assert run.machine.state == "cancelled"


def test_a_teardown_that_runs_is_not_killed_by_a_cancel() -> None:
    run = Run(pair()).start()
    run.do("up")
    run.do("work")
    run.begin("down")
    run.cancel()
    assert run.kills == []
    run.end("down")
    assert run.state("down") == "succeeded"


@pytest.mark.parametrize(
    ("state", "failure"),
    [("lost", None), ("refused", Failure("handed back", cause="not_begun")), ("refused", None), ("failed", None)],
)
def test_a_teardown_is_tried_again_also_when_the_run_is_ending(state: str, failure: Failure | None) -> None:
    run = Run(pair(policies=Policies(retry=Retry(limit=1)))).start()
    run.do("up")
    run.cancel()
    run.do("down", state=state, failure=failure)  # type: ignore[arg-type]
    assert run.offered() == ["down"]
    run.do("down")
    assert run.machine.state == "cancelled"


def test_a_failed_fast_run_is_torn_down() -> None:
    run = Run(graph(*pair().steps, Step("other")), fail_fast=True).start()
    run.do("up")
    run.begin("work")
    run.do("other", state="failed")
    run.end("work", state="cancelled")
    run.do("down")
    assert run.ends()["down"] == "succeeded"
    assert run.machine.state == "failed"


def test_a_pause_holds_a_teardown_back_but_not_when_the_run_is_ending() -> None:
    run = Run(pair()).start()
    run.do("up")
    run.do("work")
    run.pause()
    assert run.offered() == []
    run.cancel()
    assert run.offered() == ["down"]


def test_a_pause_of_a_run_that_is_ending_does_not_hold_the_teardown_back() -> None:
    run = Run(pair()).start()
    run.do("up")
    run.do("work")
    run.cancel()
    run.pause()
    assert run.offered() == ["down"]
    run.resume()
    assert run.offered() == ["down"]
    run.do("down")
    assert run.machine.state == "cancelled"


def mapped_pairs(over: int | Output) -> Graph:
    """For each element: up, work, down; then one step for all of the work."""
    up, axis = mapped("up", over)
    return graph(
        Step("src"),
        up,
        Step("work", axes=("up",), needs=("up",)),
        Step("down", axes=("up",), needs=("up", "work"), when="all_done_setup_succeeded", teardown_of=("up",)),
        Step("all", needs=("work",), when="all_done"),
        axes=[axis],
    )


def test_each_element_of_a_map_is_torn_down_by_itself() -> None:
    run = Run(mapped_pairs(2)).start()
    run.do("up", "0")
    run.do("up", "1", state="failed")
    run.do("work", "0", state="failed")
    assert "down[0]" in run.offered()
    assert run.state("down", "1") == "upstream_failed"


def test_a_cancelled_map_is_torn_down_where_it_was_set_up() -> None:
    run = Run(mapped_pairs(3)).start()
    run.do("src")
    run.do("up", "0")
    run.begin("up", "1")
    run.cancel()
    assert run.kills == [("up", "1")]
    run.end("up", "1")
    run.play()
    assert [run.state("down", str(i)) for i in range(3)] == ["succeeded", "succeeded", "upstream_failed"]
    assert run.machine.state == "cancelled"


def test_a_map_that_a_cancel_came_before_is_torn_down_as_far_as_it_can_be() -> None:
    """The list comes in spite of the cancel: teardowns unfold, but what they would tear down was cancelled."""
    run = Run(mapped_pairs(Output("src"))).start()
    run.begin("src")
    run.cancel()
    run.end("src", value=[1, 2])
    assert run.ends() == {
        "src": "succeeded",
        "up": "cancelled",
        "work": "cancelled",
        "all": "cancelled",
        "down[0]": "upstream_failed",
        "down[1]": "upstream_failed",
    }
    assert run.machine.state == "cancelled"


def test_one_teardown_waits_for_all_of_a_map() -> None:
    work, axis = mapped("work", 2, needs=("up",))
    down = Step("down", needs=("up", "work"), when="all_done_setup_succeeded", teardown_of=("up",))
    run = Run(graph(Step("up"), work, down, axes=[axis])).start()
    run.do("up")
    run.do("work", "0", state="failed")
    run.begin("work", "1")
    run.cancel()
    assert run.state("down") == "waiting"
    run.end("work", "1", state="cancelled")
    assert run.offered() == ["down"]


def test_a_mapped_setup_is_torn_down_when_one_of_it_succeeded() -> None:
    up, axis = mapped("up", 2)
    run = Run(
        graph(up, Step("down", needs=("up",), when="all_done_setup_succeeded", teardown_of=("up",)), axes=[axis])
    ).start()
    run.do("up", "0", state="failed")
    run.do("up", "1")
    assert run.offered() == ["down"]
