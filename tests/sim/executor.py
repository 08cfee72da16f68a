"""Simulated workers and the executors of the engines that use them.

The workers (`Fleet`) live by true time, go on when an engine dies or stands still, and misbehave by plan. Each engine has
an executor of its own (`SimExecutor`), as each process has its own pipes. What user code does comes from `fates.py`; what
the infrastructure does (loses, delays, doubles) from the seed.

Rule: here it is seen what really ran. A second copy of a step at once, or one that runs before its start was committed, is
found here and nowhere else.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

import msgspec

from partita.core.events import Detail, Failure
from partita.core.graph import Graph, Step
from partita.core.invariants import Violation
from partita.core.states import AttemptState
from partita.core.values import Value
from partita.executors.contract import Assignment, Demand, Ended, OpenAttempt, Placement, Report
from partita.store.contract import Store
from partita.worker.wire import MemberBegan, MemberEnded, Outcome, Progress

from .clock import SimClock
from .fates import fate, fate_of_member, may_grow, memory_after
from .faults import Crash, Faults

Address = tuple[str, str, str]


@dataclass
class Job:
    """An attempt as its worker has it. `ends_at` and the times of its reports are true time."""

    run: str
    step: Step
    index: str
    attempt: int
    no: int
    ends_at: float
    state: AttemptState = "succeeded"
    value: Value | None = None
    detail: Detail | None = None
    reports: list[tuple[float, Report]] = field(default_factory=list)

    def outcome(self, no: int) -> Outcome:
        """Its end, as told under a ticket number."""
        return Outcome(no, self.state, 0.0, 0.0, self.value, self.detail)

    def end(self, at: float, state: AttemptState, failure: Failure) -> None:
        """It ends otherwise than planned; what it would have said after that is not said."""
        self.ends_at = min(self.ends_at, at)
        self.state, self.value, self.detail = state, None, Detail(failure=failure)
        self.reports = [(when, report) for when, report in self.reports if when <= self.ends_at]


class Fleet:
    """All workers, and what they do. `graphs` tells them what the steps report; the store is asked at the start gate."""

    def __init__(
        self, clock: SimClock, rng: Random, graphs: dict[str, Graph], store: Store, faults: Faults, marks: Counter[str]
    ) -> None:
        self.clock = clock
        self.rng = rng
        self.store = store
        self.faults = faults
        self.marks = marks
        self.slots = rng.choice((1, 2, 5, 20))
        # The last job of each step instance, also when it is over.
        self.jobs: dict[Address, Job] = {}
        self._graphs = graphs
        self._steps: dict[str, dict[str, Step]] = {}

    def begin(self, assignment: Assignment, holder: str) -> Job:
        """A worker takes a ticket."""
        brief, ticket = assignment.brief, assignment.ticket
        address = (brief.run, brief.step, ticket.index)
        self._pass_start_gate(address, ticket.attempt, ticket.epoch, holder)
        job = Job(
            run=brief.run,
            step=self._step(brief.run, brief.step),
            index=ticket.index,
            attempt=ticket.attempt,
            no=ticket.no,
            ends_at=self.clock.true + self._duration(),
        )
        self.jobs[address] = job
        failures = sum(p.state in ("failed", "timed_out") for p in ticket.past)
        grown = self._grown(job.step, sum(p.reason == "too little" for p in ticket.past))
        if grown:
            self.marks["an attempt got more memory than the one before it"] += 1
        if brief.memory_bytes != memory_after(job.step, grown):
            raise Violation(f"{address} has {brief.memory_bytes} of memory after it ran out of it {grown} times")
        self._plan(job, failures - grown, brief.memory_bytes)
        if ticket.members:
            self._perform_members(job, ticket.members)
        elif self.rng.random() < 0.02:
            job.reports.append((job.ends_at, Progress(ticket.no, 1.0, 2.0)))
        return job

    def is_running(self, address: Address) -> bool:
        """Does user code of this step instance run at this moment?"""
        job = self.jobs.get(address)
        return job is not None and job.ends_at > self.clock.true

    def die_a_little(self) -> None:
        """Some workers die with the engine, or while there is none that would see it."""
        for address, job in list(self.jobs.items()):
            if job.ends_at > self.clock.true and self.rng.random() < self.faults.lose:
                del self.jobs[address]
                self.marks["a worker died while no engine was there"] += 1

    def _pass_start_gate(self, address: Address, attempt: int, epoch: int, holder: str) -> None:
        run, step, index = address
        if self.is_running(address):
            raise Violation(f"I7: two attempts of {address} run at once")
        rows = self.store.attempts(run, step=step, index=index, open_only=True)
        if [(r.attempt, r.epoch, r.state) for r in rows] != [(attempt, epoch, "started")]:
            raise Violation(f"I5: attempt {attempt} of {address} was handed out before its start was committed: {rows}")
        lease = self.store.lease("engine")
        if lease is None or lease.holder != holder:
            raise Violation(f"I7: {holder} handed out {address}, and the lease is with {lease}")

    def _step(self, run: str, key: str) -> Step:
        steps = self._steps.get(run)
        if steps is None:
            steps = self._steps[run] = {s.key: s for s in self._graphs[run].steps}
        return steps[key]

    def _duration(self) -> float:
        base = self.rng.choice((0.0, 0.1, 1.0, 7.0))
        return base + (self.rng.uniform(50.0, 500.0) if self.rng.random() < self.faults.slow else 0.0)

    def _grown(self, step: Step, ran_out: int) -> int:
        grown = 0
        while grown < ran_out and may_grow(step, grown):
            grown += 1
        return grown

    def _plan(self, job: Job, failures: int, memory: int | None) -> None:
        chance = self.rng.random()
        if chance < self.faults.lose:
            self.marks["a worker was killed"] += 1
            job.end(job.ends_at, "lost", Failure("killed by SIGKILL", cause="signal", signal=9))
        elif chance < self.faults.lose + self.faults.refuse:
            self.marks["a worker ended between place and submit"] += 1
            cause = self.rng.choice(("not_begun", "exit"))
            job.end(self.clock.true, "refused", Failure("never begun", cause=cause))
        else:
            one = fate(job.run, job.step, job.index, failures, memory)
            job.state, job.value, job.detail = one.state, one.value, one.detail

    def _perform_members(self, job: Job, members: tuple[str, ...]) -> None:
        """As a build tool does it: one after the other, and none whose need in the bundle came to nothing."""
        span = job.ends_at - self.clock.true
        ends: dict[str, str] = {}
        is_broken = False
        for i, member in enumerate(members):
            at = self.clock.true + span * i / len(members)
            if job.state in ("lost", "refused") and (job.state == "refused" or self.rng.random() < 0.5):
                return
            before = {ends.get(need, "succeeded") for need in self._step(job.run, member).needs}
            if before & {"failed", "upstream_failed"}:
                end = "upstream_failed"
            else:
                end = "skipped" if "skipped" in before else fate_of_member(job.run, member)
            ends[member] = end
            is_broken |= end == "failed"
            looked = end == "skipped" and "skipped" not in before
            if end in ("succeeded", "failed") or (looked and self.rng.random() < 0.5):
                job.reports.append((at, MemberBegan(job.no, member, at)))
            detail = Detail(failure=Failure("model failed")) if end == "failed" else None
            ended = MemberEnded(job.no, member, end, at, at, detail=detail)
            job.reports.append((at, ended))
            if self.rng.random() < self.faults.double:
                self.marks["a member's end came twice"] += 1
                job.reports.append((at, ended))
        if is_broken and job.state in ("succeeded", "cancelled"):
            job.end(job.ends_at, "failed", Failure("members failed", cause="members"))


class SimExecutor:
    """The executor of one engine. Implements the contract of an executor."""

    def __init__(self, fleet: Fleet, holder: str) -> None:
        self.fleet = fleet
        self.clock = fleet.clock
        self.rng = fleet.rng
        self.holder = holder
        self.placed = 0
        self.tickets: dict[int, Job] = {}
        # Tickets whose end was asked for.
        self.killed: set[int] = set()
        self._ended: set[int] = set()
        self._queue: list[tuple[float, int, Report]] = []
        self._sequence = itertools.count()

    # --- the contract -----------------------------------------------------------------------------------------------

    def place(self, demand: Demand) -> Placement | None:
        if self.fleet.faults.is_closed:
            self.fleet.marks["there was no room for a worker for a while"] += 1
            return None
        if len(self.tickets) + self.placed >= self.fleet.slots:
            return None
        self.placed += 1
        return Placement(f"sim:{self.rng.randint(1, 99)}:0", 0)

    def unplace(self, placement: Placement) -> None:
        self.placed -= 1

    def submit(self, assignments: Sequence[Assignment]) -> None:
        for assignment in assignments:
            if self.rng.random() < self.fleet.faults.crash_handing_out:
                self.fleet.marks["a crash while handing out"] += 1
                raise Crash("while handing out")
            self.placed -= 1
            job = self.fleet.begin(assignment, self.holder)
            self._follow(job, job.no)

    def kill(self, ticket_no: int, *, reason: str) -> None:
        self.killed.add(ticket_no)
        job = self.tickets.get(ticket_no)
        if job is None or self.rng.random() < 0.2:
            return  # it ends by itself before the signal comes
        state: AttemptState = "timed_out" if reason == "timeout" else "cancelled"
        job.end(self.clock.true + self.rng.choice((0.0, 0.5)), state, Failure(reason, cause=reason))
        self._say(job.ends_at, Ended(job.outcome(ticket_no)))

    def poll(self, timeout_s: float) -> list[Report]:
        until = self.clock.true + timeout_s
        if not self._queue or self._queue[0][0] > until:
            self.clock.true = until
            return []
        self.clock.true = max(self.clock.true, self._queue[0][0])
        reports: list[Report] = []
        while self._queue and self._queue[0][0] <= self.clock.true:
            report = heapq.heappop(self._queue)[2]
            reports.append(report)
            if isinstance(report, Ended):
                self._deliver(report.outcome.no)
        if self.rng.random() < self.fleet.faults.unknown_ticket:
            self.fleet.marks["an outcome came for a ticket that nobody knows"] += 1
            reports.append(Ended(Outcome(10**9, "succeeded", 0.0, 0.0)))
        return reports

    def wake(self) -> None:
        pass

    def adopt(self, attempts: Sequence[OpenAttempt]) -> None:
        for attempt in attempts:
            if self.rng.random() < self.fleet.faults.crash_adopting:
                self.fleet.marks["a crash while adopting"] += 1
                raise Crash("while adopting")
            job = self.fleet.jobs.get((attempt.run, attempt.step, attempt.index))
            if job is None or job.attempt != attempt.attempt:
                # Committed as started, but the engine died before it handed the ticket out; or the worker died.
                self.fleet.marks["an open attempt of an earlier engine was found to be lost"] += 1
                gone = Detail(failure=Failure("the worker is gone", cause="lost"))
                self._say(self.clock.true, Ended(Outcome(attempt.no, "lost", 0.0, 0.0, detail=gone)))
                continue
            is_over = job.ends_at <= self.clock.true
            self.fleet.marks["a spooled outcome was taken over" if is_over else "a running attempt was adopted"] += 1
            self._follow(job, attempt.no)

    def describe(self) -> list[str]:
        return []

    def close(self, *, kill: bool = False) -> None:
        pass

    # --- the simulation ---------------------------------------------------------------------------------------------

    @property
    def next_report_at(self) -> float | None:
        """When (true time) something comes back without anybody doing anything."""
        return self._queue[0][0] if self._queue else None

    def will_end(self, ticket_no: int) -> bool:
        """Is the end of this ticket on its way?"""
        return any(isinstance(r, Ended) and r.outcome.no == ticket_no for _, _, r in self._queue)

    def _follow(self, job: Job, no: int) -> None:
        """Have everything that the job says, and its end, come back to this engine. A pipe keeps its order."""
        self.tickets[no] = job
        delay = 0.0
        for at, report in job.reports:
            delay += self._lateness()
            self._say(at + delay, msgspec.structs.replace(report, no=no))
        delay += self._lateness()
        end = Ended(job.outcome(no))
        self._say(job.ends_at + delay, end)
        if self.rng.random() < self.fleet.faults.double:
            self._say(job.ends_at + delay + self.rng.choice((0.0, 3.0, 100.0)), end)

    def _lateness(self) -> float:
        if not self.fleet.faults.late or self.rng.random() >= self.fleet.faults.late:
            return 0.0
        self.fleet.marks["a report came late"] += 1
        return self.rng.uniform(1.0, 300.0)

    def _say(self, at: float, report: Report) -> None:
        heapq.heappush(self._queue, (max(at, self.clock.true), next(self._sequence), report))

    def _deliver(self, no: int) -> None:
        if self.tickets.pop(no, None) is None and no in self._ended:
            self.fleet.marks["an outcome came again and was ignored"] += 1
        self._ended.add(no)
