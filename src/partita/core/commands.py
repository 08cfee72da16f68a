"""What is to be done, as the machine says it; the engine does it after the commit."""

from __future__ import annotations

import msgspec


class Offer(msgspec.Struct, frozen=True):
    """A step instance is ready and asks for admission; not before `not_before` (0 = now)."""

    step: str
    index: str
    not_before: float = 0.0


class Withdraw(msgspec.Struct, frozen=True):
    """A step instance that was offered is no longer ready (cancelled, failed fast, paused)."""

    step: str
    index: str


class Kill(msgspec.Struct, frozen=True):
    """An open attempt is to end, with its process group after the grace period."""

    step: str
    index: str
    attempt: int
    reason: str


class WakeAt(msgspec.Struct, frozen=True):
    """The machine wants a `TimerDue` at this instant (a retry, the run's own timeout)."""

    at: float


class Finished(msgspec.Struct, frozen=True):
    """The run has ended; its machine can be let go."""


Command = Offer | Withdraw | Kill | WakeAt | Finished
