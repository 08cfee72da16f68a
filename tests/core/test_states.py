"""The one table of moves."""

from __future__ import annotations

from typing import get_args

import pytest

from partita.core import moves
from partita.core.course import Course
from partita.core.events import RunCreated
from partita.core.graph import Graph, Step
from partita.core.plan import Instance, Node
from partita.core.states import (
    ATTEMPT_MOVES,
    INFRA_FAILURE,
    OPEN_ATTEMPT,
    RUN_MOVES,
    STEP_MOVES,
    TERMINAL_ATTEMPT,
    TERMINAL_RUN,
    TERMINAL_STEP,
    USER_FAILURE,
    AttemptState,
    RunState,
    StepState,
)
from partita.errors import InvalidTransition

TABLES = [(RUN_MOVES, RunState), (STEP_MOVES, StepState), (ATTEMPT_MOVES, AttemptState)]


@pytest.mark.parametrize(("moves_of", "states"), TABLES)
def test_a_table_has_every_state_and_no_other(moves_of: dict[str, frozenset[str]], states: object) -> None:
    assert set(moves_of) == set(get_args(states))
    assert set().union(*moves_of.values()) <= set(get_args(states))


def test_terminal_states_have_no_exits_and_are_these() -> None:
    assert {"succeeded", "failed", "cancelled"} == TERMINAL_RUN
    assert {"succeeded", "failed", "skipped", "upstream_failed", "cancelled", "needs_attention"} == TERMINAL_STEP
    assert {"succeeded", "failed", "timed_out", "lost", "cancelled", "refused"} == TERMINAL_ATTEMPT
    assert TERMINAL_ATTEMPT.isdisjoint(OPEN_ATTEMPT)


def test_every_state_but_the_first_can_be_reached() -> None:
    for moves_of, first in ((RUN_MOVES, "queued"), (STEP_MOVES, "waiting")):
        assert set(moves_of) - set().union(*moves_of.values()) == {first}


def test_only_a_running_step_can_need_attention_and_nothing_returns_to_waiting() -> None:
    assert [s for s, m in STEP_MOVES.items() if "needs_attention" in m] == ["running"]
    assert not any("waiting" in m for m in STEP_MOVES.values())


def test_an_attempt_that_was_only_dispatched_cannot_succeed_or_fail() -> None:
    assert ATTEMPT_MOVES["dispatched"].isdisjoint({"succeeded", "failed", "timed_out"})


def test_the_budgets_of_user_and_infrastructure_are_apart() -> None:
    assert USER_FAILURE.isdisjoint(INFRA_FAILURE)
    assert USER_FAILURE | INFRA_FAILURE | {"succeeded", "cancelled"} == TERMINAL_ATTEMPT


@pytest.mark.parametrize("before", sorted(STEP_MOVES))
@pytest.mark.parametrize("after", sorted(STEP_MOVES))
def test_a_move_is_made_if_the_table_has_it_and_is_loud_if_not(before: StepState, after: StepState) -> None:
    course = Course(Graph("g", (Step("a"),)), RunCreated(0.0, "r", "n", "p", "x", "", "", "o"))
    instance = Instance(Node(Step("a"), 0), (), 0.0)
    instance.state = before

    if after in STEP_MOVES[before]:
        moves.move(course, instance, after)
        assert instance.state == after
    else:
        with pytest.raises(InvalidTransition, match=f"{before}.*-> {after}"):
            moves.move(course, instance, after)
        assert instance.state == before
