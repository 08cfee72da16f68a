"""One simulated service: `partita up`'s scheduler with all its parts, over a simulated clock, workers, evaluators and people.

As in `world.py` there are two phases: with faults, until enough virtual time has passed; then without any, when everything
must come to its end. An engine is a whole `Service` here, so that each crash, take-over and wake is one of all its parts.

Rule: everything comes from the seed. What is done to the service is in `service_acts.py`, what must hold in
`service_judge.py`; here the two are brought together with time.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from partita.core.events import AttemptStarted, RunCreated, RunEnded
from partita.core.facts import Fact
from partita.core.facts.house import Removed
from partita.core.facts.limits import PoolChanged
from partita.core.invariants import Violation
from partita.core.manifest import Manifest
from partita.core.placement import Capacity
from partita.engine import ids, retention
from partita.engine.loop import Engine
from partita.engine.retention import Retention
from partita.engine.service import Service
from partita.executors.contract import Report
from partita.settings import Home, Settings
from partita.store.contract import RunCommit, Store
from partita.store.sqlite import open_in_memory

from .evaluator import Outside, SimEvaluator
from .executor import SimExecutor
from .judge import judge
from .marks import mark_run
from .record import Record
from .service_acts import Acts
from .service_judge import ServiceJudge, Starts
from .service_manifests import CHANGES, DAYS, RATE, edited, project
from .service_waiting import Waiting
from .waiting import check_slots, check_waiting
from .world import LEASE_S, LOOK_EVERY, POOLS, TOO_LONG, World

_HOUR = 3600
# The machine on which steps run, whatever this one has.
MACHINE = Capacity({key[1]: n for key, n in POOLS.items() if key[0] == "machine"})
# With nothing to do, time goes on by so much at most.
_STRIDE_S = 3600.0
# Of two days: the audit looks at the last one, and clocks are set by one at most.
_TIDIED = ("runs", "ticks", "events", "evaluations", "messages", "materializations", "backfills", "deliveries")
RETENTION = "[tool.partita.retention]\n" + "".join(f'{kind} = "2d"\n' for kind in _TIDIED)


class ServiceExecutor(SimExecutor):
    """The executor of a service: its evaluator answers while it is polled."""

    def __init__(self, fleet: Any, holder: str, evaluator: SimEvaluator) -> None:
        super().__init__(fleet, holder)
        self.evaluator = evaluator

    def poll(self, timeout_s: float) -> list[Report]:
        reports = super().poll(max(0.0, min(timeout_s, self.evaluator.next_at - self.clock.true)))
        self.evaluator.deliver()
        return reports


class _NothingToSweep:
    """There are no files in a simulation."""

    is_running = False

    def start(self, now: float) -> None: ...

    def look_at(self, now: float) -> float:
        return float("inf")


class ServiceWorld(World):
    """Some days of a service. `hours` is how long there are faults; without `chaos` nothing goes wrong and nobody meddles."""

    def __init__(
        self,
        seed: int,
        *,
        chaos: bool = True,
        hours: float = 26.0,
        manifest: Manifest | None = None,
        open_store: Callable[[Callable[[], float]], Store] = lambda clock: open_in_memory(clock=clock),
        after_crash: Callable[[Store], Store] = lambda store: store,
    ) -> None:
        dice = Random(f"service {seed}")
        change = dice.choice(CHANGES)
        begin = float(change - dice.randint(2, 20) * _HOUR + dice.randint(0, 3599))
        self.hours = hours
        self.folder = Path(tempfile.mkdtemp(prefix="partita-sim-"))
        self._write_home()
        self.manifest = manifest or project(Random(f"project {seed}"), begin)
        self.outside = Outside()
        self.acts = Acts(self, Random(f"acts {seed}"))
        self.service: Service | None = None
        self.services: dict[Engine, Service] = {}
        # Services that have not been told yet what the project defines.
        self.unloaded: set[Engine] = set()
        self.facts = 0
        self.starts = Starts(RATE.count, RATE.per_s)
        # From before the time that a clock which was set back can say.
        first = int(begin) // _HOUR * _HOUR - 50 * _HOUR
        self.told = ServiceJudge(first, first + DAYS * 24 * _HOUR)
        super().__init__(seed, chaos=chaos, begin=begin, open_store=open_store, after_crash=after_crash)
        self.told.marks, self.told.pools = self.marks, self.slots.capacity
        self.told._cancelled = set()
        self.waiting = Waiting(self.told, self.records)
        self.told.is_kept = lambda run: self.store.run(run) is not None
        self.told.is_delivery_kept = self._has_delivery
        self.slots.max_runs = {}

    # --- phases -----------------------------------------------------------------------------------------------------

    def play(self) -> None:
        """Both phases. Raises what is wrong."""
        entropy, counter = ids.entropy, retention.perf_counter
        ids.entropy, retention.perf_counter = Random(f"ids {self.seed}").randbytes, lambda: 0.0
        try:
            self._play()
        finally:
            ids.entropy, retention.perf_counter = entropy, counter
            shutil.rmtree(self.folder, ignore_errors=True)

    def _play(self) -> None:
        if self.chaos:
            self.faults.stir(self.rng)
        self._start_engine()
        end = self.clock.true + self.hours * _HOUR
        while self.clock.true < end:
            if self.chaos:
                self.acts.act()
                self._meddle_with_the_world()
            self._turn()
            self._pass_time()
            self._look_out()
        self._calm()
        self.acts.calm()
        self._go_on(lambda: False, 3 * _HOUR)
        self.acts.stop_coming()
        self._go_on(self._is_over, 3 * 24 * _HOUR)
        if not self._is_over():
            raise Violation(f"I9: it does not come to an end: {self._left()}")
        self._check_end()

    def _go_on(self, is_enough: Callable[[], bool], seconds: float) -> None:
        end = self.clock.true + seconds
        while self.clock.true < end and not is_enough():
            self._turn()
            self._pass_time()
            self._look_out()

    def _look_out(self) -> None:
        if self.turns > TOO_LONG:
            raise Violation(f"I9: it goes round in circles: {self._left()}")

    def _pass_time(self) -> None:
        """Nothing happens until the next moment at which something will."""
        if self.idle < 2 and self.rng.random() < 0.9:
            return
        engine, now = self.engine, self.clock.now()
        moments = [engine.chores.due_at(now), engine.admission.due_at()]
        moments += [at for at, *_ in engine._timers[:1]]
        true = [at - now + self.clock.true for at in moments]
        true += [self.executor.evaluator.next_at, self.executor.next_report_at or float("inf")]  # type: ignore[attr-defined]
        self.clock.true = max(self.clock.true, min(*true, self.clock.true + _STRIDE_S))

    def _is_over(self) -> bool:
        return not self._left()

    def _left(self) -> list[str]:
        left = [f"run {run.id}: {run.run.origin} {run.machine.state}" for run in self.engine.active.values()]
        left += [f"backfill {id}" for id, state in self.told.backfills.items() if state == "running"]
        left += [f"item {n}" for n in range(self.outside.items) if ("items", f"item-{n}") not in self.told.keys]
        left += [f"delivery {d}" for d in sorted(self.acts.accepted) if ("hook", d) not in self.told.keys]
        left += [f"message {key}" for key in sorted(self.told.queued) if not self._is_done(key)]
        left += [f"nobody was told of failed run {r}" for r in self._untold()]
        left += [f"the sensor of ends has not heard of {r}" for r in self._unheard()]
        left += [f"engine blocked: {self.engine.blocked}"] if self.engine.blocked else []
        return left[:8]

    def _untold(self) -> list[str]:
        """I11: failed runs of which there is no message."""
        return [r for r in self.told.failed if f"shop:ops:chat:run.failed:{r}" not in self.told.queued]

    def _unheard(self) -> list[str]:
        """I15: runs whose end a sensor listens for, and has no run for."""
        return [r for r in self.told.ended_of["p0"] if ("ends", f"run:{r}") not in self.told.keys]

    def _is_done(self, key: str) -> bool:
        last = self.told.tried.get(key)
        return last is not None and last.next_at is None

    def _check_end(self) -> None:
        super()._check_end()
        told = self.told
        unsent = [k for k in told.queued if not told.tried[k].error and not self.outside.sent[k]]
        self._need(not unsent, f"I11: said to be sent, and were not: {unsent[:3]}")
        now = self.clock.now()
        behind = [s.name for s in told.schedules.values() if s.is_behind(now - 10.0)]
        self._need(not behind, f"I2: due, and without a decision: {behind}")

    # --- engines ----------------------------------------------------------------------------------------------------

    def _make_engine(self) -> tuple[Engine, SimExecutor]:
        self.engines += 1
        holder = f"engine {self.engines}"
        evaluator = SimEvaluator(self.outside, self.clock, self.fleet.rng, self.faults, self.marks)
        executor = ServiceExecutor(self.fleet, holder, evaluator)
        settings = Settings(project=self.folder, home=Home(self.folder / ".partita"), workers=2, lease_s=LEASE_S)
        service = Service(
            self.store,  # type: ignore[arg-type]
            executor,
            settings=settings,
            clock=self.clock,
            holder=holder,
            listeners=[self],
            machine=MACHINE,
        )
        for part in service.parts:
            if isinstance(part, Retention):
                part._sweeper = _NothingToSweep()  # type: ignore[assignment]
        if self.services:
            # The one that lives, whatever becomes of the new one; those before it are dead.
            self.services = {self.engine: self.services[self.engine]}
            self.unloaded &= {self.engine}
        self.services[service.engine] = service
        if self.chaos and self.engines > 2 and self.rng.random() < 0.2:
            self.marks["the definitions were edited while no engine was there"] += 1
            self.manifest = edited(self.rng, self.manifest, self.clock.true)
        if self.rng.random() < 0.5:
            self.told.loaded(self.manifest)
            service.load(self.manifest)
        else:
            self.unloaded.add(service.engine)
        return service.engine, executor

    def serving(self) -> Service:
        """The service that is alive."""
        return self.services[self.engine]

    def kill(self) -> None:
        """kill -9 between two turns."""
        self._restart()

    def load(self, manifest: Manifest, *, at_once: bool = False) -> None:
        """What the project defines from now on: the service is told soon, or before it does anything else."""
        self.manifest = manifest
        self.unloaded.add(self.engine)
        if at_once:
            self._load()

    def _load(self) -> None:
        self.unloaded.discard(self.engine)
        self.told.loaded(self.manifest)
        service, manifest = self.serving(), self.manifest
        self._do(lambda engine: service.load(manifest))

    def _turn(self) -> None:
        if self.engine in self.unloaded and (self.engine._tenure._lease is not None) and self.rng.random() < 0.5:
            self._load()
        self.starts.look_at(self.clock.now() - self.clock.true)
        super()._turn()
        self.starts.look_at(self.clock.now() - self.clock.true)

    def _check_well(self) -> None:
        super()._check_well()
        engine = self.engine
        for part, trouble in engine.chores.troubles.items():
            self._need(trouble.startswith(("StoreFull", "Unknown")), f"{part} failed: {trouble}")
        if engine in self.unloaded or engine.chores.troubles or engine.blocked or self.clock.is_frozen:
            return
        self.waiting.check(self.serving(), self.clock.now())
        now, ticker = self.clock.now(), self.serving().ticker
        for schedule in self.told.schedules.values():
            if schedule.is_behind(now) and not schedule.is_own and not ticker.trouble_of("default", schedule.name):
                raise Violation(f"I9: {schedule.name} is due since {schedule.next}, and the turn at {now} left it")

    def _set_clock(self) -> None:
        """Never by more than a day in all: who finds it wrong sets it right first."""
        self.clock.correct()
        super()._set_clock()

    def _ask_of_a_run(self) -> None:
        self.acts.ask_of_a_run()

    # --- watching ---------------------------------------------------------------------------------------------------

    def _watch(self, commits: Sequence[RunCommit], facts: Sequence[Fact] = ()) -> None:
        self.facts += len(facts)
        self.marks["retention removed something"] += any(isinstance(f, Removed) for f in facts)
        capacity = dict(self.slots.capacity) if any(isinstance(f, PoolChanged) for f in facts) else {}
        for commit in commits:
            first = commit.events[0] if commit.events else None
            if isinstance(first, RunCreated):
                self._register_run(first)
        self.told._cancelled = {run for run, record in self.records.items() if record.cancelled_at is not None}
        self.told.feed(commits, facts, self.graphs)
        self.waiting.feed(facts)
        for commit in commits:
            record = self.records[commit.run]
            for event in commit.events:
                record.feed(event)
                self.slots.feed(record, event)
                if isinstance(event, AttemptStarted) and record.steps[event.step].policies.rates:
                    self.starts.look_at(self.clock.now() - self.clock.true)
                    self.starts.take(event)
            if commit.events and isinstance(commit.events[-1], RunEnded):
                judge(record)
                mark_run(record, self.marks)
        self._check_slots(capacity)

    def _check_slots(self, before: dict[tuple[str, ...], int]) -> None:
        """By the larger limit, if one was set in this commit: the disk may have been full, and the starts were earlier."""
        now = dict(self.slots.capacity) if before else {}
        self.slots.capacity.update({key: max(n, before.get(key, n)) for key, n in now.items()})
        self.slots.check()
        self.slots.capacity.update(now)

    def _register_run(self, run: RunCreated) -> None:
        from partita.core.graph import decode

        data = self.store.graph(run.graph)
        assert data is not None, "the graph is in the store with its first run"
        self.graphs[run.run] = decode(data)
        self.records[run.run] = Record(self.graphs[run.run], clock_goes_on=lambda: not self.clock_was_set)
        self.marks[f"a run was made by {run.origin.partition(':')[0]}"] += 1

    # --- small things -------------------------------------------------------------------------------------------------

    def _has_delivery(self, delivery: str, at: float) -> bool:
        database = self.store.inner._db  # type: ignore[attr-defined]
        return bool(database.fetch("SELECT 1 FROM deliveries WHERE delivery = ? AND at = ?", (delivery, at)))

    def _write_home(self) -> None:
        home = Home(self.folder / ".partita")
        home.root.mkdir(mode=0o700)
        (self.folder / "pyproject.toml").write_text(RETENTION)
        handle = os.open(home.gate_key, os.O_WRONLY | os.O_CREAT, 0o600)
        os.write(handle, b"k" * 32)
        os.close(handle)

    def _need(self, holds: bool, what: str) -> None:
        if not holds:
            raise Violation(what)


__all__ = ["LOOK_EVERY", "ServiceWorld", "check_slots", "check_waiting"]
