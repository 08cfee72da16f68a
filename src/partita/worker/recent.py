"""The outcomes that were sent last, for the case that the engine died before it read them.

An engine that has many outcomes of ours unread hands out no more tickets, so what may be lost is bounded by what a
worker holds at once. Spooling one that had arrived does no harm: it is known by attempt and epoch.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from partita.core.events import Detail, Failure
from partita.worker import wire
from partita.worker.failures import clean
from partita.worker.spool import spool
from partita.worker.wire import MemberEnded, Outcome, Spooled, Ticket

if TYPE_CHECKING:
    from partita.worker.run_step import Plan

_KEEP = 1024
# An engine takes in what has come within a turn of its loop; a stalled disk may make that turn long.
_KEEP_S = 30.0


class Recent:
    """What a worker has sent in the last while."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sent: deque[tuple[float, list[Ticket], list[Outcome]]] = deque()
        self._count = 0
        # By ticket number, of the bundles among the tickets that are remembered or under way.
        self._members: dict[int, list[MemberEnded]] = {}

    def heard(self, message: wire.FromWorker) -> None:
        """A message other than an outcome is about to be sent."""
        if type(message) is MemberEnded:
            self._members.setdefault(message.no, []).append(message)

    def remember(self, tickets: list[Ticket], outcomes: list[Outcome]) -> None:
        """Outcomes are about to be sent."""
        sent = self._sent
        sent.append((time.monotonic(), tickets, outcomes))
        self._count += len(outcomes)
        while self._count - len(sent[0][2]) >= _KEEP:
            forgotten = sent.popleft()[2]
            self._count -= len(forgotten)
            for outcome in forgotten:
                self._members.pop(outcome.no, None)

    def spool(self, never_begun: Iterable[Ticket], plans: Mapping[int, Plan]) -> None:
        """The engine is gone: keep on disk what it may not have taken in, and say what has never begun."""
        since = time.monotonic() - _KEEP_S
        pairs = [
            (ticket, outcome)
            for at, tickets, outcomes in self._sent
            if at >= since
            for ticket, outcome in zip(tickets, outcomes, strict=True)
        ]
        pairs += [(ticket, _refused(ticket)) for ticket in never_begun]
        spool(self._folder, [self._spooled(ticket, outcome, plans) for ticket, outcome in pairs])
        self._sent.clear()

    def _spooled(self, ticket: Ticket, outcome: Outcome, plans: Mapping[int, Plan]) -> Spooled:
        brief = plans[ticket.brief].brief
        members = tuple(self._members.get(ticket.no, ()))
        return Spooled(brief.run, brief.step, ticket.index, ticket.attempt, ticket.epoch, outcome, members=members)


def frame_of(outcomes: list[Outcome]) -> bytes:
    """The frame of these outcomes. One that cannot be sent (lone surrogates in a name) fails alone."""
    try:
        return wire.frame(wire.Outcomes(outcomes))
    except (UnicodeEncodeError, TypeError, ValueError, OverflowError):
        outcomes[:] = [_sendable(outcome) for outcome in outcomes]
        return wire.frame(wire.Outcomes(outcomes))


def _sendable(outcome: Outcome) -> Outcome:
    try:
        wire.frame(wire.Outcomes([outcome]))
    except (UnicodeEncodeError, TypeError, ValueError, OverflowError) as error:
        failure = Failure(f"what the step reported cannot be sent: {clean(str(error))[:500]}", cause="not_storable")
        return Outcome(outcome.no, "failed", outcome.began_at, outcome.ended_at, None, Detail(failure=failure))
    return outcome


def _refused(ticket: Ticket) -> Outcome:
    now = time.time()
    failure = Failure("its worker ended before the step began, for the engine was gone", cause="not_begun")
    return Outcome(ticket.no, "refused", now, now, None, Detail(failure=failure))
