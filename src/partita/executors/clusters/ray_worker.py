"""The side of Ray on which jobs are performed: a detached actor that holds the resources of one step at a time.

A Ray task of a driver that goes away is killed by Ray; a detached actor is not. So jobs go to actors: each has the
resources of one kind of step, performs one job after the other with a warm station beside it, and ends when it was
idle for a while, whoever made it and whether that one is still there.

Rule: nothing of a user is called here, and nothing is raised into Ray: what went wrong is said in words.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import msgspec

from partita.executors.clusters.cluster import Job

# An outcome above this is not sent along; the exchange has it.
LARGEST_OUTCOME = 64 << 10

_job = msgspec.msgpack.Decoder(Job)
_encoder = msgspec.msgpack.Encoder()


class Performer:
    """What the actor is an instance of. `perform` has one thread; the other methods have threads of their own."""

    def __init__(self, idle_s: float) -> None:
        self._idle_s = idle_s
        self._changed = threading.Condition()
        self._name = ""
        self._idle_since = time.monotonic()
        threading.Thread(target=self._end_when_idle, name="partita-idle", daemon=True).start()

    def perform(self, body: bytes) -> bytes:
        """Perform one job to its end; what is to be said of it."""
        job = _job.decode(body)
        with self._changed:
            self._name = job.name
        try:
            return _encoder.encode(_perform(job))
        finally:
            with self._changed:
                self._name, self._idle_since = "", time.monotonic()
                self._changed.notify_all()

    def stop(self, name: str, grace_s: float) -> None:
        """End a job that is here, or let it not begin here any more. Does not wait."""
        from partita.executors.clusters.perform import stop_here

        stop_here(name, grace_s)

    def doing(self) -> str:
        """The name of the job that runs here; "" = none."""
        return self._name

    def where(self) -> str:
        """For people."""
        from partita.executors.clusters.station import machine

        return f"{machine()}, process {os.getpid()}"

    def wait(self, name: str) -> bool:
        """Wait for the end of a job; whether it was here."""
        with self._changed:
            was_here = self._name == name
            self._changed.wait_for(lambda: self._name != name)
            return was_here

    def leave(self) -> None:
        """End as soon as nothing is performed."""
        with self._changed:
            self._idle_s = 0.0
            self._changed.notify_all()

    def _end_when_idle(self) -> None:
        with self._changed:
            while self._name or time.monotonic() - self._idle_since < self._idle_s:
                self._changed.wait(1.0)
        from partita.executors.clusters.station import Station

        station = Station.here()
        station.shipping.wait(30.0)
        station.close()
        # Ray hears of the end of the process; its own way out can be asked for by a call only.
        os._exit(0)


def _perform(job: Job) -> dict[str, Any]:
    from partita.executors.clusters.perform import AlreadyClaimed, perform

    try:
        outcome = _encoder.encode(perform(job))
    except AlreadyClaimed as error:
        return {"end": "claimed", "why": str(error)}
    except Exception as error:  # a boundary: Ray would pickle what is raised
        return {"end": "broken", "why": f"{type(error).__name__}: {error}"}
    return {"end": "ended", "outcome": outcome if len(outcome) <= LARGEST_OUTCOME else b""}
