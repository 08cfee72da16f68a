"""An executor that starts nothing: it only sees to the end what an earlier engine left running.

Rule: there is never room here, so an engine over it can end runs and cannot carry them on.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Sequence

from partita.executors.adoption import Adoption
from partita.executors.contract import Assignment, Demand, OpenAttempt, Placement, Report
from partita.settings import Home


class Leftovers:
    """`executors.contract.Executor` without workers of its own."""

    def __init__(self, home: Home) -> None:
        self._selector = selectors.DefaultSelector()
        self._adoption = Adoption(home, self._selector, lambda: None)

    def place(self, demand: Demand) -> Placement | None:
        return None

    def unplace(self, placement: Placement) -> None:
        raise AssertionError("nothing was placed")

    def submit(self, assignments: Sequence[Assignment]) -> None:
        assert not assignments, "nothing was placed"

    def kill(self, ticket_no: int, *, reason: str) -> None:
        self._adoption.kill(ticket_no, reason)

    def poll(self, timeout_s: float) -> list[Report]:
        now = time.monotonic()
        wait = max(0.0, min(timeout_s, self._adoption.next_look(now) - now))
        for key, _ in self._selector.select(wait):
            key.data()
        return self._adoption.look(time.monotonic())

    def wake(self) -> None:
        """Nobody else asks this one for anything."""

    def adopt(self, attempts: Sequence[OpenAttempt]) -> None:
        self._adoption.take_over(attempts)

    def describe(self) -> list[str]:
        return self._adoption.describe(time.time())

    def close(self, *, kill: bool = False) -> None:
        self._adoption.close()
        self._selector.close()
