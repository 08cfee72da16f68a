"""The executor for clusters: the contract of `executors/contract.py` over any engine (`cluster.Cluster`).

The engine's thread only leaves and collects: places are counted, tickets and kills go into an outbox, ends are taken
from an inbox. A thread that belongs to this executor does what takes time: it packs code, hands jobs over, listens to the
cluster, reads outcomes and logs from the exchange, and judges what the cluster says is gone.

What is sure. A job that may not have begun is given up by claiming it (exchange.py): who has the claim, the scheduler here or
a machine there, decides whether user code begins. An outcome that lies in the exchange counts before anything that the cluster
says. A cluster that cannot be reached loses nothing: what waits for it waits, and `describe` says why.

Rule: each ticket ends exactly once: it is in `_held` until it has.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from partita.core.policies import Policies
from partita.errors import PartitaError
from partita.executors import verdicts
from partita.executors.bundle import Bundle
from partita.executors.clusters.cluster import (
    PREFIX,
    Cluster,
    Finished,
    Gone,
    Job,
    News,
    Runs,
    Waits,
    name_of,
    worker_of,
)
from partita.executors.clusters.exchange import SHARDS, Exchange
from partita.executors.clusters.shipping import EVERY_S, Receiver
from partita.executors.contract import Assignment, Demand, Ended, OpenAttempt, Placement, Report
from partita.executors.premises import ExecutorNow, State
from partita.executors.verdicts import Death
from partita.settings import Home
from partita.worker.wire import Outcome, Spooled

_US: Final = "the scheduler"
_TURN_S: Final = 1.0
# Between two tries to reach a cluster: at first, and at most.
_AGAIN_S: Final = (0.5, 15.0)
# How long a machine may take beyond the timeout and the grace period before the executor steps in.
_SLACK_S: Final = 10.0
# How long the last of a log is waited for after the outcome, and what is left of a job is kept after its end.
_LAST_LOG_S: Final = 30.0
_KEPT_S: Final = 60.0
_DESCRIBE_S: Final = 5.0
_CLOSING_S: Final = 5.0
# One shard of the exchange each; all of them take six hours and a half.
_SWEEP_S: Final = 90.0
_NEVER: Final = float("inf")

CodeOf = Callable[[str, str], Bundle]
"""The bundle of a project's version: (project, code)."""


class _Held:
    """A ticket in the cluster's hands."""

    def __init__(self, no: int, name: str, policies: Policies, receiver: Receiver, since: float) -> None:
        self.no = no
        self.name = name
        self.policies = policies
        self.receiver = receiver
        # By time.time().
        self.since = since
        self.began_at = 0.0
        self.where = ""
        self.waits = ""
        # A kill that was asked for.
        self.reason = ""
        self.asked_at = 0.0
        self.has_ended = False
        # Monotonic: when its log is waited for no longer, and when it may be forgotten.
        self.log_until = _NEVER
        self.forget_at = _NEVER

    @property
    def times_out_at(self) -> float:
        """By time.time(); the machine itself keeps the time, this is for one that does not."""
        if self.policies.timeout_s is None or not self.began_at or self.reason:
            return _NEVER
        return self.began_at + self.policies.timeout_s + self.policies.grace_s + _SLACK_S


