"""Jobs for tests of clusters, and a stand-in for `python -m partita.executors.clusters.job` that does what a file says.

The stand-in is for what an engine does to a process (signals, memory, exit codes): tests of whole attempts use the real one.
"""

from __future__ import annotations

import hashlib
import select
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from partita.core.policies import Policies
from partita.executors.clusters.cluster import Finished, Gone, Job, News, name_of
from partita.worker.wire import Brief, Ticket

PATIENCE_S = 60.0


class Polled(Protocol):
    def poll(self, timeout_s: float) -> list[News]: ...


def a_job(
    exchange: Path,
    no: int = 1,
    *,
    step: str = "load",
    run: str = "",
    policies: Policies | None = None,
    **options: Any,
) -> Job:
    """One attempt of a step's instance `no`; its name is this exchange's alone, for an engine never starts a name twice."""
    run = run or f"run-{hashlib.sha256(str(exchange).encode()).hexdigest()[:8]}"
    brief = Brief(1, run, 1, "default", "daily", step, "pipelines:load")
    return Job(
        name=name_of(run, step, str(no), 1, 1),
        project="conformance",
        namespace="default",
        code="0" * 64,
        exchange=f"file://{exchange}",
        values=f"file://{exchange}/values",
        python="3.11",
        brief=brief,
        ticket=Ticket(no, 1, str(no), 1, 1),
        policies=policies or Policies(),
        options=options,
    )


class Stand:
    """A program in the place of Python that runs `does/<job name>` (shell), or ends at once."""

    def __init__(self, folder: Path) -> None:
        self.exchange = folder / "exchange"
        self._does = folder / "does"
        self._marks = folder / "marks"
        for path in (self.exchange, self._does, self._marks):
            path.mkdir(parents=True)
        self.python = folder / "python"
        self.python.write_text(
            "#!/bin/sh\n"
            'while [ $# -gt 0 ]; do case "$1" in --name) name="$2" ;; --exchange) exchange="$2" ;; esac; shift; done\n'
            f'echo "$exchange" >>"{self._marks}/$name"\n'
            f'test -e "{self._does}/$name" || exit 0\n'
            f'. "{self._does}/$name"\n'
        )
        self.python.chmod(self.python.stat().st_mode | stat.S_IXUSR)

    def let(self, job: Job, does: str) -> Job:
        """The job does this, in shell."""
        (self._does / job.name).write_text(does + "\n")
        return job

    def started(self, job: Job) -> int:
        """How often the job was started."""
        mark = self._marks / job.name
        return len(mark.read_text().splitlines()) if mark.exists() else 0


def told_until(cluster: Polled, enough: Callable[[list[News]], bool], patience_s: float = PATIENCE_S) -> list[News]:
    """What a cluster tells until that is enough."""
    until = time.monotonic() + patience_s
    told: list[News] = []
    while not enough(told):
        assert time.monotonic() < until, f"not told in time; so far: {told}"
        told += cluster.poll(0.2)
    return told


def moments(patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Looks at something from outside of this program, ever again, for so long."""
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        yield
        select.select([], [], [], 0.02)


def end_of(cluster: Polled, job: Job, patience_s: float = PATIENCE_S) -> Finished | Gone:
    """How a job ended."""
    told = told_until(cluster, lambda news: any(_is_end(one, job) for one in news), patience_s)
    return next(one for one in told if isinstance(one, Finished | Gone) and one.name == job.name)


def _is_end(one: News, job: Job) -> bool:
    return isinstance(one, Finished | Gone) and one.name == job.name
