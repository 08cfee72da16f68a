"""Old databases become today's, one numbered step after the other, and a crash in between changes nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from partita.errors import StoreError
from partita.store import migrate, queries, sqlite
from partita.store.sqlite import open_reader, open_store

from .stores import Writer

# The newest migration that is released.
LAST = migrate.known()[-1].no


def step(no: int) -> str:
    """The name of a later migration that `with_steps` pretends."""
    return f"{LAST + no:04}_step_{LAST + no}"


def structure(path: Path) -> dict[str, Any]:
    """Tables, columns, keys and indexes, without the text that made them."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)

    def rows(pragma: str) -> list[tuple[Any, ...]]:
        return connection.execute(f"PRAGMA {pragma}").fetchall()

    found: dict[str, Any] = {}
    for _, table, kind, columns, without_rowid, strict in rows("table_list"):
        if not table.startswith("sqlite_"):
            (sql,) = connection.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
            checks = sorted(re.sub(r"\s+", " ", c) for c in re.findall(r"CHECK \(((?:[^()]|\([^()]*\))*)\)", sql))
            found[table] = (kind, columns, without_rowid, strict, rows(f"table_xinfo({table})"), checks,
                            sorted(rows(f"foreign_key_list({table})")))  # fmt: skip
            for _, index, unique, origin, partial in rows(f"index_list({table})"):
                # Keys have no text of their own.
                texts = connection.execute("SELECT coalesce(sql, '') FROM sqlite_schema WHERE name = ?", (index,))
                where = re.sub(r"\s+", " ", "".join(row[0] for row in texts).partition("WHERE")[2])
                found[f"{table}: {index}"] = (unique, origin, partial, rows(f"index_xinfo({index})"), where)
    connection.close()
    return found


def first_version(path: Path) -> None:
    """A database as the first release made it, with a run in it."""
    connection = apsw.Connection(str(path))
    first = migrate.known()[0]
    for statement in queries.script(first.sql):
        connection.execute(statement)
    connection.execute("INSERT INTO migrations VALUES (?, ?, 0.0)", (first.no, first.name))
    connection.close()


def with_steps(monkeypatch: pytest.MonkeyPatch, *steps: str) -> None:
    """Pretend that there are later migrations."""
    later = [migrate.Migration(no, f"step_{no}", sql) for no, sql in enumerate(steps, start=migrate.known()[-1].no + 1)]
    both = (*migrate.known(), *later)
    monkeypatch.setattr(migrate, "known", lambda: both)


def test_the_migrations_make_what_the_schema_says(tmp_path: Path) -> None:
    open_store(tmp_path / "new.db").close()
    first_version(tmp_path / "old.db")
    sqlite.migrate(tmp_path / "old.db")
    assert structure(tmp_path / "old.db") == structure(tmp_path / "new.db")
    assert len(structure(tmp_path / "new.db")) > 20


def test_the_files_of_migrations_are_numbered_without_a_gap() -> None:
    assert [migration.no for migration in migrate.known()] == list(range(1, len(migrate.known()) + 1))
    folder = queries.FOLDER / "migrations"
    assert sum(file.name.endswith(".sql") for file in folder.iterdir()) == len(migrate.known())


def test_a_store_that_is_up_to_date_is_left_alone(tmp_path: Path) -> None:
    open_store(tmp_path / "partita.db").close()
    assert sqlite.migrate(tmp_path / "partita.db") == []


def test_what_is_pending_is_applied_once_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "partita.db"
    with closing(open_store(path)) as store:
        Writer(store).run()
    with_steps(monkeypatch, "CREATE TABLE one (x INTEGER) STRICT;", "-- why; not\nALTER TABLE one ADD COLUMN y TEXT;")
    with pytest.raises(StoreError, match="older Partita") as refused:
        open_reader(path)
    assert refused.value.hint == "bring it up to date: partita db migrate"
    assert sqlite.migrate(path) == [step(1), step(2)]
    assert sqlite.migrate(path) == []
    with closing(open_reader(path)) as reader:
        assert reader._db.fetch("SELECT x, y FROM one") == []
        assert [row.id for row in reader.runs()] == ["run-a"]


def test_opening_to_write_brings_a_store_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "partita.db"
    open_store(path).close()
    with_steps(monkeypatch, "CREATE TABLE one (x INTEGER) STRICT;")
    with closing(open_store(path)) as store:
        assert store._db.fetch("SELECT max(no) FROM migrations") == [(LAST + 1,)]


def test_a_migration_that_breaks_off_is_done_again_from_its_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "partita.db"
    open_store(path).close()
    before = structure(path)
    with_steps(monkeypatch, "CREATE TABLE one (x INTEGER) STRICT; CREATE TABLE two (y NONSENSE) STRICT;")
    with pytest.raises(StoreError, match="NONSENSE"):
        sqlite.migrate(path)
    assert structure(path) == before
    monkeypatch.undo()
    with_steps(monkeypatch, "CREATE TABLE one (x INTEGER) STRICT; CREATE TABLE two (y TEXT) STRICT;")
    assert sqlite.migrate(path) == [step(1)]


@pytest.mark.parametrize("statement", range(3))
def test_a_kill_at_any_statement_of_a_migration_leaves_the_old_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statement: int
) -> None:
    path = tmp_path / "partita.db"
    open_store(path).close()
    with_steps(monkeypatch, "CREATE TABLE one (x INTEGER) STRICT; CREATE TABLE two (y TEXT) STRICT;")
    before = structure(path)
    with monkeypatch.context() as patched:
        patched.setattr(sqlite.SqliteDatabase, "fetch", dying(sqlite.SqliteDatabase.fetch, statement))
        with pytest.raises(KeyboardInterrupt):
            sqlite.migrate(path)
    assert structure(path) == before
    assert sqlite.migrate(path) == [step(1)]


def dying(fetch: Callable[..., Any], after: int) -> Callable[..., Any]:
    """`fetch` that is interrupted `after` statements into the transaction."""
    inside = [-1]

    def stand_in(db: sqlite.SqliteDatabase, sql: str, params: Any = ()) -> Any:
        if sql == "BEGIN IMMEDIATE" or inside[0] >= 0:
            inside[0] += 1
            if inside[0] > after and sql != "ROLLBACK":
                raise KeyboardInterrupt
        return fetch(db, sql, params)

    return stand_in
