"""One simulated world: real engine, machine and store over a simulated clock, workers, and faults by seed.

Phase one has faults, until enough has been journaled: engines crash around every durable write and elsewhere, stand still
while another one takes over, the store fails or is full, clocks jump, workers are lost, what they say comes late, twice or
never; people submit, rerun, cancel and pause. Phase two has none: everything must come to its end.

Rule: everything comes from the seed. The same seed makes the same history, byte by byte.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

from msgspec.structs import replace

from partita.core.events import Event, GateHeard, GateReported, GateVoted, RunEnded
from partita.core.facts import Fact
from partita.core.graph import Graph
from partita.core.invariants import Violation
from partita.core.plan import Instance
from partita.engine.active import ActiveRun
from partita.engine.loop import Engine
from partita.errors import Fenced, StoreFull, StoreLocked
from partita.store.contract import OriginTaken, RunCommit, Store
from partita.store.memory import MemoryStore
from partita.worker.wire import Progress

from .clock import EPOCH, SimClock
from .executor import Fleet, SimExecutor
from .faults import Crash, Faults
from .judge import judge
from .marks import mark_restored, mark_run
from .record import Record, Slots
from .requests import Request, new_run, rerun
from .store import FaultyStore, Unknown
from .waiting import check_kills, check_restored, check_slots, check_waiting

OpenStore = Callable[[Callable[[], float]], Store]

LEASE_S = 10.0
POOLS: dict[tuple[str, ...], int] = {
    **{("pool", namespace, "db"): 2 for namespace in ("default", "other")},
    ("machine", "cpu"): 4000,
    ("machine", "memory"): 8,
}
MAX_RUNS = {"hourly": 1}
# Turns after which a world goes round in circles; ten times what the longest take.
TOO_LONG = 50_000
# Between two looks at everything that waits, in turns.
LOOK_EVERY = 89


class World:
    """Runs of random graphs under faults.

    `chaos` False makes the undisturbed twin. `runs` fixes what is submitted, and then nobody cancels, pauses or reruns, and
    no step may be lost for good: the end of every step is known beforehand. `after_crash` is what a crash does to the store.
    """

    def __init__(
        self,
        seed: int,
        *,
        chaos: bool = True,
        runs: int | None = None,
        events: int = 2000,
        open_store: OpenStore = lambda clock: MemoryStore(clock=clock),
        after_crash: Callable[[Store], Store] = lambda store: store,
        begin: float = EPOCH,
    ) -> None:
        self.seed = seed
        self.chaos = chaos
        self.fixed_runs = runs
        self.least_events = events
        self.rng = Random(f"world {seed}")
        self.plans = Random(f"plans {seed}")
        self.clock = SimClock(begin)
        self.faults = Faults()
        self.marks: Counter[str] = Counter()
        self.graphs: dict[str, Graph] = {}
        self.records: dict[str, Record] = {}
        self.slots = Slots(dict(POOLS), MAX_RUNS)
        self.finished: list[str] = []
        self.requested: list[Request] = []
        self.engines = 0
        self.turns = 0
        self.idle = 0
        self.clock_was_set = False
        # The store may be on another host, whose clock is right: leases go by that.
        self.is_remote = seed % 2 == 1
        self._after_crash = after_crash
        # An engine stands still, or is being woken: no second one does so meanwhile.
        self._standing = False
        self.store = FaultyStore(
            open_store(self.store_now),
            Random(f"store {seed}"),
            self.faults,
            self.marks,
            watch=self._watch,
            stall=self._stand_still,
        )
        self.fleet = Fleet(
            self.clock,
            Random(f"fleet {seed}"),
            self.graphs,
            self.store,
            self.faults,
            self.marks,  # type: ignore[arg-type]
        )
        self.engine, self.executor = self._make_engine()

    def store_now(self) -> float:
        """The time by the store's clock."""
        return self.clock.true if self.is_remote else self.clock.now()

    # --- phases -----------------------------------------------------------------------------------------------------

    def play(self) -> None:
        """Both phases. Raises what is wrong."""
        if self.chaos:
            self.faults.stir(self.rng)
        self._start_engine()
        if self.fixed_runs is not None:
            self._play_fixed(self.fixed_runs)
        else:
            while self.store.events < self.least_events and self.turns < TOO_LONG:
                self._request_runs()
                self._meddle_with_the_world()
                if self.engine.active and self.rng.random() < 0.1:
                    self._answer_gates()
                self._turn()
        self._calm()
        while self.engine.active or self.requested:
            self._submit_requested()
            self._turn()
            if self.turns > TOO_LONG:
                raise Violation(f"I9: it does not come to an end: {self._stuck()}")
            if self.idle > 20 and not self._let_time_pass():
                raise Violation(f"I9: nothing happens any more, and these have not ended: {self._stuck()}")
        self._check_end()

    def ends(self) -> dict[tuple[str, str, str], str]:
        """How every step instance of every run ended."""
        return {(run, *at): state for run, record in self.records.items() for at, state in record.watch.ended.items()}

    def run_states(self) -> dict[str, str]:
        """How every run ended."""
        return {run: record.state for run, record in self.records.items()}

    def _play_fixed(self, runs: int) -> None:
        self.requested = [self._new_request() for _ in range(runs)]
        while self.engine.active or self.requested:
            self._submit_requested()
            if self.chaos:
                self._meddle_with_the_world()
            self._turn()
            if self.idle > 20:
                self._let_time_pass()
            if self.turns > 5000:
                return  # a run that waits for what the faults keep from it; phase two brings it to its end

    def _calm(self) -> None:
        self.faults.calm()
        self.clock.correct()
        self.idle = 0
        for run in list(self.engine.active):
            self.engine.resume(run, by="sim")

    def _check_end(self) -> None:
        for run, record in self.records.items():
            if self.store.run(run) is not None and not record.is_over:
                raise Violation(f"{run} has not ended, and no engine has it")
        check_slots(self.engine)
        left = [f"{f.invariant}: {f.message}" for f in self.store.audit()]
        if left:
            raise Violation(f"the audit of the store finds {left[:3]}")

    # --- turns ------------------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        self.turns += 1
        events, was_full = self.store.events, bool(self.engine.blocked)
        epoch = self.engine.epoch
        engine = self.engine
        done = self._do(lambda engine: engine.turn(5.0), goes_on_when_full=True)
        if done and engine is self.engine and engine.epoch != epoch:
            self.marks["a lease ran out and its holder took it again"] += 1
        if done and not self.faults.is_full:
            self._check_well()
        if done and was_full and not self.engine.blocked:
            self.marks["an engine went on by itself when there was space again"] += 1
        self.idle = 0 if self.store.events > events else self.idle + 1
        check_slots(self.engine)
        if self.engine.admission._promised is not None:
            self.marks["room on the machine was kept for a step that had waited longer"] += 1
        if self.turns % LOOK_EVERY == 0:
            check_waiting(self.engine, self.executor)

    def _check_well(self) -> None:
        """After a turn that nothing went wrong with."""
        if self.engine.blocked:
            raise Violation(f"I9: there is space, and the engine is still blocked: {self.engine.blocked}")
        lease = self.store.lease("engine")
        if not self.clock.is_frozen and (lease is None or self.store_now() >= lease.until):
            raise Violation(f"I7: an engine that lives let its lease run out: {lease}")

    def _do(self, action: Callable[[Engine], object], *, goes_on_when_full: bool = False) -> bool:
        """Have the engine do it. A dead engine is replaced; one that was taken over from must notice. Was it done?"""
        engine = self.engine
        try:
            action(engine)
        except (Crash, Unknown):
            if engine is self.engine:
                self._restart()
            return False
        except (Fenced, StoreLocked):
            if engine is self.engine:
                raise Violation("I7: the engine that has the lease was fenced") from None
            return False
        except StoreFull:
            if goes_on_when_full:
                raise Violation("I8: a full disk stopped the engine, it must go on when there is space") from None
            return False
        if engine is not self.engine:
            self._wake(engine)
            return False
        return True

    def _let_time_pass(self) -> bool:
        """Nothing happens: go on to the next moment at which something will. False if there is none."""
        moments = [at for at in (self.executor.next_report_at,) if at is not None]
        if self.engine._timers:
            moments.append(self.engine._timers[0][0] - self.clock.offset)
        if not moments:
            return bool(self.requested) or self.faults.is_full or self.faults.is_closed
        self.idle = 0
        self.clock.true = max(self.clock.true, min(moments))
        return True

    # --- engines ----------------------------------------------------------------------------------------------------

    def _make_engine(self) -> tuple[Engine, SimExecutor]:
        self.engines += 1
        holder = f"engine {self.engines}"
        executor = SimExecutor(self.fleet, holder)
        engine = Engine(
            self.store,  # type: ignore[arg-type]
            executor,
            self.clock,
            holder=holder,
            lease_s=LEASE_S,
            limits=POOLS,
            max_runs={(space, name): limit for space in ("default", "other") for name, limit in MAX_RUNS.items()},
            listeners=[self],
        )
        return engine, executor

    def _start_engine(self) -> None:
        """A new engine takes over, as often as it needs to get through its start."""
        while True:
            self.engine, self.executor = self._make_engine()
            engine = self.engine
            try:
                engine.start()
            except StoreFull:
                self.faults.is_full = False
                continue
            except (Crash, Unknown):
                if engine is not self.engine:
                    return
                self._after_death()
                continue
            except (Fenced, StoreLocked):
                if engine is self.engine:
                    raise
                return  # it stood still in its start, and another one took over
            if engine is self.engine:
                mark_restored(engine, self.marks)
                check_restored(engine, self.records)
            else:
                self._wake(engine)
            return

    def _restart(self) -> None:
        self._after_death()
        self._start_engine()

    def _after_death(self) -> None:
        """The next engine comes when the lease of the dead one is over."""
        self.fleet.die_a_little()
        self.store.inner = self._after_crash(self.store.inner)
        self._wait_for_lease()

    def _wait_for_lease(self) -> None:
        lease = self.store.lease("engine")
        self.clock.advance(LEASE_S + 1.0)
        if lease is not None and self.store_now() < lease.until:
            # The lease was taken while the clock was ahead: whoever comes next waits for it, or sets the clock.
            self.clock.jump(lease.until + 1.0 - self.clock.now())
            self.clock_was_set = True

    def _stand_still(self) -> None:
        """The engine's process is stopped here for longer than its lease, and another one takes over."""
        if self._standing:
            return
        self._standing = True
        if self.is_remote and self.clock.is_frozen:
            # Not claimed: an engine whose only clock stands still cannot know how long it stood still itself.
            self.clock.correct()
        self._wait_for_lease()
        self._start_engine()
        for _ in range(self.rng.randint(1, 4)):
            self._do(lambda engine: engine.turn(5.0))
        self._standing = False

    def _stop_and_wake(self) -> None:
        """The same between two turns; the successor may be dead when the old one wakes."""
        old = self.engine
        self._stand_still()
        if self.rng.random() < 0.3:
            self.marks["an engine woke after the lease of its successor had run out"] += 1
            self.engine, self.executor = self._make_engine()  # of a process that is only about to start
            self._wait_for_lease()
            self._wake(old)
            self._restart()
        else:
            self._wake(old)

    def _wake(self, old: Engine) -> None:
        """An engine that was taken over from goes on as if nothing had been: it must find out before it does anything."""
        self._standing = True
        self.faults.is_full = False
        ask = self.rng.choice(("turn", "turn", "pause", "cancel"))
        try:
            if ask != "turn" and old.active:
                run = self.rng.choice(list(old.active))
                (old.pause if ask == "pause" else old.cancel)(run, by="a ghost")
            # A request that changes nothing writes nothing; the turn after it asks for the lease in any case.
            old.turn(5.0)
            old.turn(5.0)
            if self.is_remote and not self.clock.is_right:
                return  # its clock stands still or was set, so it believes in its lease; the store does not
            raise Violation("I7: an engine that was taken over from goes on")
        except Fenced:
            pass
        except StoreLocked:
            self.marks["an engine that was taken over from noticed it by its lease"] += 1
        except (Crash, Unknown):
            pass
        finally:
            self._standing = False

    def _intrude(self) -> None:
        """Somebody starts a second engine while the first one lives."""
        lease = self.store.lease("engine")
        is_held = lease is not None and self.store_now() < lease.until
        old, old_executor = self.engine, self.executor
        self._standing = True
        self.engine, self.executor = self._make_engine()
        try:
            self.engine.start()
        except StoreLocked:
            self.marks["a second engine was refused while the first lived"] += 1
            self.engine, self.executor = old, old_executor
        except (Crash, Unknown, StoreFull):
            # It may have got the lease before it died, if the first had let it run out: nobody knows which lives.
            self._restart()
        else:
            if is_held:
                raise Violation("I7: two engines have the lease")
            self._wake(old)
        finally:
            self._standing = False

    # --- what happens around it ---------------------------------------------------------------------------------------

    def _meddle_with_the_world(self) -> None:
        rng = self.rng
        if self.faults.is_full and rng.random() < 0.2:
            self.faults.is_full = False
        if self.faults.is_closed and rng.random() < 0.1:
            self.faults.is_closed = False
        if not self.clock.is_right and rng.random() < 0.05:
            self.clock.correct()
        if not self.chaos or rng.random() >= 0.03:
            return
        happens = rng.choice(
            (self._set_clock, self._fill_disk, self._close_workers, self._intrude, self._stop_and_wake, self._stir)
            if self.fixed_runs is not None
            else (
                *(self._ask_of_a_run,) * 6,
                self._set_clock,
                self._fill_disk,
                self._close_workers,
                self._intrude,
                self._stop_and_wake,
                self._stir,
            )
        )
        happens()

    def _stir(self) -> None:
        self.faults.stir(self.rng)

    def _set_clock(self) -> None:
        self.clock_was_set = True
        what = self.rng.choice((3600.0, -3600.0, 3600.0, -3600.0, 86400.0, -86400.0, 0.0, 0.0))
        if what:
            self.marks[f"the wall clock jumped {'forward' if what > 0 else 'backward'}"] += 1
            self.clock.jump(what)
        else:
            self.marks["the wall clock stood still"] += 1
            self.clock.freeze()

    def _fill_disk(self) -> None:
        self.faults.is_full = True

    def _close_workers(self) -> None:
        self.faults.is_closed = True

    def _ask_of_a_run(self) -> None:
        """Somebody cancels, pauses or resumes a run; what was acknowledged must be in the store."""
        if not self.engine.active:
            return
        run = self.rng.choice(list(self.engine.active))
        what = self.rng.choice(("cancel", "pause", "pause", "resume"))
        answers: list[bool] = []
        if what == "cancel" and self.faults.is_full:
            self.marks["a cancel was given while nothing could be written"] += 1
        if not self._do(lambda engine: answers.append(getattr(engine, what)(run, by="sim"))) or not answers[0]:
            return
        row = self.store.run(run)
        is_there = row.cancel_requested if what == "cancel" else row.paused == (what == "pause")
        if not is_there and row.finished_at is None:
            raise Violation(f"I8: {what} of {run} was acknowledged, and the store does not know of it")
        if what == "cancel":
            check_kills(self.engine, self.executor, run)

    # --- runs -------------------------------------------------------------------------------------------------------

    def _answer_gates(self) -> None:
        """People and other systems say something to a run; now and then the same thing twice."""
        run = self.rng.choice(list(self.engine.active.values()))
        gates = list(run.machine.gates.items()) if run.machine.state == "running" else []
        if not gates:
            return
        (step, index), instance = self.rng.choice(gates)
        spec = instance.node.step.gate
        now, by = self.clock.now(), self.rng.choice(("ana", "bo", "cy"))
        said: list[GateVoted | GateReported | GateHeard] = []
        if spec is not None and spec.of == "approval":
            said.append(GateVoted(now, step, index, by, self.rng.choice(("approve", "approve", "reject"))))
        elif spec is not None and spec.of == "external":
            said.append(GateHeard(now, step, index, "at it"))
            if self.rng.random() < 0.5:
                said.append(GateReported(now, step, index, "succeeded"))
        for event in [*said, *said[-1:]] if self.rng.random() < 0.1 else said:
            self.marks["something was said to a gate"] += 1
            self._do(lambda engine, event=event: engine.request(run.id, event))  # type: ignore[misc]

    def _request_runs(self) -> None:
        moving = sum(not run.machine.paused for run in self.engine.active.values())
        if not self.requested and (moving < 4 or (self.idle > 20 and len(self.engine.active) < 12)):
            is_again = self.finished and self.plans.random() < 0.2
            self.requested.append(self._rerun() if is_again else self._new_request())
        elif self.idle > 40:
            self._let_time_pass()
        self._submit_requested()

    def _submit_requested(self) -> None:
        for request in list(self.requested):
            if self.store.run(request.run.run) is None:
                run = replace(request.run, at=self.clock.now())
                self._do(lambda engine, run=run, r=request: engine.submit(r.graph, run, r.reused))  # type: ignore[misc]
            if self.store.run(request.run.run) is not None:
                self.requested.remove(request)
                self._submit_again(request)

    def _submit_again(self, request: Request) -> None:
        """Somebody whose answer was lost asks once more, under another id: there must be one run."""
        if self.rng.random() >= 0.05:
            return
        twice = replace(request.run, run=f"{request.run.run}-twice", at=self.clock.now())
        try:
            self._do(lambda engine: engine.submit(request.graph, twice))
        except OriginTaken as error:
            self.marks["a run that was asked for twice was made once"] += 1
            if error.run != request.run.run:
                raise Violation(f"I1: {error}") from None
        if self.store.run(twice.run) is not None:
            raise Violation(f"I1: there are two runs of origin {twice.origin}")

    def _new_request(self) -> Request:
        name = f"run-{self.seed}-{len(self.records)}"
        return self._register(new_run(self.plans, name, at=self.clock.now(), gentle=self.fixed_runs is not None))

    def _rerun(self) -> Request:
        old = self.records[self.plans.choice(self.finished[-5:])]
        assert old.run is not None
        name = f"run-{self.seed}-{len(self.records)}"
        store: Store = self.store  # type: ignore[assignment]
        return self._register(rerun(self.plans, name, store, old.run, old.graph, at=self.clock.now()))

    def _register(self, request: Request) -> Request:
        run = request.run.run
        self.graphs[run] = request.graph
        self.records[run] = Record(request.graph, clock_goes_on=lambda: not self.clock_was_set)
        return request

    # --- watching ---------------------------------------------------------------------------------------------------

    def _watch(self, commits: Sequence[RunCommit], facts: Sequence[Fact] = ()) -> None:
        for commit in commits:
            record = self.records[commit.run]
            for event in commit.events:
                record.feed(event)
                self.slots.feed(record, event)
            if isinstance(commit.events[-1], RunEnded):
                judge(record)
                mark_run(record, self.marks)
                self.finished.append(commit.run)
        self.slots.check()
        if self.engine.admission._parked:
            self.marks["a pool was full and a lane was parked"] += 1
        if len(self.engine.queue):
            self.marks["a run waited for another one of its pipeline"] += 1

    def committed(self, run: ActiveRun, events: Sequence[Event]) -> None:
        """As a listener of the engine: what is told was committed; and here it may die in the middle of telling."""
        if self.rng.random() < self.faults.crash_telling:
            self.marks["a crash while telling"] += 1
            raise Crash("while telling")

    def progressed(self, run: ActiveRun, instance: Instance, progress: Progress) -> None:
        """As a listener of the engine."""

    def _stuck(self) -> list[str]:
        return [
            f"{run.id}: {instance!r}"
            for run in self.engine.active.values()
            for instance in run.machine.instances()
            if not instance.settled
        ][:5]
