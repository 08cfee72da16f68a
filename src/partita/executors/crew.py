"""The workers of one project, as the engine counts them: who has room, who is missing, who is to be replaced.

A warm worker takes many tickets one after the other, some of them waiting in its pipe. A ticket that may have to be
killed, or that must not be begun twice, is alone in its worker ("exclusive"). A fresh worker takes one ticket in its
life. The async worker carries thousands at once.

Rule: bookkeeping and requests to the host; no ticket is sent and no outcome is made here.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from partita.core.policies import Policies
from partita.errors import ExecutorError
from partita.executors import lanes
from partita.executors.contract import Assignment, Demand
from partita.executors.lanes import Lanes
from partita.executors.links import Link
from partita.executors.loading import HostConnection, start_host

# So many workers in a row that died before they could do anything, and no more are started for a while.
_HOPELESS = 3
_PAUSE_S = 5.0
# Below this a timeout counts from a moment that must be known exactly; above, from the outcome before it.
_LONG_TIMEOUT_S = 10.0
# How long a worker is kept for a demand that does not come back.
_SPARE_S = 0.2


class Held(NamedTuple):
    """A ticket in a worker's hands."""

    assignment: Assignment
    lane: str
    expected_s: float
    # By time.time().
    since: float


class Stop(NamedTuple):
    """A kill that was asked for: why, when, and after which time it is done by force (`give_up_at`: monotonic)."""

    reason: str
    asked_at: float
    give_up_at: float
    message: str


class Worker:
    """One worker process."""

    __slots__ = (
        "came",
        "crew",
        "done",
        "exclusive",
        "held",
        "known_briefs",
        "last_ended_at",
        "leaving",
        "link",
        "load_s",
        "memory_limit",
        "moved_at",
        "name",
        "pid",
        "poke_at",
        "ready",
        "reserved",
        "slot",
        "stops",
    )

    def __init__(self, link: Link, crew: Crew, slot: int) -> None:
        self.link = link
        self.crew = crew
        self.slot = slot
        self.pid = 0
        self.name = ""
        # It has said hello and may be given tickets.
        self.ready = False
        # It gets no more tickets.
        self.leaving = False
        # What it holds may not be joined by anything else.
        self.exclusive = False
        self.held: dict[int, Held] = {}
        # Placements that are not submitted yet: lane and expected duration.
        self.reserved: deque[tuple[str, float]] = deque()
        self.load_s = 0.0
        self.known_briefs: set[int] = set()
        self.done = 0
        # Monotonic: when it last gave or was given something to do.
        self.moved_at = 0.0
        # Monotonic: when to ask it again to send the outcomes that it has gathered.
        self.poke_at = 0.0
        self.last_ended_at = 0.0
        self.memory_limit: int | None = None
        self.stops: dict[int, Stop] = {}
        # Outcomes that came after a kill was asked for.
        self.came: dict[int, object] = {}

    @property
    def count(self) -> int:
        return len(self.held) + len(self.reserved)

    def describe(self, now: float) -> str:
        """One line for people."""
        who = f"{self.crew.project} {self.link.kind} worker {self.pid or '(starting)'}"
        if not self.held:
            return (
                f"{who}: {'leaving' if self.leaving else 'idle' if self.ready else 'starting'}, {self.done} steps done"
            )
        no, held = next(iter(self.held.items()))
        brief, more = held.assignment.brief, len(self.held) - 1
        index = f"[{held.assignment.ticket.index}]" if held.assignment.ticket.index else ""
        also = f", {more} more waiting" if more and self.link.kind != "async" else f", {more} more" if more else ""
        return (
            f"{who}: run {brief.run_no} {brief.step}{index} for {max(0.0, now - held.since):.1f} s (ticket {no}){also}"
        )


