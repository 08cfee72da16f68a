"""The executor without processes: tickets run in this process, when `poll` is called. For `run()`, tests and debuggers.

A breakpoint in a step works, and so does a step that uses an object of the test. What needs a process of its own is
not here: a sync step is not ended by its timeout, its memory limit is the kernel's alone, and a crash is a crash. Output goes
where it goes. Async steps run together, and keep their timeouts.

Rule: user code runs in `poll` and nowhere else, so a cancel takes effect between two steps.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Mapping, Sequence

from partita.define.calls import Call
from partita.executors import verdicts
from partita.executors.contract import Assignment, Demand, Ended, OpenAttempt, Placement, Report
from partita.executors.identity import name_of
from partita.settings import Home
from partita.values.blobs import Blobs
from partita.values.object_blobs import blobs_of
from partita.worker.run_step import Plan, StepRunner
from partita.worker.wire import Outcome

_SYNC_ROOM = 8
_ASYNC_ROOM = 1000


class InlineExecutor:
    """Runs the calls of one project here. `blobs`: where large values go, if not to the home's folder."""

    def __init__(
        self, calls: Mapping[str, Call], home: Home, *, blobs: Blobs | None = None, inline_bytes: int = 4096
    ) -> None:
        self._runner = StepRunner(calls, blobs or blobs_of(home), home, self._send, inline_bytes=inline_bytes)
        self._name = name_of(os.getpid()) or ""
        self._plans: dict[int, Plan] = {}
        self._queue: dict[int, Assignment] = {}
        self._placed = 0
        self._reports: list[Report] = []
        self._woken = threading.Event()

    def place(self, demand: Demand) -> Placement | None:
        """Room for a few steps at a time; for many if they are asynchronous."""
        room = _ASYNC_ROOM if demand.policies.asynchronous else _SYNC_ROOM
        if self._placed + len(self._queue) >= room:
            return None
        self._placed += 1
        return Placement(self._name, 0)

    def unplace(self, placement: Placement) -> None:
        """Give a placement back."""
        self._placed -= 1

    def submit(self, assignments: Sequence[Assignment]) -> None:
        """Keep tickets for the next `poll`."""
        for assignment in assignments:
            self._placed -= 1
            self._queue[assignment.ticket.no] = assignment

    def kill(self, ticket_no: int, *, reason: str) -> None:
        """Take a ticket that has not begun out of the queue."""
        if self._queue.pop(ticket_no, None):
            now = time.time()
            self._reports.append(Ended(verdicts.stopped(ticket_no, reason, now, now)))

    def poll(self, timeout_s: float) -> list[Report]:
        """Run the next step, or all async ones that are there; wait if there is nothing to run."""
        if not self._queue and not self._reports:
            self._woken.wait(timeout_s)
        self._woken.clear()
        waiting = [a for a in self._queue.values() if a.policies.asynchronous]
        if waiting:
            outcomes = asyncio.run(self._run_together(waiting))
        else:
            outcomes = [self._run(a) for a in list(self._queue.values())[:1]]
        for outcome in outcomes:
            del self._queue[outcome.no]
            self._reports.append(Ended(outcome))
        reports, self._reports = self._reports, []
        return reports

    def wake(self) -> None:
        """Let a waiting `poll` return."""
        self._woken.set()

    def adopt(self, attempts: Sequence[OpenAttempt]) -> None:
        """Nothing outlives this process: what an earlier engine left is lost."""
        now = time.time()
        for attempt in attempts:
            message = "its process has ended, and nothing else ran it"
            self._reports.append(Ended(verdicts.lost(attempt.no, message, attempt.started_at, now)))

    def describe(self) -> list[str]:
        """One line."""
        return [f"in this process ({os.getpid()}): {len(self._queue)} steps wait"]

    def close(self, *, kill: bool = False) -> None:
        """Forget what waits."""
        self._queue.clear()

    def _run(self, assignment: Assignment) -> Outcome:
        outcome = self._runner.run(self._plan(assignment), assignment.ticket)
        failure = outcome.detail.failure if outcome.detail else None
        if failure is not None and failure.types[:1] in (("KeyboardInterrupt",), ("builtins.KeyboardInterrupt",)):
            # Ctrl-C is for us, whatever step it hit.
            raise KeyboardInterrupt
        return outcome

    async def _run_together(self, assignments: list[Assignment]) -> list[Outcome]:
        runs = (self._runner.run_async(self._plan(a), a.ticket) for a in assignments)
        return list(await asyncio.gather(*runs))

    def _plan(self, assignment: Assignment) -> Plan:
        plan = self._plans.get(assignment.brief.id)
        if plan is None:
            plan = self._plans[assignment.brief.id] = self._runner.plan(assignment.brief)
        return plan

    def _send(self, message: object) -> None:
        self._reports.append(message)  # type: ignore[arg-type]
