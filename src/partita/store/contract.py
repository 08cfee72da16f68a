"""The contract of a store: what the engine writes, what everybody reads. One file, in words.

Writing. The one owner (engine) calls `commit` from its one thread with all that waits; the call either happened,
and then it is synced, or it raised and nothing of it did. Rows are made from the journaled events by the shared
rules in `store/rows.py`, in the same transaction: whoever adds an event says there what it does to the rows.
Reading. Any process, any number, read-only; readers never block the writer. Lists have limits and cursors.
What may fail. `StoreLocked`, `StoreTooNew` when opening; `StoreFull` when there is no space (nothing is lost, the
same commit may be tried again); `Fenced` when the epoch is over; `StoreError` for all else.
Twice. A commit is not repeated by the store; a run with an `origin` that exists is refused by `OriginTaken`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from partita.core.events import CheckReport, Event, Failure, GateReported, Meta, Usage
from partita.core.facts import Fact
from partita.core.manifest import Manifest
from partita.core.run_queue import Asked
from partita.core.states import AttemptState, RunState, StepState
from partita.core.values import Value
from partita.errors import StoreError


class OriginTaken(StoreError):
    """A run with this origin exists already; `run` is its id."""

    def __init__(self, origin: str, run: str) -> None:
        super().__init__(f"a run with origin {origin!r} exists already: {run}")
        self.run = run


class RunCommit(msgspec.Struct, frozen=True):
    """The events of one run in one commit: one row of the journal. `seq` counts the run's journal rows from 1."""

    run: str
    seq: int
    at: float
    events: tuple[Event, ...]


class Lease(msgspec.Struct, frozen=True):
    """Who owns a resource, until when (seconds since the epoch by the store's clock), and in which epoch, begun `since`."""

    resource: str
    holder: str
    epoch: int
    until: float
    since: float = 0.0


class RunRow(msgspec.Struct, frozen=True):
    """A run. `no` is its number in this store (what people type), `id` its UUIDv7."""

    no: int
    id: str
    namespace: str
    project: str
    pipeline: str
    graph: str
    code: str
    origin: str
    state: RunState
    created_at: float
    started_at: float | None
    finished_at: float | None
    by: str
    params: dict[str, bytes]
    partition: str
    priority: int
    rerun_of: str
    selection: tuple[str, ...]
    fail_fast: bool
    timeout_s: float | None
    limit: int | None
    namespace_limit: int | None
    tags: tuple[str, ...]
    paused: bool
    cancel_requested: bool
    reason: str
    # Of the last journal row.
    seq: int
    keys: tuple[Asked, ...] = ()
    # Of a run over several partitions: all of them.
    partitions: tuple[str, ...] = ()


class StepRow(msgspec.Struct, frozen=True):
    """A step instance that has done something; the others exist in the graph only.

    There is a row from its first end or retry on; a step in its first attempt has an open attempt and no row.
    """

    step: str
    index: str
    state: StepState
    attempt: int
    not_before: float
    finished_at: float | None
    reason: str
    because: tuple[str, ...]
    value: Value | None
    choice: bytes | None
    again: bool | None
    # The run whose result was taken over ("" = own).
    reused_from: str


class AttemptRow(msgspec.Struct, frozen=True):
    """One try of a step instance."""

    step: str
    index: str
    attempt: int
    state: AttemptState
    epoch: int
    worker: str
    external: str
    # Committed start and end, and the worker's own clock around user code.
    started_at: float
    finished_at: float | None
    began_at: float
    ended_at: float
    failure: Failure | None
    usage: Usage | None
    metadata: tuple[Meta, ...]
    cached_from: str


class MaterializationRow(msgspec.Struct, frozen=True):
    """One materialization of an asset (partition)."""

    asset: str
    partition: str
    run: str
    step: str
    index: str
    attempt: int
    at: float
    data_version: str
    code_version: str
    metadata: tuple[Meta, ...]
    value: Value | None
    began_at: float
    ended_at: float


class CheckRow(msgspec.Struct, frozen=True):
    """One evaluation of a check."""

    run: str
    step: str
    index: str
    attempt: int
    at: float
    report: CheckReport


class GateRow(msgspec.Struct, frozen=True):
    """A step that waits, or has waited, without a slot. `opened_at` None: it was reported to before it opened."""

    step: str
    index: str
    of: str
    opened_at: float | None
    due_at: float | None = None
    heard_at: float | None = None
    message: str = ""
    # What was reported before it opened.
    report: GateReported | None = None
    answered_at: float | None = None
    how: str = ""
    accepted: bool | None = None
    choice: str = ""
    by: tuple[str, ...] = ()
    comment: str = ""
    metadata: tuple[Meta, ...] = ()


class VoteRow(msgspec.Struct, frozen=True):
    """What one person has answered to a gate."""

    step: str
    index: str
    by: str
    at: float
    choice: str
    roles: tuple[str, ...] = ()
    comment: str = ""
    answer: bytes | None = None


class JournalRow(msgspec.Struct, frozen=True):
    """One row of the journal."""

    run: str
    seq: int
    at: float
    events: tuple[Event, ...]


class StreamRow(msgspec.Struct, frozen=True):
    """One row of the journal in the order of commit: events of a run, or (`run` empty) facts beside the runs."""

    no: int
    run: str
    seq: int
    at: float
    events: tuple[Event, ...]
    facts: tuple[Fact, ...]


class Finding(msgspec.Struct, frozen=True):
    """A violated invariant: which one ("I3"), and the evidence."""

    invariant: str
    message: str


