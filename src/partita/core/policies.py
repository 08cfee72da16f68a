"""What a user sets on a task: retries, time, limits, cache, isolation. Plain values; nothing is decided here."""

from __future__ import annotations

from typing import Literal

import msgspec


class Retry(msgspec.Struct, frozen=True):
    """How often and when a failed attempt is tried again. Times in seconds.

    `delays_s` are the waits before the 2nd, 3rd ... attempt; the last one repeats. With `backoff` > 1 the last
    delay is multiplied by it for each further attempt, up to `cap_s`. `jitter` "full" draws the wait uniformly
    from 0 to the delay (AWS Architecture Blog, "Exponential Backoff And Jitter", 2015), by a hash of the ids.
    """

    limit: int = 0
    delays_s: tuple[float, ...] = (0.0,)
    backoff: float = 1.0
    cap_s: float | None = None
    jitter: Literal["none", "full"] = "none"
    # Names of exception classes, bare or dotted, compared with every class in the error's ancestry.
    on: tuple[str, ...] = ()
    never_on: tuple[str, ...] = ()
    # The worker asks the user's own predicate and reports its answer with the error (`Failure.retryable`).
    by_predicate: bool = False


class Cache(msgspec.Struct, frozen=True):
    """When a result may be taken from an earlier attempt with the same key."""

    ttl_s: float | None = None
    # "inputs" = digest of inputs and code version; "own" = the worker calls the user's key function.
    key: Literal["inputs", "own"] = "inputs"
    # Moves the key apart by hand, and by project.
    salt: str = ""


class Policies(msgspec.Struct, frozen=True):
    """Everything that decides how a step is executed. Times in seconds, memory in bytes."""

    retry: Retry = Retry()
    timeout_s: float | None = None
    # From the polite end (SIGTERM, `Cancelled` raised in user code) to SIGKILL of the process group.
    grace_s: float = 10.0
    pools: tuple[tuple[str, int], ...] = ()
    priority: int = 0
    # Open attempts of this task at once: over all runs of the namespace, and within one run.
    limit: int | None = None
    limit_per_run: int | None = None
    memory_bytes: int | None = None
    isolation: Literal["worker", "process"] = "worker"
    # What a lost attempt means. "retry": try again, up to `lost_limit`; "fail" and "ask" make it at most once.
    on_lost: Literal["retry", "fail", "ask"] = "retry"
    lost_limit: int = 3
    cache: Cache | None = None
    asynchronous: bool = False
    # Named rates: how many starts of each an attempt counts as.
    rates: tuple[tuple[str, int], ...] = ()
    # Which executor performs it: a name under `[tool.partita.executors]`; "" = local processes.
    executor: str = ""
    # For that executor alone (image, queue, node selector ...): a JSON object, "" = nothing.
    executor_options: str = ""
    # What it needs beside memory, for packing: processor cores, GPUs, and what else the capacity names.
    cpu: float = 0.0
    gpu: float = 0.0
    resources: tuple[tuple[str, float], ...] = ()
    # After an attempt that ran out of memory the next one may have so many times as much, up to `memory_cap_bytes`.
    memory_on_oom: float = 1.0
    memory_cap_bytes: int | None = None
