"""From an older database to today's: the numbered files of `migrations/`, each applied once.

Rule: a migration and the note that it was applied are one transaction, so a crash anywhere leaves it done or not
begun. A migration that was released is never edited; `schema.sql` is what all of them together make.
"""

from __future__ import annotations

import re
from functools import cache

import msgspec

from partita.errors import StoreError, StoreTooNew
from partita.store import queries
from partita.store.database import Database


class Migration(msgspec.Struct, frozen=True):
    """One numbered step: "0002_priorities.sql" is number 2, name "priorities"."""

    no: int
    name: str
    sql: str


@cache
def known() -> tuple[Migration, ...]:
    """The migrations of this program, in order."""
    found = []
    for file in sorted((queries.FOLDER / "migrations").iterdir(), key=lambda f: f.name):
        if match := re.fullmatch(r"(\d{4})_(\w+)\.sql", file.name):
            found.append(Migration(int(match[1]), match[2], file.read_text(encoding="utf-8")))
    return tuple(found)


def create(db: Database, *, now: float) -> None:
    """Make an empty database today's, from `schema.sql`."""
    with db.transaction():
        for statement in queries.script((queries.FOLDER / "schema.sql").read_text(encoding="utf-8")):
            db.fetch(statement)
        for migration in known():
            _note(db, migration, now)


def pending(db: Database, where: str) -> list[Migration]:
    """What the database has not behind it yet. Raises `StoreTooNew` if it has more than this program knows."""
    applied = [no for no, _ in db.fetch(queries.statements()["migrations"])]
    newest = known()[-1].no
    if applied and applied[-1] > newest:
        raise StoreTooNew(
            f"{where} has schema {applied[-1]}, and this version of Partita knows schemas up to {newest}",
            hint="install the newer Partita that wrote it: pip install --upgrade partita",
        )
    if not applied:
        raise StoreError(f"{where} is damaged: its table of migrations is empty", hint="restore a backup")
    return [migration for migration in known() if migration.no > applied[-1]]


def upgrade(db: Database, where: str, *, now: float) -> list[str]:
    """Apply what is pending, and name it."""
    names = []
    for migration in pending(db, where):
        with db.transaction():
            for statement in queries.script(migration.sql):
                db.fetch(statement)
            _note(db, migration, now)
        names.append(f"{migration.no:04}_{migration.name}")
    return names


def _note(db: Database, migration: Migration, now: float) -> None:
    db.fetch(queries.statements()["insert_migration"], (migration.no, migration.name, now))
