"""A rate limit: at most so many starts within so many seconds, over every window of that length.

Rule: time comes with each call, and a window that has not been seen whole counts as full: `start_full` after a restart.
"""

from __future__ import annotations

from collections import deque


class Rate:
    """The starts within the last window.

    >>> rate = Rate(2, 60.0)
    >>> rate.note(0.0), rate.note(1.0), rate.free(2.0), rate.free_at(1), rate.free(60.0)
    (None, None, 0, 60.0, 1)
    """

    __slots__ = ("_starts", "count", "per_s")

    def __init__(self, count: int, per_s: float) -> None:
        self.count = count
        self.per_s = per_s
        self._starts: deque[float] = deque()

    def start_full(self, now: float) -> None:
        """Nobody knows what was started in the window before now: as much as may be, at the worst."""
        self._starts = deque([now] * self.count)

    def free(self, now: float) -> int:
        """How many more may start now."""
        starts = self._starts
        # A clock that was set back must not block longer than a window.
        while starts and not now - self.per_s < starts[0] <= now:
            starts.popleft()
        return self.count - len(starts)

    def note(self, now: float, n: int = 1) -> None:
        """So many have started."""
        for _ in range(n):
            self._starts.append(now)

    def free_at(self, n: int) -> float:
        """When `n` may start, as far as is known; infinity: never, it is more than there is."""
        if n > self.count:
            return float("inf")
        missing = n - (self.count - len(self._starts))
        return self._starts[missing - 1] + self.per_s if missing > 0 else 0.0
