"""Which faults there are, how often each comes, and the crash itself.

Rule: probabilities and switches only; whoever acts asks here. `calm` means that nothing goes wrong any more.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from random import Random


class Crash(BaseException):
    """The engine's process dies here: no `except Exception` of ours may bring it back to life."""


@dataclass
class Faults:
    """How often what goes wrong, as probabilities; `is_full` and `is_closed` are switches."""

    # Of workers and what they say.
    lose: float = 0.0
    refuse: float = 0.0
    double: float = 0.0
    late: float = 0.0
    slow: float = 0.0
    unknown_ticket: float = 0.0
    # Of the engine's process: before, in and after each durable write, while it tells, while it hands out and adopts.
    crash_before: float = 0.0
    crash_after: float = 0.0
    crash_telling: float = 0.0
    crash_handing_out: float = 0.0
    crash_adopting: float = 0.0
    # Of the store: an error with nothing done, and one after the commit was made.
    error_before: float = 0.0
    error_after: float = 0.0
    # The process stands still in a commit, and another one takes over.
    stall: float = 0.0
    # No space for any write; no room for any worker.
    is_full: bool = False
    is_closed: bool = False

    def calm(self) -> None:
        """All well from now on."""
        for field in fields(self):
            setattr(self, field.name, field.default)

    def stir(self, rng: Random) -> None:
        """Other weather: each kind of fault is absent, rare or frequent."""
        self.lose = rng.choice((0.0, 0.02, 0.1))
        self.refuse = rng.choice((0.0, 0.05))
        self.double = rng.choice((0.0, 0.1))
        self.late = rng.choice((0.0, 0.05))
        self.slow = rng.choice((0.0, 0.05))
        self.unknown_ticket = rng.choice((0.0, 0.02))
        self.crash_before = rng.choice((0.0, 0.0, 0.01))
        self.crash_after = rng.choice((0.0, 0.0, 0.01))
        self.crash_telling = rng.choice((0.0, 0.003))
        self.crash_handing_out = rng.choice((0.0, 0.003))
        self.crash_adopting = rng.choice((0.0, 0.05))
        self.error_before = rng.choice((0.0, 0.003))
        self.error_after = rng.choice((0.0, 0.003))
        self.stall = rng.choice((0.0, 0.002))
