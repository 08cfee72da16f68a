"""The contract of a cluster: an existing engine that runs attempts on machines which know nothing of this one.

`ClusterExecutor` (executor.py) is the same for all clusters: slots, tickets, timeouts, logs, adoption, verdicts. A cluster is
the small rest: hand a job over, stop it, say what became of it. It is used by one thread that belongs to it (never the
engine's), so its calls may wait for the network, but each for a bounded time.

Jobs have names, derived from the attempt (`name_of`): a job that is submitted twice under one name runs once, and a later
scheduler finds by name what an earlier one began. User code is begun at most once per name: whoever performs a job claims it in
the exchange first (exchange.py), and a second copy that an engine started on its own ends there. The cluster's own retries are off.

An outcome is in the exchange before the job ends. `Finished` may bring it along to save the reading; without it the executor
looks in the exchange, and what is not there was lost with the job.

Rule: nothing here decides what a death means for a run; `Gone` says what the engine knows, verdicts.py judges.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final, Literal, Protocol

import msgspec

from partita.core.policies import Policies
from partita.executors.verdicts import Death
from partita.worker.wire import Brief, Spooled, Ticket

# Of the names that executors have in the place of workers.
PREFIX: Final = "@"


class Job(msgspec.Struct, frozen=True):
    """One attempt, with all that a machine which knows nothing of this one needs to perform it.

    `exchange` and `values` are addresses of object stores (file:///..., s3://...); `code` is the digest of the bundle in
    the exchange; `python` is "3.11", and a machine with another version refuses with a clear error. `options` is what the
    user gave for this executor (`executor_options=`), plain data, checked by the cluster before it takes a job.
    """

    name: str
    project: str
    namespace: str
    code: str
    exchange: str
    values: str
    python: str
    brief: Brief
    ticket: Ticket
    policies: Policies
    options: dict[str, object] = {}
    inline_bytes: int = 4096
    log_head_bytes: int = 16 << 20
    log_tail_bytes: int = 48 << 20
    # The version of Partita that made it; machines with another one refuse.
    partita: str = ""


class Waits(msgspec.Struct, frozen=True):
    """The engine has the job and has no room for it yet, or cannot start it: why, in its own words.

    `fatal`: it will never start (image cannot be pulled, resources that no node has); the executor ends it as refused.
    """

    name: str
    why: str
    fatal: bool = False


class Runs(msgspec.Struct, frozen=True):
    """The job began on a machine; `where` is for people ("node-3", "tcp://10.0.0.7:4123", "pod etl-5f")."""

    name: str
    where: str


class Finished(msgspec.Struct, frozen=True):
    """The job ended by itself. `outcome`: what it left in the exchange, if the engine brought it along."""

    name: str
    outcome: Spooled | None = None


class Gone(msgspec.Struct, frozen=True):
    """The job is no more and did not end by itself: evicted, out of memory, its node lost, or nobody knows it.

    `begun`: whether it may have begun ("no" only if the engine is sure; the claim in the exchange is looked at as well).
    """

    name: str
    death: Death
    begun: Literal["no", "perhaps"] = "perhaps"


News = Waits | Runs | Finished | Gone


class Cluster(Protocol):
    """An engine that runs jobs. What may fail: every method raises `ExecutorError` when the engine cannot be reached; the
    executor tries again later and says so meanwhile, and no attempt is given up for it."""

    def connect(self) -> None:
        """Reach the engine, or raise `ExecutorError` with what to do. Called again after a failure."""
        ...

    def room(self) -> int:
        """How many jobs more it should be given now. Resources are the engine's own matter: it queues what does not fit."""
        ...

    def check(self, policies: Policies, options: dict[str, object]) -> str:
        """What is wrong with a step's resources and options for this engine, in one sentence; "" if nothing is. No waiting."""
        ...

    def submit(self, jobs: Sequence[Job]) -> None:
        """Hand jobs over. One whose name the engine knows already is not started again."""
        ...

    def stop(self, name: str, grace_s: float) -> None:
        """End a job: politely, and by force after `grace_s`. Of a job that is unknown or has ended: nothing.

        The end comes as `Gone` or `Finished`, when nothing of it runs any more.
        """
        ...

    def poll(self, timeout_s: float) -> list[News]:
        """What happened since the last call; waits up to `timeout_s` for the first. Each job's end is said once."""
        ...

    def wake(self) -> None:
        """Let a `poll` that waits return now. The one method that any thread may call."""
        ...

    def find(self, names: Sequence[str]) -> list[News]:
        """Of jobs that an earlier scheduler handed over: what is known now, one for each name; unknown ones are `Gone`.

        From now on `poll` tells of those that run.
        """
        ...

    def forget(self, names: Sequence[str]) -> None:
        """The ends of these jobs were committed: remove what is left of them in the engine."""
        ...

    def describe(self) -> list[str]:
        """For `partita system` and `doctor`: address, version, machines, one line each."""
        ...

    def close(self) -> None:
        """Let go of the connection; jobs go on."""
        ...


def name_of(run: str, step: str, index: str, attempt: int, epoch: int) -> str:
    """The name of an attempt's job: letters and digits that every engine takes, the same for the same attempt.

    >>> name_of("01a20637-826f-7637-9305-f34dc9805a60", "load", "", 1, 3)
    'pt-fe2148fe5825ed761936c831'
    """
    key = msgspec.msgpack.encode((run, step, index, attempt, epoch))
    return f"pt-{hashlib.sha256(key).hexdigest()[:24]}"


def worker_of(project: str, name: str) -> str:
    """How an executor of a project stands in the place of a worker; `name_of` of processes gives no such name.

    >>> worker_of("shop", "dask")
    '@shop/dask'
    """
    return f"{PREFIX}{project}/{name}"
