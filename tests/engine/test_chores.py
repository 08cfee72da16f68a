"""Chores: what one cannot do is its own trouble, told once for each kind, and the others go on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from partita.core.facts.house import HealthChanged
from partita.engine.chores import REST_S, Chores
from partita.engine.clock import FakeClock
from partita.engine.loop import Engine
from partita.store.sqlite import open_in_memory

from .test_loop import Bench


class Odd:
    """A chore that does what it is told to."""

    def __init__(self, name: str, do: Callable[[float], object]) -> None:
        self.name = name
        self.do = do

    def start(self, now: float) -> None: ...

    def due_at(self) -> float:
        return 0.0

    def turn(self, now: float) -> None:
        self.do(now)

    def committed(self, run: object, events: object) -> None: ...

    def recorded(self, facts: object) -> None: ...


def test_what_fails_is_told_once_for_each_kind_of_error_and_again_when_it_is_well() -> None:
    facts: list[HealthChanged] = []
    errors: list[Exception | None] = [ValueError("17 are late"), ValueError("18 are late"), KeyError("x"), None, None]

    def fail(now: float) -> None:
        if (error := errors.pop(0)) is not None:
            raise error

    chores = Chores(facts.append)  # type: ignore[arg-type]
    chores.append(Odd("freshness", fail))
    for n in range(5):
        chores.turn(n * REST_S)
    assert [(fact.part, fact.problem) for fact in facts] == [
        ("freshness", "ValueError: 17 are late"),
        ("freshness", "KeyError: 'x'"),
        ("freshness", ""),
    ]


def test_one_that_fails_rests_and_the_others_go_on() -> None:
    done: list[tuple[str, float]] = []

    def fail(now: float) -> None:
        done.append(("first", now))
        raise ValueError("no")

    chores = Chores(lambda fact: None)
    chores += [Odd("first", fail), Odd("second", lambda now: done.append(("second", now)))]
    chores.turn(0.0)
    chores.turn(1.0)
    assert done == [("first", 0.0), ("second", 0.0), ("second", 1.0)]
    assert chores.troubles == {"first": "ValueError: no"}


def test_when_the_engine_is_over_nobody_goes_on() -> None:
    done: list[str] = []

    def fail(now: float) -> None:
        raise ValueError("the store failed")

    chores = Chores(lambda fact: None, is_over=lambda: True)
    chores += [Odd("first", fail), Odd("second", lambda now: done.append("second"))]
    with pytest.raises(ValueError, match="the store failed"):
        chores.turn(0.0)
    assert done == []


class Echo(Odd):
    """Answers every commit with a fact of its own, as parts do that note what has come of something."""

    def __init__(self, engine: Engine) -> None:
        super().__init__("echo", lambda now: None)
        self._engine = engine
        self._left = 3

    def recorded(self, facts: object) -> None:
        if self._left:
            self._left -= 1
            self._engine.record(HealthChanged(0.0, "echo", str(self._left)))


def test_an_answer_leaves_with_its_commit_whatever_others_stage_because_of_it() -> None:
    store = open_in_memory(clock=FakeClock(0.0).now)
    engine = Engine(store, Bench(), FakeClock(0.0), holder="first")
    engine.chores.append(Echo(engine))
    engine.start()
    asked = engine.post(lambda: engine.record(HealthChanged(0.0, "disk", "full")))
    engine.turn(0.0)
    assert asked.exception(timeout=0) is None
    engine.close()
