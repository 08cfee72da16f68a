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

    def __str__(self) -> str:
        name = _NAMES[self.key[0]].format(self.key[-1])
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
}


class Lane:
    """Ready instances of one step of one run; `asks` are the slots that each of them takes."""

    __slots__ = ("asks", "is_queued", "kind", "namespace", "parked_on", "priority", "queue", "run", "step", "woken_for")

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
        self.parked_on: Key | None = None
        # The key of which a slot became free; if this lane does not use it, another one has to be woken.
        self.woken_for: Key | None = None


class _Level:
    """The lanes of one priority, run after run in turn."""

    __slots__ = ("lanes", "runs")

    def __init__(self) -> None:
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


class _Queue:
    """All lanes of one kind of workers: namespaces in turn, priorities within."""

    __slots__ = ("levels", "namespaces")

    def __init__(self) -> None:
        self.namespaces: deque[str] = deque()
        self.levels: dict[str, dict[int, _Level]] = {}

    def push(self, lane: Lane, *, front: bool = False) -> None:
        levels = self.levels.get(lane.namespace)
        if levels is None:
            levels = self.levels[lane.namespace] = {}
            if front:
                self.namespaces.appendleft(lane.namespace)
            else:
                self.namespaces.append(lane.namespace)
        level = levels.get(lane.priority)
        if level is None:
            level = levels[lane.priority] = _Level()
        if front:
            level.push_front(lane)
        else:
            level.push(lane)
        lane.is_queued = True

    def pop(self) -> Lane | None:
        if not self.namespaces:
            return None
        namespace = self.namespaces.popleft()
        levels = self.levels[namespace]
        priority = max(levels) if len(levels) > 1 else next(iter(levels))
        level = levels[priority]
        lane = level.pop()
        lane.is_queued = False
        if not level.runs:
            del levels[priority]
        if levels:
            self.namespaces.append(namespace)
        else:
            del self.levels[namespace]
        return lane


class Admission:
    """The queue of ready steps over all runs, and the counters of what is limited."""

    def __init__(self) -> None:
        self.capacity: dict[Key, int] = {}
        self.used: dict[Key, int] = {}
        self._queues: dict[str, _Queue] = {}
        self._parked: dict[Key, deque[Lane]] = {}

    def limit(self, key: Key, capacity: int) -> None:
        """Set a capacity, also while running."""
        self.capacity[key] = capacity
        self._unpark(key)

    def offer(self, lane: Lane, instance: Instance) -> None:
        """A step is ready. Whether it still is, is asked of the instance (`offered`) when its turn comes."""
        if not instance.queued:
            instance.queued = True
            lane.queue.append(instance)
        if not lane.is_queued and lane.parked_on is None:
            self._queue(lane.kind).push(lane)

    def pick(self, place: Callable[[Lane, Instance], P | None]) -> Iterator[tuple[Lane, Instance, P]]:
        """The steps that may start now, in order, each with the place it got.

        `place` answers None when the workers of the lane's kind have no room; then this kind is done for now. The
        caller takes the slots of each step (`take`) before it asks for the next one.
        """
        for queue in self._queues.values():
            while (lane := queue.pop()) is not None:
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
                    queue.push(lane, front=True)
                    break
                lane.queue.popleft().queued = False
                lane.woken_for = None
                yield lane, instance, placed
                if lane.queue:
                    queue.push(lane)

    def take(self, lane: Lane) -> None:
        """An attempt of this lane was started."""
        for key, n in lane.asks:
            self.used[key] = self.used.get(key, 0) + n

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
            if capacity is not None:
                used = self.used.get(key, 0)
                if used + n > capacity:
                    return Refusal(key, used, capacity, n)
        return None

    def forget(self, keys: Iterator[Key]) -> None:
        """Capacities of a run that has ended."""
        for key in keys:
            self.capacity.pop(key, None)
            self._parked.pop(key, None)

    def _queue(self, kind: str) -> _Queue:
        queue = self._queues.get(kind)
        if queue is None:
            queue = self._queues[kind] = _Queue()
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
        parked = self._parked.setdefault(refusal.key, deque())
        parked.append(lane)
        # It asks for more than is free: somebody behind it may ask for less.
        if refusal.used < refusal.capacity and refusal.wants > 1:
            fitting = next((p for p in parked if self.refusal(p) is None), None)
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
        free = self.capacity.get(key, len(parked)) - self.used.get(key, 0)
        while parked and free > 0:
            self._wake(parked.popleft(), key)
            free -= 1
        if not parked:
            del self._parked[key]

    def _wake(self, lane: Lane, key: Key) -> None:
        lane.parked_on = None
        lane.woken_for = key
        if lane.queue:
            self._queue(lane.kind).push(lane)
