"""The side of Dask on which jobs are performed: functions that the scheduler's machine asks a Dask worker to call.

A job is one Dask task. It begins by saying so and ends by saying what came of it, both as Dask events on the topic of the
client that submitted it: an event is on its way to that client before Dask itself knows that the task is over, and needs no
second trip to fetch a result. Whoever is not there to hear it finds the outcome in the exchange.

Rule: nothing of a user is called here, and nothing is raised into Dask: what went wrong is said in words.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

import msgspec

from partita.executors.clusters.cluster import Job

# An outcome above this is not sent along; the exchange has it.
LARGEST_OUTCOME = 64 << 10
SAID_AFTER_S = 0.05
_REFUSED_KEPT = 10_000

_job = msgspec.msgpack.Decoder(Job)
_encoder = msgspec.msgpack.Encoder()


class _Here:
    """Which jobs run in this process, and which must not begin any more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[str] = set()
        self._refused: deque[str] = deque(maxlen=_REFUSED_KEPT)

    def begin(self, name: str) -> bool:
        with self._lock:
            if name in self._refused or name in self._running:
                return False
            self._running.add(name)
            return True

    def end(self, name: str) -> None:
        with self._lock:
            self._running.discard(name)

    def refuse(self, name: str) -> bool:
        """Let it not begin here from now on; whether it runs here already."""
        with self._lock:
            if name in self._running:
                return True
            self._refused.append(name)
            return False

    def running(self) -> list[str]:
        with self._lock:
            return sorted(self._running)


_here = _Here()


def perform_job(body: bytes, topic: str) -> None:
    """Perform one job in this thread of the worker (the body of every Dask task of ours)."""
    from distributed import get_worker

    job = _job.decode(body)
    worker = get_worker()
    if not _here.begin(job.name):
        worker.log_event(topic, {"name": job.name, "end": "stopped"})
        return

    def say_where() -> None:
        if job.name in _here.running():
            worker.log_event(topic, {"name": job.name, "where": worker.address})

    try:
        # Not at once: Dask sends in batches, and the end of a short job would wait for the next one.
        worker.loop.add_callback(worker.loop.call_later, SAID_AFTER_S, say_where)
        end = _perform(job)
    finally:
        _here.end(job.name)
    worker.log_event(topic, {"name": job.name, **end})


def stop_job(name: str, grace_s: float) -> bool:
    """End a job that runs in this worker, or let it not begin here any more; whether it runs. Does not wait."""
    from partita.executors.clusters.perform import stop_here

    runs = _here.refuse(name)
    if runs:
        stop_here(name, grace_s)
    return runs


def running_jobs() -> list[str]:
    """The names of the jobs that run in this worker."""
    return _here.running()


def _perform(job: Job) -> dict[str, Any]:
    from partita.executors.clusters.perform import AlreadyClaimed, perform

    try:
        outcome = _encoder.encode(perform(job))
    except AlreadyClaimed as error:
        return {"end": "claimed", "why": str(error)}
    except Exception as error:  # a boundary: Dask would repeat what raises, and pickle what was raised
        return {"end": "broken", "why": f"{type(error).__name__}: {error}"}
    return {"end": "ended", "outcome": outcome if len(outcome) <= LARGEST_OUTCOME else b""}
