"""Steps after their needs, in the order in which they were written; circles are named."""

from __future__ import annotations

import doctest
import importlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partita.define.ordering import Cycle, in_order


@given(st.lists(st.lists(st.integers(0, 30), max_size=4), max_size=30), st.randoms())
def test_every_step_stands_after_its_needs(shape: list[list[int]], random: object) -> None:
    needs = {str(i): [str(n) for n in wanted if n < i] for i, wanted in enumerate(shape)}
    keys = list(needs)
    random.shuffle(keys)  # type: ignore[attr-defined]
    ordered = in_order({key: needs[key] for key in keys})

    assert sorted(ordered) == sorted(needs)
    place = {key: i for i, key in enumerate(ordered)}
    assert all(place[need] < place[key] for key in needs for need in needs[key])


def test_the_written_order_is_kept_where_needs_allow_it() -> None:
    assert in_order({"c": [], "a": ["b"], "b": [], "d": []}) == ["c", "b", "a", "d"]


def test_a_circle_is_named_in_the_direction_of_the_data() -> None:
    with pytest.raises(Cycle) as caught:
        in_order({"start": [], "a": ["start", "c"], "b": ["a"], "c": ["b"], "after": ["c"]})
    assert caught.value.path == ["a", "b", "c", "a"]


def test_a_step_that_needs_itself_is_a_circle() -> None:
    with pytest.raises(Cycle) as caught:
        in_order({"a": ["a"]})
    assert caught.value.path == ["a", "a"]


@pytest.mark.parametrize(
    "module",
    [
        "conditions",
        "durations",
        "guess",
        "names",
        "ordering",
        "options",
        "signals",
        "schedule",
        "task",
        "branch",
        "loop",
    ],
)
def test_examples_in_the_documentation_are_true(module: str) -> None:
    assert doctest.testmod(importlib.import_module(f"partita.define.{module}")).failed == 0
