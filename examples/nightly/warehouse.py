"""Reading the warehouse: one DuckDB file, one writer (dbt) or many readers at a time.

Rule: whoever is not dbt opens the file read-only, waits its turn, and closes it soon.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

_PATIENCE_S = 60.0
_BETWEEN_TRIES_S = 0.1


@contextmanager
def reader(path: Path, patience_s: float = _PATIENCE_S) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection. Another process may be writing the file: wait for it, but not for ever."""
    connection = _opened(path, patience_s)
    try:
        yield connection
    finally:
        connection.close()


def row_counts(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Rows of every table by its name, from the catalog and so at no cost; views have none."""
    rows = connection.execute("select table_name, estimated_size from duckdb_tables()").fetchall()
    return {name: int(size) for name, size in rows}


def _opened(path: Path, patience_s: float) -> duckdb.DuckDBPyConnection:
    if not path.exists():
        raise FileNotFoundError(f"there is no warehouse at {path.name}: dbt has not built it yet")
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return duckdb.connect(str(path), read_only=True)
        except duckdb.IOException as error:
            if "lock" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(_BETWEEN_TRIES_S)
