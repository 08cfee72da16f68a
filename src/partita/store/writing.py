"""The owner's side of the contract over SQL, for every database.

Rule: a commit is one transaction that begins with the fence. Nothing is remembered before it is committed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from partita.core import manifest as manifests
from partita.core.events import RunCreated, RunEnded
from partita.core.facts import Fact
from partita.core.manifest import Manifest
from partita.errors import Fenced, StoreError
from partita.store.contract import Lease, OriginTaken, RunCommit
from partita.store.database import Database
from partita.store.facts import write_facts
from partita.store.leases import (
    ENGINE,
    acquired,
    check_epoch,
    given_out,
    namespace_of,
    released,
    shard_of,
    taken_back,
)
from partita.store.named import Execute
from partita.store.reading import SqlReader
from partita.store.rows import UNSTORABLE, Batch, new_run, put_journal, unstorable

T = TypeVar("T")
# The number of a run, and of its last journal row.
_End = tuple[int, int]


class SqlStore(SqlReader):
    """`contract.Store` over a `Database`. `clock` is what leases go by."""

    # Kinds that retention does not remove one by one: `drop_history` drops their months.
    dropped_kinds: frozenset[str] = frozenset()

    def __init__(self, db: Database, *, clock: Callable[[], float]) -> None:
        super().__init__(db)
        self._clock = clock
        # Whose lease guards what is written (`leases.shard_of`).
        self.shard = ENGINE
        # Of the runs that were written to and have not ended: saves a query for each commit.
        self._ends: dict[str, _End] = {}

    def acquire(self, resource: str, holder: str, ttl_s: float) -> Lease:
        with self._db.transaction():
            known = self._lease_row(resource)
            if known is None and namespace_of(resource):
                raise Fenced(
                    f"namespace {namespace_of(resource)!r} has no scheduler of its own any more",
                    hint="it is led with all others: start `partita up` without --spread",
                )
            lease = acquired(known, resource, holder, now=self._clock(), ttl_s=ttl_s)
            self._put_lease(lease)
        return lease

    def release(self, lease: Lease) -> None:
        with self._db.transaction():
            after = released(self._lease_row(lease.resource), lease)
            if after is not None:
                self._put_lease(after)

    def give_out(self, namespace: str, *, by: int | None = None) -> None:
        """A namespace has a scheduler of its own from now on. Whoever led it is fenced; if it has one already, nothing changes.

        `by`: the epoch of who leads it with all others, and has begun nothing of it: that one goes on. Raises `Fenced`.
        """
        with self._db.transaction():
            rest = self._lease_row(ENGINE)
            if by is not None:
                check_epoch(rest, by)
            if self._lease_row(shard_of(namespace)) is not None:
                return
            others, own = given_out(rest, namespace)
            for lease in [own] if by is not None else [others, own]:
                self._put_lease(lease)

    def take_back(self, namespace: str) -> bool:
        """A namespace is led with all others again. Whoever led one or the other is fenced. False if it was not given out."""
        with self._db.transaction():
            rest, own = self._lease_row(ENGINE), self._lease_row(shard_of(namespace))
            if own is None:
                return False
            self._fetch("remove_lease", (own.resource,))
            self._put_lease(taken_back(rest, own))
        return True

    def commit(
        self,
        commits: Sequence[RunCommit],
        *,
        epoch: int,
        facts: Sequence[Fact] = (),
        graphs: Sequence[tuple[str, bytes]] = (),
    ) -> dict[str, int]:
        ends: dict[str, _End] = {}
        created: dict[str, int] = {}
        try:
            with self._db.transaction():
                self._fence(epoch)
                batch = Batch(self._write_many)
                for commit in commits:
                    no = self._follow(commit, ends)
                    if commit.seq == 1:
                        created[commit.run] = no
                    put_journal(batch, no, commit.seq, commit.at, commit.events)
                batch.flush()
                for version, data in graphs:
                    self._fetch("put_graph", (version, data))
                if facts:
                    write_facts(self._fetch, tuple(facts))
        except UNSTORABLE as error:
            raise unstorable(error) from error
        self._ends.update(ends)
        for commit in commits:
            if commit.events and type(commit.events[-1]) is RunEnded:
                self._ends.pop(commit.run, None)
        return created

    def tidy(self, work: Callable[[Execute], T], *, epoch: int) -> T:
        """Keeping house: what `work` removes (by named statements), in one synced transaction behind the fence.

        Nothing that is decided from may be touched. Raises as `commit`.
        """
        with self._db.transaction():
            self._fence(epoch)
            return work(self._fetch)

    def drop_history(
        self, *, epoch: int, ticks_before: float | None, facts_before: float | None
    ) -> Iterator[tuple[str, int]]:
        """What retention has emptied goes all at once, where a database can do that: the table and its bytes, one at a time.

        Kinds in `dropped_kinds` go this way alone. Raises as `commit`.
        """
        return iter(())

    def make_room(self, last: Mapping[str, int], *, since: float | None) -> None:
        """See that rows have a place whose numbers go up to `last`, by table, and ticks `since` then."""

    def pages(self) -> tuple[int, int]:
        """How many pages the database has, and how many of them are free."""
        return self._db.pages()[:2]

    @property
    def page_bytes(self) -> int:
        """The bytes of a page."""
        return self._db.pages()[2]

    def give_back(self, pages: int) -> int:
        """Give so many free pages back to the file system; how many it were."""
        before = self._db.pages()[0]
        self._db.give_back(pages)
        return before - self._db.pages()[0]

    def put_graph(self, version: str, data: bytes, *, epoch: int | None = None) -> None:
        if self.graph(version) is None:
            with self._db.transaction():
                self._fence(epoch)
                self._fetch("put_graph", (version, data))

    def put_manifest(self, manifest: Manifest, *, epoch: int | None = None) -> None:
        with self._db.transaction():
            self._fence(epoch)
            self._fetch("put_manifest", (manifest.project, manifests.encode(manifest)))

    def _fence(self, epoch: int | None) -> None:
        """First in a transaction: raises `Fenced` unless this is the epoch of our shard. None: not for an engine."""
        if epoch is not None:
            check_epoch(self._lease_row(self.shard), epoch)

    def _put_lease(self, lease: Lease) -> None:
        self._fetch("put_lease", (lease.resource, lease.holder, lease.epoch, lease.until, lease.since))

    def _write_many(self, name: str, rows: list[tuple[object, ...]]) -> None:
        self._db.write_many(self._sql[name], rows)

    def _follow(self, commit: RunCommit, ends: dict[str, _End]) -> int:
        """The number of the run, whose journal this commit continues."""
        run = commit.run
        if commit.events and type(commit.events[0]) is RunCreated:
            no, last = self._create(run, commit.events[0]), 0
        else:
            no, last = ends.get(run) or self._ends.get(run) or self._end_of_journal(run)
        if commit.seq != last + 1:
            raise StoreError(f"journal row {commit.seq} of run {run} does not follow row {last}")
        ends[run] = (no, commit.seq)
        return no

    def _create(self, run: str, event: RunCreated) -> int:
        taken = self._fetch("run_of_origin", (event.namespace, event.origin))
        if taken:
            raise OriginTaken(event.origin, taken[0][0])
        if self._fetch("end_of_journal", (run,)):
            raise StoreError(f"run {run} exists already")
        no = int(self._fetch("insert_run", new_run(event))[0][0])
        for tag in event.tags:
            self._fetch("insert_tag", (tag, no))
        return no

    def _end_of_journal(self, run: str) -> _End:
        rows = self._fetch("end_of_journal", (run,))
        if not rows:
            raise StoreError(f"there is no run {run}")
        no, last = rows[0]
        return no, last
