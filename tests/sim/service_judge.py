"""Judges the service by what it commits: ticks, sensors, backfills, messages, limits. Looked at after every commit.

A second, plain telling: the instants of a schedule come from `service_reference.py`, everything else from what was committed.

Rule: fed with committed events and facts only. Nothing here knows the parts of the service, nor their rows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

import msgspec

from partita.core.events import AssetReport, AttemptStarted, CancelRequested, Event, RunCreated, RunEnded, RunStarted
from partita.core.facts import Fact
from partita.core.facts.backfills import (
    BackfillAsked,
    BackfillCreated,
    BackfillEnded,
    BackfillRetried,
    PartEnded,
    PartStarted,
)
from partita.core.facts.house import Removed
from partita.core.facts.limits import PoolChanged
from partita.core.facts.messages import MessageQueued, MessageTried
from partita.core.facts.schedules import ScheduleChanged, ScheduleMoved, SchedulePaused, TickDecided
from partita.core.facts.sensors import DeliveryTaken, SensorEvaluated, SensorPaused, SensorReset
from partita.core.graph import Graph
from partita.core.invariants import Violation
from partita.core.manifest import Manifest
from partita.store.contract import RunCommit

from .service_schedules import ScheduleJudge

_MADE_BY = ("sched:", "sensor:", "backfill:")


class ServiceJudge:
    """All that was committed so far, checked commit by commit. `marks` counts what was seen."""

    def __init__(self, first: int, last: int) -> None:
        self.marks: Counter[str] = Counter()
        # What open attempts are counted against; the world's own.
        self.pools: dict[tuple[str, ...], int] = {}
        self.schedules: dict[str, ScheduleJudge] = {}
        self.window = first, last
        self.runs: dict[str, RunCreated] = {}
        # Has retention left a run in the store? The world says so.
        self.is_kept: Callable[[str], bool] = lambda run: True
        # Deliveries before this were old enough for retention.
        self.forgotten_before = float("-inf")
        # Is a delivery in the store as it came then?
        self.is_delivery_kept: Callable[[str, float], bool] = lambda delivery, at: True
        self.graphs: dict[str, Graph] = {}
        self.states: dict[str, str] = {}
        # Runs of schedules that have not ended, by schedule; runs that are running, by what limits them.
        self.open: defaultdict[str, set[str]] = defaultdict(set)
        self.running: Counter[tuple[str, ...]] = Counter()
        self.max_runs: dict[str, int | None] = {}
        self.origins: dict[tuple[str, str], str] = {}
        self.keys: dict[tuple[str, str], str] = {}
        self.taken: dict[str, float] = {}
        self.cursors: dict[str, bytes | None] = {}
        self.paused_sensors: set[str] = set()
        # Failed looks of sensors that look only when they are told of something.
        self.failed_looks = 0
        # Runs of ticks that are to run one after the other, by their schedule's word when they were decided.
        self.in_line: dict[str, str] = {}
        self.backfills: dict[str, str] = {}
        self.stopped: dict[str, str] = {}
        self.parts: dict[tuple[str, int, int], str] = {}
        # Why people have asked for something: each says it in words of its own.
        self.reasons: set[str] = set()
        self.queued: set[str] = set()
        self.tried: dict[str, MessageTried] = {}
        self.failed: list[str] = []
        self.ended_of: defaultdict[str, list[str]] = defaultdict(list)

    def loaded(self, manifest: Manifest) -> None:
        """Limits that hold from now on."""
        self.max_runs = {p.name: p.max_runs for p in manifest.pipelines}

    def feed(self, commits: Sequence[RunCommit], facts: Sequence[Fact], graphs: dict[str, Graph]) -> None:
        """Take one transaction. Raises `Violation`."""
        self.graphs = graphs
        created = [e for c in commits for e in c.events if isinstance(e, RunCreated)]
        for run in created:
            self._create(run)
        claimed: set[str] = set()
        ticks: defaultdict[str, list[TickDecided]] = defaultdict(list)
        for fact in facts:
            claimed |= self._take(fact, ticks)
        for name, decided in ticks.items():
            # Several turns in one commit: the disk was full. What was open at the earlier ones is not known, and what was
            # decided before an edit was decided by what the schedule said then.
            is_one_turn = len({fact.at for fact in decided}) == 1
            decided = [fact for fact in decided if fact.version == self.schedules[name].version]
            if is_one_turn:
                self.schedules[name].check_batch(decided, self.open[name] - claimed)
            self._check_cancelled(name, decided, commits, claimed)
        for run in created:
            if run.origin.startswith(_MADE_BY) and run.run not in claimed:
                raise Violation(f"I1: run of {run.origin} was made, and nothing in its commit says for what")
        for run in created:
            named = _schedule_of(run)
            if named:
                self.open[named].add(run.run)
        for commit in commits:
            for event in commit.events:
                self._follow(commit.run, event)

    # --- facts --------------------------------------------------------------------------------------------------------

    def _take(self, fact: Fact, ticks: dict[str, list[TickDecided]]) -> set[str]:
        """Check a fact; the runs that it says were made."""
        match fact:
            case ScheduleChanged():
                judge = self.schedules.get(fact.name)
                if judge is None:
                    judge = self.schedules[fact.name] = ScheduleJudge(fact.name, self.window, self.marks)
                judge.change(fact)
            case SchedulePaused():
                self.schedules[fact.name].pause(fact)
            case ScheduleMoved():
                self.schedules[fact.name].move(fact)
            case TickDecided():
                self.schedules[fact.name].decide(fact)
                ticks[fact.name].append(fact)
                if fact.run and self.schedules[fact.name].spec.overlap == "queue":
                    self.in_line[fact.run] = fact.name
                return self._made(fact.run, f"sched:{fact.name}:") if fact.decision == "run" else set()
            case SensorEvaluated():
                return self._take_look(fact)
            case SensorReset(name=name, state=state):
                self.cursors[name] = state
            case SensorPaused(name=name, paused=paused):
                (self.paused_sensors.add if paused else self.paused_sensors.discard)(name)
            case Removed(what="deliveries", older_than=older_than):
                self.forgotten_before = max(self.forgotten_before, older_than)
            case DeliveryTaken():
                known = self.taken.get(fact.delivery)
                # Retention may have forgotten one, but none that is younger than it said.
                is_twice = known is not None and (
                    known >= self.forgotten_before or self.is_delivery_kept(fact.delivery, known)
                )
                self._need(not is_twice, f"I15: delivery {fact.delivery} was taken a second time")
                self.taken[fact.delivery] = fact.at
            case BackfillRetried(id=id):
                # It goes on by that, whatever was asked before.
                self.stopped.pop(id, None)
                self.backfills[id] = "running"
            case PartStarted():
                return self._start_part(fact)
            case PartEnded() | BackfillCreated() | BackfillAsked() | BackfillEnded():
                self._take_backfill(fact)
            case PoolChanged(slots=slots):
                self.reasons.add(fact.reason)
                self.pools["pool", fact.namespace, fact.name] = 2 if slots is None else slots
                self.marks["a pool was changed while it was in use"] += 1
            case MessageQueued():
                self.queued.add(fact.key)
            case MessageTried():
                self._need(fact.key in self.queued, f"I11: {fact.key} was tried, and was never in the outbox")
                self.tried[fact.key] = fact
                is_given_up = fact.error and fact.next_at is None
                self._need(not is_given_up or fact.tries > 5, f"I11: {fact.key} was given up after {fact.tries} tries")
            case _:
                pass
        return set()

    def _made(self, run: str, origin: str) -> set[str]:
        known = self.runs.get(run)
        self._need(known is not None, f"I1: {origin} has the run {run!r}, which was not made with it")
        assert known is not None
        self._need(known.origin.startswith(origin), f"I1: {run} is of {known.origin}, and {origin} says it is its own")
        return {run}

    def _take_look(self, fact: SensorEvaluated) -> set[str]:
        """I15: the cursor moves with its runs, and a key has one run for ever."""
        self._need(fact.name not in self.paused_sensors, f"sensor {fact.name} is paused, and has looked")
        made: set[str] = set()
        for request in fact.requests:
            known = self.keys.get((fact.name, request.key))
            if request.repeated:
                self._need(known in (None, request.run), f"I15: {request.key} of {fact.name} has another run")
                self.marks["a sensor asked again for a key that has its run"] += 1
                continue
            self._need(known is None, f"I15: {request.key} of {fact.name} has a second run")
            made |= self._made(request.run, f"sensor:{fact.name}:")
            self.keys[fact.name, request.key] = request.run
        if fact.name == "items":
            self._check_cursor(fact)
        if fact.error:
            self.failed_looks += fact.name != "items"
            self.marks["a sensor failed, and its cursor stayed"] += 1
            self._need(fact.cursor == self.cursors.get(fact.name), f"I15: {fact.name} failed, and its cursor moved")
        self.cursors[fact.name] = fact.cursor
        return made

    def _check_cursor(self, fact: SensorEvaluated) -> None:
        before, after = (msgspec.msgpack.decode(c) if c else 0 for c in (self.cursors.get(fact.name), fact.cursor))
        missing = [n for n in range(before, after) if ("items", f"item-{n}") not in self.keys]
        self._need(not missing, f"I15: the cursor moved from {before} to {after} without runs for {missing}")

    # --- backfills ----------------------------------------------------------------------------------------------------

    def _start_part(self, fact: PartStarted) -> set[str]:
        """I16: a part is started when it is not running and was not done; its run is made in the same commit."""
        part = (fact.id, fact.stage, fact.part)
        state = self.parts.get(part, "waiting")
        self._need(state not in ("running", "succeeded"), f"I16: part {part} is {state}, and is started again")
        stopped = self.stopped.get(fact.id, "resume")
        self._need(stopped == "resume", f"I16: part {part} is started after: {stopped}")
        self.parts[part] = "running"
        return self._made(fact.run, f"backfill:{fact.id}:")

    def _take_backfill(self, fact: PartEnded | BackfillCreated | BackfillAsked | BackfillEnded) -> None:
        match fact:
            case PartEnded(id=id, stage=stage, part=part, state=state, run=run):
                known = self.states.get(run, "")
                self._need(not run or known == state, f"I16: {(id, stage, part)} ended {state}, its run is {known}")
                self.parts[id, stage, part] = state
            case BackfillCreated(id=id):
                self.backfills[id] = "running"
            case BackfillAsked(id=id, what=what):
                self.reasons.add(fact.reason)
                self.stopped[id] = what
                self.marks[f"somebody asked for {what} of a backfill"] += 1
            case BackfillEnded(id=id, state=state):
                running = [p for p, s in self.parts.items() if p[0] == id and s == "running"]
                self._need(not running, f"I16: backfill {id} ended while {running} were running")
                self.backfills[id] = state
                self.stopped.pop(id, None)

    # --- runs ---------------------------------------------------------------------------------------------------------

    def _create(self, run: RunCreated) -> None:
        origin = (run.namespace, run.origin)
        known = self.origins.get(origin)
        # A key that somebody gave is good for as long as its run is kept.
        is_forgotten = known is not None and run.origin.startswith("api:") and not self.is_kept(known)
        self._need(known is None or is_forgotten, f"I1: two runs of {run.origin}")
        self.origins[origin] = run.run
        self.runs[run.run] = run
        self.states[run.run] = "queued"

    def _follow(self, run_id: str, event: Event) -> None:
        run = self.runs[run_id]
        if isinstance(event, RunStarted):
            self.states[run_id] = "running"
            self._start(run)
        elif isinstance(event, RunEnded):
            if self.states[run_id] == "running":
                for key in self._keys(run):
                    self.running[key] -= 1
            self.states[run_id] = event.state
            self.open[_schedule_of(run)].discard(run_id)
            self.ended_of[run.pipeline].append(run_id)
            if event.state == "failed":
                self.failed.append(run_id)

    def _start(self, run: RunCreated) -> None:
        """I10 and I16: limits of pipelines, keys and partitions hold, also between schedules and backfills."""
        for key in self._keys(run):
            self.running[key] += 1
        if name := self.in_line.get(run.run):
            n = self.running["schedule", name]
            self._need(n <= 1, f"I10: {n} runs of schedule {name} at once, and they are to run one after the other")
        limit = self.max_runs.get(run.pipeline)
        n = self.running["pipeline", run.pipeline]
        self._need(limit is None or n <= limit, f"I10: {n} runs of {run.pipeline} at once, {limit} may be")
        for asked in run.keys:
            n = self.running["key", run.pipeline, asked.value]
            self._need(n <= asked.limit, f"I10: {n} runs with the key {asked.value!r} at once: {run.origin}")
        if run.partition:
            n = self.running["partition", run.pipeline, run.partition]
            self._need(n <= 1, f"I16: {n} runs of partition {run.partition} of {run.pipeline} at once")

    def _check_cancelled(
        self, name: str, decided: list[TickDecided], commits: Sequence[RunCommit], claimed: set[str]
    ) -> None:
        if self.schedules[name].spec.overlap != "cancel_running" or not any(t.run for t in decided):
            return
        told = {c.run for c in commits for e in c.events if isinstance(e, CancelRequested | RunEnded)}
        told |= {r for r in self.open[name] if r in self.cancelled}
        left = self.open[name] - claimed - told
        self._need(not left, f"{name}: a new tick is due, and {left} was not told to end")

    def _keys(self, run: RunCreated) -> list[tuple[str, ...]]:
        name = self.in_line.get(run.run)
        return [*_keys(run), *([("schedule", name)] if name else [])]

    @property
    def cancelled(self) -> set[str]:
        """Runs that were told to end in an earlier commit; set by the world, which has their records."""
        return self._cancelled

    _cancelled: set[str] = set()

    def _need(self, holds: bool, what: str) -> None:
        if not holds:
            raise Violation(what)


class Starts:
    """I10: not more starts within a window than a rate allows, by the time that really passes."""

    def __init__(self, count: int, per_s: float) -> None:
        self.count, self.per_s = count, per_s
        self.at: list[float] = []
        self.shift = 0.0

    def look_at(self, shift: float) -> None:
        """`shift` is what the clock is wrong by. When it was set, nothing can be said about windows from before."""
        if abs(shift - self.shift) > 1e-3:
            self.at, self.shift = [], shift

    def take(self, event: AttemptStarted) -> None:
        """One start, by the time of its decision: a full disk may hold up the commit. Raises `Violation`."""
        # One that is later was decided before the clock was set back, and committed after it.
        self.at = [at for at in self.at if event.at - self.per_s + 1e-3 < at <= event.at] + [event.at]
        if len(self.at) > self.count:
            raise Violation(f"I10: {len(self.at)} starts within {self.per_s:g} s, {self.count} may be: {event}")


def _schedule_of(run: RunCreated) -> str:
    return run.origin[len("sched:") : -21] if run.origin.startswith("sched:") else ""


def _keys(run: RunCreated) -> list[tuple[str, ...]]:
    keys: list[tuple[str, ...]] = [("pipeline", run.pipeline)]
    keys += [("key", run.pipeline, asked.value) for asked in run.keys]
    return [*keys, ("partition", run.pipeline, run.partition)] if run.partition else keys


__all__ = ["AssetReport", "ServiceJudge", "Starts"]
