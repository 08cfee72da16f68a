"""The loop between two engines: what the next one must do with what the last one left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from partita.core.events import Detail, Failure, RunCreated
from partita.core.graph import Axis, Const, Element, Graph, ListOf, Step
from partita.core.graph import version as graph_version
from partita.engine.clock import FakeClock
from partita.engine.loop import Engine
from partita.errors import StoreFull
from partita.executors.contract import Assignment, Demand, Ended, OpenAttempt, Placement, Report
from partita.store.contract import RunCommit
from partita.store.memory import MemoryStore
from partita.worker.wire import Outcome


class Bench:
    """An executor whose work is done by the test: it keeps tickets until the test ends them."""

    def __init__(self) -> None:
        self.open: dict[str, int] = {}
        self.kills: list[tuple[int, str]] = []
        self.adopted: list[OpenAttempt] = []
        self._reports: list[Report] = []

    def place(self, demand: Demand) -> Placement:
        return Placement("bench:1:0", 0)

    def unplace(self, placement: Placement) -> None: ...

    def submit(self, assignments: Sequence[Assignment]) -> None:
        for a in assignments:
            self.open[f"{a.brief.step}[{a.ticket.index}]" if a.ticket.index else a.brief.step] = a.ticket.no

    def kill(self, ticket_no: int, *, reason: str) -> None:
        self.kills.append((ticket_no, reason))

    def poll(self, timeout_s: float) -> list[Report]:
        reports, self._reports = self._reports, []
        return reports

    def wake(self) -> None: ...

    def adopt(self, attempts: Sequence[OpenAttempt]) -> None:
        self.adopted += attempts

    def describe(self) -> list[str]:
        return []

    def close(self, *, kill: bool = False) -> None: ...

    def end(self, step: str, state: str = "succeeded") -> None:
        detail = Detail(failure=Failure("boom")) if state != "succeeded" else None
        self._reports.append(Ended(Outcome(self.open.pop(step), state, 0.0, 0.0, detail=detail)))  # type: ignore[arg-type]


def run_of(graph: Graph, **changes: object) -> RunCreated:
    fields: dict[str, object] = {
        "at": 0.0,
        "run": "r1",
        "namespace": "default",
        "project": "p",
        "pipeline": graph.name,
        "graph": graph_version(graph),
        "code": "",
        "origin": "o1",
    }
    return RunCreated(**{**fields, **changes})  # type: ignore[arg-type]


def engine_on(store: MemoryStore, bench: Bench, clock: FakeClock, holder: str = "first") -> Engine:
    engine = Engine(store, bench, clock, holder=holder)
    engine.start()
    return engine


TWO = Graph("two", (Step("a"), Step("b"), Step("c", needs=("b",))))


def test_what_a_failed_fast_run_left_running_is_ended_by_the_next_engine():
    clock = FakeClock()
    store, bench = MemoryStore(clock=clock.now), Bench()
    first = engine_on(store, bench, clock)
    first.submit(TWO, run_of(TWO, fail_fast=True))
    bench.end("a", "failed")
    first.turn(0.0)
    assert len(bench.kills) == 1  # and then the engine dies, before it hears what became of it
    clock.advance(60.0)
    after = Bench()
    engine_on(store, after, clock, "second")
    assert [a.step for a in after.adopted] == ["b"]
    assert after.kills == [(after.adopted[0].no, "cancelled")]


def test_a_cancel_that_was_asked_for_is_carried_out_by_the_next_engine():
    clock = FakeClock()
    store = MemoryStore(clock=clock.now)
    first = engine_on(store, Bench(), clock)
    first.submit(TWO, run_of(TWO))
    first.cancel("r1", by="me")
    clock.advance(60.0)
    after = Bench()
    engine_on(store, after, clock, "second")
    assert sorted(a.step for a in after.adopted) == ["a", "b"]
    assert sorted(no for no, _ in after.kills) == sorted(a.no for a in after.adopted)


class Narrow(MemoryStore):
    """A store whose disk is full when the test says so."""

    full = False

    def commit(self, commits: Sequence[RunCommit], *, epoch: int, **more: Any) -> dict[str, int]:
        if self.full:
            raise StoreFull("no space left", hint="make room")
        return super().commit(commits, epoch=epoch, **more)


def test_a_full_disk_stops_everything_and_loses_nothing():
    clock = FakeClock()
    store, bench = Narrow(clock=clock.now), Bench()
    engine = engine_on(store, bench, clock)
    run = engine.submit(TWO, run_of(TWO))
    store.full = True
    bench.end("b")
    engine.turn(0.0)
    assert "no space left" in engine.blocked
    assert "c" not in bench.open  # what is not committed is not handed out
    assert store.steps("r1") == []
    store.full = False
    engine.turn(0.0)
    assert engine.blocked == ""
    assert [s.step for s in store.steps("r1")] == ["b"]
    for step in ("a", "c"):
        engine.turn(0.0)
        bench.end(step)
    engine.turn(0.0)
    assert run.machine.state == "succeeded"
    assert list(store.audit()) == []


def test_an_outcome_is_taken_once_whoever_repeats_it():
    clock = FakeClock()
    store, bench = MemoryStore(clock=clock.now), Bench()
    engine = engine_on(store, bench, clock)
    engine.submit(TWO, run_of(TWO))
    number = bench.open["b"]
    bench.end("b")
    engine.turn(0.0)
    bench._reports.append(Ended(Outcome(number, "failed", 0.0, 0.0)))
    engine.turn(0.0)
    assert {(s.step, s.state) for s in store.steps("r1")} == {("b", "succeeded")}


def test_runs_of_a_limited_pipeline_start_one_after_the_other():
    clock = FakeClock()
    store, bench = MemoryStore(clock=clock.now), Bench()
    engine = Engine(store, bench, clock, holder="first", max_runs={("default", "one"): 1})
    engine.start()
    one = Graph("one", (Step("a"),))
    first = engine.submit(one, run_of(one))
    second = engine.submit(one, run_of(one, run="r2", origin="o2"))
    assert (first.machine.state, second.machine.state) == ("running", "queued")
    bench.end("a")
    engine.turn(0.0)
    assert (first.machine.state, second.machine.state) == ("succeeded", "running")


def test_steps_that_have_ended_keep_no_lane_and_no_brief():
    clock = FakeClock()
    store, bench = MemoryStore(clock=clock.now), Bench()
    engine = engine_on(store, bench, clock)
    items = ListOf(tuple(Const(b"\x01") for _ in range(2)))
    graph = Graph("x", (*TWO.steps, Step("m", axes=("m",), args=(("x", Element("m")),))), (Axis("m", (items,)),))
    run = engine.submit(graph, run_of(graph))
    bench.end("a")
    bench.end("m[0]")
    engine.turn(0.0)
    assert set(run.lanes) == {"b", "m"}
