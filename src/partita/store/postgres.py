"""A store in PostgreSQL: opened by its address, owned by whoever has the lease.

One engine writes at a time: each writing transaction begins with the row of its lease, locked, so that an engine whose epoch is over
is refused, and commits come one after the other.

Rule: only what differs from a store in a file. The connection is in `postgres_connection.py`, the words in `dialect.py`, what goes by the
month in `months.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from partita.core.facts import Fact
from partita.errors import StoreAway, StoreError
from partita.store import migrate as migrations
from partita.store import months
from partita.store.contract import Lease, RunCommit
from partita.store.database import Params, Row
from partita.store.leases import ENGINE, namespace_of
from partita.store.named import Execute
from partita.store.postgres_connection import PAGE, InDoubt, PostgresDatabase
from partita.store.reading import SqlReader
from partita.store.writing import SqlStore, T

_SIZED_S: Final = 60.0
_GOES_WITH_ITS_MONTH: Final = frozenset(
    {
        "remove_steps",
        "remove_attempts",
        "remove_journal",
        "remove_some_steps",
        "remove_some_attempts",
        "remove_some_journal",
    }
)
_OLDEST: Final = 15
# Any number; it is that of an advisory lock, which a transaction has until its end (so poolers do not matter).
_TURN: Final = 7_418_309
_NOW: Final = "SELECT extract(epoch FROM clock_timestamp())::float8"

PostgresReader = SqlReader


class PostgresStore(SqlStore):
    """The owner of a store in PostgreSQL, for as long as it has the lease."""

    dropped_kinds = frozenset({"ticks", "events"})

    def __init__(self, db: PostgresDatabase, *, clock: Callable[[], float]) -> None:
        super().__init__(db, clock=clock)
        self._postgres = db
        self._months = months.Months(db, clock)
        self._sizes = months.Sizes(0, 0, 0.0)
        self._sized_at = float("-inf")
        self._removed = 0
        # A commit that nobody knows the end of: its transaction, and what was in it.
        self._doubt: tuple[tuple[int, int], frozenset[tuple[str, int]], int] | None = None

    def prepare(self) -> None:
        """See that there is a place for what this month and the next one bring."""
        self._months.prepare()

    def commit(
        self,
        commits: Sequence[RunCommit],
        *,
        epoch: int,
        facts: Sequence[Fact] = (),
        graphs: Sequence[tuple[str, bytes]] = (),
    ) -> dict[str, int]:
        """As `SqlStore.commit`. One that is tried again after a doubt does only what was not done."""
        created: dict[str, int] = {}
        if self._doubt is not None:
            transaction, keys, told = self._doubt
            if self._postgres.settle(transaction):
                created = self._created_by([c for c in commits if c.seq == 1 and (c.run, c.seq) in keys])
                commits = [c for c in commits if (c.run, c.seq) not in keys]
                facts = facts[told:]
            self._ends.clear()
            self._doubt = None
            if not commits and not facts:
                return created
        try:
            created |= super().commit(commits, epoch=epoch, facts=facts, graphs=graphs)
        except InDoubt as error:
            self._doubt = (error.transaction, frozenset((c.run, c.seq) for c in commits), len(facts))
            raise
        except StoreAway:
            self._ends.clear()
            raise
        self._months.committed(max(created.values(), default=0))
        return created

    def tidy(self, work: Callable[[Execute], T], *, epoch: int) -> T:
        """As `SqlStore.tidy`. Steps, attempts and journal of a run are left for their month to be dropped."""
        with self._db.transaction():
            self._fence(epoch)
            return work(self._execute_unless_dropped)

    def _execute_unless_dropped(self, name: str, params: Params) -> list[Row]:
        if name in _GOES_WITH_ITS_MONTH and self._months.holds(params[0]):
            return []
        self._removed += name == "remove_run"
        return self._fetch(name, params)

    def pages(self) -> tuple[int, int]:
        """As `SqlStore.pages`; looked at once a minute, and what is removed meanwhile is reckoned."""
        if time.monotonic() > self._sized_at + _SIZED_S:
            self._sizes, self._sized_at, self._removed = months.sizes(self._db), time.monotonic(), 0
        waiting = self._sizes.waiting + int(self._removed * self._sizes.of_a_run)
        return self._sizes.size // PAGE, min(self._sizes.size, waiting) // PAGE

    @property
    def page_bytes(self) -> int:
        return PAGE

    def drop_history(
        self, *, epoch: int, ticks_before: float | None, facts_before: float | None
    ) -> Iterator[tuple[str, int]]:
        def fence() -> None:
            self._fence(epoch)

        for dropped in self._months.drop(fence, ticks_before=ticks_before, facts_before=facts_before):
            self._sized_at = float("-inf")
            yield dropped.table, dropped.bytes

    def make_room(self, last: Mapping[str, int], *, since: float | None) -> None:
        self._months.make_room(last["journal"], last["runs"], since)

    def acquire(self, resource: str, holder: str, ttl_s: float) -> Lease:
        # Two that come first at the same moment: what is not there cannot be locked.
        if not namespace_of(resource) and self._lease_row(resource) is None:
            self._fetch("make_lease", (resource,))
        return super().acquire(resource, holder, ttl_s)

    def give_out(self, namespace: str, *, by: int | None = None) -> None:
        if self._lease_row(ENGINE) is None:
            self._fetch("make_lease", (ENGINE,))
        super().give_out(namespace, by=by)

    def _lease_row(self, resource: str) -> Lease | None:
        """Inside a transaction the row is ours until its end: nobody takes over in the midst of a commit.

        And so is the turn: the commits of several shards come one after the other as well, for whoever follows the journal
        by its numbers must never find a lower one later.
        """
        if not self._postgres.locking:
            return super()._lease_row(resource)
        rows = self._db.fetch(_with_turn(self._sql["lease"]) + self._postgres.locking, (resource,))
        return Lease(*rows[0][:5]) if rows else None

    def _created_by(self, commits: Sequence[RunCommit]) -> dict[str, int]:
        return {commit.run: self._fetch("end_of_journal", (commit.run,))[0][0] for commit in commits}


def _with_turn(question: str) -> str:
    return question.replace(" FROM ", f", pg_advisory_xact_lock({_TURN}) FROM ", 1)


def open_store(address: str, *, clock: Callable[[], float] | None = None) -> PostgresStore:
    """Write to the store at `address`, made or brought up to date as needed. Leases go by the database's clock, or by `clock`.

    Raises `StoreAway`, `StoreTooNew`, `StoreFull`, `StoreError`.
    """
    db = PostgresDatabase(address)
    try:
        now: Callable[[], float] = clock or (lambda: float(db.fetch(_NOW)[0][0]))
        _prepare(db, now())
        store = PostgresStore(db, clock=now)
        store.prepare()
    except BaseException:
        db.close()
        raise
    return store


def open_reader(address: str) -> PostgresReader:
    """Read the store at `address`, whether an engine runs on it or not. Raises `StoreAway`, `StoreTooNew`, `StoreError`."""
    db = PostgresDatabase(address, read_only=True)
    try:
        if not has_tables(db):
            raise StoreError(f"there is no store at {db.where}", hint="`partita run` makes it")
        if migrations.pending(db, db.where):
            raise StoreError(f"{db.where} is of an older Partita", hint="bring it up to date: partita db migrate")
    except BaseException:
        db.close()
        raise
    return SqlReader(db)


def exists(address: str) -> bool:
    """Whether there is a store at `address`. Raises `StoreAway`."""
    db = PostgresDatabase(address, read_only=True)
    try:
        return has_tables(db)
    finally:
        db.close()


def migrate(address: str) -> list[str]:
    """Bring the store at `address` up to date; the names of what was applied. Raises as `open_store`."""
    db = PostgresDatabase(address)
    try:
        if not has_tables(db):
            raise StoreError(f"there is no store at {db.where}", hint="`partita run` makes it")
        return migrations.upgrade(db, db.where, now=time.time())
    finally:
        db.close()


def has_tables(db: PostgresDatabase) -> bool:
    """Whether Partita's tables are there."""
    return bool(db.fetch("SELECT to_regclass('migrations') IS NOT NULL")[0][0])


def _prepare(db: PostgresDatabase, now: float) -> None:
    """Tables for an empty database, migrations for an older one."""
    version = db.server_version // 10_000
    if version < _OLDEST:
        raise StoreError(
            f"{db.where} is PostgreSQL {version}", hint=f"Partita needs {_OLDEST} or newer: use a newer server"
        )
    if has_tables(db):
        migrations.upgrade(db, db.where, now=now)
        return
    others = db.fetch("SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()")[0][0]
    if others:
        raise StoreError(
            f"{db.where} has {others} tables, and none of them is Partita's",
            hint="give Partita a database of its own: createdb partita",
        )
    try:
        migrations.create(db, now=now)
    except StoreError:
        # Another one was faster: they began at the same moment.
        if not has_tables(db):
            raise
