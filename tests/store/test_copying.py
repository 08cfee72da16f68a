"""A store moves to another database with all of its history, and back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from partita.errors import DefinitionError, StoreError, StoreLocked
from partita.settings import Home
from partita.store import copying, opening, queries
from partita.store.copying import copy, tables
from partita.store.sqlite import open_in_memory
from partita.store.writing import SqlStore
from sim.service_world import ServiceWorld

from . import servers
from .stores import Writer, ended, started, value


@pytest.fixture
def postgres() -> Iterator[str]:
    with servers.database(empty=True) as address:
        yield address


def home(address: str) -> Home:
    return Home(Path("/nonexistent"), address)


def filled(address: str) -> None:
    """A store with a history of a service: every kind of row that the simulation makes."""

    def opened(clock: object) -> SqlStore:
        return opening.open_store(home(address), clock=clock)  # type: ignore[arg-type]

    def opened_again(store: SqlStore) -> SqlStore:
        store.close()
        return opened(world.store_now)

    world = ServiceWorld(13, hours=6.0, open_store=opened, after_crash=opened_again)  # type: ignore[arg-type]
    try:
        world.play()
    finally:
        world.store.inner.close()


def content(address: str) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all tables but who owns them."""
    with closing(opening.open_reader(home(address))) as reader:
        return {
            table.name: [row for page in copying._pages(reader._db, table) for row in page]
            for table in tables()
            if table.name not in ("migrations", "leases", "questions")
        }


def test_every_row_of_a_service_comes_over_and_back_as_it_was(tmp_path: Path, postgres: str) -> None:
    there, back = f"sqlite://{tmp_path}/partita.db", f"sqlite://{tmp_path}/back.db"
    filled(there)
    before = content(there)
    filled_tables = [name for name, rows in before.items() if rows]
    assert len(filled_tables) > 15, filled_tables
    counts = copy(there, postgres)
    assert counts == {name: len(rows) for name, rows in before.items()}
    assert content(postgres) == before
    copy(postgres, back)
    assert content(back) == before


def test_the_engine_goes_on_where_it_was_with_numbers_and_epochs_that_follow(tmp_path: Path, postgres: str) -> None:
    there = f"sqlite://{tmp_path}/partita.db"
    with closing(opening.open_store(home(there))) as store:
        commit = Writer(store)
        for n in range(300):
            commit.run(f"run-{n}")
        commit(started("a"), run="run-299")
        epoch = commit.epoch
    copy(there, postgres)
    with closing(opening.open_store(home(postgres))) as store:
        commit = Writer(store)
        assert commit.epoch > epoch
        commit._seq["run-299"] = 2
        commit(ended("a", epoch=epoch, value=value()), run="run-299")
        assert store.steps("run-299")[0].state == "succeeded"
        commit.run("run-new")
        assert store.run("run-new").no > 300  # type: ignore[union-attr]
        assert store.stream(after_no=0, limit=1)[0].no == 1
        assert store.end_of_stream() > 601
        # Rows of runs that were copied lie in a block of their own, and are not among what has no place.
        assert store._db.fetch("SELECT count(*) FROM steps_rest") == [(0,)]
        assert store._db.fetch("SELECT count(*) FROM journal_rest") == [(0,)]
        assert [f for f in store.audit() if f.invariant != "I17"] == []


def test_a_store_that_is_not_empty_is_not_written_over(tmp_path: Path, postgres: str) -> None:
    there = f"sqlite://{tmp_path}/partita.db"
    for address in (there, postgres):
        with closing(opening.open_store(home(address))) as store:
            Writer(store).run()
    before = content(postgres)
    with pytest.raises(StoreError, match="not empty: it has runs"):
        copy(there, postgres)
    assert content(postgres) == before


def test_a_store_that_an_engine_is_at_work_on_is_not_moved(tmp_path: Path, postgres: str) -> None:
    with closing(opening.open_store(home(postgres))) as store:
        commit = Writer(store)
        commit.run()
        with pytest.raises(StoreLocked):
            copy(postgres, f"sqlite://{tmp_path}/partita.db")
        commit(started("a"))


def test_nobody_writes_to_a_store_while_it_is_moved(tmp_path: Path, postgres: str) -> None:
    with closing(opening.open_store(home(postgres))) as store:
        commit = Writer(store)
        commit.run()
        store.release(store.lease("engine"))  # type: ignore[arg-type]
    refused = []

    def told(table: str, rows: int) -> None:
        if table == "runs":
            with closing(opening.open_store(home(postgres))) as other, pytest.raises(StoreLocked) as error:
                Writer(other)
            refused.append(error)

    copy(postgres, f"sqlite://{tmp_path}/partita.db", told=told)
    assert len(refused) == 1


def test_a_move_that_breaks_off_leaves_the_target_empty(tmp_path: Path, postgres: str) -> None:
    there = f"sqlite://{tmp_path}/partita.db"
    with closing(opening.open_store(home(there))) as store:
        Writer(store).run()

    def told(table: str, rows: int) -> None:
        if table == "journal":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy(there, postgres, told=told)
    assert not any(content(postgres).values())
    assert copy(there, postgres)["runs"] == 1


@pytest.mark.parametrize("pair", [("", "sqlite:///x"), ("sqlite:///x", "sqlite:///x"), ("mysql://x", "sqlite:///y")])
def test_what_is_no_pair_of_stores_is_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(DefinitionError):
        copy(*pair)


def test_every_table_and_column_of_the_schema_is_copied() -> None:
    text = (queries.FOLDER / "schema.sql").read_text()
    with closing(open_in_memory()) as store:
        for table in tables():
            columns = [row[1] for row in store._db.fetch(f"PRAGMA table_info({table.name})")]
            assert list(table.columns) == columns
            keys = sorted((row[5], row[1]) for row in store._db.fetch(f"PRAGMA table_info({table.name})") if row[5])
            assert [name for _, name in keys] == list(table.key)
    assert len(tables()) == text.count("CREATE TABLE ")