class Reader(Protocol):
    """What may be read, by any process."""

    def run(self, run: str) -> RunRow | None:
        """A run by id, by number ("12"), or by an unambiguous beginning of its id."""
        ...

    def run_of_origin(self, namespace: str, origin: str) -> str | None:
        """The id of the run that was made for this origin."""
        ...

    def runs(
        self,
        *,
        pipeline: str | None = None,
        states: Sequence[str] = (),
        partition: str | None = None,
        project: str | None = None,
        namespace: str | None = None,
        by: str | None = None,
        tag: str | None = None,
        since: float | None = None,
        until: float | None = None,
        before_no: int | None = None,
        limit: int = 50,
    ) -> list[RunRow]:
        """Runs, newest first; `before_no` is the cursor. `since` and `until` bound when they were asked for."""
        ...

    def reruns(self, run: str, *, limit: int = 100) -> list[RunRow]:
        """The runs that repeat this one (its id), newest first."""
        ...

    def open_runs(self) -> list[RunRow]:
        """Every run that has not ended, oldest first."""
        ...

    def steps(self, run: str, *, step: str | None = None, states: Sequence[str] = ()) -> list[StepRow]:
        """Rows of step instances, in the order step, index (indexes by number)."""
        ...

    def attempts(
        self, run: str, *, step: str | None = None, index: str | None = None, open_only: bool = False
    ) -> list[AttemptRow]:
        """Attempts, in the order step, index, attempt."""
        ...

    def gates(self, run: str, *, open_only: bool = False) -> list[GateRow]:
        """Steps that wait or have waited without a slot, in the order step, index."""
        ...

    def votes(self, run: str) -> list[VoteRow]:
        """What people have answered to gates, in the order step, index, by."""
        ...

    def journal(self, run: str, *, after_seq: int = 0, limit: int = 1000) -> list[JournalRow]:
        """Journal rows of a run in order."""
        ...

    def stream(self, *, after_no: int = 0, limit: int = 1000) -> list[StreamRow]:
        """Everything that happened, in the order of commit; `after_no` is the cursor."""
        ...

    def end_of_stream(self) -> int:
        """The number of the newest row of the stream; 0 = there is none."""
        ...

    def graph(self, version: str) -> bytes | None:
        """The canonical bytes of a graph, as `core.graph.encode` made them."""
        ...

    def manifest(self, project: str) -> Manifest | None:
        """The last manifest of a project that was put."""
        ...

    def materialization(self, asset: str, partition: str = "") -> MaterializationRow | None:
        """The latest materialization of an asset (partition)."""
        ...

    def materializations(
        self, asset: str, *, partition: str | None = None, limit: int = 50
    ) -> list[MaterializationRow]:
        """Materializations of an asset, newest first."""
        ...

    def materialized_in(self, run: str) -> list[MaterializationRow]:
        """What a run materialized, oldest first."""
        ...

    def checks(self, *, run: str | None = None, asset: str | None = None, limit: int = 1000) -> list[CheckRow]:
        """Check evaluations, newest first."""
        ...

    def usual(
        self, pipeline: str, *, runs: int = 20, before_no: int | None = None
    ) -> dict[str, tuple[float, float, int]]:
        """Per step key: median and p90 of the duration (s) of its successful attempts in the last runs, and their count.

        The last runs are those that succeeded, of them those before run `before_no` if that is given. The duration
        of a mapped step is that of one instance. Attempts that came from the cache do not count.
        """
        ...

    def lease(self, resource: str) -> Lease | None:
        """Who holds a resource."""
        ...

    def leases(self, *, after: str = "", limit: int = 1000) -> list[Lease]:
        """Who holds what, by resource; `after` is the cursor."""
        ...

    def given_out(self) -> frozenset[str]:
        """The namespaces that have a scheduler of their own."""
        ...

    def audit(self) -> Iterator[Finding]:
        """Check the invariants of RELIABILITY I1 to I17 as far as their tables exist; yields nothing when all hold."""
        ...

    def close(self) -> None: ...


class Store(Reader, Protocol):
    """The owner's side."""

    def acquire(self, resource: str, holder: str, ttl_s: float) -> Lease:
        """Take or renew a lease. A change of holder, or a lease that ran out, makes `epoch + 1`.

        Raises `StoreLocked` when someone else holds it and it has not run out.
        """
        ...

    def release(self, lease: Lease) -> None:
        """Give a lease back; the next holder still gets a higher epoch."""
        ...

    def commit(
        self,
        commits: Sequence[RunCommit],
        *,
        epoch: int,
        facts: Sequence[Fact] = (),
        graphs: Sequence[tuple[str, bytes]] = (),
    ) -> dict[str, int]:
        """Journal rows and all that follows from their events and facts, with graphs (version, data) that are new, in
        one synced transaction.

        Answers with the numbers of the runs that it created. Raises `Fenced` if `epoch` is not the current one of the
        store's `shard` (resource "engine", unless told otherwise), `OriginTaken`, `StoreFull`.
        """
        ...

    def put_graph(self, version: str, data: bytes, *, epoch: int | None = None) -> None:
        """Keep a graph; the same version again changes nothing. Raises `Fenced` as `commit` does, if `epoch` is given."""
        ...

    def put_manifest(self, manifest: Manifest, *, epoch: int | None = None) -> None:
        """Keep the newest manifest of a project. Raises `Fenced` as `commit` does, if `epoch` is given."""
        ...
