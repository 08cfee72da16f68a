"""Which queued runs may start now, given how many are running: of all, of a pipeline, of a key, of a partition.

The order is by rank: the instant at which a run came, moved forward by ten minutes for each point of priority. So a point
of priority is worth ten minutes of waiting, the order between two runs never changes, and nobody waits for ever.
Namespaces take turns by their shares. A run that is refused is parked on what refuses it, and looked at again when that
has room: an end costs its neighbours, not the queue.

Rule: no run is started here. The engine asks (`pick`), says what became of it (`take`, `release`), and this file answers.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

Key = tuple[str, ...]
"""What is limited: ("runs",), ("pipeline", namespace, name), ("key", namespace, pipeline, value),
("partition", namespace, pipeline, partition)."""

Strategy = Literal["queue", "skip", "cancel_oldest", "cancel_newest", "round_robin"]

AGING_S = 600.0
"""How much waiting a point of priority is worth, seconds."""


class Asked(msgspec.Struct, frozen=True, array_like=True):
    """A key that a run brings with it: at most `limit` runs at once of the same `value`."""

    value: str
    limit: int = 1
    strategy: Strategy = "queue"


class Waiting:
    """A run in the queue. `keys` are what it needs a place of; `group` takes turns with others under a limit."""

    __slots__ = ("asked", "at", "group", "is_gone", "is_in_line", "keys", "namespace", "rank", "run", "woken_for")

    def __init__(
        self,
        run: str,
        *,
        namespace: str,
        pipeline: str,
        at: float,
        priority: int = 0,
        partition: str = "",
        partitions: Sequence[str] = (),
        asked: Sequence[Asked] = (),
    ) -> None:
        self.run = run
        self.namespace = namespace
        self.at = at
        self.rank = at - priority * AGING_S
        self.asked = tuple((("key", namespace, pipeline, a.value), a) for a in asked)
        # A run over several partitions keeps each of them to itself.
        own = partitions or ((partition,) if partition else ())
        self.keys: tuple[Key, ...] = (
            ("runs",),
            ("pipeline", namespace, pipeline),
            *(("partition", namespace, pipeline, key) for key in own),
            *(key for key, _ in self.asked),
        )
        self.group = next((a.value for a in asked if a.strategy == "round_robin"), "")
        self.is_gone = False
        # It stands in a heap or is parked; withdrawn and offered again meanwhile, it keeps its place.
        self.is_in_line = False
        # The key of which a place became free: if this run does not use it, another one has to be woken.
        self.woken_for: Key | None = None


class Full(msgspec.Struct, frozen=True):
    """Why a run does not start: `used` of `capacity` runs of `key` are running."""

    key: Key
    used: int
    capacity: int

    def __str__(self) -> str:
        return f"{_NAMES[self.key[0]].format(self.key[-1])}: {self.used} of {self.capacity} running"


_NAMES = {
    "runs": "as many runs as the service carries at once",
    "pipeline": "the limit of runs of pipeline {}",
    "key": "the limit of runs with the key {}",
    "partition": "another run of partition {}",
}


class Arrival(msgspec.Struct, frozen=True):
    """What a run's coming means: it is `refused` (why), or others are to be cancelled for it."""

    refused: str = ""
    cancel: tuple[str, ...] = ()


class _Parking:
    """Runs that wait for a place of one key: groups in turn, by rank within."""

    __slots__ = ("_groups", "_turns")

    def __init__(self) -> None:
        self._groups: dict[str, list[tuple[float, int, Waiting]]] = {}
        self._turns: deque[str] = deque()

    def push(self, number: int, waiting: Waiting) -> None:
        if waiting.group not in self._groups:
            self._groups[waiting.group] = []
            self._turns.append(waiting.group)
        heapq.heappush(self._groups[waiting.group], (waiting.rank, number, waiting))

    def pop(self) -> Waiting | None:
        while self._turns:
            group = self._turns.popleft()
            heap = self._groups[group]
            waiting = heapq.heappop(heap)[2]
            if heap:
                self._turns.append(group)
            else:
                del self._groups[group]
            if not waiting.is_gone:
                return waiting
            waiting.is_in_line = False
        return None


