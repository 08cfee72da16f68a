"""Moving a store from one database to another, row by row, with all of its history.

What is moved is one state: the source is held like an engine would hold it, so that nobody writes to it meanwhile. The target is
empty before and whole afterwards; a move that breaks off leaves it empty.

Rule: rows travel as they are. Tables, columns and keys are read from schema.sql, so a new table needs nothing here.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import cache
from typing import Any, Final, NamedTuple

from partita.errors import DefinitionError, StoreError
from partita.settings import Home
from partita.store import addresses, opening, queries
from partita.store.contract import Lease
from partita.store.database import Database
from partita.store.leases import ENGINE
from partita.store.writing import SqlStore

_PAGE: Final = 2000
_HOLD_S: Final = 60.0
_RENEW_S: Final = 15.0
# What the target knows better: its own history of schemas, and who owns it.
_OWN: Final = ("migrations", "leases", "questions")


class Table(NamedTuple):
    """A table of schema.sql: its columns with their types, and its key."""

    name: str
    columns: tuple[str, ...]
    types: tuple[str, ...]
    key: tuple[str, ...]
    is_counted: bool


def copy(source: str, target: str, *, told: Callable[[str, int], None] = lambda table, rows: None) -> dict[str, int]:
    """Move the store at one address to another; how many rows of each table. `told` hears of each table that is done.

    Raises `StoreLocked` while an engine is at work on the source, `StoreError`, also when the target is not empty.
    """
    for address in (source, target):
        if not address or not addresses.checked(address):
            raise DefinitionError(
                "a store has an address", hint="sqlite:///path/to/partita.db or postgresql://host/database"
            )
    if source == target:
        raise DefinitionError("source and target are the same store", hint="name two")
    here, there = _home(source), _home(target)
    if not opening.exists(here):
        raise StoreError(f"there is no store at {opening.where(here)}", hint="partita db copy SOURCE TARGET")
    with closing(opening.open_store(here)) as owner, closing(opening.open_store(there)) as new:
        _refuse_filled(new, opening.where(there))
        lease = _Held(owner)
        try:
            return _copy(owner, new, lease, told)
        finally:
            lease.release()


def _copy(owner: SqlStore, new: SqlStore, lease: _Held, told: Callable[[str, int], None]) -> dict[str, int]:
    source, target = owner._db, new._db
    counts: dict[str, int] = {}
    counted = {table.name: source.last_number(table.name) for table in tables() if table.is_counted}
    new.make_room(counted, since=_first_tick(source))
    with target.transaction():
        for table in tables():
            if table.name in _OWN:
                continue
            counts[table.name] = 0
            for page in _pages(source, table):
                target.insert(table.name, table.columns, table.types, page)
                counts[table.name] += len(page)
                lease.renew()
            told(table.name, counts[table.name])
        for name, last in counted.items():
            target.go_on_from(name, last)
        # The next engine's epoch is higher than any that a worker of before may still know.
        target.fetch(queries.statements()["put_lease"], (ENGINE, "", lease.epoch + 1, 0.0, 0.0))
    return counts


def _pages(source: Database, table: Table) -> Iterator[list[tuple[Any, ...]]]:
    names = ", ".join(map(_quoted, table.columns))
    order = ", ".join(map(_quoted, table.key))
    places = [table.columns.index(column) for column in table.key]
    marks = ", ".join("?" for _ in table.key)
    page = source.fetch(f"SELECT {names} FROM {table.name} ORDER BY {order} LIMIT {_PAGE}")
    while page:
        yield page
        last = tuple(page[-1][place] for place in places)
        after = f"SELECT {names} FROM {table.name} WHERE ({order}) > ({marks}) ORDER BY {order} LIMIT {_PAGE}"
        page = source.fetch(after, last)


def _first_tick(source: Database) -> float | None:
    rows = source.fetch("SELECT min(instant) FROM ticks")
    return rows[0][0] if rows else None


def _refuse_filled(new: SqlStore, where: str) -> None:
    for table in tables():
        if table.name not in _OWN and new._db.fetch(f"SELECT 1 FROM {table.name} LIMIT 1"):
            raise StoreError(
                f"{where} is not empty: it has {table.name}", hint="name a database that has nothing in it"
            )


def _home(address: str) -> Home:
    return Home(addresses.file_of(address).parent if not addresses.is_postgres(address) else addresses.NOWHERE, address)


class _Held:
    """The source's lease: nobody else writes to it."""

    def __init__(self, owner: SqlStore) -> None:
        self._owner = owner
        self._holder = f"copy:{time.time_ns():x}"
        self._lease: Lease = owner.acquire(ENGINE, self._holder, _HOLD_S)
        self._renew_at = time.monotonic() + _RENEW_S

    @property
    def epoch(self) -> int:
        return self._lease.epoch

    def renew(self) -> None:
        """Hold it on; raises if somebody took it all the same."""
        if time.monotonic() < self._renew_at:
            return
        lease = self._owner.acquire(ENGINE, self._holder, _HOLD_S)
        if lease.epoch != self._lease.epoch:
            raise StoreError(
                "somebody else has written to the source meanwhile", hint="stop what is at work on it, and try again"
            )
        self._lease, self._renew_at = lease, time.monotonic() + _RENEW_S

    def release(self) -> None:
        self._owner.release(self._lease)


# --- tables -----------------------------------------------------------------------------------------------------------

_TYPES: Final = {"INTEGER": "int8", "REAL": "float8", "TEXT": "text", "BLOB": "bytea"}


@cache
def tables() -> tuple[Table, ...]:
    """The tables of schema.sql, in its order."""
    statements = queries.script((queries.FOLDER / "schema.sql").read_text(encoding="utf-8"))
    return tuple(_table(statement) for statement in statements if statement.startswith("CREATE TABLE"))


def _table(statement: str) -> Table:
    name = re.match(r"CREATE TABLE (\w+)", statement)
    assert name
    columns = re.findall(r'^\s+"?(\w+)"?\s+(INTEGER|REAL|TEXT|BLOB)\b(.*)$', statement, re.MULTILINE)
    several = re.search(r"^\s+PRIMARY KEY \(([^)]*)\)", statement, re.MULTILINE)
    alone = [column for column, _, rest in columns if "PRIMARY KEY" in rest]
    key: Sequence[str] = [part.strip().strip('"') for part in several[1].split(",")] if several else alone
    is_counted = (
        any(column == "no" and "PRIMARY KEY" in rest for column, _, rest in columns) and name[1] != "migrations"
    )
    return Table(
        name[1],
        tuple(column for column, _, _ in columns),
        tuple(_TYPES[kind] for _, kind, _ in columns),
        tuple(key),
        is_counted,
    )


def _quoted(column: str) -> str:
    return f'"{column}"'
