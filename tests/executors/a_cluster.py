"""Small clusters of real parts, for tests: jobs in threads of this process, and jobs in processes of their own.

Both perform jobs as the engines' machines do (`clusters.perform`, `clusters.job`). What they are asked to do wrong is what
engines do wrong: start a job twice, lose a machine, forget, be away, say late what they know. They are no engine: nothing is
placed by resources, and nothing outlives the test.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from partita.core.policies import Policies
from partita.errors import ExecutorError, PartitaError
from partita.executors.clusters.cluster import Finished, Gone, Job, News, Runs, Waits
from partita.executors.clusters.exchange import Exchange
from partita.executors.clusters.perform import AlreadyClaimed, perform, stop_here
from partita.executors.verdicts import Death


class _Hearing:
    """What a cluster has to say, from any thread."""

    def __init__(self) -> None:
        self._news: queue.SimpleQueue[News | None] = queue.SimpleQueue()
        # Set: the cluster cannot be reached.
        self.is_away = threading.Event()

    def connect(self) -> None:
        self._reach()

    def check(self, policies: Policies, options: dict[str, object]) -> str:
        return "gpu: there is none" if policies.gpu else ""

    def say(self, news: News) -> None:
        self._news.put(news)

    def wake(self) -> None:
        self._news.put(None)

    def poll(self, timeout_s: float) -> list[News]:
        self._reach()
        found: list[News | None] = []
        with contextlib.suppress(queue.Empty):
            found.append(self._news.get(timeout=timeout_s) if timeout_s > 0 else self._news.get_nowait())
            while True:
                found.append(self._news.get_nowait())
        return [news for news in found if news is not None]

    def forget(self, names: Sequence[str]) -> None:
        return

    def describe(self) -> list[str]:
        return ["a cluster for tests"]

    def _reach(self) -> None:
        if self.is_away.is_set():
            raise ExecutorError("the cluster cannot be reached", hint="it is tried again")


class ThreadCluster(_Hearing):
    """Jobs in `slots` threads; the station of this process does the work, so a crash of a step is a crash of its worker."""

    def __init__(self, slots: int = 16) -> None:
        super().__init__()
        self._slots = slots
        self._pool = ThreadPoolExecutor(slots, thread_name_prefix="job")
        self._lock = threading.Lock()
        self._open: set[str] = set()
        self.submitted: list[str] = []
        # Every job is started so many times more than it was asked for.
        self.copies = 0

    def room(self) -> int:
        self._reach()
        with self._lock:
            return self._slots - len(self._open)

    def submit(self, jobs: Sequence[Job]) -> None:
        self._reach()
        for job in jobs:
            with self._lock:
                if job.name in self._open:
                    continue
                self._open.add(job.name)
                self.submitted.append(job.name)
            for copy in range(1 + self.copies):
                self._pool.submit(self._perform, job, copy)

    def stop(self, name: str, grace_s: float) -> None:
        self._reach()
        stop_here(name, grace_s)

    def find(self, names: Sequence[str]) -> list[News]:
        self._reach()
        with self._lock:
            return [Runs(n, "here") if n in self._open else Gone(n, Death(note="unknown")) for n in names]

    def close(self) -> None:
        self._pool.shutdown(wait=False)

    def _perform(self, job: Job, copy: int) -> None:
        if not copy:
            self.say(Runs(job.name, "here"))
        try:
            outcome = perform(job)
        except AlreadyClaimed:
            # The copy that was too late: what counts is said by the other.
            if self.copies:
                return
            outcome = None
        except PartitaError as error:
            self.say(Gone(job.name, Death(note=str(error))))
            return
        finally:
            with self._lock:
                if not copy:
                    self._open.discard(job.name)
        self.say(Finished(job.name, outcome) if outcome is not None else Gone(job.name, Death(note="claimed")))


class ProcessCluster(_Hearing):
    """Each job in a process of its own, `python -m partita.executors.clusters.job`, as a pod or a batch job has it."""

    def __init__(self, slots: int = 4) -> None:
        super().__init__()
        self._slots = slots
        self._lock = threading.Lock()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        # What it says of a job that has not begun, instead of starting it.
        self.refuses = ""

    def room(self) -> int:
        self._reach()
        with self._lock:
            return self._slots - sum(1 for process in self.processes.values() if process.poll() is None)

    def submit(self, jobs: Sequence[Job]) -> None:
        self._reach()
        for job in jobs:
            if self.refuses:
                self.say(Waits(job.name, self.refuses, fatal=True))
                continue
            with self._lock:
                if job.name in self.processes:
                    continue
                Exchange.at(job.exchange).put_job(job)
                words = ["-m", "partita.executors.clusters.job", "--exchange", job.exchange, "--name", job.name]
                self.processes[job.name] = subprocess.Popen([sys.executable, "-P", *words], start_new_session=True)
            self.say(Runs(job.name, f"process {self.processes[job.name].pid}"))
            threading.Thread(target=self._watch, args=(job.name,), daemon=True).start()

    def stop(self, name: str, grace_s: float) -> None:
        self._reach()
        with self._lock:
            process = self.processes.get(name)
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGTERM)

    def find(self, names: Sequence[str]) -> list[News]:
        self._reach()
        found: list[News] = []
        for name in names:
            process = self.processes.get(name)
            runs = process is not None and process.poll() is None
            found.append(Runs(name, "here") if runs else Gone(name, Death(note="nobody knows it")))
            if runs:
                threading.Thread(target=self._watch, args=(name,), daemon=True).start()
        return found

    def lose(self, name: str) -> None:
        """The machine of a job is gone, with all that ran there."""
        process = self.processes[name]
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        return

    def end(self) -> None:
        """End what still runs: the test is over."""
        for name in list(self.processes):
            self.lose(name)

    def _watch(self, name: str) -> None:
        status = self.processes[name].wait()
        if status == 0:
            self.say(Finished(name))
        else:
            note = f"killed by signal {-status}" if status < 0 else f"exit code {status}"
            self.say(Gone(name, Death(note=f"its process is gone: {note}")))


@contextlib.contextmanager
def until_ended(cluster: ProcessCluster) -> Iterator[ProcessCluster]:
    """The cluster for as long as a test lasts."""
    try:
        yield cluster
    finally:
        cluster.end()


def exchange_in(folder: Path) -> str:
    """The address of an exchange in a folder."""
    return f"file://{folder}/exchange"
