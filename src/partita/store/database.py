"""What `reading.py` and `writing.py` need of a database, so that they are written once: the seam between them and
the thin file of each database.

Rule: no SQL here and none of Partita's words. Every method translates the database's errors into those of
`partita.errors` (`StoreFull`, `StoreError`).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

Params = Sequence[Any]
Row = tuple[Any, ...]


class Database(Protocol):
    """One connection, used by one thread at a time."""

    def fetch(self, sql: str, params: Params = ()) -> list[Row]:
        """All rows of a query, or those that a writing statement returns."""
        ...

    def write_many(self, sql: str, rows: Sequence[Params]) -> None:
        """Run a statement once for each element of `rows`, in order."""
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """Begin a writing transaction; commit it, synced, at the end, or roll all of it back on any exception."""
        ...

    def snapshot(self) -> AbstractContextManager[None]:
        """All reads inside see one state of the database. Short: it holds back the database's cleaning up."""
        ...

    def findings(self) -> list[str]:
        """What the database's own check of its files and references finds wrong; empty when all is well."""
        ...

    def pages(self) -> tuple[int, int, int]:
        """How many pages the database has, how many of them are free, and the bytes of one."""
        ...

    def give_back(self, pages: int) -> None:
        """Give so many free pages back to the file system."""
        ...

    def about(self) -> list[tuple[str, str]]:
        """What people should know of a database's server: a line each, with what to do if it is not as it should be."""
        ...

    def insert(self, table: str, columns: Sequence[str], types: Sequence[str], rows: Sequence[Params]) -> None:
        """Add whole rows (copying); `types` are "int8", "float8", "text", "bytea"."""
        ...

    def last_number(self, table: str) -> int:
        """The highest number that a counted table has ever given."""
        ...

    def go_on_from(self, table: str, last: int) -> None:
        """Give higher numbers than that from now on."""
        ...

    def close(self) -> None:
        """Let go of everything. A second time does nothing."""
        ...