class Crew:
    """All workers of a project and the host that starts them."""

    def __init__(self, project: str, connection: HostConnection, numbers: Iterator[int]) -> None:
        self.project = project
        self._numbers = numbers
        self.connection = connection
        # The host has died and its workers were settled.
        self.hostless = False
        self.settings = connection.settings
        # The version of the project's code that its workers have; "" = whatever is asked for. Its kept files, if it has any.
        self.code = ""
        self.kept: Path | None = None
        self.lanes = Lanes()
        self.warm: list[Worker] = []
        self.fresh: list[Worker] = []
        self.asynchronous: Worker | None = None
        self.slots: dict[int, Worker] = {}
        # Workers that were asked for and must be known to the executor's selector.
        self.new: list[Worker] = []
        # A worker that is left to become idle, for something that needs one alone or its slot.
        self._spared: Worker | None = None
        self._spared_until = 0.0
        self._failed_starts = 0
        self._hopeless = ""
        self._hopeless_until = 0.0
        for link in connection.early:
            self.warm.append(self._taken_on(link))
        connection.early = []

    def room_for(self, demand: Demand) -> Worker | None:
        """A worker with room for one more ticket, or None; then one is on its way if there may be more."""
        if self._is_hopeless():
            raise ExecutorError(self._hopeless, hint="see the log of the project's import: `partita check`")
        policies = demand.policies
        if policies.asynchronous:
            return self._async_room()
        if policies.isolation == "process":
            return self._fresh_room()
        if is_exclusive(policies):
            return self._idle()
        return self._shared_room(self.lanes.expected_s(demand.lane))

    def reserve(self, worker: Worker, demand: Demand) -> None:
        """Count a placement."""
        expected_s = self.lanes.expected_s(demand.lane)
        worker.reserved.append((demand.lane, expected_s))
        worker.load_s += expected_s
        if worker.link.kind != "async" and is_exclusive(demand.policies):
            worker.exclusive = True

    def release(self, worker: Worker) -> None:
        """Forget the latest placement."""
        if worker.reserved:
            _, expected_s = worker.reserved.pop()
            worker.load_s -= expected_s
        if not worker.count:
            rest(worker)

    def workers(self) -> Iterator[Worker]:
        return iter(list(self.slots.values()))

    def idle_elsewhere(self, busy: Worker) -> bool:
        """Whether another worker could take tickets that wait behind a long step of this one."""
        return any(w is not busy and w.ready and not w.leaving and not w.count for w in self.warm)

    def greeted(self, worker: Worker) -> None:
        """A worker said hello: starting works."""
        worker.ready = True
        self._failed_starts = 0
        self._hopeless = ""

    def dismiss(self, worker: Worker) -> None:
        """No more tickets for this worker."""
        worker.leaving = True
        if worker in self.warm:
            self.warm.remove(worker)
        if worker is self.asynchronous:
            self.asynchronous = None

    def died(self, worker: Worker, why: str) -> None:
        """A worker is gone for good."""
        self.dismiss(worker)
        if worker in self.fresh:
            self.fresh.remove(worker)
        self.slots.pop(worker.slot, None)
        worker.link.close()
        if worker.ready or self.connection.gone:
            return
        self._failed_starts += 1
        if self._failed_starts >= _HOPELESS:
            self._give_up(
                f"workers of project {self.project!r} die before they can do anything: {why}", self.connection.output()
            )

    def host_died(self) -> None:
        """The host is gone, and its workers were settled: the next demand starts another one."""
        printed = self.connection.output()
        self.hostless = True
        self.connection.close(kill=True)
        self._failed_starts += 1
        if self._failed_starts >= _HOPELESS:
            self._give_up(f"the host of project {self.project!r} dies again and again", printed)

    def revive(self) -> bool:
        """Start another host, unless that was tried too often just now."""
        if self._is_hopeless():
            return False
        if self.kept is not None:
            # What lies in the project's folder now may be another version.
            self.settings = replace(self.settings, source=self.kept)
        self.connection = start_host(self.settings)
        self.hostless = False
        return True

    def _is_hopeless(self) -> bool:
        return bool(self._hopeless) and time.monotonic() < self._hopeless_until

    def _give_up(self, message: str, printed: str) -> None:
        self._hopeless = message + (f"\n{printed}" if printed else "")
        self._hopeless_until = time.monotonic() + _PAUSE_S
        self._failed_starts = 0

    def _shared_room(self, expected_s: float) -> Worker | None:
        best: Worker | None = None
        spared = self._still_spared()
        for worker in self.warm:
            if not worker.ready or worker.exclusive or worker is spared:
                continue
            if not worker.held and not worker.reserved:
                best = worker
                break
            if best is None or worker.load_s < best.load_s:
                best = worker
        if best is None or best.count:
            if self._may_start_warm():
                self._start_warm()
            if best is None or not lanes.fits(expected_s, best.count, best.load_s):
                return None
        elif self.fresh and not self._has_slot():
            return None
        return best

    def _idle(self) -> Worker | None:
        if self.fresh and not self._has_slot():
            return None
        for worker in self.warm:
            if worker.ready and not worker.count:
                self._spared = None
                return worker
        if self._may_start_warm():
            self._start_warm()
        self._spare_one()
        return None

    def _fresh_room(self) -> Worker | None:
        if not self._has_slot():
            self._spare_one()
            return None
        for worker in self.fresh:
            if worker.ready and not worker.leaving and not worker.count:
                self._spared = None
                return worker
        waiting = [w for w in self.fresh if not w.leaving and not w.count]
        if not waiting and len(self.fresh) < self.settings.workers:
            self.fresh.append(self._taken_on(self.connection.start_worker("fresh")))
        return None

    def _async_room(self) -> Worker | None:
        worker = self.asynchronous
        if worker is None:
            self.asynchronous = self._taken_on(self.connection.start_worker("async"))
            return None
        if not worker.ready or worker.count >= min(self.settings.async_slots, worker.link.room):
            return None
        return worker

    def _spare_one(self) -> None:
        """Stack nothing more on one worker: under a stream of short steps none would ever be idle."""
        self._spared_until = time.monotonic() + _SPARE_S
        if self._spared is None or self._spared not in self.warm:
            ready = [w for w in self.warm if w.ready and not w.exclusive]
            self._spared = min(ready, key=lambda w: w.load_s, default=None)

    def _still_spared(self) -> Worker | None:
        if self._spared is not None and time.monotonic() > self._spared_until:
            self._spared = None
        return self._spared

    def _has_slot(self) -> bool:
        """Whether one more process may be busy: fresh and warm ones share the project's number of workers."""
        busy = sum(1 for w in self.warm if w.count) + sum(1 for w in self.fresh if w.count)
        return busy < self.settings.workers

    def _may_start_warm(self) -> bool:
        return len(self.warm) < self.settings.workers and all(worker.ready for worker in self.warm)

    def _start_warm(self) -> None:
        self.warm.append(self._taken_on(self.connection.start_worker("warm")))

    def _taken_on(self, link: Link) -> Worker:
        worker = Worker(link, self, next(self._numbers))
        self.slots[worker.slot] = worker
        self.new.append(worker)
        return worker


def is_exclusive(policies: Policies) -> bool:
    """Whether a ticket must be alone in its worker: it may be killed soon or for its memory, or must run at most once."""
    return (
        (policies.timeout_s is not None and policies.timeout_s < _LONG_TIMEOUT_S)
        or policies.memory_bytes is not None
        or policies.on_lost != "retry"
        or policies.isolation == "process"
    )


def rest(worker: Worker) -> None:
    """A worker has nothing left in its hands."""
    worker.load_s = 0.0
    worker.exclusive = False
