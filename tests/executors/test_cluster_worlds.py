"""What engines do wrong, seeded: jobs started twice, machines lost at any moment, news late, twice or never, an engine that is
away. Whatever happens, user code begins at most once for each attempt, and each attempt ends exactly once and truly.

The machines here perform nothing: they claim a job, "begin", and leave an outcome, as `clusters.perform` does. The executor and
the exchange are the real ones.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path

import pytest

from partita.core.policies import Policies
from partita.errors import ExecutorError
from partita.executors.bundle import Bundle, pack
from partita.executors.clusters.cluster import Finished, Gone, Job, News, Runs, Waits
from partita.executors.clusters.exchange import Exchange
from partita.executors.clusters.executor import ClusterExecutor
from partita.executors.contract import Assignment, Demand, Ended, OpenAttempt
from partita.executors.verdicts import Death
from partita.settings import Home
from partita.worker.wire import Brief, Outcome, Spooled, Ticket

ATTEMPTS = 700
# A quick one, and with those that are marked slow 4,900 attempts.
SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 7))]
PATIENCE_S = 60.0


class World:
    """An engine that misbehaves by a seed, and what really happened on its machines."""

    def __init__(self, seed: int, exchange: Exchange) -> None:
        self._random = random.Random(seed)
        self._exchange = exchange
        self._lock = threading.Lock()
        self._known: dict[str, Job] = {}
        self._running: dict[str, str] = {}
        self._news: deque[News] = deque()
        # How often user code began, and who was told to stop.
        self.began: Counter[str] = Counter()
        self.succeeded: set[str] = set()
        self._woken = threading.Event()

    # --- the contract -------------------------------------------------------------------------------------------------

    def connect(self) -> None:
        self._may_be_away()

    def room(self) -> int:
        with self._lock:
            return 64 - len(self._known)

    def check(self, policies: Policies, options: dict[str, object]) -> str:
        return ""

    def submit(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self._may_be_away()
            with self._lock:
                # Handed over, and the answer is lost on its way: it is handed over again.
                self._known.setdefault(job.name, job)
            self._may_be_away()

    def stop(self, name: str, grace_s: float) -> None:
        self._may_be_away()
        with self._lock:
            where = self._running.pop(name, "")
            job = self._known.get(name)
        if where and job is not None:
            self._leave(job, "cancelled")
            self._tell(Finished(name))

    def wake(self) -> None:
        self._woken.set()

    def poll(self, timeout_s: float) -> list[News]:
        self._may_be_away()
        for _ in range(8):
            self._something_happens()
        found = [self._news.popleft() for _ in range(len(self._news))]
        if not found:
            self._woken.wait(min(timeout_s, 0.002))
            self._woken.clear()
        return found

    def find(self, names: Sequence[str]) -> list[News]:
        self._may_be_away()
        with self._lock:
            return [
                Runs(n, "node") if n in self._running
                else Waits(n, "queued") if n in self._known
                else Gone(n, Death(note="unknown"))
                for n in names
            ]  # fmt: skip

    def forget(self, names: Sequence[str]) -> None:
        with self._lock:
            for name in names:
                self._known.pop(name, None)

    def describe(self) -> list[str]:
        return ["a world"]

    def close(self) -> None:
        return

    # --- what happens -------------------------------------------------------------------------------------------------

    def _something_happens(self) -> None:
        with self._lock:
            names = list(self._known)
        if not names:
            return
        name = self._random.choice(names)
        job = self._known.get(name)
        if job is None:
            return
        if name in self._running:
            self._go_on(job)
        else:
            self._start(job)

    def _start(self, job: Job) -> None:
        draw = self._random.random()
        if draw < 0.04:
            # Lost before it began, and the engine says so.
            self._drop(job.name, keeps=False)
            self._tell(Gone(job.name, Death(note="its node went away")))
            return
        if draw < 0.07:
            self._tell(Waits(job.name, "no node has room", fatal=draw < 0.055))
            return
        if not self._exchange.claim(job.name, "node"):
            # Somebody has it: a second copy ends here, and the engine takes that for an end.
            self._drop(job.name, keeps=False)
            self._tell(Finished(job.name))
            return
        if self._random.random() < 0.03:
            # The machine dies between its claim and user code.
            self._drop(job.name, keeps=self._random.random() < 0.5)
            self._tell(Gone(job.name, Death(note="its node went away")))
            return
        self.began[job.name] += 1
        with self._lock:
            self._running[job.name] = "node"
        self._tell(Runs(job.name, "node"))

    def _go_on(self, job: Job) -> None:
        draw = self._random.random()
        with self._lock:
            self._running.pop(job.name, None)
        if draw < 0.08:
            self._drop(job.name, keeps=draw < 0.04)
            self._tell(Gone(job.name, Death(signal=9)))
        elif draw < 0.12:
            # It ended well, and the engine says that it was lost: the outcome counts.
            self._leave(job, "succeeded")
            self._drop(job.name, keeps=False)
            self._tell(Gone(job.name, Death(note="node lost")))
        else:
            self._leave(job, "succeeded" if draw < 0.9 else "failed")
            self._drop(job.name, keeps=draw < 0.2)
            self._tell(Finished(job.name))

    def _leave(self, job: Job, state: str) -> None:
        now = time.time()
        ticket, brief = job.ticket, job.brief
        outcome = Outcome(ticket.no, state, now, now)  # type: ignore[arg-type]
        self._exchange.put_outcome(
            job.name, Spooled(brief.run, brief.step, ticket.index, ticket.attempt, ticket.epoch, outcome)
        )
        if state == "succeeded":
            self.succeeded.add(job.name)

    def _drop(self, name: str, *, keeps: bool) -> None:
        """The engine is done with a job; or it believes that it is to be started once more."""
        if not keeps:
            with self._lock:
                self._known.pop(name, None)

    def _tell(self, news: News) -> None:
        self._news.append(news)
        if self._random.random() < 0.1:
            self._news.append(news)

    def _may_be_away(self) -> None:
        if self._random.random() < 0.004:
            raise ExecutorError("the engine cannot be reached", hint="it is tried again")


class Scheduler:
    """Hands out attempts and takes their ends, as the engine does."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.home = Home(folder / "home")
        self.address = f"file://{folder}/exchange"
        self.world = World(seed, Exchange.at(self.address))
        self.random = random.Random(seed + 1000)
        (folder / "project").mkdir()
        (folder / "project" / "pipelines.py").write_text("")
        self.bundle = pack(folder / "project", into=folder)
        self.executor = self._new()
        self.ends: dict[int, list[Outcome]] = {}
        self.names: dict[int, str] = {}
        self.killed: set[int] = set()
        self.open: dict[int, Ticket] = {}

    def _new(self) -> ClusterExecutor:
        return ClusterExecutor("world", self.world, home=self.home, exchange=self.address, code_of=self._code)

    def _code(self, project: str, code: str) -> Bundle:
        return self.bundle

    def play(self, attempts: int) -> None:
        no, restart_at = 0, {attempts // 3, 2 * attempts // 3}
        until = time.monotonic() + PATIENCE_S
        while no < attempts or self.open:
            assert time.monotonic() < until, f"{no} begun, {len(self.open)} open: {self.executor.describe()[:5]}"
            while no < attempts and (placement := self.executor.place(Demand("shop", "p:f", Policies()))) is not None:
                no += 1
                brief = Brief(1, "run", 1, "default", "p", "f", "p:f")
                ticket = Ticket(no, 1, str(no), 1, 1)
                self.open[no] = ticket
                self.executor.submit([Assignment(placement, brief, ticket, Policies(), "shop", "c")])
                if self.random.random() < 0.05:
                    self._kill(no)
            if no in restart_at:
                restart_at.discard(no)
                self._restart()
            if self.open and self.random.random() < 0.1:
                self._kill(self.random.choice(list(self.open)))
            self._take()

    def _kill(self, no: int) -> None:
        self.killed.add(no)
        self.executor.kill(no, reason="cancelled")

    def _take(self) -> None:
        for report in self.executor.poll(0.01):
            assert isinstance(report, Ended)
            self.ends.setdefault(report.outcome.no, []).append(report.outcome)
            self.open.pop(report.outcome.no, None)

    def _restart(self) -> None:
        """Another scheduler takes over in the middle of it."""
        self.executor.close()
        self._take()
        self.executor = self._new()
        left = [
            OpenAttempt("run", "f", t.index, 1, 1, "@/world", time.time(), Policies(), t.no, run_no=1)
            for t in self.open.values()
        ]
        self.executor.adopt(left)


@pytest.mark.parametrize("seed", SEEDS)
def test_user_code_begins_at_most_once_and_each_attempt_ends_once_and_truly(tmp_path: Path, seed: int) -> None:
    scheduler = Scheduler(tmp_path, seed)
    scheduler.play(ATTEMPTS)
    world = scheduler.world
    scheduler.executor.close()
    began = {name for name, count in world.began.items() if count}
    assert max(world.began.values()) == 1
    states: Counter[str] = Counter()
    for no in range(1, ATTEMPTS + 1):
        (outcome,) = scheduler.ends[no]
        name = _name(no)
        states[outcome.state] += 1
        if outcome.state == "succeeded":
            assert name in world.succeeded
        if outcome.state == "refused":
            # Refused costs nothing, so it must be sure.
            assert name not in began
            assert not Exchange.at(scheduler.address).claim(name, "late")
        if outcome.state == "cancelled":
            assert no in scheduler.killed
        if name in world.succeeded and no not in scheduler.killed:
            assert outcome.state == "succeeded"
    # The world was as bad as it is meant to be.
    assert {"succeeded", "failed", "lost", "refused", "cancelled"} <= set(states)


def _name(no: int) -> str:
    from partita.executors.clusters.cluster import name_of

    return name_of("run", "f", str(no), 1, 1)
