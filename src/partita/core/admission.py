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

from partita.core import placement
from partita.core.lanes import Key, Lane, Queue
from partita.core.placement import MACHINE, PATIENCE_S
from partita.core.plan import Instance
from partita.core.rate import Rate

P = TypeVar("P")


class Refusal(msgspec.Struct, frozen=True):
    """Why a lane may not go on: `used` of `capacity` slots of `key` are taken, and it asks for `wants`."""

    key: Key
    used: int
    capacity: int
    wants: int
    # Of a rate: within so many seconds.
    per_s: float = 0.0
    # Of the machine: so much of what is free is kept for a lane that has waited longer.
    kept: int = 0

    @property
    def is_forever(self) -> bool:
        """More than this machine has at all: nobody's end helps."""
        return self.key[0] == MACHINE and self.wants > self.capacity

    def __str__(self) -> str:
        if self.key[0] == MACHINE:
            name = self.key[1]
            if self.is_forever:
                return placement.never(name, self.wants, self.capacity)
            return placement.waits(name, self.wants, self.used, self.capacity, self.kept)
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
        self._queues: dict[str, Queue] = {}
        self._parked: dict[Key, deque[Lane]] = {}
        # Who was passed by for too long: what it asks of the machine is kept for it. One at a time, or two would wait for
        # what is kept for the other.
        self._promised: Lane | None = None
        self._unfit: list[tuple[Lane, Instance, str]] = []

    def limit(self, key: Key, capacity: int | None) -> None:
        """Set a capacity, also while running; None = no limit."""
        if capacity is None:
            self.capacity.pop(key, None)
        else:
            self.capacity[key] = capacity
        if key[0] == MACHINE:
            self._wake_all(key)
        else:
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
                    self._no_longer_asks(lane)
                    continue
                refusal = self.refusal(lane)
                if refusal is not None and (forever := self._forever(lane, refusal)) is not None:
                    self._give_up(lane, forever)
                    continue
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

    def take_unfit(self) -> list[tuple[Lane, Instance, str]]:
        """The ready steps that ask for more than this machine has, and why, since the last call."""
        unfit, self._unfit = self._unfit, []
        return unfit

    def take(self, lane: Lane) -> None:
        """An attempt of this lane was started."""
        lane.refused_since = None
        for key, n in lane.asks:
            self.used[key] = self.used.get(key, 0) + n
            if key in self.rates:
                self.rates[key].note(self._now, n)
                if key in self._parked:
                    # Those that still wait are not woken by an end: a rate has room again when time has passed.
                    self._rate_wakes[key] = self.rates[key].free_at(1)
        if self._promised is lane:
            self._break_promise()

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
                elif key[0] == MACHINE and (MACHINE, "cpu") in self.capacity:
                    # What the capacity does not name, this machine does not have.
                    capacity = 0
                else:
                    continue
            used = self.used.get(key, 0)
            if used + n > capacity:
                return Refusal(key, used, capacity, n)
            if self._promised is not None and (kept := self._kept(key, lane)) and used + n + kept > capacity:
                return Refusal(key, used, capacity, n, kept=kept)
        return None

    def waiting_for(self, key: Key) -> int:
        """How many ready steps a full `key` holds back."""
        return sum(instance.offered for lane in self._parked.get(key, ()) for instance in lane.queue)

    def forget(self, keys: Iterator[Key]) -> None:
        """Capacities of a run that has ended."""
        for key in keys:
            self.capacity.pop(key, None)
            self._parked.pop(key, None)

    def _kept(self, key: Key, lane: Lane) -> int:
        """How much of a key is kept for another lane than this one."""
        promised = self._promised
        return 0 if promised is None or promised is lane or key[0] != MACHINE else _wanted(promised, key)

    def _no_longer_asks(self, lane: Lane) -> None:
        """The lane does not wait for room on the machine, for now or for ever."""
        lane.refused_since = None
        if self._promised is lane:
            self._break_promise()

    def _break_promise(self) -> None:
        """The lane has got what was kept for it, or does not ask for it: others may."""
        lane, self._promised = self._promised, None
        assert lane is not None
        for key, _ in lane.asks:
            if key[0] == MACHINE:
                self._unpark(key)

    def _forever(self, lane: Lane, refusal: Refusal) -> Refusal | None:
        """What the machine has too little of for this lane, whoever ends; asked only of those that it has refused."""
        if refusal.key[0] != MACHINE or refusal.is_forever:
            return refusal if refusal.is_forever else None
        for key, n in lane.asks:
            if key[0] == MACHINE and n > self.capacity.get(key, 0):
                return Refusal(key, self.used.get(key, 0), self.capacity.get(key, 0), n)
        return None

    def _give_up(self, lane: Lane, refusal: Refusal) -> None:
        self._unfit += [(lane, instance, str(refusal)) for instance in lane.queue if instance.offered]
        for instance in lane.queue:
            instance.queued = False
        lane.queue.clear()
        self._pass_on(lane, None)
        self._no_longer_asks(lane)

    def _queue(self, kind: str) -> Queue:
        queue = self._queues.get(kind)
        if queue is None:
            queue = self._queues[kind] = Queue(self.shares)
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
        if refusal.key[0] == MACHINE:
            parked = self._parked.setdefault(refusal.key, deque())
            if lane.refused_since is None:
                lane.refused_since = self._now
                parked.append(lane)
            else:
                # It has waited before: the longest stay in front.
                parked.appendleft(lane)
            if lane.woken_for == refusal.key:
                # It does not use what it was woken for; those behind it may ask for less.
                self._unpark(refusal.key)
            return
        if refusal.per_s:
            at = self.rates[refusal.key].free_at(refusal.wants)
            # Somebody who is parked there already may ask for less, and be let on sooner.
            self._rate_wakes[refusal.key] = min(at, self._rate_wakes.get(refusal.key, at))
        # Whatever it waits for now may take long: nothing of the machine is kept for it meanwhile.
        self._no_longer_asks(lane)
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
        if key[0] == MACHINE:
            self._wake_fitting(key, parked)
            return
        free = self._free(key, len(parked))
        while parked and free > 0:
            self._wake(parked.popleft(), key)
            free -= 1
        if not parked:
            del self._parked[key]
        elif key in self.rates and (at := self.rates[key].free_at(1)) > self._now:
            self._rate_wakes[key] = at

    def _wake_fitting(self, key: Key, parked: deque[Lane]) -> None:
        """Let those try again for whom there is room, in the order in which they came.

        Smaller ones pass by larger ones, but not for ever: for whom it takes too long, room is kept.
        """
        free = self.capacity.get(key, 0) - self.used.get(key, 0)
        since = parked[0].refused_since
        if self._promised is None and since is not None and self._now - since >= PATIENCE_S:
            self._promised = parked[0]
        promised = self._promised
        kept = 0 if promised is None else _wanted(promised, key)
        if promised is not None and promised.parked_on == key and kept <= free:
            parked.remove(promised)
            self._wake(promised, key)
        room = free - kept
        passed: list[Lane] = []
        # What asks for nothing is not parked here, so without room nobody else needs to be looked at.
        while parked and room > 0:
            lane = parked.popleft()
            wants = _wanted(lane, key)
            if lane is not promised and wants <= room:
                room -= wants
                self._wake(lane, key)
            else:
                passed.append(lane)
        parked.extendleft(reversed(passed))
        if not parked:
            self._parked.pop(key, None)

    def _wake_all(self, key: Key) -> None:
        """There is more of it than before, or less: who now asks for more than there is at all is to be told so."""
        for lane in self._parked.pop(key, ()):
            self._wake(lane, key)

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


def _wanted(lane: Lane, key: Key) -> int:
    return next((n for asked, n in lane.asks if asked == key), 0)


__all__ = ["Admission", "Key", "Lane", "Refusal"]
