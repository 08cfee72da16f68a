"""What is PostgreSQL's own: connections that are lost at any moment, commits in doubt, take-over, servers that go and come."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from partita.core.events import RunStarted
from partita.core.facts.limits import PoolChanged
from partita.errors import Fenced, StoreAway, StoreError, StoreFull, StoreLocked
from partita.store import addresses, limits, migrate, postgres, postgres_connection, queries
from partita.store.contract import RunCommit
from partita.store.own_server import OwnServer
from partita.store.postgres import PostgresStore, open_reader, open_store
from partita.store.postgres_connection import PostgresDatabase

from . import servers
from .cutting import Cut, Proxy
from .stores import Writer, created, ended, started, value


@pytest.fixture(params=servers.VERSIONS)
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    with servers.database(request.param) as address:
        yield address


@pytest.fixture
def proxy(address: str, tmp_path: Path) -> Iterator[Proxy]:
    proxy = Proxy(tmp_path, address.partition("host=")[2])
    yield proxy
    proxy.close()


@pytest.fixture
def store(address: str, proxy: Proxy) -> Iterator[PostgresStore]:
    """A store whose way to the server can be cut."""
    with closing(open_store(f"{address.partition('host=')[0]}host={proxy.folder}")) as store:
        yield store


def pool(slots: int) -> PoolChanged:
    return PoolChanged(7.0, "default", "db", slots, "ann", "")


def terminate(address: str, pid: int) -> None:
    """End a server process, and wait until it is gone."""
    with psycopg.connect(address, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))


class Failing:
    """Ends the server's side of the connection before the n-th statement."""

    def __init__(self, store: PostgresStore, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.after = -1
        self._address = address
        real = PostgresDatabase._cursor

        def cursor(db: PostgresDatabase, connection: psycopg.Connection[Any]) -> psycopg.Cursor[Any]:
            if db is store._db:
                self.after -= 1
                if self.after == 0:
                    terminate(self._address, connection.info.backend_pid)
            return real(db, connection)

        monkeypatch.setattr(PostgresDatabase, "_cursor", cursor)


def test_a_connection_that_is_ended_at_any_statement_of_a_commit_leaves_all_of_it_or_nothing(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(open_store(address)) as store:
        epoch = store.acquire("engine", "me", 3600.0).epoch
        failing = Failing(store, address, monkeypatch)
        refused = done = doubts = 0
        for n in range(1, 40):
            run = f"run-{n}"
            many = [event for i in range(6) for event in (started("a", str(i)),)]
            commits = [RunCommit(run, 1, 1.0, (created(run), RunStarted(1.0), *many))]
            failing.after = n
            for _ in range(3):
                try:
                    numbers = store.commit(commits, epoch=epoch, facts=[pool(n)])
                    break
                except StoreAway as error:
                    refused += 1
                    doubts += error.in_doubt
                    assert store.run(run) is None
            done += failing.after > 0
            assert numbers == {run: store.run(run).no}  # type: ignore[union-attr]
            assert len(store.attempts(run)) == 6
            assert [row.slots for row in limits.limits(store)] == [n]
            assert [len(row.events) for row in store.journal(run)] == [8]
        # The loop has seen a commit through at the end, and every statement of one before.
        assert (done > 0, doubts) == (True, 0)
        assert refused >= 8
        assert len(store.stream(limit=1000)) == 2 * 39


@pytest.mark.parametrize("cut", ["heard", "unheard", "hanging"])
def test_a_connection_that_is_lost_during_a_commit_leaves_no_doubt(
    store: PostgresStore, proxy: Proxy, cut: Cut
) -> None:
    epoch = store.acquire("engine", "me", 3600.0).epoch
    commits = [RunCommit("run-a", 1, 1.0, (created(), RunStarted(1.0)))]
    proxy.cut = cut
    if cut == "heard":
        assert store.commit(commits, epoch=epoch, facts=[pool(1)]) == {"run-a": 1}
    else:
        with pytest.raises(StoreAway) as lost:
            store.commit(commits, epoch=epoch, facts=[pool(1)])
        assert not lost.value.in_doubt
        assert store.run("run-a") is None
        assert store.commit(commits, epoch=epoch, facts=[pool(1)]).keys() == {"run-a"}
    assert proxy.cuts == 1
    assert [row.seq for row in store.stream()] == [1, 0]
    store.commit([RunCommit("run-a", 2, 2.0, (started("a"),))], epoch=epoch)
    assert [row.seq for row in store.journal("run-a")] == [1, 2]


@pytest.mark.parametrize("cut", ["heard", "unheard"])
def test_a_commit_in_doubt_is_looked_for_before_it_is_done_again_with_what_came_since(
    store: PostgresStore, proxy: Proxy, cut: Cut, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_connection, "_PATIENCE_S", 0.2)
    epoch = store.acquire("engine", "me", 3600.0).epoch
    commits = [RunCommit("run-a", 1, 1.0, (created(), RunStarted(1.0)))]
    facts = [pool(1)]
    proxy.cut = cut
    # When it is looked for the server is away.
    real = PostgresDatabase._settled_in_time

    def settled_in_time(db: PostgresDatabase, transaction: tuple[int, int]) -> bool:
        proxy.is_down = True
        return real(db, transaction)

    monkeypatch.setattr(PostgresDatabase, "_settled_in_time", settled_in_time)
    with pytest.raises(StoreAway) as lost:
        store.commit(commits, epoch=epoch, facts=facts)
    assert lost.value.in_doubt
    with pytest.raises(StoreAway):
        store.commit(commits, epoch=epoch, facts=facts)
    proxy.is_down = False
    commits += [RunCommit("run-b", 1, 2.0, (created("run-b"),)), RunCommit("run-a", 2, 2.0, (started("a"),))]
    facts += [pool(2)]
    numbers = store.commit(commits, epoch=epoch, facts=facts)
    assert numbers == {"run-a": store.run("run-a").no, "run-b": store.run("run-b").no}  # type: ignore[union-attr]
    assert sorted((row.run, row.seq) for row in store.stream() if row.run) == [("run-a", 1), ("run-a", 2), ("run-b", 1)]
    assert [fact.slots for row in store.stream() for fact in row.facts] == [1, 2]  # type: ignore[union-attr]
    assert [row.slots for row in limits.limits(store)] == [2]


@pytest.mark.parametrize("cut", ["heard", "unheard"])
def test_other_writes_may_be_lost_in_a_commit_and_done_again(store: PostgresStore, proxy: Proxy, cut: Cut) -> None:
    def again(write: Callable[[], object]) -> object:
        proxy.cut = cut
        try:
            return write()
        except StoreAway:
            return write()

    lease = again(lambda: store.acquire("engine", "me", 3600.0))
    assert store.lease("engine") == lease
    assert lease.epoch == 1  # type: ignore[attr-defined]
    again(lambda: store.put_graph("g1", b"graph"))
    assert store.graph("g1") == b"graph"
    again(lambda: store.tidy(lambda execute: execute("remove_graph", ("g1",)), epoch=1))
    assert store.graph("g1") is None
    again(lambda: store.release(lease))  # type: ignore[arg-type]
    assert store.lease("engine") is None
    assert proxy.cuts == 4


def test_a_question_is_asked_again_when_the_connection_was_lost(address: str) -> None:
    with closing(open_store(address)) as store, closing(open_reader(address)) as reader:
        Writer(store).run()
        for one in (store, reader):
            terminate(address, one._db._connection.info.backend_pid)  # type: ignore[attr-defined]
            assert [row.id for row in one.runs()] == ["run-a"]


def test_a_server_that_stops_is_away_and_when_it_is_back_everything_goes_on(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    server = OwnServer(tmp_path / "data", settings={"fsync": "off"})
    server.start()
    try:
        with closing(open_store(server.address)) as store:
            commit = Writer(store)
            commit.run()
            server.kill()
            with pytest.raises(StoreAway, match="cannot be reached"):
                commit(started("a"))
            with pytest.raises(StoreAway):
                store.runs()
            with pytest.raises(StoreAway):
                open_store(server.address)
            server.start()
            commit(started("a"))
            assert len(store.attempts("run-a")) == 1
            assert [f for f in store.audit() if f.invariant != "I17"] == []
            assert [told for told, hint in store.about() if hint] == [
                "fsync is off: what is acknowledged may be gone after a power failure, and the database with it"
            ]
    finally:
        server.stop()
    assert server.pid == 0


def test_an_engine_that_was_taken_over_is_refused_at_its_next_write(address: str) -> None:
    with closing(open_store(address)) as old, closing(open_store(address)) as new:
        commit = Writer(old)
        commit.run()
        with pytest.raises(StoreLocked):
            new.acquire("engine", "other", 10.0)
        old.release(old.lease("engine"))  # type: ignore[arg-type]
        epoch = new.acquire("engine", "other", 10.0).epoch
        with pytest.raises(Fenced):
            commit(started("a"))
        with pytest.raises(Fenced):
            old.tidy(lambda execute: None, epoch=commit.epoch)
        assert old.attempts("run-a") == []
        new.commit([RunCommit("run-a", 2, 2.0, (started("a", epoch=epoch),))], epoch=epoch)


def test_nobody_takes_over_in_the_midst_of_a_commit(address: str) -> None:
    with closing(open_store(address)) as old, closing(open_store(address)) as new:
        epoch = old.acquire("engine", "me", 0.001).epoch
        has_tried, seen = threading.Event(), []

        def take_over() -> None:
            seen.append(new.acquire("engine", "other", 10.0).epoch)
            has_tried.set()

        def work(execute: Any) -> None:
            thread.start()
            # It waits for our lock: 0.2 s are enough to see that it does not get by.
            assert not has_tried.wait(0.2)
            execute("put_graph", ("g1", b"graph"))

        thread = threading.Thread(target=take_over)
        old.tidy(work, epoch=epoch)
        assert has_tried.wait(10)
        thread.join()
        assert seen == [epoch + 1]
        assert new.graph("g1") == b"graph"


def test_of_two_who_come_first_at_the_same_moment_one_gets_the_lease(address: str) -> None:
    for n in range(10):
        got: list[str] = []
        barrier = threading.Barrier(2)

        def take(name: str, n: int = n, got: list[str] = got, barrier: threading.Barrier = barrier) -> None:
            with closing(open_store(address)) as store:
                barrier.wait(10)
                try:
                    store.acquire(f"r{n}", name, 60.0)
                    got.append(name)
                except StoreLocked:
                    pass

        threads = [threading.Thread(target=take, args=(name,)) for name in ("one", "two")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(got) == 1


def test_leases_go_by_the_clock_of_the_database(address: str) -> None:
    with closing(open_store(address)) as store:
        (now,) = store._db.fetch("SELECT extract(epoch FROM clock_timestamp())::float8")[0]
        assert abs(store.acquire("engine", "me", 10.0).until - now - 10.0) < 5.0


def test_a_server_that_only_reads_now_is_tried_again_later(address: str) -> None:
    with closing(open_store(address)) as store:
        commit = Writer(store)
        commit.run()
        store._db.fetch("SET default_transaction_read_only = on")
        with pytest.raises(StoreFull, match="now"):
            commit(started("a"))
        assert commit._seq == {"run-a": 1}


def test_a_lock_that_somebody_holds_is_not_waited_for_for_ever(address: str) -> None:
    with closing(open_store(address)) as store:
        commit = Writer(store)
        store._db.fetch("SET lock_timeout = '100ms'")
        with psycopg.connect(address) as other:
            other.execute("SELECT 1 FROM leases FOR UPDATE")
            with pytest.raises(StoreFull, match="lock"):
                commit.run()
        commit.run()


def test_what_is_wrong_with_an_address_is_said_without_its_password(address: str) -> None:
    with pytest.raises(StoreError, match="does not exist") as refused:
        open_store(re.sub(r"/t\w+\?", "/nothing?", address))
    assert refused.value.hint == "make it first: createdb nothing"
    with pytest.raises(StoreError, match="does not exist") as refused:
        open_store(address.replace("postgres@", "nobody_here@"))
    assert refused.value.hint == "make it first: createuser nobody_here"
    with pytest.raises(StoreAway) as away:
        open_store("postgresql://ann:secret@127.0.0.1:1/partita?password=secret")
    assert "secret" not in str(away.value)
    assert addresses.shown("postgresql://a:b@h/d?sslpassword=c&x=1") == "postgresql://a@h/d?sslpassword=...&x=1"


def test_a_role_that_may_not_make_tables_is_told_what_it_needs() -> None:
    with servers.database(empty=True) as address:
        with psycopg.connect(address, autocommit=True) as other:
            other.execute("CREATE ROLE reads_only LOGIN")
        try:
            with pytest.raises(StoreError, match="does not let us: permission denied") as refused:
                open_store(address.replace("postgres@", "reads_only@"))
        finally:
            with psycopg.connect(address, autocommit=True) as other:
                other.execute("DROP ROLE reads_only")
        assert refused.value.hint is not None
        assert "our role must own the tables" in refused.value.hint


def test_a_database_of_somebody_else_is_left_alone() -> None:
    with servers.database(empty=True) as address:
        with psycopg.connect(address, autocommit=True) as other:
            other.execute("CREATE TABLE theirs (x int)")
        with pytest.raises(StoreError, match="none of them is Partita's"):
            open_store(address)
        with pytest.raises(StoreError, match="there is no store"):
            open_reader(address)


def test_the_tables_are_those_of_the_schema(address: str) -> None:
    text = (queries.FOLDER / "schema.sql").read_text()
    with closing(open_store(address)) as store:
        rows = store._db.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        tables = {
            name for (name,) in rows if "_p1970" not in name and not name.endswith("_rest") and "_p20" not in name
        }
        assert len(tables) == text.count("CREATE TABLE ")
        assert migrate.pending(store._db, "here") == []


def test_the_notes_in_the_schema_that_migrations_make_are_understood(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = migrate.Migration(
        migrate.known()[-1].no + 1,
        "later",
        "CREATE TABLE one (no INTEGER PRIMARY KEY, x BLOB) STRICT; ALTER TABLE one ADD COLUMN y REAL;",
    )
    both = (*migrate.known(), later)
    monkeypatch.setattr(migrate, "known", lambda: both)
    with pytest.raises(StoreError, match="older Partita"):
        open_reader(address)
    assert postgres.migrate(address) == [f"{later.no:04}_later"]
    assert postgres.migrate(address) == []
    with closing(open_store(address)) as store:
        store._db.fetch("INSERT INTO one (x, y) VALUES (?, ?)", (b"x", 1.5))
        assert store._db.fetch("SELECT no, x, y FROM one") == [(1, b"x", 1.5)]


def test_many_rows_at_once_say_the_same_as_one_after_the_other(address: str) -> None:
    with closing(open_store(address)) as store:
        commit = Writer(store)
        commit.run("one")
        commit.run("many")
        odd = ["", "a\0b", "\1", "\1" + "0", "Ünï 🎻", "x" * 5000]
        for n, name in enumerate(odd * 3):
            commit(started(name, str(n)), run="one")
        for n, name in enumerate(odd * 3):
            commit(ended(name, str(n), value=value(name) if n % 2 else None), run="one")
        commit(*(started(name, str(n)) for n, name in enumerate(odd * 3)), run="many")
        commit(
            *(ended(name, str(n), value=value(name) if n % 2 else None) for n, name in enumerate(odd * 3)), run="many"
        )
        assert store.steps("one") == store.steps("many")
        assert store.attempts("one") == store.attempts("many")
        assert len(store.steps("one")) == 18
