"""What the schedules will do in the days to come: each tick with its decision, when its run starts and lands, what it waits
for, and which deadlines it misses.

The decisions are `core.scheduling`'s, on a clock of its own. Runs are carried out by their graphs with the usual duration of
each step, under the slots of pools and workers, what the machine has (cores, memory, GPUs ...) and the limits of runs. Steps that
run elsewhere, by an executor, take nothing of the machine.

Rule: pure. A step whose duration nobody knows takes none, and the tick says so.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from partita.core import scheduling
from partita.core.manifest import DeadlineSpec, PipelineSpec, ScheduleSpec
from partita.core.placement import WHOLE, Capacity, asks
from partita.core.policies import Policies
from partita.core.scheduling import Decision, Instants
from partita.core.timetable import at, is_own, timetable
from partita.errors import ScheduleError

WORKERS: Final = "workers"
"""The slots that every step takes one of, beside its pools."""
_MACHINE: Final = "machine "
_LOCAL: Final = ("", "local")
_MOST_TICKS: Final = 500_000


class ForecastTick(msgspec.Struct, frozen=True):
    """A tick to come. Times in seconds since the epoch; `local` is its reading of the clock in the schedule's zone.

    `clocks`: what they have done since the tick before ("+01:00 -> +02:00"). `queued_s`: how long its run waits to start;
    `waited`: how long its steps wait for slots, by pool. `deadline_at`: the earliest one; `late_s`: by how much it is missed.
    """

    schedule: str
    pipeline: str
    instant: int
    local: str
    decision: str
    reason: str = ""
    count: int = 1
    until: int | None = None
    clocks: str = ""
    start_at: float | None = None
    started_at: float | None = None
    landed_at: float | None = None
    queued_s: float = 0.0
    waited: dict[str, float] = {}
    overlaps: bool = False
    cancelled: bool = False
    deadline_at: float | None = None
    late_s: float = 0.0
    unknown: int = 0


class Forecast(msgspec.Struct, frozen=True):
    """All ticks in order, how full each pool gets at most, and schedules that nothing can be said about, with the reason."""

    ticks: tuple[ForecastTick, ...]
    peaks: dict[str, int]
    slots: dict[str, int]
    left_out: dict[str, str] = {}

    @property
    def missed(self) -> tuple[ForecastTick, ...]:
        """The ticks whose deadline is missed."""
        return tuple(tick for tick in self.ticks if tick.late_s > 0)


class Planned(msgspec.Struct, frozen=True):
    """A schedule as the forecast begins: its pipeline, and the usual duration of its steps (s) by key.

    `usual_run_s` is that of its whole runs ("land by"); `next_at` its first instant without a decision, `paused` none come.
    """

    spec: ScheduleSpec
    pipeline: PipelineSpec
    usual: Mapping[str, float] = {}
    usual_run_s: float = 0.0
    next_at: int | None = None
    paused: bool = False


def machine_slots(capacity: Capacity) -> dict[str, int]:
    """What a machine has, as slots: bytes of memory, thousandths of anything else.

    >>> machine_slots(Capacity({"cpu": 4000}))
    {'machine cpu': 4000}
    """
    return {_MACHINE + name: amount for name, amount in capacity.amounts.items()}


def amount_of(pool: str, slots: int) -> float:
    """A number of slots as people count it: of what a machine has, bytes or whole ones.

    >>> amount_of("machine cpu", 1500), amount_of("warehouse", 2)
    (1.5, 2)
    """
    return slots / WHOLE if pool.startswith(_MACHINE) and pool != f"{_MACHINE}memory" else slots


def forecast(planned: Sequence[Planned], *, slots: Mapping[str, int], start: float, end: float) -> Forecast:
    """Play the schedules from `start` to `end`."""
    return _World(planned, slots, start, end).played()


# --- the world that is played ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Run:
    planned: Planned
    left: dict[str, int]
    after: dict[str, list[str]]
    seconds: dict[str, float]
    open: int
    started_at: float | None = None
    waited: dict[str, float] = field(default_factory=dict)
    unknown: int = 0
    ended_at: float | None = None
    cancelled: bool = False


@dataclass(slots=True)
class _Tick:
    planned: Planned
    decision: Decision
    at: float
    clocks: str
    overlaps: bool = False
    run: _Run | None = None


@dataclass(slots=True)
class _Waiting:
    run: _Run
    step: str
    since: float
    needs: tuple[tuple[str, int], ...]
    blame: str = ""


class _World:
    def __init__(self, planned: Sequence[Planned], slots: Mapping[str, int], start: float, end: float) -> None:
        self.planned = planned
        self.slots = dict(slots)
        self.start, self.end = start, end
        self.clock = start
        self.used: dict[str, int] = {}
        self.peaks: dict[str, int] = {}
        self.ticks: list[_Tick] = []
        self.left_out: dict[str, str] = {}
        self.queue: deque[_Run] = deque()
        self.going: dict[str, int] = {}
        self.running: dict[int, list[_Run]] = {i: [] for i in range(len(planned))}
        self.waiting: deque[_Waiting] = deque()
        self._events: list[tuple[float, int, object]] = []
        self._counter = itertools.count()
        self._numbers = {id(p): i for i, p in enumerate(planned)}

    def played(self) -> Forecast:
        for number, planned in enumerate(self.planned):
            self._begin(number, planned)
        while self._events and len(self.ticks) < _MOST_TICKS:
            self.clock, _, event = heapq.heappop(self._events)
            if isinstance(event, _Due):
                self._decide(event)
            elif isinstance(event, _StepEnd):
                self._end_step(event)
            self._start_runs()
            self._start_steps()
        return Forecast(
            tuple(sorted((_told(tick) for tick in self.ticks), key=lambda t: (t.instant, t.schedule))),
            peaks=self.peaks,
            slots=self.slots,
            left_out=self.left_out,
        )

    def _begin(self, number: int, planned: Planned) -> None:
        spec = planned.spec
        if planned.paused:
            self.left_out[spec.name] = "it is paused"
            return
        if is_own(spec.rule):
            self.left_out[spec.name] = "its timetable is a function of the project's"
            return
        try:
            first = (
                planned.next_at if planned.next_at is not None else next(Instants.of(spec).after(int(self.start)), None)
            )
        except ScheduleError as error:
            self.left_out[spec.name] = error.message
            return
        self._plan(number, first)

    def _plan(self, number: int, instant: int | None) -> None:
        if instant is None or instant > self.end:
            return
        spec = self.planned[number].spec
        due = scheduling.due_at(spec, spec.name, instant, self._lead(number))
        heapq.heappush(self._events, (max(due, self.clock), next(self._counter), _Due(number, instant)))

    def _lead(self, number: int) -> float:
        planned = self.planned[number]
        return planned.usual_run_s + planned.spec.land_margin_s if planned.spec.land else 0.0

    def _decide(self, due: _Due) -> None:
        planned = self.planned[due.number]
        spec, running = planned.spec, self.running[due.number]
        decided = scheduling.decide(
            spec,
            spec.name,
            Instants.of(spec),
            next_at=due.instant,
            now=self.clock,
            lead_s=self._lead(due.number),
            running=len(running),
        )
        if decided.cancel:
            for run in list(running):
                self._cancel(run)
        for decision in decided.decisions:
            tick = _Tick(planned, decision, self.clock, _clocks(spec, decision.instant), overlaps=bool(running))
            self.ticks.append(tick)
            if decision.decision == "run":
                self._create(due.number, tick)
        if decided.next_at == due.instant:
            return
        self._plan(due.number, decided.next_at)

    def _create(self, number: int, tick: _Tick) -> None:
        steps = [s for s in tick.planned.pipeline.graph.steps if s.bundle is None]
        known = {s.key for s in steps}
        after: dict[str, list[str]] = {s.key: [] for s in steps}
        left: dict[str, int] = {}
        for step in steps:
            needs = [need for need in step.needs if need in known]
            left[step.key] = len(needs)
            for need in needs:
                after[need].append(step.key)
        usual = tick.planned.usual
        run = _Run(tick.planned, left, after, {s.key: usual.get(s.key, 0.0) for s in steps}, open=len(steps))
        run.unknown = sum(s.key not in usual and s.kind != "gate" for s in steps)
        tick.run = run
        self.running[number].append(run)
        self.queue.append(run)

    def _start_runs(self) -> None:
        left: deque[_Run] = deque()
        while self.queue:
            run = self.queue.popleft()
            if run.cancelled:
                continue
            limit, name = run.planned.pipeline.max_runs, run.planned.pipeline.name
            number = self._numbers[id(run.planned)]
            first = run.planned.spec.overlap == "allow" or self.running[number][0] is run
            if (limit is not None and self.going.get(name, 0) >= limit) or not first:
                left.append(run)
                continue
            run.started_at = self.clock
            self.going[name] = self.going.get(name, 0) + 1
            for key, count in run.left.items():
                if count == 0:
                    self._offer(run, key)
            if not run.open:
                self._end_run(run)
        self.queue = left

    def _offer(self, run: _Run, key: str) -> None:
        step = run.planned.pipeline.graph.step(key)
        needs = () if step.kind == "gate" else (*step.policies.pools, *self._takes(step.policies))
        self.waiting.append(_Waiting(run, key, self.clock, tuple(needs)))

    def _takes(self, policies: Policies) -> list[tuple[str, int]]:
        """A worker, and what it asks of the machine; a step that asks for more than there is counts as taking all of it."""
        if policies.executor not in _LOCAL:
            return []
        asked = [(_MACHINE + key[1], amount) for key, amount in asks(policies)]
        return [(WORKERS, 1), *((name, min(amount, self.slots[name])) for name, amount in asked if name in self.slots)]

    def _start_steps(self) -> None:
        left: deque[_Waiting] = deque()
        for waiting in self.waiting:
            if waiting.run.cancelled:
                continue
            full = next(
                (p for p, n in waiting.needs if p in self.slots and self.used.get(p, 0) + n > self.slots[p]), ""
            )
            if full:
                waiting.blame = waiting.blame or full
                left.append(waiting)
                continue
            for pool, count in waiting.needs:
                self.used[pool] = self.used.get(pool, 0) + count
                self.peaks[pool] = max(self.peaks.get(pool, 0), self.used[pool])
            if waiting.blame:
                run = waiting.run
                run.waited[waiting.blame] = run.waited.get(waiting.blame, 0.0) + self.clock - waiting.since
            end = self.clock + waiting.run.seconds[waiting.step]
            heapq.heappush(self._events, (end, next(self._counter), _StepEnd(waiting)))
        self.waiting = left

    def _end_step(self, event: _StepEnd) -> None:
        waiting = event.waiting
        run = waiting.run
        for pool, count in waiting.needs:
            self.used[pool] -= count
        if run.cancelled:
            return
        run.open -= 1
        for key in run.after[waiting.step]:
            run.left[key] -= 1
            if run.left[key] == 0:
                self._offer(run, key)
        if run.open == 0:
            self._end_run(run)

    def _end_run(self, run: _Run) -> None:
        run.ended_at = self.clock
        self.running[self._numbers[id(run.planned)]].remove(run)
        if run.started_at is not None:
            self.going[run.planned.pipeline.name] -= 1

    def _cancel(self, run: _Run) -> None:
        run.cancelled = True
        self._end_run(run)


@dataclass(frozen=True, slots=True)
class _Due:
    number: int
    instant: int


@dataclass(frozen=True, slots=True)
class _StepEnd:
    waiting: _Waiting


# --- what is told ------------------------------------------------------------------------------------------------------


def _told(tick: _Tick) -> ForecastTick:
    spec, decision, run = tick.planned.spec, tick.decision, tick.run
    instant = decision.instant
    common = ForecastTick(
        schedule=spec.name,
        pipeline=tick.planned.pipeline.name,
        instant=instant,
        local=_local(spec, instant),
        decision=decision.decision,
        reason=decision.reason,
        count=decision.count,
        until=decision.until,
        clocks=tick.clocks,
        overlaps=tick.overlaps,
    )
    if run is None:
        return common
    deadline = _deadline(tick)
    landed = run.ended_at if not run.cancelled else None
    return msgspec.structs.replace(
        common,
        start_at=tick.at,
        started_at=run.started_at,
        landed_at=landed,
        queued_s=max(0.0, run.started_at - tick.at) if run.started_at is not None else 0.0,
        waited={pool: round(s, 3) for pool, s in run.waited.items()},
        cancelled=run.cancelled,
        deadline_at=deadline,
        late_s=max(0.0, landed - deadline) if deadline is not None and landed is not None else 0.0,
        unknown=run.unknown,
    )


def _deadline(tick: _Tick) -> float | None:
    """The earliest by which its run is to have landed."""
    found = [float(tick.decision.instant)] if tick.planned.spec.land else []
    for deadline in tick.planned.pipeline.deadlines:
        if deadline.of == "run" and deadline.subject in ("", tick.planned.pipeline.name):
            found += _of(deadline, tick.at)
    return min(found, default=None)


def _of(deadline: DeadlineSpec, start: float) -> list[float]:
    if deadline.after_s is not None:
        return [start + deadline.after_s]
    hour, _, minute = deadline.at.partition(":")
    if not (hour.isdecimal() and minute.isdecimal()):
        return []
    table = timetable(f"cron {int(minute)} {int(hour)} * * *", deadline.tz)
    return [float(next(table.ticks(int(start))))]


def _clocks(spec: ScheduleSpec, instant: int) -> str:
    """What the clocks have done since the tick before."""
    table = spec.timetable()
    before = next(table.ticks_before(instant), None)
    if before is None or before < instant - 400 * 86_400:
        return ""
    was, now = table.zone.offset(before), table.zone.offset(instant)
    return f"{_offset(was)} -> {_offset(now)}" if was != now else ""


def _local(spec: ScheduleSpec, instant: int) -> str:
    offset = spec.timetable().zone.offset(instant)
    return at(instant + offset).strftime("%Y-%m-%dT%H:%M:%S") + _offset(offset)


def _offset(seconds: int) -> str:
    hours, rest = divmod(abs(seconds), 3600)
    return f"{'-' if seconds < 0 else '+'}{hours:02}:{rest // 60:02}"
