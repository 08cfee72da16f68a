"""The station: on a machine of a cluster, the one place of a process that performs jobs.

It unpacks each version of a project once, has it imported by a host with warm workers as on the scheduler's own machine
(`executors.processes`), and gives them the jobs of all threads of its process, one attempt each. So a step costs a round
trip on a pipe and not a process, and a crash in native code ends our worker and not the cluster's. A version that was
not wanted for a while is let go.

The workers belong to one thread at a time. That is the thread of whoever waits for something, if nobody else turns just then:
handing a short job to another thread and back cost it a tenth of a millisecond. What they leave undone, a thread of
the station's own takes up.

Rule: nobody touches the workers but who turns. When this process dies, its hosts and workers die with it: what the
cluster says is gone must not go on.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from partita.core.manifest import Manifest
from partita.errors import ExecutorError, LoadError, PartitaError
from partita.executors.clusters.cluster import Job
from partita.executors.clusters.exchange import Exchange
from partita.executors.clusters.shipping import Shipping
from partita.executors.contract import Assignment, Demand, Ended
from partita.executors.identity import name_of
from partita.executors.loading import HostConnection, start_host
from partita.executors.processes import ProcessExecutor
from partita.executors.verdicts import not_begun
from partita.settings import Home, Settings
from partita.worker.wire import Brief, Outcome, Progress

# So many jobs of one version at once: the cluster decides how many it gives, this only bounds a mistake.
_MOST_WORKERS: Final = 256
_LOAD_TIMEOUT_S: Final = 120.0
# A version that nobody asked for so long is let go.
_UNWANTED_S: Final = 900.0
_TURN_S: Final = 5.0
# While a job waits for a worker that is being started.
_NO_ROOM_S: Final = 0.02
_BRIEFS_KEPT: Final = 4096
_REFUSALS: Final = 3
_STOPS_KEPT: Final = 10_000
_FOLDER: Final = "partita-station-"

_encoder = msgspec.msgpack.Encoder()
T = TypeVar("T")
Version = tuple[str, str]


class _Task:
    """A job on this station."""

    def __init__(self, job: Job, no: int, brief: Brief) -> None:
        self.job = job
        self.no = no
        self.brief = brief
        self.done: Future[Outcome] = Future()
        self.is_stopped = False
        # How often a worker died before it began.
        self.refused = 0


class Station:
    """Performs jobs. Make one per process, by `here`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._executor = ProcessExecutor({}, home=Home(root))
        self._lock = threading.Lock()
        # Held by whoever turns.
        self._turning = threading.Lock()
        # Nobody turns, and there is something to do.
        self._called = threading.Event()
        self._loading: dict[Version, threading.Lock] = {}
        self._served: dict[Version, float] = {}
        # What the versions define here: modules that cannot be imported may be others than on the scheduler's machine.
        self._loaded: dict[Version, Manifest] = {}
        self._asked: deque[Callable[[], None]] = deque()
        self._waiting: deque[_Task] = deque()
        self._running: dict[int, _Task] = {}
        self._by_name: dict[str, _Task] = {}
        # Told to stop before they were known here.
        self._unwanted: deque[str] = deque(maxlen=_STOPS_KEPT)
        # One id for briefs with the same content: a warm worker keeps each that it was sent.
        self._briefs: dict[bytes, int] = {}
        self._brief_no = 0
        self.is_closed = False
        self._no = 0
        self.shipping = Shipping(self._flush_logs)
        threading.Thread(target=self._serve, name="partita-station", daemon=True).start()

    @staticmethod
    def here() -> Station:
        """The station of this process."""
        global _here
        with _making:
            # A fork has none of the threads.
            if _here is None or _here[0] != os.getpid() or _here[1].is_closed:
                _here = (os.getpid(), Station(_own_folder()))
            return _here[1]

    def perform(self, job: Job, exchange: Exchange) -> Outcome:
        """Perform a job to its end, in this thread. What keeps it from beginning is an outcome, too ("refused")."""
        try:
            self._ready(job, exchange)
        except PartitaError as error:
            return not_begun(job.ticket.no, time.time(), f"{machine()} cannot run it: {_said(error)}")
        with self._lock:
            if job.name in self._unwanted:
                return not_begun(job.ticket.no, time.time(), "stopped before it began")
            self._no += 1
            task = _Task(job, self._no, msgspec.structs.replace(job.brief, id=self._brief_id(job.brief)))
            self._by_name[job.name] = task
        self.shipping.begin(job, self._home(job), exchange)
        self._asked.append(lambda: self._waiting.append(task))
        try:
            outcome = self._turn_until(task.done)
        finally:
            with self._lock:
                del self._by_name[job.name]
            self.shipping.end(job.name)
        return msgspec.structs.replace(outcome, no=job.ticket.no)

    def stop(self, name: str) -> None:
        """End a job, politely and then by force. Does not wait; of a job that is not here: nothing."""
        with self._lock:
            task = self._by_name.get(name)
            if task is None:
                self._unwanted.append(name)
        if task is not None:
            self._asked.append(lambda: self._stop(task))
            self._executor.wake()
            self._call()

    def close(self) -> None:
        """End all workers by force and remove what lies here; the process is about to end."""
        # It asks this station's thread, and must not once that is gone.
        self.shipping.close()
        done: Future[None] = Future()

        def close() -> None:
            self._executor.close(kill=True)
            self.is_closed = True
            done.set_result(None)

        self._asked.append(close)
        self._turn_until(done)
        shutil.rmtree(self._root, ignore_errors=True)

    # --- versions: in the thread of whoever has a job -----------------------------------------------------------------

    def _ready(self, job: Job, exchange: Exchange) -> None:
        version = _version(job)
        with self._lock:
            loading = self._loading.setdefault(version, threading.Lock())
        with loading:
            with self._lock:
                is_served = version in self._served
                if is_served:
                    self._served[version] = time.monotonic()
            if not is_served:
                self._loaded[version] = self._load(job, exchange, version)
        loaded = self._loaded[version]
        if job.brief.call.partition(":")[0] in loaded.failed_modules:
            problem = loaded.problems[0]
            raise LoadError(problem.message, hint=problem.hint or None)

    def _load(self, job: Job, exchange: Exchange, version: Version) -> Manifest:
        folder = exchange.code(job.code, self._root / "code")
        connection = start_host(self._settings(job, folder))
        try:
            manifest = connection.manifest()
        except BaseException:
            connection.close(kill=True)
            raise
        done: Future[None] = Future()
        self._asked.append(lambda: self._take_in(version, connection, folder, done))
        self._turn_until(done)
        return manifest

    def _settings(self, job: Job, folder: Path) -> Settings:
        return Settings(
            project=folder,
            home=self._home(job),
            workers=_MOST_WORKERS,
            load_timeout_s=_LOAD_TIMEOUT_S,
            inline_bytes=job.inline_bytes,
            log_head_bytes=job.log_head_bytes,
            log_tail_bytes=job.log_tail_bytes,
            namespace=job.namespace,
            ends_with_engine=True,
        )

    def _home(self, job: Job) -> Home:
        # Run 12 of one scheduler is not run 12 of another.
        return Home(self._root / hashlib.sha256(job.exchange.encode()).hexdigest()[:16], values=job.values)

    def _brief_id(self, brief: Brief) -> int:
        content = _encoder.encode(msgspec.structs.replace(brief, id=0))
        known = self._briefs.get(content)
        if known is None:
            self._brief_no += 1
            if len(self._briefs) >= _BRIEFS_KEPT:
                self._briefs.clear()
            known = self._briefs[content] = self._brief_no
        return known

    # --- turning ------------------------------------------------------------------------------------------------------

    def _turn_until(self, done: Future[T]) -> T:
        """Turn until something has been done that was asked for, or wait for it if somebody else turns."""
        if self._turning.acquire(blocking=False):
            try:
                self._turn_while(lambda: not done.done())
            finally:
                self._turning.release()
        else:
            self._executor.wake()
        # Only now: what was asked for before the release would be left to nobody.
        self._call()
        return done.result()

    def _call(self) -> None:
        """Have the station's own thread turn, if nobody does and there is something to do."""
        if self._has_work() and not self._turning.locked():
            self._called.set()

    def _has_work(self) -> bool:
        return bool(self._asked or self._waiting or self._running)

    def _serve(self) -> None:
        while not self.is_closed:
            self._called.wait(_TURN_S)
            self._called.clear()
            with self._turning:
                self._turn_while(self._has_work)
                # What workers without a job have said, and those that have ended.
                self._take(0.0)

    def _turn_while(self, is_wanted: Callable[[], bool]) -> None:
        try:
            while not self.is_closed and is_wanted():
                while self._asked:
                    self._asked.popleft()()
                self._hand_out()
                if not self.is_closed and is_wanted():
                    self._take(_NO_ROOM_S if self._waiting else _TURN_S)
        except Exception as error:
            # A mistake of ours: whoever waits is told, and the next job gets another station.
            self.is_closed = True
            trouble = ExecutorError(f"the station on {machine()} broke down: {type(error).__name__}: {error}")
            for task in [*self._waiting, *self._running.values()]:
                task.done.set_exception(trouble)
            self._executor.close(kill=True)
            raise

    def _take(self, timeout_s: float) -> None:
        if self.is_closed:
            return
        for report in self._executor.poll(timeout_s):
            if isinstance(report, Ended):
                self._ended(report.outcome)
            elif isinstance(report, Progress) and (task := self._running.get(report.no)) is not None:
                self.shipping.progress(task.job.name, report)

    def _hand_out(self) -> None:
        assignments = []
        for _ in range(len(self._waiting)):
            task = self._waiting.popleft()
            job = task.job
            if task.is_stopped:
                task.done.set_result(not_begun(task.no, time.time(), "stopped before it began"))
                continue
            # Alone in its worker: the cluster has counted it as running.
            alone = msgspec.structs.replace(job.policies, on_lost="fail")
            demand = Demand(_version(job)[0], job.brief.call, alone, job.brief.kind, job.code)
            try:
                placement = self._executor.place(demand)
            except ExecutorError as error:
                task.done.set_result(not_begun(task.no, time.time(), f"{machine()} cannot run it: {_said(error)}"))
                continue
            if placement is None:
                self._waiting.append(task)
                continue
            ticket = msgspec.structs.replace(job.ticket, no=task.no, brief=task.brief.id)
            self._running[task.no] = task
            assignments.append(Assignment(placement, task.brief, ticket, job.policies))
        if assignments:
            self._executor.submit(assignments)

    def _ended(self, outcome: Outcome) -> None:
        task = self._running.pop(outcome.no, None)
        if task is None:
            return
        if outcome.state == "refused":
            # Not begun: its worker was gone.
            task.refused += 1
            if task.refused < _REFUSALS:
                self._waiting.append(task)
                return
        task.done.set_result(outcome)

    def _stop(self, task: _Task) -> None:
        task.is_stopped = True
        if task.no in self._running:
            self._executor.kill(task.no, reason="cancelled")

    def _take_in(self, version: Version, connection: HostConnection, folder: Path, done: Future[None]) -> None:
        now = time.monotonic()
        with self._lock:
            self._served[version] = now
            busy = {_version(task.job) for task in self._by_name.values()}
            unwanted = [v for v, at in self._served.items() if now - at > _UNWANTED_S and v not in busy]
            for each in unwanted:
                del self._served[each]
            wanted = {code for project, code in self._served if project == version[0]}
        self._executor.serve(version[0], version[1], connection, folder)
        self._executor.let_go(version[0], wanted)
        for project in {project for project, _ in unwanted} - {version[0]}:
            self._executor.let_go(project, {code for name, code in self._served if name == project})
        done.set_result(None)

    def _flush_logs(self) -> None:
        """Return when all that workers have written is in the log files."""
        done: Future[None] = Future()

        def flush() -> None:
            self._executor.flush_logs()
            done.set_result(None)

        self._asked.append(flush)
        self._turn_until(done)


_making = threading.Lock()
_here: tuple[int, Station] | None = None


def _version(job: Job) -> Version:
    """Whose code it is, and which: projects of two schedulers may have one name."""
    return f"{job.project} of {job.exchange}", job.code


def _own_folder() -> Path:
    """Where this process keeps code and logs: of this user, of this process, for nobody else."""
    place = Path(tempfile.gettempdir())
    for left in place.glob(f"{_FOLDER}*"):
        pid = left.name.removeprefix(_FOLDER).partition("-")[0]
        # Of a station that was killed. That of another user cannot be removed, and is theirs.
        if pid.isdigit() and name_of(int(pid)) is None:
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{_FOLDER}{os.getpid()}-"))


def machine() -> str:
    import socket

    return f"machine {socket.gethostname()}"


def _said(error: PartitaError) -> str:
    return f"{error.message} ({error.hint})" if error.hint else error.message
