"""History lies by month in PostgreSQL, and goes by month: what retention has taken away is dropped, what is needed stays."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import closing

import pytest

from partita.core.events import RunEnded, RunStarted
from partita.core.facts.schedules import TickDecided
from partita.errors import Fenced
from partita.store import house, months
from partita.store.postgres import PostgresStore, open_store

from . import servers
from .stores import FakeClock, Writer, created, ended, started, value

YEAR = 366 * 86400.0


def at(year: int, month: int, day: int = 10) -> float:
    return dt.datetime(year, month, day, tzinfo=dt.UTC).timestamp()


class World:
    """A store whose clock is set."""

    def __init__(self, address: str) -> None:
        self.clock = FakeClock(at(2026, 1))
        self.store: PostgresStore = open_store(address, clock=self.clock)
        self.commit = Writer(self.store)

    def month(self, year: int, month: int, day: int = 10) -> None:
        """As time goes on; the lease is held on."""
        self.clock.now = at(year, month, day)
        self.commit.epoch = self.store.acquire("engine", "test", YEAR).epoch
        self.store.prepare()

    def run(self, name: str, steps: int = 5) -> int:
        """A run that has succeeded."""
        now = self.clock.now
        indexes = [str(i) for i in range(steps)]
        self.commit(created(name, at=now), RunStarted(now), *(started("a", i) for i in indexes), run=name, at=now)
        self.commit(*(ended("a", i, value=value()) for i in indexes), RunEnded(now, "succeeded"), run=name, at=now)
        return self.store.run(name).no  # type: ignore[union-attr]

    def tick(self, instant: float) -> None:
        fact = TickDecided(
            self.clock.now,
            namespace="default",
            name="s",
            instant=instant,
            decision="skipped",
            reason="x",
            run="",
            version=1,
            tzdata="2026f",
            next_at=None,
        )
        self.store.commit([], epoch=self.commit.epoch, facts=[fact])

    def remove(self, *numbers: int) -> None:
        self.store.tidy(lambda execute: house.remove_runs(execute, numbers), epoch=self.commit.epoch)

    def drop(self, before: float | None) -> list[str]:
        """What was dropped."""
        found = self.store.drop_history(epoch=self.commit.epoch, ticks_before=before, facts_before=before)
        return sorted(table for table, _ in found)

    def count(self, table: str) -> int:
        return int(self.store._db.fetch(f"SELECT count(*) FROM {table}")[0][0])

    def parts(self, table: str) -> list[int]:
        """The months that a table has partitions of."""
        return [part.month for part in months.partitions(self.store._db) if part.table == table]


@pytest.fixture(params=servers.VERSIONS)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with servers.database(request.param, empty=True) as address:
        world = World(address)
        with closing(world.store):
            yield world


def test_each_month_has_a_place_of_its_own_and_its_numbers_follow(world: World) -> None:
    first = world.run("run-a")
    begun = world.store.end_of_stream()
    world.month(2026, 2)
    second = world.run("run-b")
    assert (first, second) == (1, 257)
    assert world.store.end_of_stream() > begun + 1000
    assert [row.run for row in world.store.stream()] == ["run-a", "run-a", "run-b", "run-b"]
    assert world.parts("steps") == [202601, 202602]
    assert world.parts("ticks") == world.parts("journal") == [202601, 202602, 202603]
    assert world.count("steps_rest") == world.count("journal_rest") == 0


def test_a_month_without_runs_uses_up_no_numbers(world: World) -> None:
    for month in (2, 3, 4):
        world.month(2026, month)
    assert world.run("run-a") == 1


def test_a_month_takes_as_many_blocks_as_it_needs_and_the_next_one_begins_with_more(world: World) -> None:
    for n in range(140):
        world.run(f"run-{n}", steps=1)
    assert [part.high - part.low for part in months.partitions(world.store._db) if part.table == "steps"] == [256, 512]
    world.month(2026, 2)
    # The second block was not used yet, and so is the new month's.
    assert world.run("run-next") == 257
    assert world.parts("steps") == [202601, 202602]
    world.month(2026, 3)
    assert world.run("run-third") == 769
    newest = [part for part in months.partitions(world.store._db) if part.table == "steps"][-1]
    assert (newest.month, newest.high - newest.low) == (202603, 256)
    assert world.count("steps_rest") == 0


def test_a_run_that_is_taken_away_is_gone_at_once_and_its_rows_with_its_month(world: World) -> None:
    old = [world.run(f"old-{n}") for n in range(4)]
    world.month(2026, 3)
    new = world.run("new")
    world.remove(*old)
    assert [row.id for row in world.store.runs()] == ["new"]
    assert world.store.steps("old-1") == []
    assert [row.run for row in world.store.stream()] == ["new", "new"]
    assert world.count("steps") == 25
    assert world.drop(at(2026, 2, 28)) == ["attempts", "journal", "steps", "ticks"]
    assert world.count("steps") == world.count("attempts") == 5
    assert [row.run for row in world.store.stream()] == ["new", "new"]
    assert world.store.run("new").no == new  # type: ignore[union-attr]
    assert [f for f in world.store.audit() if f.invariant != "I17"] == []


def test_what_is_needed_of_a_month_is_kept_and_the_rest_dropped_once(world: World) -> None:
    old = [world.run(f"old-{n}") for n in range(20)]
    kept, gone = old[:2], old[2:]
    world.month(2026, 3)
    assert world.drop(at(2026, 2, 28)) == ["ticks"]
    before = (world.store.steps("old-0"), world.store.attempts("old-1"), world.store.journal("old-1"))
    world.remove(*gone)
    assert world.drop(at(2026, 2, 28)) == ["attempts", "journal", "steps"]
    assert (world.store.steps("old-0"), world.store.attempts("old-1"), world.store.journal("old-1")) == before
    assert world.count("steps") == 10
    assert world.count("journal") == 4
    # Nothing changes any more, until the last of them goes.
    assert world.drop(at(2026, 2, 28)) == []
    world.remove(*kept)
    assert world.drop(at(2026, 2, 28)) == ["attempts", "journal", "steps"]
    assert world.parts("steps") == [202603] or world.parts("steps") == []


def test_ticks_and_facts_go_with_whole_months_that_are_older(world: World) -> None:
    for month in (1, 2, 3):
        world.month(2026, month)
        world.tick(at(2026, month, 5))
    assert world.drop(None) == []
    assert world.drop(at(2026, 2, 20)) == ["journal", "ticks"]
    assert world.count("ticks") == 2
    assert world.drop(at(2026, 3, 1)) == ["journal", "ticks"]
    assert world.count("ticks") == world.count("journal") == 1


def test_a_tick_that_was_decided_late_is_kept_for_as_long_as_those_of_its_decision(world: World) -> None:
    world.month(2026, 3)
    world.tick(at(2026, 1, 5))
    assert "ticks" not in world.drop(at(2026, 2, 20))
    assert world.count("ticks") == 1


def test_nothing_is_dropped_by_an_engine_whose_time_is_over(world: World) -> None:
    numbers = [world.run(f"old-{n}") for n in range(4)]
    world.month(2026, 3)
    world.remove(*numbers)
    world.store.release(world.store.lease("engine"))  # type: ignore[arg-type]
    with pytest.raises(Fenced):
        world.drop(at(2026, 2, 28))
    assert world.count("steps") == 20


def test_what_is_waiting_to_be_dropped_does_not_count_as_used(world: World) -> None:
    numbers = [world.run(f"old-{n}", steps=200) for n in range(10)]
    pages, free = world.store.pages()
    assert free == 0
    world.remove(*numbers[:5])
    again, waiting = world.store.pages()
    assert again == pages
    assert waiting * world.store.page_bytes > 100_000
    assert world.store._db.pages()[1] == pytest.approx(waiting, rel=0.3)


def test_runs_beyond_their_block_are_kept_with_the_rest_and_removed_one_by_one(world: World) -> None:
    now = world.clock.now
    names = [f"run-{n}" for n in range(400)]
    world.commit.many(*((name, (created(name, at=now), RunStarted(now), started("a"))) for name in names), at=now)
    world.commit.many(*((name, (ended("a"), RunEnded(now, "succeeded"))) for name in names), at=now)
    assert world.count("steps_rest") > 100
    beyond = world.store.run("run-399").no  # type: ignore[union-attr]
    world.remove(beyond)
    assert world.count("steps") == 399
    assert world.run("next") > beyond
    assert world.count("steps_rest") < 200
