"""How often somebody may try: a bucket for each key that empties with each try and fills again with time.

Rule: the keys come from outside, so only so many are remembered; those that have not tried for longest are forgotten.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

_MOST_KEYS = 10_000


class Throttle:
    """At most `burst` tries at once, and one more each `every_s` seconds."""

    def __init__(self, burst: int, every_s: float) -> None:
        self._burst = burst
        self._every_s = every_s
        # Key -> when its bucket would be full again.
        self._full_at: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def wait_s(self, key: str, now: float) -> float:
        """How long `key` must wait before its next try; 0 = not at all. Asking costs nothing."""
        full_at = self._full_at.get(key, now)
        return max(0.0, full_at - now - (self._burst - 1) * self._every_s)

    def take(self, key: str, now: float) -> None:
        """Count a try."""
        with self._lock:
            self._full_at[key] = max(self._full_at.get(key, now), now) + self._every_s
            self._full_at.move_to_end(key)
            while len(self._full_at) > _MOST_KEYS:
                self._full_at.popitem(last=False)

    def forget(self, key: str) -> None:
        """Let `key` try as if it never had."""
        with self._lock:
            self._full_at.pop(key, None)
