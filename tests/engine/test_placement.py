"""Placement in the engine: what a step that ran out of memory gets next, GPUs, and steps that fit nowhere; also after a restart."""

from __future__ import annotations

from typing import Any

from partita.core.events import Detail, Failure
from partita.core.graph import Graph, Step
from partita.core.placement import Capacity
from partita.core.policies import Policies, Retry
from partita.engine.catalog import Catalog
from partita.engine.clock import FakeClock
from partita.engine.limits import CapacityState, Limits, ListCapacity
from partita.engine.loop import Engine
from partita.executors.contract import Assignment, Ended
from partita.store.memory import MemoryStore
from partita.store.sqlite import open_in_memory
from partita.worker.wire import Outcome

from .test_loop import Bench, run_of

GIB = 1 << 30
OOM = Failure("out_of_memory: 1.2 GiB, limit 1 GiB", cause="out_of_memory")


class Machine(Bench):
    """It keeps whole assignments, so that a test sees what a worker would get."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[Assignment] = []

    def submit(self, assignments: Any) -> None:
        super().submit(assignments)
        self.given += assignments

    def fail(self, step: str, failure: Failure) -> None:
        detail = Detail(failure=failure)
        self._reports.append(Ended(Outcome(self.open.pop(step), "failed", 0.0, 0.0, detail=detail)))


def started(store: MemoryStore, machine: Machine, clock: FakeClock, holder: str = "first", **amounts: int) -> Engine:
    engine = Engine(store, machine, clock, holder=holder)
    for name, n in amounts.items():
        engine.admission.limit(("machine", name), n)
    engine.start()
    return engine


HUNGRY = Policies(memory_bytes=GIB, memory_on_oom=2.0, memory_cap_bytes=3 * GIB)


def test_an_attempt_that_ran_out_of_memory_is_followed_by_one_with_more() -> None:
    clock = FakeClock()
    store, machine = MemoryStore(clock=clock.now), Machine()
    engine = started(store, machine, clock, cpu=4000, memory=8 * GIB)
    graph = Graph("g", (Step("train", policies=HUNGRY),))
    run = engine.submit(graph, run_of(graph))
    machine.fail("train", OOM)
    engine.turn(0.0)
    machine.fail("train", OOM)
    engine.turn(0.0)
    given = [(a.brief.memory_bytes, a.policies.memory_bytes, a.ticket.attempt) for a in machine.given]
    assert given == [(GIB, GIB, 1), (2 * GIB, 2 * GIB, 2), (3 * GIB, 3 * GIB, 3)]
    # It holds what it asks for now, and says why it does.
    assert engine.admission.used[("machine", "memory")] == 3 * GIB
    told = engine.why("r1", "train")
    assert told is not None
    assert "it ran out of memory 2 times, and may use 3 GiB by now" in [r.text for r in told.reasons]
    machine.fail("train", OOM)
    engine.turn(0.0)
    assert run.machine.state == "failed"
    assert not engine.admission.used
    ended = [a.state for a in store.attempts("r1")]
    assert ended == ["failed", "failed", "failed"]


def test_more_memory_costs_no_retry() -> None:
    clock = FakeClock()
    store, machine = MemoryStore(clock=clock.now), Machine()
    engine = started(store, machine, clock, cpu=4000, memory=8 * GIB)
    policies = Policies(memory_bytes=GIB, memory_on_oom=2.0, memory_cap_bytes=2 * GIB, retry=Retry(limit=1))
    graph = Graph("g", (Step("train", policies=policies),))
    run = engine.submit(graph, run_of(graph))
    for failure in (OOM, Failure("boom"), Failure("boom")):
        machine.fail("train", failure)
        engine.turn(0.0)
    assert run.machine.state == "failed"
    assert [a.policies.memory_bytes for a in machine.given] == [GIB, 2 * GIB, 2 * GIB]


def test_the_next_engine_knows_how_much_memory_a_step_has_by_now() -> None:
    clock = FakeClock()
    store, machine = MemoryStore(clock=clock.now), Machine()
    first = started(store, machine, clock, cpu=4000, memory=8 * GIB)
    policies = Policies(memory_bytes=GIB, memory_on_oom=2.0, memory_cap_bytes=4 * GIB, retry=Retry(limit=1))
    graph = Graph("g", (Step("train", policies=policies),))
    first.submit(graph, run_of(graph))
    machine.fail("train", OOM)
    first.turn(0.0)
    clock.advance(60.0)
    after = Machine()
    second = started(store, after, clock, "second", cpu=4000, memory=8 * GIB)
    assert [a.policies.memory_bytes for a in after.adopted] == [2 * GIB]
    assert second.admission.used[("machine", "memory")] == 2 * GIB
    after.open["train"] = after.adopted[0].no
    after.fail("train", OOM)
    second.turn(0.0)
    after.fail("train", Failure("boom"))
    second.turn(0.0)
    # The one retry that it has was not spent by lack of memory.
    assert [a.policies.memory_bytes for a in after.given] == [4 * GIB, 4 * GIB]
    assert after.given[-1].ticket.attempt == 4


def test_a_step_that_fits_nowhere_fails_at_once_and_says_why() -> None:
    clock = FakeClock()
    store, machine = MemoryStore(clock=clock.now), Machine()
    engine = started(store, machine, clock, cpu=4000, memory=8 * GIB)
    graph = Graph(
        "g",
        (
            Step("big", policies=Policies(memory_bytes=64 * GIB)),
            Step("tell", needs=("big",), when="any_failed"),
            Step("other"),
        ),
    )
    run = engine.submit(graph, run_of(graph))
    assert sorted(machine.open) == ["other", "tell"]
    (big,) = [s for s in store.steps("r1") if s.step == "big"]
    assert big.state == "failed"
    assert (
        big.reason
        == "it asks for 64 GiB of memory, and this machine has 8 GiB of memory in all: it can never start here"
    )
    assert store.attempts("r1", step="big") == []
    machine.end("tell")
    machine.end("other")
    engine.turn(0.0)
    assert run.machine.state == "failed"


def test_why_says_what_a_step_waits_for() -> None:
    clock = FakeClock()
    store, machine = MemoryStore(clock=clock.now), Machine()
    engine = started(store, machine, clock, cpu=4000, memory=15 * GIB)
    graph = Graph(
        "g",
        (
            Step("a", policies=Policies(memory_bytes=12 * GIB)),
            Step("b", policies=Policies(memory_bytes=4 * GIB)),
        ),
    )
    engine.submit(graph, run_of(graph))
    told = engine.why("r1", "b")
    assert told is not None
    assert [r.text for r in told.reasons] == ["waits for 4 GiB of memory: 3 of 15 GiB are free"]


def test_gpus_are_given_by_index_and_kept_over_a_restart() -> None:
    clock = FakeClock()
    store, machine = MemoryStore(clock=clock.now), Machine()
    engine = started(store, machine, clock, cpu=4000, gpu=3000)
    engine.gpus.indexes = ("0", "1", "2")
    graph = Graph(
        "g",
        (
            Step("a", policies=Policies(gpu=1.0)),
            Step("b", policies=Policies(gpu=1.0)),
            Step("c", needs=("a",), policies=Policies(gpu=1.0)),
            Step("d", needs=("a",), policies=Policies(gpu=1.0)),
        ),
    )
    engine.submit(graph, run_of(graph))
    assert [(a.brief.step, a.ticket.gpus) for a in machine.given] == [("a", ("0",)), ("b", ("1",))]
    assert {a.policies.isolation for a in machine.given} == {"process"}
    assert [a.worker for a in store.attempts("r1", step="b")] == ["bench:1:0 on gpu 1"]
    clock.advance(60.0)
    after = Machine()
    second = Engine(store, after, clock, holder="second")
    second.admission.limit(("machine", "gpu"), 3000)
    second.gpus.indexes = ("0", "1", "2")
    second.start()
    assert {a.worker for a in after.adopted} == {"bench:1:0"}
    after.open["a"] = next(a.no for a in after.adopted if a.step == "a")
    after.end("a")
    second.turn(0.0)
    assert [(a.brief.step, a.ticket.gpus) for a in after.given] == [("c", ("0",)), ("d", ("2",))]


def test_what_projects_declare_of_the_machine_is_in_force_as_soon_as_they_are_loaded() -> None:
    from partita.core.manifest import Manifest

    clock = FakeClock()
    store, machine = open_in_memory(clock=clock.now), Machine()
    engine = Engine(store, machine, clock, holder="first")
    catalog = Catalog()
    limits = Limits(engine, store, catalog, clock, Capacity({"cpu": 4000, "memory": 8 * GIB}))
    engine.chores += [limits]
    engine.start()
    assert engine.admission.capacity[("machine", "cpu")] == 4000
    manifest = Manifest("p", capacity=(("cpu", 2.0), ("gpu", 2.0), ("license", 1.0)))
    catalog.put(manifest)
    limits.loaded(manifest)
    told = limits.handlers()[ListCapacity](ListCapacity())
    assert told == [
        CapacityState("cpu", 2.0, 0.0, 0),
        CapacityState("memory", 8.0 * GIB, 0.0, 0),
        CapacityState("gpu", 2.0, 0.0, 0, ("0", "1")),
        CapacityState("license", 1.0, 0.0, 0),
    ]
    catalog.put(Manifest("p"))
    limits.loaded(Manifest("p"))
    assert ("machine", "license") not in engine.admission.capacity
