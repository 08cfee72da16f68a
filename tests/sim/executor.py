"""A simulated executor: workers that live on a fake clock, go on when the engine dies, and misbehave by plan.

What user code does is a function of (run, step, index, how often it failed before), so that the end of a run does not
depend on the faults around it. What the infrastructure does (loses, delays, doubles) comes from the seed.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from partita.core import plain
from partita.core.events import Detail, Failure
from partita.core.graph import Graph
from partita.core.values import Value
from partita.engine.clock import FakeClock
from partita.executors.contract import Assignment, Demand, Ended, OpenAttempt, Placement, Report
from partita.store.contract import Store
from partita.worker.wire import MemberBegan, MemberEnded, Outcome

from .graphs import CHOICES


@dataclass
class Faults:
    """How often what goes wrong, as probabilities."""

    lose: float = 0.0
    refuse: float = 0.0
    double: float = 0.0
    late: float = 0.0
    slow: float = 0.0


@dataclass
class Job:
    """An attempt as the worker has it."""

    run: str
    step: str
    index: str
    attempt: int
    epoch: int
    no: int
    worker: str
    ends_at: float
    reports: list[tuple[float, Report]] = field(default_factory=list)
    outcome: Outcome | None = None
    delivered: bool = False


class SimExecutor:
    """Implements the contract of an executor. `graphs` tells it what the steps report; `store` is asked at the gate."""

    def __init__(self, clock: FakeClock, rng: Random, graphs: dict[str, Graph], store: Store, faults: Faults) -> None:
        self.clock = clock
        self.rng = rng
        self.graphs = graphs
        self.store = store
        self.faults = faults
        self.slots = rng.choice((1, 2, 5, 20))
        self.placed = 0
        self.jobs: dict[tuple[str, str, str], Job] = {}
        self.begun: set[tuple[str, str, str, int]] = set()
        self.marks: dict[str, int] = {}
        self.generation = 0
        self._queue: list[tuple[float, int, int, Report]] = []
        self._sequence = itertools.count()

    def mark(self, name: str) -> None:
        """Count that something worth seeing has happened."""
        self.marks[name] = self.marks.get(name, 0) + 1

    # --- the contract -----------------------------------------------------------------------------------------------

    def place(self, demand: Demand) -> Placement | None:
        if len(self.jobs) + self.placed >= self.slots:
            return None
        self.placed += 1
        return Placement(f"sim:{self.rng.randint(1, 99)}:0", 0)

    def unplace(self, placement: Placement) -> None:
        self.placed -= 1

    def submit(self, assignments: Sequence[Assignment]) -> None:
        for assignment in assignments:
            self.placed -= 1
            self._begin(assignment)

    def kill(self, ticket_no: int, *, reason: str) -> None:
        job = next((j for j in self.jobs.values() if j.no == ticket_no), None)
        if job is None:
            return
        self.mark("killed")
        if self.rng.random() < 0.2:
            return  # it ends by itself before the signal comes
        state = "timed_out" if reason == "timeout" else "cancelled"
        failure = Detail(failure=Failure(reason, cause=reason))
        job.outcome = Outcome(job.no, state, 0.0, 0.0, detail=failure)
        self._schedule(self.clock.now() + self.rng.choice((0.0, 0.5)), Ended(job.outcome))

    def poll(self, timeout_s: float) -> list[Report]:
        until = self.clock.now() + timeout_s
        if self._queue and self._queue[0][0] <= until:
            self.clock.set(max(self.clock.now(), self._queue[0][0]))
        else:
            self.clock.set(until)
            return []
        reports: list[Report] = []
        while self._queue and self._queue[0][0] <= self.clock.now():
            _, _, generation, report = heapq.heappop(self._queue)
            if generation == self.generation:
                reports.append(report)
                self._deliver(report)
        return reports

    def wake(self) -> None:
        pass

    def adopt(self, attempts: Sequence[OpenAttempt]) -> None:
        for attempt in attempts:
            job = self.jobs.get((attempt.run, attempt.step, attempt.index))
            if job is None or job.attempt != attempt.attempt:
                # Committed as started, but the engine died before it handed the ticket out; or the worker died.
                self.mark("adopted_nothing")
                lost = Detail(failure=Failure("the worker is gone", cause="lost"))
                self._schedule(self.clock.now(), Ended(Outcome(attempt.no, "lost", 0.0, 0.0, detail=lost)))
                continue
            self.mark("adopted_running")
            job.no = attempt.no
            at = max(self.clock.now(), job.ends_at)
            for when, report in job.reports:
                self._schedule(max(when, self.clock.now()), _renumbered(report, attempt.no))
            assert job.outcome is not None
            self._schedule(at, Ended(_renumbered_outcome(job.outcome, attempt.no)))

    def describe(self) -> list[str]:
        return []

    def close(self, *, kill: bool = False) -> None:
        pass

    # --- the simulation ---------------------------------------------------------------------------------------------

    def engine_died(self) -> None:
        """Nothing that was under way to the dead engine arrives; the workers go on, a few die."""
        self.generation += 1
        self.placed = 0
        for address, job in list(self.jobs.items()):
            if self.rng.random() < self.faults.lose:
                del self.jobs[address]
                self.mark("worker_died_unseen")
            else:
                job.delivered = False

    def _begin(self, assignment: Assignment) -> None:
        brief, ticket = assignment.brief, assignment.ticket
        address = (brief.run, brief.step, ticket.index)
        now = self.clock.now()
        assert address not in self.jobs, f"two attempts of {address} at once"
        rows = self.store.attempts(brief.run, step=brief.step, index=ticket.index, open_only=True)
        assert [(r.attempt, r.epoch) for r in rows] == [(ticket.attempt, ticket.epoch)], "not behind the start gate"
        job = Job(
            run=brief.run,
            step=brief.step,
            index=ticket.index,
            attempt=ticket.attempt,
            epoch=ticket.epoch,
            no=ticket.no,
            worker=assignment.placement.worker,
            ends_at=now + self._duration(),
        )
        self.jobs[address] = job
        job.outcome = self._outcome(job, assignment)
        if ticket.members:
            self._perform_members(job, ticket.members)
        for at, report in job.reports:
            self._schedule(at, report)
        self._schedule(job.ends_at, Ended(job.outcome))
        if self.rng.random() < self.faults.double:
            self.mark("doubled_outcome")
            self._schedule(job.ends_at + self.rng.choice((0.0, 3.0, 100.0)), Ended(job.outcome))

    def _duration(self) -> float:
        base = self.rng.choice((0.0, 0.1, 1.0, 7.0))
        return base + (self.rng.uniform(50.0, 500.0) if self.rng.random() < self.faults.slow else 0.0)

    def _outcome(self, job: Job, assignment: Assignment) -> Outcome:
        chance = self.rng.random()
        if chance < self.faults.lose:
            self.mark("lost")
            detail = Detail(failure=Failure("killed by SIGKILL", cause="signal", signal=9))
            return Outcome(job.no, "lost", 0.0, 0.0, detail=detail)
        if chance < self.faults.lose + self.faults.refuse:
            self.mark("refused")
            cause = self.rng.choice(("not_begun", "exit"))
            return Outcome(job.no, "refused", 0.0, 0.0, detail=Detail(failure=Failure("never begun", cause=cause)))
        failures = sum(p.state in ("failed", "timed_out") for p in assignment.ticket.past)
        return self._user_code(job, failures)

    def _user_code(self, job: Job, failures: int) -> Outcome:
        """What the user's function does: a function of the step alone."""
        step = next(s for s in self.graphs[job.run].steps if s.key == job.step)
        fate = Random(f"{job.run}/{job.step}/{job.index}/{failures}")
        chance = fate.random()
        if chance < 0.06:
            return Outcome(
                job.no, "failed", 0.0, 0.0, detail=Detail(failure=Failure("boom", ("ValueError", "Exception")))
            )
        if chance < 0.08:
            return Outcome(job.no, "timed_out", 0.0, 0.0, detail=Detail(failure=Failure("too long", cause="timeout")))
        if chance < 0.11:
            return Outcome(
                job.no, "cancelled", 0.0, 0.0, detail=Detail(failure=Failure("nothing to do", cause="skipped"))
            )
        choice = fate.choice(CHOICES) if step.reports_choice else None
        again = fate.random() < 0.6 if step.reports_again else None
        detail = Detail(choice=choice, again=again) if choice is not None or again is not None else None
        length = fate.choice((0, 1, 2, 5)) if fate.random() < 0.97 else None
        data = plain.pack(list(range(length)) if length is not None else "no list")
        value = Value("plain", len(data), data, length=length)
        return Outcome(job.no, "succeeded", 0.0, 0.0, value, detail)

    def _perform_members(self, job: Job, members: tuple[str, ...]) -> None:
        assert job.outcome is not None
        span = job.ends_at - self.clock.now()
        broken = False
        for i, member in enumerate(members):
            at = self.clock.now() + span * i / len(members)
            if job.outcome.state in ("lost", "refused") and self.rng.random() < 0.5:
                return
            fate = Random(f"{job.run}/{member}").random()
            job.reports.append((at, MemberBegan(job.no, member, at)))
            if fate < 0.1:
                broken = True
                detail = Detail(failure=Failure("model failed"))
                job.reports.append((at, MemberEnded(job.no, member, "failed", at, at, detail=detail)))
            elif fate < 0.15:
                job.reports.append((at, MemberEnded(job.no, member, "skipped", at, at)))
            else:
                job.reports.append((at, MemberEnded(job.no, member, "succeeded", at, at)))
        if broken and job.outcome.state == "succeeded":
            detail = Detail(failure=Failure("members failed", cause="members"))
            job.outcome = Outcome(job.no, "failed", 0.0, 0.0, detail=detail)

    def _schedule(self, at: float, report: Report) -> None:
        if self.faults.late and self.rng.random() < self.faults.late:
            at += self.rng.uniform(1.0, 300.0)
            self.mark("late")
        heapq.heappush(self._queue, (at, next(self._sequence), self.generation, report))

    def _deliver(self, report: Report) -> None:
        if not isinstance(report, Ended):
            return
        for address, job in list(self.jobs.items()):
            if job.no == report.outcome.no:
                del self.jobs[address]


def _renumbered_outcome(outcome: Outcome, no: int) -> Outcome:
    return Outcome(no, outcome.state, outcome.began_at, outcome.ended_at, outcome.value, outcome.detail)


def _renumbered(report: Report, no: int) -> Report:
    if isinstance(report, MemberBegan):
        return MemberBegan(no, report.member, report.at)
    assert isinstance(report, MemberEnded)
    return MemberEnded(no, report.member, report.state, report.began_at, report.ended_at, detail=report.detail)