class ClusterExecutor:
    """Runs tickets on a cluster. `name` is that under `[tool.partita.executors]`.

    `exchange` and `values`: addresses of object stores that the cluster's machines reach too. `wake` is called by this
    executor's thread when `poll` has something to say.
    """

    def __init__(
        self,
        name: str,
        cluster: Cluster,
        *,
        home: Home,
        exchange: str,
        code_of: CodeOf,
        project: str = "",
        values: str = "",
        namespace: str = "default",
        inline_bytes: int = 4096,
        start_timeout_s: float = 600.0,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        # What is committed as the worker of its attempts.
        self.worker = worker_of(project, name)
        # Why the cluster cannot be used just now; "" = it can.
        self.trouble = ""
        self._cluster = cluster
        self._home = home
        self._exchange = Exchange.at(exchange)
        self._values = values or home.values or f"file://{home.blobs}"
        self._code_of = code_of
        self._namespace = namespace
        self._inline_bytes = inline_bytes
        self._start_timeout_s = start_timeout_s
        self._wake = wake
        self._lock = threading.Lock()
        self._outbox: deque[Callable[[], None]] = deque()
        self._inbox: deque[Report] = deque()
        self._arrived = threading.Event()
        # Places that were given and have not ended; the cluster's own `room` is looked up by the thread.
        self._placed = 0
        self._room = 0
        # The rest belongs to the thread.
        self._held: dict[str, _Held] = {}
        # Of those, how many have not ended.
        self._open = 0
        self._by_no: dict[int, _Held] = {}
        self._unsent: deque[Job] = deque()
        self._bundles: dict[tuple[str, str], str] = {}
        self._is_connected = False
        self._again_s = _AGAIN_S[0]
        self._look_at = 0.0
        self._describe_at = 0.0
        # Several schedulers sweep one exchange: each begins somewhere else.
        self._shard = random.randrange(SHARDS)
        self._sweep_at = time.monotonic() + _SWEEP_S
        self._about: list[str] = []
        self._lines: list[str] = []
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    # --- the contract: in the engine's thread -------------------------------------------------------------------------

    def place(self, demand: Demand) -> Placement | None:
        """Room for one more job, as far as is known now."""
        self._begin()
        with self._lock:
            if self._room <= 0:
                return None
            self._room -= 1
            self._placed += 1
        return Placement(self.worker, 0)

    def unplace(self, placement: Placement) -> None:
        """Give a placement back."""
        with self._lock:
            self._room += 1
            self._placed -= 1

    def submit(self, assignments: Sequence[Assignment]) -> None:
        """Leave tickets for the cluster."""
        given = list(assignments)
        self._post(lambda: self._take_on(given))

    def kill(self, ticket_no: int, *, reason: str) -> None:
        """End an attempt, wherever it is."""
        self._post(lambda: self._stop(ticket_no, reason))

    def poll(self, timeout_s: float) -> list[Report]:
        """What has happened."""
        if not self._inbox and timeout_s > 0:
            self._arrived.wait(timeout_s)
        self._arrived.clear()
        reports: list[Report] = []
        while self._inbox:
            reports.append(self._inbox.popleft())
        return reports

    def wake(self) -> None:
        """Let a waiting `poll` return."""
        self._arrived.set()

    def adopt(self, attempts: Sequence[OpenAttempt]) -> None:
        """Take over jobs that an earlier engine handed over."""
        left = list(attempts)
        self._begin()
        self._post(lambda: self._adopt(left))

    def describe(self) -> list[str]:
        """The cluster, and each job that it has."""
        if self.trouble:
            return [f"{self.name}: {self.trouble}", *self._lines]
        if self._thread is not None and not self._is_connected:
            return [f"{self.name}: is being reached"]
        return [f"{self.name}: {line}" for line in self._lines]

    def now(self, kind: str = "") -> ExecutorNow:
        """How it is just now, by what its thread knows."""
        state: State = "reachable"
        if self.trouble:
            state = "away"
        elif self._thread is None:
            state = "unused"
        elif not self._is_connected:
            state = "connecting"
        project = self.worker.removeprefix(PREFIX).rpartition("/")[0]
        return ExecutorNow(project, self.name, kind, state, self.trouble, self._placed, tuple(self._lines))

    @property
    def is_idle(self) -> bool:
        """Whether it holds nothing and was given nothing."""
        return self._placed == 0 and not self._outbox and not self._inbox

    def waits(self, ticket_no: int) -> str:
        """Why a ticket that was handed over has not begun; "" if it has, or nothing is known."""
        held = self._by_no.get(ticket_no)
        if held is None or held.began_at:
            return ""
        why = self.trouble or held.waits
        return f"waits for {self.name}: {why}" if why else f"waits for {self.name}"

    def refusal(self) -> str:
        """Why there is no room for one more job; "" if there is."""
        if self.trouble or self._thread is None or not self._is_connected:
            return f"{self.name}: {self.trouble or 'is being reached'}"
        return f"room on {self.name}" if self._room <= 0 else ""

    def close(self, *, kill: bool = False) -> None:
        """Let go of the cluster; jobs go on, for the next engine to take up, or are ended by `kill`."""
        if self._closing.is_set() or self._thread is None:
            self._closing.set()
            return
        if kill:
            self._post(self._stop_all)
            self._post(self._closing.set)
        else:
            self._closing.set()
            self._cluster.wake()
        self._thread.join(10.0)
        self._closing.set()

    # --- the thread that talks to the cluster -------------------------------------------------------------------------

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name=f"partita-{self.name}", daemon=True)
            self._thread.start()

    def _post(self, what: Callable[[], None]) -> None:
        self._outbox.append(what)
        self._cluster.wake()

    def _serve(self) -> None:
        while not self._closing.is_set():
            try:
                if not self._is_connected:
                    self._cluster.connect()
                    self._is_connected = True
                    self._look_at = 0.0
                self._turn()
                self.trouble, self._again_s = "", _AGAIN_S[0]
            except PartitaError as error:
                # Nothing is given up for it: what waits to be handed over or asked waits on.
                self.trouble = f"{error.message} ({error.hint})" if error.hint else error.message
                self._is_connected = False
                self._set_room(0)
                self._closing.wait(self._again_s)
                self._again_s = min(self._again_s * 2, _AGAIN_S[1])
                self._obey_kills()
        self._last_look()
        self._cluster.close()

    def _last_look(self) -> None:
        """The logs of what has ended are read to their ends, and nothing stays of it at the cluster."""
        until = time.monotonic() + _CLOSING_S
        ended = [held for held in self._held.values() if held.has_ended]
        is_told = not any(isinstance(report, Ended) for report in self._inbox)
        try:
            while any(not h.receiver.closed and h.log_until > time.monotonic() for h in ended):
                for held in ended:
                    self._read_log(held)
                if time.monotonic() > until:
                    break
                time.sleep(0.02)
            if is_told:
                # What lies in the exchange stays: told is not committed. The next scheduler's sweep takes it away.
                self._cluster.forget([held.name for held in ended])
        except PartitaError:
            return  # the next one finds it, or nobody needs it

    def _turn(self) -> None:
        while self._outbox:
            # It stays until it is done: what fails for the cluster is done again.
            self._outbox[0]()
            self._outbox.popleft()
        self._send()
        self._set_room(self._cluster.room() - self._given())
        for news in self._cluster.poll(self._patience()):
            self._hear(news)
        now = time.monotonic()
        if now >= self._look_at:
            self._look(now)
            self._look_at = now + EVERY_S
        if now >= self._sweep_at:
            self._exchange.sweep(self._shard, now=time.time())
            self._shard, self._sweep_at = (self._shard + 1) % SHARDS, now + _SWEEP_S

    def _patience(self) -> float:
        if self._outbox or self._unsent:
            return 0.0
        return min(_TURN_S, max(0.0, self._look_at - time.monotonic())) if self._held else _TURN_S

    def _given(self) -> int:
        """Places that the cluster does not know of yet."""
        with self._lock:
            return max(0, self._placed - self._open)

    def _set_room(self, room: int) -> None:
        with self._lock:
            grew = room > 0 >= self._room
            self._room = room
        if grew:
            self._tell()

    def _tell(self, *reports: Report) -> None:
        self._inbox.extend(reports)
        self._arrived.set()
        self._wake()

    # --- handing over -------------------------------------------------------------------------------------------------

    def _take_on(self, assignments: list[Assignment]) -> None:
        while assignments:
            # One that fails for the exchange stays, and is tried again.
            self._take_on_one(assignments[0])
            del assignments[0]

    def _take_on_one(self, assignment: Assignment) -> None:
        now = time.time()
        brief, ticket = assignment.brief, assignment.ticket
        job = self._job(assignment)
        wrong = self._cluster.check(assignment.policies, job.options)
        why_not = f"{self.name} does not take it: {wrong}" if wrong else ""
        version = (assignment.project, assignment.code)
        if not why_not and version not in self._bundles:
            try:
                bundle = self._code_of(*version)
            except PartitaError as error:
                why_not = f"its code cannot be packed: {error.message}"
            else:
                self._exchange.put_code(bundle)
                self._bundles[version] = bundle.digest
        receiver = Receiver(self._home, job.name, brief.run_no, brief.step, ticket.index, ticket.attempt, fresh=False)
        held = _Held(ticket.no, job.name, assignment.policies, receiver, now)
        self._hold(held)
        if why_not:
            self._end(held, verdicts.not_begun(ticket.no, now, why_not))
        else:
            self._unsent.append(msgspec.structs.replace(job, code=self._bundles[version]))

    def _send(self) -> None:
        jobs = [job for job in self._unsent if not self._held[job.name].has_ended]
        if jobs:
            self._cluster.submit(jobs)
        self._unsent.clear()

    def _job(self, assignment: Assignment) -> Job:
        from partita import __version__

        brief, ticket, policies = assignment.brief, assignment.ticket, assignment.policies
        return Job(
            name=name_of(brief.run, brief.step, ticket.index, ticket.attempt, ticket.epoch),
            project=assignment.project,
            namespace=brief.namespace or self._namespace,
            code="",
            exchange=self._exchange.address,
            values=self._values,
            python=f"{sys.version_info.major}.{sys.version_info.minor}",
            brief=brief,
            ticket=ticket,
            policies=policies,
            options=msgspec.json.decode(policies.executor_options) if policies.executor_options else {},
            inline_bytes=self._inline_bytes,
            partita=__version__,
        )

    def _hold(self, held: _Held) -> None:
        earlier = self._held.get(held.name)
        if earlier is None or earlier.has_ended:
            self._open += 1
        self._held[held.name] = held
        self._by_no[held.no] = held

    # --- what the cluster says ----------------------------------------------------------------------------------------

    def _hear(self, news: News) -> None:
        held = self._held.get(news.name)
        if held is None or held.has_ended:
            return
        match news:
            case Runs(where=where):
                held.began_at = held.began_at or time.time()
                held.where, held.waits = where, ""
            case Waits(why=why, fatal=fatal):
                held.waits = why
                if fatal:
                    self._give_up(held, f"{self.name} cannot start it: {why}")
            case Finished(outcome=spooled):
                found = spooled or self._exchange.outcome(held.name)
                if found is not None:
                    self._take(held, found)
                else:
                    self._judge(held, Death(note=f"its job on {self.name} ended and left no outcome"))
            case Gone(death=death):
                found = self._exchange.outcome(held.name)
                if found is not None and not self._is_taken_away(held, found.outcome):
                    self._take(held, found)
                else:
                    self._judge(held, death)

    def _is_taken_away(self, held: _Held, outcome: Outcome) -> bool:
        """Whether somebody else ended it politely: the cluster wanted its machine back."""
        return outcome.state == "cancelled" and not held.reason

    def _take(self, held: _Held, spooled: Spooled) -> None:
        """What the machine says of it."""
        outcome = msgspec.structs.replace(spooled.outcome, no=held.no)
        finished_before = outcome.state in ("succeeded", "failed") and outcome.ended_at <= held.asked_at
        if self._is_taken_away(held, outcome):
            outcome = verdicts.lost(held.no, f"{self.name} took its machine away", outcome.began_at, outcome.ended_at)
        elif held.reason and not finished_before:
            outcome = verdicts.stopped(held.no, held.reason, outcome.began_at, time.time(), outcome)
        self._end(held, outcome)

    def _judge(self, held: _Held, death: Death) -> None:
        """It is gone, and left no outcome."""
        at = time.time()
        if self._claim(held):
            outcome = (
                self._stopped(held, at)
                if held.reason
                else verdicts.not_begun(held.no, at, f"never begun on {self.name}: {death.how()}")
            )
        elif held.reason:
            outcome = self._stopped(held, at)
        else:
            outcome = verdicts.of_begun(held.no, death, held.began_at or held.since, at)
        self._end(held, outcome)

    def _stopped(self, held: _Held, at: float) -> Outcome:
        return verdicts.stopped(held.no, held.reason, held.began_at or held.since, at)

    def _claim(self, held: _Held) -> bool:
        """Take the job for ourselves: whether it has not begun, and now never will."""
        return self._exchange.claim(held.name, _US) or self._exchange.claimed(held.name) == _US

    def _give_up(self, held: _Held, why: str) -> None:
        """End a job that has not begun; if it has after all, it goes on."""
        if self._claim(held):
            self._end(held, verdicts.not_begun(held.no, time.time(), why))
            self._cluster.stop(held.name, 0.0)

    def _end(self, held: _Held, outcome: Outcome) -> None:
        held.has_ended = True
        self._open -= 1
        held.log_until = time.monotonic() + (_LAST_LOG_S if outcome.state != "refused" else 0.0)
        self._by_no.pop(held.no, None)
        with self._lock:
            self._placed -= 1
        self._tell(Ended(outcome))

    # --- kills and the clock ------------------------------------------------------------------------------------------

    def _stop(self, no: int, reason: str) -> None:
        held = self._by_no.get(no)
        if held is None or held.has_ended:
            return
        if not held.reason:
            held.reason, held.asked_at = reason, time.time()
        if not held.began_at and self._claim(held):
            self._end(held, self._stopped(held, held.asked_at))
        self._cluster.stop(held.name, held.policies.grace_s)

    def _stop_all(self) -> None:
        for held in list(self._held.values()):
            self._stop(held.no, "cancelled")

    def _obey_kills(self) -> None:
        """While the cluster is away: what has not begun can be ended all the same, if the exchange is there."""
        for held in list(self._held.values()):
            if held.reason and not held.has_ended and not held.began_at:
                try:
                    if self._claim(held):
                        self._end(held, self._stopped(held, held.asked_at))
                except PartitaError:
                    return

    def _look(self, now: float) -> None:
        at = time.time()
        for held in list(self._held.values()):
            if held.has_ended:
                self._look_at_ended(held, now)
                continue
            if held.began_at:
                self._read_log(held)
            elif at - held.since > self._start_timeout_s and not held.reason:
                why = f": {held.waits}" if held.waits else ""
                self._give_up(held, f"{self.name} has not started it within {self._start_timeout_s:g} s{why}")
            if held.times_out_at <= at:
                self._stop(held.no, "timeout")
        if now >= self._describe_at:
            self._about = self._cluster.describe()
            self._describe_at = now + _DESCRIBE_S
        self._lines = [*self._about, *self._jobs(at)]

    def _look_at_ended(self, held: _Held, now: float) -> None:
        if not held.receiver.closed and now < held.log_until:
            self._read_log(held)
        elif held.forget_at == _NEVER:
            # Kept for a while: the end was told, and is committed soon; an engine that dies before finds it here.
            held.forget_at = now + _KEPT_S
        elif now >= held.forget_at:
            self._cluster.forget([held.name])
            self._exchange.remove(held.name)
            del self._held[held.name]

    def _read_log(self, held: _Held) -> None:
        progress = held.receiver.take(self._exchange)
        if progress is not None:
            self._tell(msgspec.structs.replace(progress, no=held.no))

    def _jobs(self, at: float) -> list[str]:
        """One line for each job that is open."""
        lines = []
        for held in self._held.values():
            if held.has_ended:
                continue
            how = f"on {held.where or 'a machine'}" if held.began_at else held.waits or "waits"
            lines.append(f"job {held.name} {how} for {at - (held.began_at or held.since):.0f} s")
        return lines

    # --- adoption -----------------------------------------------------------------------------------------------------

    def _adopt(self, attempts: list[OpenAttempt]) -> None:
        """Look for what became of jobs that an earlier engine handed over."""
        for attempt in attempts:
            name = name_of(attempt.run, attempt.step, attempt.index, attempt.attempt, attempt.epoch)
            if name in self._held:
                continue
            receiver = Receiver(
                self._home, name, attempt.run_no, attempt.step, attempt.index, attempt.attempt, fresh=True
            )
            self._hold(_Held(attempt.no, name, attempt.policies, receiver, attempt.started_at))
            with self._lock:
                self._placed += 1
        names = [h.name for h in self._held.values() if not h.has_ended]
        unknown = []
        for name in names:
            held = self._held[name]
            found = self._exchange.outcome(name)
            if found is not None:
                self._take(held, found)
            else:
                unknown.append(name)
        for news in self._cluster.find(unknown) if unknown else ():
            self._hear(news)
