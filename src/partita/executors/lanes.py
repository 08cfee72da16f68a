"""How many tickets a worker may hold at once: enough that it never waits for us, too few to hold anything up.

A lane is a task: its tickets are taken as equally long. A worker that computes for 5 microseconds a step takes 64 at a
time; one that computes for a second takes one. The measure is user code's own time, smoothed, and it starts short and
learns fast, for a wrong guess is repaired (`processes` takes back what is stuck behind a long step).

Rule: arithmetic only; no process, no clock.
"""

from __future__ import annotations

from typing import Final

WINDOW_S: Final = 0.010
MAX_ROOM: Final = 64
# Up to this length a second ticket waits at the worker, so that no round trip stands between two steps.
PREFETCH_S: Final = 0.050
# What a step costs beside user code, so that the quickest lane still has a finite room.
_FLOOR_S: Final = 0.00005
_UNKNOWN_S: Final = WINDOW_S / 2
_WEIGHT: Final = 0.3


class Lanes:
    """The expected duration of a ticket, by lane."""

    def __init__(self) -> None:
        self._expected: dict[str, float] = {}

    def expected_s(self, lane: str) -> float:
        """How long a ticket of the lane is taken to be."""
        return self._expected.get(lane, _UNKNOWN_S)

    def learn(self, lane: str, took_s: float) -> None:
        """A ticket of the lane took so long. The first answer counts whole, a longer one more than a shorter one."""
        took_s = took_s if took_s > _FLOOR_S else _FLOOR_S
        known = self._expected.get(lane)
        if known is None:
            self._expected[lane] = took_s
        elif took_s > known:
            self._expected[lane] = (known + took_s) / 2
        else:
            self._expected[lane] = known + _WEIGHT * (took_s - known)


def fits(expected_s: float, held: int, load_s: float) -> bool:
    """Whether a worker that holds so many tickets, of so much work together, has room for one more.

    >>> fits(5.0, 0, 0.0), fits(5.0, 1, 5.0)
    (True, False)
    >>> fits(0.006, 1, 0.006), fits(0.006, 2, 0.012)
    (True, False)
    >>> fits(0.0001, 63, 0.0063), fits(0.0001, 64, 0.0064)
    (True, False)
    """
    if held == 0:
        return True
    if held >= MAX_ROOM:
        return False
    return load_s + expected_s <= WINDOW_S or (held == 1 and load_s <= PREFETCH_S and expected_s <= PREFETCH_S)
