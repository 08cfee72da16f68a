"""Performing a job on a machine of a cluster: claimed first, its outcome in the exchange before it ends.

    perform(job)                 in any thread; returns when the job has ended
    stop_here(name, grace_s)     end it; returns at once

Rule: user code of a job begins at most once, whoever starts it how often: after the claim, and only for whoever has it.
"""

from __future__ import annotations

import functools
import os
import sys
import time

from partita.errors import WorldError
from partita.executors.clusters.cluster import Job
from partita.executors.clusters.exchange import Exchange
from partita.executors.clusters.station import Station, machine
from partita.executors.identity import name_of
from partita.executors.verdicts import not_begun
from partita.worker.wire import Outcome, Spooled


class AlreadyClaimed(WorldError):
    """Somebody else performs this job, or the scheduler has given it up; nothing was done."""


def perform(job: Job) -> Spooled:
    """Perform a job to its end; what became of it, which is in the exchange by then.

    What keeps the job from beginning here (another version of Python, code that cannot be imported) is an outcome too.
    Raises `AlreadyClaimed`, and `WorldError` when the exchange cannot be reached.
    """
    exchange = Exchange.at(job.exchange)
    who = _who(os.getpid())
    if not exchange.claim(job.name, who):
        by = exchange.claimed(job.name)
        raise AlreadyClaimed(f"job {job.name} was claimed by {by}", hint="it runs there, or was given up")
    why_not = _misfit(job)
    outcome = not_begun(job.ticket.no, time.time(), why_not) if why_not else Station.here().perform(job, exchange)
    spooled = _spooled(job, outcome)
    exchange.put_outcome(job.name, spooled)
    return spooled


def stop_here(name: str, grace_s: float) -> None:
    """End a job that runs in this process: politely, then by force after its policies' grace. Does not wait.

    Of a job that is not here: nothing. `grace_s` is what the cluster was told, which is the same.
    """
    Station.here().stop(name)


@functools.cache
def _who(pid: int) -> str:
    return name_of(pid) or machine()


def _misfit(job: Job) -> str:
    """Why this machine cannot run the job; "" if it can."""
    from partita import __version__

    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    if job.python != python:
        return (
            f"{machine()} has Python {python}, and the project is served with Python {job.python}:"
            " use an environment with the same version there"
        )
    if job.partita != __version__:
        return f"{machine()} has Partita {__version__}, and the scheduler has {job.partita}: install the same version there"
    return ""


def _spooled(job: Job, outcome: Outcome) -> Spooled:
    brief, ticket = job.brief, job.ticket
    return Spooled(brief.run, brief.step, ticket.index, ticket.attempt, ticket.epoch, outcome)
