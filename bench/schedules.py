"""10,000 schedules due in the same minute, and 10,000 that are not: what both cost.

    python bench/schedules.py [--schedules N]

Due: from the turn in which the clock reaches the minute until every run is committed to SQLite on disk (synced). The bare
counterpart puts as many rows, one synced transaction for each, as a loop over cron rules with a database does.
Idle: what turns of the engine cost with and without the schedules. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import apsw

from partita.core.graph import Graph, Step
from partita.core.manifest import Manifest, PipelineSpec, ScheduleSpec
from partita.engine.clock import FakeClock
from partita.engine.service import Service
from partita.executors.contract import Assignment, Demand, OpenAttempt, Placement, Report
from partita.settings import Settings
from partita.store.sqlite import open_store

NOON = 1_772_798_400.0


class _Full:
    """An executor without a free worker: the runs are made, and that is all."""

    def place(self, demand: Demand) -> Placement | None:
        return None

    def unplace(self, placement: Placement) -> None: ...

    def submit(self, assignments: Sequence[Assignment]) -> None: ...

    def kill(self, ticket_no: int, *, reason: str) -> None: ...

    def poll(self, timeout_s: float) -> list[Report]:
        return []

    def wake(self) -> None: ...

    def adopt(self, attempts: Sequence[OpenAttempt]) -> None: ...

    def describe(self) -> list[str]:
        return []

    def close(self, *, kill: bool = False) -> None: ...


def manifest(count: int) -> Manifest:
    """So many schedules, ten for each pipeline."""
    graph = Graph("g", (Step("a"), Step("b", needs=("a",))))
    return Manifest(
        "bench",
        pipelines=tuple(
            PipelineSpec(
                f"p{p}", graph, schedules=tuple(ScheduleSpec(f"s{p}-{i}", "cron 0 13 * * *") for i in range(10))
            )
            for p in range(count // 10)
        ),
    )


def service(folder: Path, clock: FakeClock, count: int) -> Service:
    settings = Settings.of(folder)
    settings.home.root.mkdir(parents=True, exist_ok=True)
    store = open_store(settings.home.db, clock=clock.now)
    made = Service(store, _Full(), settings=settings, clock=clock)
    made.load(manifest(count))
    made.start()
    made.turn(0.0)
    return made


def idle_us(made: Service, turns: int = 2_000) -> float:
    """Microseconds of a turn in which nothing happens."""
    began = time.process_time()
    for _ in range(turns):
        made.turn(0.0)
    return (time.process_time() - began) / turns * 1e6


def bare_s(folder: Path, count: int) -> float:
    """As many rows, one synced transaction for each."""
    db = apsw.Connection(str(folder / "bare.db"))
    for statement in (
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = FULL",
        "CREATE TABLE runs (name TEXT PRIMARY KEY, at REAL)",
    ):
        db.execute(statement).fetchall()
    began = time.perf_counter()
    for i in range(count):
        db.execute("INSERT INTO runs VALUES (?, ?)", (f"s{i}", NOON))
    took = time.perf_counter() - began
    db.close()
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=10_000)
    count = parser.parse_args().schedules
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("many", "none"):
            (folder / part).mkdir()
        clock = FakeClock(NOON)
        none, many = service(folder / "none", clock, 0), service(folder / "many", clock, count)
        pairs = [(idle_us(none), idle_us(many)) for _ in range(5)]
        clock.set(NOON + 3600)
        began = time.perf_counter()
        turns = 0
        longest = 0.0
        while many.ticker.due_at() <= clock.now() or turns < 2:
            before = time.perf_counter()
            many.turn(0.0)
            longest = max(longest, time.perf_counter() - before)
            turns += 1
        took = time.perf_counter() - began
        made = len(many.store.runs(limit=count * 2))
        assert made == count, made
        assert not any(True for _ in many.store.fetch("ticks_without_their_run"))
        figures = {
            "schedules": count,
            "due_s": round(took, 3),
            "due_longest_turn_s": round(longest, 3),
            "bare_due_s": round(bare_s(folder, count), 3),
            "idle_us": round(statistics.median(m for _, m in pairs), 1),
            "idle_without_us": round(statistics.median(n for n, _ in pairs), 1),
        }
        many.close()
        none.close()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
