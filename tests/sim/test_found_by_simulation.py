"""What the simulation has found, each as a small case of its own: the bug stays dead when the seeds have changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

import pytest

from partita.core.admission import Admission, Lane
from partita.core.events import Detail, Failure, RunCreated
from partita.core.graph import Graph, Step
from partita.core.plan import Instance, Plan
from partita.core.policies import Policies, Retry
from partita.engine.loop import Engine
from partita.engine.rerun import reused_steps
from partita.engine.restore import rebuilt
from partita.errors import Fenced, StoreFull, StoreLocked
from partita.executors.contract import Assignment, Ended, OpenAttempt, Report
from partita.store.contract import RunCommit
from partita.store.memory import MemoryStore
from partita.worker.wire import MemberBegan, MemberEnded, Outcome

from .clock import SimClock
from .executor import Fleet, SimExecutor
from .faults import Faults
from .record import Record
from .store import FaultyStore, Unknown

ONE_STEP = Graph("g", (Step("a"),))


class Workers(SimExecutor):
    """Workers that take tickets and say nothing by themselves."""

    def __init__(self, fleet: Fleet, holder: str, handed_out: list[tuple[str, int]]) -> None:
        super().__init__(fleet, holder)
        self.handed_out = handed_out

    def submit(self, assignments: Sequence[Assignment]) -> None:
        self.placed -= len(assignments)
        self.handed_out += [(a.brief.step, a.ticket.attempt) for a in assignments]

    def adopt(self, attempts: Sequence[OpenAttempt]) -> None:
        """They all still run."""


class Bench:
    """A run "r" of one graph; the test says what its workers say, and when its engine dies."""

    def __init__(self, graph: Graph, *, timeout_s: float | None = None) -> None:
        self.graph = graph
        self.clock = SimClock()
        self.faults = Faults()
        self.record = Record(graph)
        self.stall: Callable[[], None] = lambda: None
        self.store = FaultyStore(
            MemoryStore(clock=self.clock.now),
            Random(0),
            self.faults,
            Counter(),
            watch=self._watch,
            stall=lambda: self.stall(),
        )
        self.fleet = Fleet(self.clock, Random(0), {"r": graph}, self.store, self.faults, Counter())  # type: ignore[arg-type]
        self.handed_out: list[tuple[str, int]] = []
        self.engines = 0
        self.restart()
        self.submit("r", timeout_s=timeout_s)

    def restart(self) -> None:
        """A new engine, as after the death of the one before."""
        self.engines += 1
        self.clock.advance(60.0)
        holder = f"engine {self.engines}"
        self.workers = Workers(self.fleet, holder, self.handed_out)
        self.engine = Engine(self.store, self.workers, self.clock, holder=holder, lease_s=10.0)  # type: ignore[arg-type]
        self.engine.start()

    def submit(self, run: str, *, timeout_s: float | None = None) -> None:
        """One more run."""
        at = self.clock.now()
        created = RunCreated(at, run, "default", "p", "x", "g", "", f"test:{run}", timeout_s=timeout_s)
        self.engine.submit(self.graph, created)

    def say(self, *reports: Report) -> None:
        """The workers say this, and the engine takes it in."""
        for report in reports:
            self.workers._say(self.clock.true, report)
        self.engine.turn(0.0)

    def number(self, step: str) -> int:
        """The ticket of the open attempt of a step."""
        return self.engine._tickets["r", step, ""]

    def end(self, step: str, state: str = "succeeded", *, cause: str = "exception") -> None:
        """The attempt of a step ends so."""
        detail = None if state == "succeeded" else Detail(failure=Failure("boom", cause=cause))
        self.say(Ended(Outcome(self.number(step), state, 0.0, 0.0, detail=detail)))  # type: ignore[arg-type]

    def perform(self, bundle: str, member: str, state: str) -> None:
        """The attempt of a bundle performs a member."""
        number, now = self.number(bundle), self.clock.now()
        self.say(MemberBegan(number, member, now), MemberEnded(number, member, state, now, now))

    def state(self, step: str) -> str:
        """How a step has ended."""
        return self.record.watch.ended.get((step, ""), "")

    def _watch(self, commits: Sequence[RunCommit], facts: Sequence[object] = ()) -> None:
        for commit in commits:
            for event in commit.events if commit.run == "r" else ():
                self.record.feed(event)


def test_an_engine_that_stood_still_between_its_commit_and_what_follows_hands_nothing_out() -> None:
    # It handed out what its successor had meanwhile given up as lost, and two attempts ran at once.
    bench = Bench(Graph("g", (Step("a"), Step("b", needs=("a",)))))
    zombie, its_workers = bench.engine, bench.workers
    bench.faults.stall = 1.0
    stalls = iter((lambda: None, bench.restart))

    def stall() -> None:
        # Before the commit nothing happens; between it and what follows another engine takes over.
        next(stalls, lambda: None)()

    bench.stall = stall
    its_workers._say(bench.clock.true, Ended(Outcome(bench.number("a"), "succeeded", 0.0, 0.0)))
    with pytest.raises((Fenced, StoreLocked)):
        zombie.turn(0.0)
    # Its start is in the journal, for the successor to find that nobody has it.
    assert bench.store.attempts("r", step="b", open_only=True)
    assert bench.handed_out == [("a", 1)]


def test_an_engine_that_wakes_after_its_successor_has_gone_does_not_go_on_with_what_it_remembers() -> None:
    bench = Bench(ONE_STEP)
    sleeper = bench.engine
    bench.restart()
    bench.end("a")
    bench.clock.advance(60.0)
    with pytest.raises(Fenced):
        sleeper.turn(0.0)


def test_an_engine_whose_lease_ran_out_while_nobody_took_it_goes_on() -> None:
    bench = Bench(ONE_STEP)
    before = bench.engine.epoch
    bench.clock.jump(86_400.0)
    bench.end("a")
    assert bench.engine.epoch == before + 1
    assert bench.record.state == "succeeded"


def test_a_request_is_not_acknowledged_while_it_cannot_be_written_and_is_done_when_there_is_space() -> None:
    bench = Bench(ONE_STEP)
    bench.faults.is_full = True
    with pytest.raises(StoreFull):
        bench.engine.cancel("r", by="test")
    assert not bench.store.run("r").cancel_requested
    bench.faults.is_full = False
    bench.engine.turn(0.0)
    assert bench.store.run("r").cancel_requested


def test_an_engine_that_could_not_renew_its_lease_for_lack_of_space_goes_on_when_there_is_space() -> None:
    # It raised out of its turn; and once that was mended, it never admitted anything again.
    bench = Bench(ONE_STEP)
    bench.faults.is_full = True
    bench.clock.advance(5.0)
    bench.engine.turn(0.0)
    assert bench.engine.blocked
    bench.faults.is_full = False
    bench.engine.turn(0.0)
    assert not bench.engine.blocked
    bench.submit("r2")
    assert bench.handed_out == [("a", 1), ("a", 1)]


def test_a_lane_that_was_woken_and_has_nothing_to_start_any_more_passes_the_slot_on() -> None:
    # Both waited for the pool; the first one's run was paused, and the second one slept for ever.
    pool = ("pool", "default", "db")
    admission = Admission()
    admission.limit(pool, 1)
    lanes = [_lane(name, pool) for name in ("holder", "paused", "sleeper")]
    instances = [_ready() for _ in lanes]
    for lane, instance in zip(lanes, instances, strict=True):
        admission.offer(lane, instance)
    assert _started(admission) == ["holder"]
    instances[1].offered = False
    admission.release(lanes[0])
    assert _started(admission) == ["sleeper"]


def test_a_step_that_was_withdrawn_and_offered_again_stands_in_its_lane_once() -> None:
    # The second place in the lane started its retry at once, whatever the delay.
    admission = Admission()
    lane, instance = _lane("only"), _ready()
    admission.offer(lane, instance)
    instance.offered = False
    instance.offered = True
    admission.offer(lane, instance)
    assert list(lane.queue) == [instance]
    assert _started(admission) == ["only"]


def test_a_member_is_not_made_in_a_later_attempt_without_the_one_that_it_needs() -> None:
    bench = Bench(
        Graph(
            "g",
            (
                Step("build", kind="bundle"),
                Step("staging", kind="member", bundle="build", asset="staging"),
                Step("mart", kind="member", bundle="build", asset="mart", needs=("staging",)),
                Step("other", kind="member", bundle="build", asset="other"),
            ),
        )
    )
    bench.perform("build", "staging", "failed")
    bench.end("build", "lost", cause="signal")
    assert bench.state("mart") == "upstream_failed"
    # What is left is made; and the bundle does not succeed by not having been told of the failure.
    bench.perform("build", "other", "succeeded")
    bench.end("build")
    assert bench.state("other") == "succeeded"
    assert bench.state("build") == "failed"


def test_a_rerun_from_one_step_repeats_a_bundle_of_which_a_member_did_not_succeed() -> None:
    graph = Graph(
        "g",
        (
            Step("need"),
            Step("build", kind="bundle"),
            Step("made", kind="member", bundle="build", asset="made"),
            Step("not_made", kind="member", bundle="build", asset="not_made", needs=("need",)),
            Step("beside"),
        ),
    )
    bench = Bench(graph)
    bench.end("need", "failed")
    bench.perform("build", "made", "succeeded")
    bench.end("build")
    bench.end("beside")
    row = bench.store.run("r")
    machine = rebuilt(graph, row, bench.store.steps("r"), bench.store.attempts("r"))
    reused = {event.step for event in reused_steps(machine, graph, at=0.0, again=["beside"])}
    assert reused == {"made"}


def test_a_run_that_ran_out_of_its_time_stays_so_when_its_engine_dies_and_the_clock_is_set_back() -> None:
    bench = Bench(
        Graph("g", (Step("a", policies=Policies(retry=Retry(limit=5))), Step("b", needs=("a",)))), timeout_s=100
    )
    bench.clock.advance(200.0)
    bench.engine.turn(0.0)
    assert bench.state("b") == "cancelled"
    bench.clock.jump(-3600.0)
    bench.store.release(bench.store.lease("engine"))
    bench.restart()
    bench.end("a", "failed")
    assert bench.state("a") == "failed"
    assert bench.record.state == "failed"


class Turns:
    """A chore that does this in each turn."""

    def __init__(self, name: str, do: Callable[[], object]) -> None:
        self.name = name
        self.do = do

    def start(self, now: float) -> None: ...

    def due_at(self) -> float:
        return 0.0

    def turn(self, now: float) -> None:
        self.do()

    def committed(self, run: object, events: object) -> None: ...

    def recorded(self, facts: object) -> None: ...


def test_when_the_store_fails_under_a_chore_nothing_more_is_decided_nor_written() -> None:
    # The failure was one chore's trouble: the others went on, and so did a commit over what nobody knows.
    bench = Bench(ONE_STEP)
    begun: list[str] = []
    first = Turns("first", lambda: bench.submit("r2"))
    bench.engine.chores += [first, Turns("second", lambda: begun.append("second"))]
    bench.faults.error_after = 1.0
    bench.workers._say(bench.clock.true, Ended(Outcome(bench.number("a"), "succeeded", 0.0, 0.0)))
    with pytest.raises(Unknown):
        bench.engine.turn(0.0)
    assert begun == []
    assert bench.record.state == "running"


def _lane(name: str, pool: tuple[str, ...] | None = None) -> Lane:
    asks = ((pool, 1),) if pool is not None else ()
    return Lane(run=name, step="s", namespace="default", kind="sync", priority=0, asks=asks)


def _ready() -> Instance:
    instance = Instance(Plan(ONE_STEP).nodes["a"], (), 0.0)
    instance.offered = True
    return instance


def _started(admission: Admission) -> list[str]:
    started = []
    for lane, instance, _ in admission.pick(lambda lane, instance: "a place"):
        admission.take(lane)
        instance.offered = False
        started.append(lane.run)
    return started
