"""Limits that people have set over what the projects declare: rows, how they are read, and which rows each fact writes.

Rule: functions over a reader (`reader.fetch(name, params)`) that answer with frozen types; the statements are in
`sql/limits.sql`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from partita.core.facts.limits import LimitChanged, PoolChanged
from partita.store.reading import SqlReader


class LimitRow(msgspec.Struct, frozen=True):
    """A limit that somebody has set. `of`: "pool", "pipeline", "task", "tag", "namespace"."""

    namespace: str
    of: str
    name: str
    slots: int
    at: float
    by: str
    reason: str


def limits(reader: SqlReader, namespace: str | None = None) -> list[LimitRow]:
    """All that are set (of a namespace), by kind and name. There are as many as people have set, so no pages."""
    rows = [LimitRow(*row) for row in reader.fetch("limits")]
    return [row for row in rows if namespace in (None, row.namespace)]


def last_end(reader: SqlReader) -> float | None:
    """When the last run ended, of those that have; None = none has."""
    return reader.fetch("last_end_of_run")[0][0]  # type: ignore[no-any-return]


def _pool_changed(execute: Callable[..., Any], fact: PoolChanged) -> None:
    _set(execute, fact.namespace, "pool", fact.name, fact.slots, fact)


def _limit_changed(execute: Callable[..., Any], fact: LimitChanged) -> None:
    _set(execute, fact.namespace, fact.of, fact.name, fact.limit, fact)


def _set(
    execute: Callable[..., Any], namespace: str, of: str, name: str, slots: int | None, fact: PoolChanged | LimitChanged
) -> None:
    if slots is None:
        execute("unset_limit", (namespace, of, name))
    else:
        execute("set_limit", (namespace, of, name, slots, fact.at, fact.by, fact.reason))


WRITES: Final[dict[type, Callable[..., Any]]] = {PoolChanged: _pool_changed, LimitChanged: _limit_changed}
