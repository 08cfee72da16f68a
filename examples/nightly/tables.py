"""The tables of the warehouse that one page may read.

Rule: a page reads only what its plan names, so the plan is the truth about what the page depends on.
"""

from __future__ import annotations

from typing import Any

import duckdb


class Tables:
    def __init__(self, connection: duckdb.DuckDBPyConnection, allowed: tuple[str, ...]) -> None:
        self._connection = connection
        self._allowed = allowed
        self.rows_read = 0

    def rows(self, name: str, tail: str = "") -> list[dict[str, Any]]:
        if name not in self._allowed:
            raise LookupError(f"this dashboard does not say that it reads {name!r}")
        schemas = self._connection.execute(
            "select table_schema from information_schema.tables where table_name = ?", [name]
        ).fetchone()
        if schemas is None:
            raise LookupError(f"the warehouse has no table {name!r}: dbt has not built it yet")
        found = self._connection.execute(f"select * from {schemas[0]}.{name} {tail}")
        names = [column[0] for column in found.description]
        rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
        self.rows_read += len(rows)
        return rows
