"""The contract of an executor: where workers are started. The engine calls it from its one thread.

The way of an attempt. The engine asks `place` for room (bookkeeping only, nothing is sent), commits AttemptStarted with
the placement's worker (the start gate), then calls `submit`. Whatever becomes of it comes back from `poll` as an `Ended`,
exactly once per ticket: with the worker's outcome, or with what the executor found out itself (lost, refused, timed_out,
cancelled). A placement that is not submitted must be given back with `unplace`.

What may fail. `place` answers None when there is no room. `submit` never raises for one ticket: a worker that died
in the meantime ends its tickets as "refused" (never begun) or "lost". `ExecutorError` means that no worker can be started.
What happens twice. `kill` of an ended ticket does nothing. `close` twice does nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from partita.core.policies import Policies
from partita.worker.wire import Brief, MemberBegan, MemberEnded, Outcome, Progress, Ticket


class Demand(msgspec.Struct, frozen=True):
    """What a step asks of a worker. Steps with equal `lane` are taken as equally long (same task).

    `code` is the version of the project's code that the run began with; "" = any.
    """

    project: str
    lane: str
    policies: Policies
    kind: str = "task"
    code: str = ""


class Placement(msgspec.Struct, frozen=True):
    """Room for one ticket. `worker` is "<host>:<pid>:<start time>" and is what is committed with the start."""

    worker: str
    slot: int


class Assignment(msgspec.Struct, frozen=True):
    """A ticket on its way to its place."""

    placement: Placement
    brief: Brief
    ticket: Ticket
    policies: Policies
    # Whose code it is, and which version: what machines that have neither must be sent.
    project: str = ""
    code: str = ""


class OpenAttempt(msgspec.Struct, frozen=True):
    """An attempt that an earlier engine left open, for `adopt`."""

    run: str
    step: str
    index: str
    attempt: int
    epoch: int
    worker: str
    started_at: float
    policies: Policies
    no: int
    # By which its log is called.
    run_no: int = 0


class Ended(msgspec.Struct, frozen=True):
    """The end of a ticket."""

    outcome: Outcome


Report = Ended | Progress | MemberBegan | MemberEnded


class Executor(Protocol):
    """Where workers are started."""

    def place(self, demand: Demand) -> Placement | None:
        """Room for one more ticket of this kind now, or None."""
        ...

    def unplace(self, placement: Placement) -> None:
        """Give a placement back that will not be submitted."""
        ...

    def submit(self, assignments: Sequence[Assignment]) -> None:
        """Hand out tickets whose start was committed."""
        ...

    def kill(self, ticket_no: int, *, reason: str) -> None:
        """End an attempt politely, then after its grace period by SIGKILL to its process group.

        `reason` "cancelled" or "timeout" becomes the state of its `Ended` (cancelled, timed_out).
        """
        ...

    def poll(self, timeout_s: float) -> list[Report]:
        """What happened since the last call; waits up to `timeout_s` for the first. Timeouts of tickets are kept here."""
        ...

    def wake(self) -> None:
        """Let a `poll` that waits return now. The one method that any thread may call."""
        ...

    def adopt(self, attempts: Sequence[OpenAttempt]) -> None:
        """Take over what an earlier engine left: living workers are watched, spooled outcomes and deaths come from `poll`."""
        ...

    def describe(self) -> list[str]:
        """One line per worker for `doctor` and `why`: what it does, since when."""
        ...

    def close(self, *, kill: bool = False) -> None:
        """End all workers: idle ones at once, busy ones after their step, or by force with `kill`."""
        ...
