"""The store with faults around every durable write, and everything that was committed shown to whoever watches.

Rule: what the inner store does is never changed; a fault is an exception before or after it, or time that passes.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import msgspec

from partita.core.facts import Fact
from partita.errors import Fenced, StoreError, StoreFull
from partita.store.contract import Lease, RunCommit, Store

from .faults import Crash, Faults


class Unknown(StoreError):
    """The store failed, and whether it did what it was asked to is not known."""


class FaultyStore:
    """Implements the contract of a store. `watch` sees each commit; `stall` is called where the process stands still."""

    def __init__(
        self,
        inner: Store,
        rng: Random,
        faults: Faults,
        marks: Counter[str],
        *,
        watch: Callable[[Sequence[RunCommit], Sequence[Fact]], None],
        stall: Callable[[], None],
    ) -> None:
        self.inner = inner
        self.rng = rng
        self.faults = faults
        self.marks = marks
        self.watch = watch
        self.stall = stall
        self.events = 0
        self.history = hashlib.sha256()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def acquire(self, resource: str, holder: str, ttl_s: float) -> Lease:
        self._refuse_if_full()
        return self._around(lambda: self.inner.acquire(resource, holder, ttl_s))

    def put_graph(self, version: str, data: bytes, *, epoch: int | None = None) -> None:
        self._refuse_if_full()
        self._around(lambda: self.inner.put_graph(version, data, epoch=epoch))

    def tidy(self, work: Callable[[Any], Any], *, epoch: int) -> Any:
        self._refuse_if_full()
        return self._around(lambda: self.inner.tidy(work, epoch=epoch))  # type: ignore[attr-defined]

    def commit(
        self, commits: Sequence[RunCommit], *, epoch: int, facts: Sequence[Fact] = (), graphs: Sequence[Any] = ()
    ) -> dict[str, int]:
        self._refuse_if_full()
        if self.rng.random() < self.faults.stall:
            self.marks["an engine stood still before its commit"] += 1
            self.stall()
        if self.rng.random() < self.faults.error_before:
            self.marks["the store failed before a commit"] += 1
            raise Unknown("the connection was reset")
        created: dict[str, int] = self._around(lambda: self._commit(commits, epoch, facts, graphs))
        if self.rng.random() < self.faults.error_after:
            self.marks["the store failed after a commit"] += 1
            raise Unknown("the connection was reset")
        if self.rng.random() < self.faults.stall:
            self.marks["an engine stood still between its commit and what follows"] += 1
            self.stall()
        return created

    def _commit(
        self, commits: Sequence[RunCommit], epoch: int, facts: Sequence[Fact], graphs: Sequence[Any]
    ) -> dict[str, int]:
        try:
            created = self.inner.commit(commits, epoch=epoch, facts=facts, graphs=graphs)
        except Fenced:
            self.marks["a commit of an engine that was taken over from was refused"] += 1
            raise
        for commit in commits:
            self.history.update(msgspec.msgpack.encode(commit))
            self.events += len(commit.events)
        for fact in facts:
            self.history.update(msgspec.msgpack.encode(fact))
        self.watch(commits, facts)
        return created

    def _around(self, write: Callable[[], Any]) -> Any:
        if self.rng.random() < self.faults.crash_before:
            self.marks["a crash before a durable write"] += 1
            raise Crash("before a write")
        done = write()
        if self.rng.random() < self.faults.crash_after:
            self.marks["a crash after a durable write"] += 1
            raise Crash("after a write")
        return done

    def _refuse_if_full(self) -> None:
        if self.faults.is_full:
            self.marks["a write was refused for lack of space"] += 1
            raise StoreFull("no space left")
