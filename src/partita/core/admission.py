"""Which ready steps may start now, given pools, limits, priorities and fairness.

Rule: no step is started here. The engine asks with `pick`, this file answers; `refusal` gives the reason from the same
counters. A slot is held by an open attempt and by nothing else, so `take` and `release` go with its start and end.

Steps of one run that ask for the same things queue in one lane, so that a full pool costs one look per lane and not one
per step. Turns go round robin over namespaces; within one, the highest priority first, and round robin over runs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import TypeVar

import msgspec

from partita.core.plan import Instance
from partita.core.rate import Rate
from partita.core.run_queue import AGING_S

P = TypeVar("P")

Key = tuple[str, ...]
"""What is limited: ("pool", namespace, name), ("task", namespace, call), ("step", run, step), ("run", run),
("namespace", name)."""


class Refusal(msgspec.Struct, frozen=True):
    """Why a lane may not go on: `used` of `capacity` slots of `key` are taken, and it asks for `wants`."""

    key: Key
    used: int
    capacity: int
    wants: int
    # Of a rate: within so many seconds.
    per_s: float = 0.0

    def __str__(self) -> str:
        name = _NAMES[self.key[0]].format(self.key[-1])
        if self.key[0] == "asset":
            return f"another attempt makes asset {' '.join(self.key[2:]).strip()}"
        if self.per_s and self.wants <= self.capacity:
            return f"{name} is used up: {self.used} of {self.capacity} starts within {self.per_s:g} s"
        if self.wants > self.capacity:
            return f"{name} has {self.capacity} slots in all, and the step asks for {self.wants}: it can never start"
        return f"{name} is full: {self.used} of {self.capacity} slots taken" + (
            f", it asks for {self.wants}" if self.wants > 1 else ""
        )


_NAMES = {
    "pool": "pool {}",
    "task": "the limit of task {}",
    "step": "the limit per run of step {}",
    "run": "the limit of steps at once of its run",
    "namespace": "the limit of namespace {}",
    "tag": "the limit of tag {}",
    "rate": "rate {}",
    "asset": "asset {}",
}


class Lane:
    """Ready instances of one step of one run; `asks` are the slots that each of them takes."""

    __slots__ = (
        "asks",
        "is_queued",
        "kind",
        "namespace",
        "parked_on",
        "priority",
        "queue",
        "run",
        "since",
        "step",
        "woken_for",
    )

    def __init__(
        self, *, run: str, step: str, namespace: str, kind: str, priority: int, asks: tuple[tuple[Key, int], ...]
    ) -> None:
        self.run = run
        self.step = step
        self.namespace = namespace
        # Which workers it can use; lanes of different kinds do not wait for each other's room.
        self.kind = kind
        self.priority = priority
        self.asks = asks
        self.queue: deque[Instance] = deque()
        self.is_queued = False
        # When it was queued; to be put back for lack of room does not count.
        self.since = 0.0
        self.parked_on: Key | None = None
        # The key of which a slot became free; if this lane does not use it, another one has to be woken.
        self.woken_for: Key | None = None


class _Level:
    """The lanes of one priority, run after run in turn."""

    __slots__ = ("lanes", "runs", "since")

    def __init__(self, since: float) -> None:
        # When a lane of it last had its turn.
        self.since = since
        self.runs: deque[str] = deque()
        self.lanes: dict[str, deque[Lane]] = {}

    def push(self, lane: Lane) -> None:
        lanes = self.lanes.get(lane.run)
        if lanes is None:
            lanes = self.lanes[lane.run] = deque()
            self.runs.append(lane.run)
        lanes.append(lane)

    def pop(self) -> Lane:
        """The next lane; its run goes to the end of the turn."""
        run = self.runs.popleft()
        lanes = self.lanes[run]
        lane = lanes.popleft()
        if lanes:
            self.runs.append(run)
        else:
            del self.lanes[run]
        return lane

    def push_front(self, lane: Lane) -> None:
        lanes = self.lanes.get(lane.run)
        if lanes is None:
            lanes = self.lanes[lane.run] = deque()
            self.runs.appendleft(lane.run)
        lanes.appendleft(lane)


_NO_LEVELS: dict[int, _Level] = {}


class _Queue:
    """All lanes of one kind of workers: namespaces in turn by their shares, priorities within.

    A point of priority is worth ten minutes of waiting, so a level that others keep from its turn comes to it.
    """

    __slots__ = ("levels", "passes", "reached", "shares")

    def __init__(self, shares: dict[str, float]) -> None:
        self.shares = shares
        # How far each namespace is: the one that is behind comes next.
        self.passes: dict[str, float] = {}
        # Where the last one stood that had its turn.
        self.reached = 0.0
        self.levels: dict[str, dict[int, _Level]] = {}

    def push(self, lane: Lane, now: float, *, front: bool = False) -> None:
        namespace = lane.namespace
        levels = self.levels.get(namespace)
        if levels is None:
            # Who comes back after a pause has saved up nothing.
            self.passes[namespace] = max(self.passes.get(namespace, 0.0), self.reached)
            levels = self.levels[namespace] = {}
        if not front:
            lane.since = now
        level = levels.get(lane.priority)
        if level is None:
            level = levels[lane.priority] = _Level(lane.since)
        if front:
            level.push_front(lane)
        else:
            level.push(lane)
        lane.is_queued = True

    def served(self, lane: Lane, now: float) -> None:
        """A step of the lane has started: its namespace and its priority have had their turn."""
        self.reached = self.passes[lane.namespace]
        self.passes[lane.namespace] = self.reached + 1.0 / self.shares.get(lane.namespace, 1.0)
        level = self.levels.get(lane.namespace, _NO_LEVELS).get(lane.priority)
        if level is not None:
            level.since = now

    def pop(self, now: float) -> Lane | None:
        if not self.levels:
            return None
        if len(self.levels) == 1:
            namespace = next(iter(self.levels))
        else:
            namespace = min(self.levels, key=lambda n: (self.passes[n], n))
        levels = self.levels[namespace]
        priority = next(iter(levels))
        if len(levels) > 1:
            priority = max(levels, key=lambda p: (p + (now - levels[p].since) / AGING_S, p))
        level = levels[priority]
        lane = level.pop()
        lane.is_queued = False
        if not level.runs:
            del levels[priority]
            if not levels:
                del self.levels[namespace]
        return lane


class Admission:
    """The queue of ready steps over all runs, and the counters of what is limited."""

    def __init__(self) -> None:
        self.capacity: dict[Key, int] = {}
        self.used: dict[Key, int] = {}
        self.rates: dict[Key, Rate] = {}
        # Shares of namespaces that differ from 1.
        self.shares: dict[str, float] = {}
        self._now = 0.0
        # When lanes that are parked on rates are to be looked at again.
        self._rate_wakes: dict[Key, float] = {}
        self._queues: dict[str, _Queue] = {}
        self._parked: dict[Key, deque[Lane]] = {}

    def limit(self, key: Key, capacity: int | None) -> None:
        """Set a capacity, also while running; None = no limit."""
        if capacity is None:
            self.capacity.pop(key, None)
        else:
            self.capacity[key] = capacity
        self._unpark(key)

    def limit_rate(self, key: Key, rate: Rate | None) -> None:
        """Set a rate, also while running; None = no limit. The same rate again changes nothing."""
        known = self.rates.get(key)
        if rate is None:
            self.rates.pop(key, None)
        elif known is None or (known.count, known.per_s) != (rate.count, rate.per_s):
            self.rates[key] = rate
        self._unpark(key)

    def due_at(self) -> float:
        """When a rate lets somebody start who waits for it; infinity: nobody does."""
        return min(self._rate_wakes.values(), default=float("inf"))

    def offer(self, lane: Lane, instance: Instance) -> None:
        """A step is ready. Whether it still is, is asked of the instance (`offered`) when its turn comes."""
        if not instance.queued:
            instance.queued = True
            lane.queue.append(instance)
        if not lane.is_queued and lane.parked_on is None:
            self._queue(lane.kind).push(lane, self._now)

    def pick(self, place: Callable[[Lane, Instance], P | None], now: float = 0.0) -> Iterator[tuple[Lane, Instance, P]]:
        """The steps that may start now, in order, each with the place it got.

        `place` answers None when the workers of the lane's kind have no room; then this kind is done for now. The
        caller takes the slots of each step (`take`) before it asks for the next one.
        """
        self._now = now
        if self._rate_wakes:
            self._wake_rates()
        for queue in self._queues.values():
            while (lane := queue.pop(now)) is not None:
                instance = self._head(lane)
                if instance is None:
                    self._pass_on(lane, None)
                    continue
                refusal = self.refusal(lane)
                if refusal is not None:
                    self._park(lane, refusal)
                    self._pass_on(lane, refusal.key)
                    continue
                placed = place(lane, instance)
                if placed is None:
                    queue.push(lane, now, front=True)
                    break
                lane.queue.popleft().queued = False
                lane.woken_for = None
                queue.served(lane, now)
                yield lane, instance, placed
                if lane.queue:
                    queue.push(lane, now)

    def take(self, lane: Lane) -> None:
        """An attempt of this lane was started."""
        for key, n in lane.asks:
            self.used[key] = self.used.get(key, 0) + n
            if key in self.rates:
                self.rates[key].note(self._now, n)
                if key in self._parked:
                    # Those that still wait are not woken by an end: a rate has room again when time has passed.
                    self._rate_wakes[key] = self.rates[key].free_at(1)

    def release(self, lane: Lane) -> None:
        """An attempt of this lane has ended."""
        for key, n in lane.asks:
            left = self.used[key] - n
            if left:
                self.used[key] = left
            else:
                del self.used[key]
            if key in self._parked:
                self._unpark(key)

    def refusal(self, lane: Lane) -> Refusal | None:
        """Why no further step of this lane may start now; None if one may, as far as limits go."""
        for key, n in lane.asks:
            capacity = self.capacity.get(key)
            if capacity is None:
                if key[0] == "asset":
                    # One attempt at a time makes an asset (partition), whichever run it is of.
                    capacity = 1
                elif key in self.rates:
                    rate = self.rates[key]
                    free = rate.free(self._now)
                    if free < n:
                        return Refusal(key, rate.count - free, rate.count, n, rate.per_s)
                    continue
                else:
                    continue
            used = self.used.get(key, 0)
            if used + n > capacity:
                return Refusal(key, used, capacity, n)
        return None

    def waiting_for(self, key: Key) -> int:
        """How many ready steps a full `key` holds back."""
        return sum(instance.offered for lane in self._parked.get(key, ()) for instance in lane.queue)

    def forget(self, keys: Iterator[Key]) -> None:
        """Capacities of a run that has ended."""
        for key in keys:
            self.capacity.pop(key, None)
            self._parked.pop(key, None)

    def _queue(self, kind: str) -> _Queue:
        queue = self._queues.get(kind)
        if queue is None:
            queue = self._queues[kind] = _Queue(self.shares)
        return queue

    def _head(self, lane: Lane) -> Instance | None:
        """The first instance of the lane that is still on offer; those that are not are dropped."""
        while lane.queue:
            instance = lane.queue[0]
            if instance.offered:
                return instance
            lane.queue.popleft().queued = False
        return None

    def _park(self, lane: Lane, refusal: Refusal) -> None:
        lane.parked_on = refusal.key
        if refusal.per_s:
            at = self.rates[refusal.key].free_at(refusal.wants)
            # Somebody who is parked there already may ask for less, and be let on sooner.
            self._rate_wakes[refusal.key] = min(at, self._rate_wakes.get(refusal.key, at))
        parked = self._parked.setdefault(refusal.key, deque())
        parked.append(lane)
        # It asks for more than is free: somebody behind it may ask for less. If that one is refused for another reason it
        # passes the slot on; to leave it here would be to forget it, since nobody's end wakes it.
        free = refusal.capacity - refusal.used
        if free > 0 and refusal.wants > 1:
            fitting = next((p for p in parked if dict(p.asks)[refusal.key] <= free), None)
            if fitting is not None:
                parked.remove(fitting)
                self._wake(fitting, refusal.key)

    def _pass_on(self, lane: Lane, refused_by: Key | None) -> None:
        """The lane was woken for a slot that it does not use: another one that is parked there may want it."""
        key, lane.woken_for = lane.woken_for, None
        if key is not None and key != refused_by:
            self._unpark(key)

    def _unpark(self, key: Key) -> None:
        """Let as many parked lanes try again as there are free slots; a lane that takes one comes back by itself."""
        parked = self._parked.get(key)
        if parked is None:
            return
        free = self._free(key, len(parked))
        while parked and free > 0:
            self._wake(parked.popleft(), key)
            free -= 1
        if not parked:
            del self._parked[key]
        elif key in self.rates and (at := self.rates[key].free_at(1)) > self._now:
            self._rate_wakes[key] = at

    def _free(self, key: Key, parked: int) -> int:
        if key in self.rates:
            return self.rates[key].free(self._now)
        capacity = self.capacity.get(key, 1 if key[0] == "asset" else None)
        return parked if capacity is None else capacity - self.used.get(key, 0)

    def _wake_rates(self) -> None:
        for key, at in list(self._rate_wakes.items()):
            rate = self.rates.get(key)
            # Later than a window from now: the clock was set back since.
            if at <= self._now or rate is None or at > self._now + rate.per_s:
                del self._rate_wakes[key]
                self._unpark(key)

    def _wake(self, lane: Lane, key: Key) -> None:
        lane.parked_on = None
        lane.woken_for = key
        if lane.queue:
            self._queue(lane.kind).push(lane, self._now)
