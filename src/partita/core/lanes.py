"""Ready steps in lanes, and whose turn it is: namespaces by their shares, priorities within, runs in turn.

Rule: order only; whether a lane may go on when its turn comes is the admission's to say.
"""

from __future__ import annotations

from collections import deque

from partita.core.plan import Instance
from partita.core.run_queue import AGING_S

Key = tuple[str, ...]
"""What is limited: ("pool", namespace, name), ("task", namespace, call), ("step", run, step), ("run", run),
("namespace", name), ("machine", "cpu" | "memory" | "gpu" | a resource): thousandths, and bytes of memory."""


class Lane:
    """Ready instances of one step of one run; `asks` are the slots that each of them takes."""

    __slots__ = (
        "asks",
        "gpus",
        "grown",
        "is_queued",
        "kind",
        "namespace",
        "parked_on",
        "priority",
        "queue",
        "refused_since",
        "run",
        "since",
        "step",
        "woken_for",
    )

    def __init__(
        self,
        *,
        run: str,
        step: str,
        namespace: str,
        kind: str,
        priority: int,
        asks: tuple[tuple[Key, int], ...],
        grown: int = 0,
        gpus: int = 0,
    ) -> None:
        self.run = run
        self.step = step
        self.namespace = namespace
        # Which workers it can use; lanes of different kinds do not wait for each other's room.
        self.kind = kind
        self.priority = priority
        self.asks = asks
        # How often the memory of its instances has grown; how many GPUs of this machine each of them gets.
        self.grown = grown
        self.gpus = gpus
        # Since when the machine has had no room for it; None = it was not refused since its last start.
        self.refused_since: float | None = None
        self.queue: deque[Instance] = deque()
        self.is_queued = False
        # When it was queued; to be put back for lack of room does not count.
        self.since = 0.0
        self.parked_on: Key | None = None
        # The key of which a slot became free; if this lane does not use it, another one has to be woken.
        self.woken_for: Key | None = None


class Level:
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


_NO_LEVELS: dict[int, Level] = {}


class Queue:
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
        self.levels: dict[str, dict[int, Level]] = {}

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
            level = levels[lane.priority] = Level(lane.since)
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