class RunQueue:
    """The queue of runs over all pipelines and namespaces."""

    def __init__(self, *, max_running: int = 2_000) -> None:
        self.capacity: dict[Key, int] = {("runs",): max_running}
        self.used: dict[Key, int] = {}
        # Shares of namespaces that differ from 1.
        self.shares: dict[str, float] = {}
        self._heaps: dict[str, list[tuple[float, int, Waiting]]] = {}
        # How far each namespace is: the one that is behind comes next.
        self._passes: dict[str, float] = {}
        # Where the last one stood that had its turn.
        self._reached = 0.0
        self._parked: dict[Key, _Parking] = {}
        self._waiting: dict[str, Waiting] = {}
        # Runs by key in the order in which they came, running and waiting, where a strategy asks.
        self._by_key: dict[Key, dict[str, Waiting]] = {}
        self._running: dict[str, Waiting] = {}
        self._count = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, run: object) -> bool:
        return run in self._waiting

    def limit(self, key: Key, capacity: int | None) -> None:
        """Set a capacity, also while running; None = no limit."""
        if capacity is None:
            self.capacity.pop(key, None)
        else:
            self.capacity[key] = capacity
        self._unpark(key)

    def arrive(self, waiting: Waiting) -> Arrival:
        """What the strategies of a run's keys say to its coming. Changes nothing."""
        cancel: dict[str, None] = {}
        for key, asked in waiting.asked:
            others = self._by_key.get(key, {})
            if len(others) < asked.limit:
                continue
            if asked.strategy in ("skip", "cancel_newest"):
                running = sum(run in self._running for run in others)
                return Arrival(refused=str(Full(key, running, asked.limit)))
            if asked.strategy == "cancel_oldest":
                cancel.update(dict.fromkeys(list(others)[: len(others) - asked.limit + 1]))
        return Arrival(cancel=tuple(cancel))

    def offer(self, waiting: Waiting) -> None:
        """A run asks to start."""
        self._note(waiting)
        self._waiting[waiting.run] = waiting
        waiting.is_gone = False
        if not waiting.is_in_line:
            self._push(waiting)

    def withdraw(self, run: str) -> None:
        """A run no longer asks (cancelled, paused); unknown ones are none."""
        waiting = self._waiting.pop(run, None)
        if waiting is not None:
            waiting.is_gone = True
            self._forget(waiting)

    def pick(self) -> Iterator[Waiting]:
        """The runs that may start now, in order; each is taken before the next one is asked for."""
        # Not parked on: those that wait for this stay in the order of their namespaces' shares.
        while self._has_room() and (waiting := self._pop()) is not None:
            full = self._full(waiting)
            if full is not None:
                self._count += 1
                self._parked.setdefault(full.key, _Parking()).push(self._count, waiting)
                self._pass_on(waiting, full.key)
                continue
            waiting.woken_for = None
            waiting.is_in_line = False
            self._reached = self._passes[waiting.namespace]
            self._passes[waiting.namespace] = self._reached + 1.0 / self.shares.get(waiting.namespace, 1.0)
            del self._waiting[waiting.run]
            self.take(waiting)
            yield waiting

    def take(self, waiting: Waiting) -> None:
        """A run has started, here or under an earlier engine."""
        self._note(waiting)
        self._running[waiting.run] = waiting
        for key in waiting.keys:
            self.used[key] = self.used.get(key, 0) + 1

    def release(self, run: str) -> None:
        """A run has ended; one that never started is none."""
        waiting = self._running.pop(run, None)
        if waiting is None:
            self.withdraw(run)
            return
        self._forget(waiting)
        for key in waiting.keys:
            left = self.used[key] - 1
            if left:
                self.used[key] = left
            else:
                del self.used[key]
            if key in self._parked:
                self._unpark(key)

    def refusal(self, run: str) -> Full | None:
        """Why a queued run does not start; None if nothing is in its way, or it is not queued."""
        waiting = self._waiting.get(run)
        return None if waiting is None else self._full(waiting)

    def waiting_for(self, key: Key) -> int:
        """How many queued runs need a place of a key."""
        return sum(key in waiting.keys for waiting in self._waiting.values())

    def places_in_line(self, runs: Sequence[str]) -> dict[str, int]:
        """How many runs of its namespace come before each of those that are queued; the queue is sorted once."""
        ranks: dict[str, list[float]] = {}
        for waiting in self._waiting.values():
            ranks.setdefault(waiting.namespace, []).append(waiting.rank)
        for found in ranks.values():
            found.sort()
        wanted = [self._waiting[run] for run in runs if run in self._waiting]
        return {w.run: bisect_left(ranks[w.namespace], w.rank) for w in wanted}

    def _has_room(self) -> bool:
        return self.used.get(("runs",), 0) < self.capacity["runs",]

    def _full(self, waiting: Waiting) -> Full | None:
        for key in waiting.keys:
            capacity = self.capacity.get(key, 1 if key[0] == "partition" else None)
            used = self.used.get(key, 0)
            if capacity is not None and used >= capacity:
                return Full(key, used, capacity)
        for key, asked in waiting.asked:
            used = self.used.get(key, 0)
            if used >= asked.limit:
                return Full(key, used, asked.limit)
        return None

    def _note(self, waiting: Waiting) -> None:
        for key, _ in waiting.asked:
            self._by_key.setdefault(key, {})[waiting.run] = waiting

    def _forget(self, waiting: Waiting) -> None:
        for key, _ in waiting.asked:
            others = self._by_key.get(key)
            if others is not None and others.pop(waiting.run, None) is not None and not others:
                del self._by_key[key]

    def _push(self, waiting: Waiting) -> None:
        heap = self._heaps.get(waiting.namespace)
        if heap is None:
            heap = self._heaps[waiting.namespace] = []
            # Who comes back after a pause has saved up nothing.
            self._passes[waiting.namespace] = max(self._passes.get(waiting.namespace, 0.0), self._reached)
        self._count += 1
        waiting.is_in_line = True
        heapq.heappush(heap, (waiting.rank, self._count, waiting))

    def _pop(self) -> Waiting | None:
        while self._heaps:
            namespace = min(self._heaps, key=lambda n: (self._passes[n], n))
            heap = self._heaps[namespace]
            waiting = heapq.heappop(heap)[2]
            if not heap:
                del self._heaps[namespace]
            if not waiting.is_gone:
                return waiting
            waiting.is_in_line = False
            self._pass_on(waiting, None)
        return None

    def _pass_on(self, waiting: Waiting, refused_by: Key | None) -> None:
        """A run was woken for a place that it does not take: another one that is parked there may want it."""
        key, waiting.woken_for = waiting.woken_for, None
        if key is not None and key != refused_by:
            self._unpark(key)

    def _unpark(self, key: Key) -> None:
        """Let as many parked runs try again as there are places now."""
        parking = self._parked.get(key)
        if parking is None:
            return
        free = self._places(key)
        while free != 0:
            waiting = parking.pop()
            if waiting is None:
                del self._parked[key]
                return
            waiting.woken_for = key
            self._push(waiting)
            free -= 1

    def _places(self, key: Key) -> int:
        """Free places; negative = no limit."""
        capacity = self.capacity.get(key, 1 if key[0] == "partition" else None)
        limits = [capacity] if capacity is not None else []
        limits += [
            asked.limit
            for waiting in list(self._by_key.get(key, {}).values())[:1]
            for k, asked in waiting.asked
            if k == key
        ]
        return max(0, min(limits) - self.used.get(key, 0)) if limits else -1
