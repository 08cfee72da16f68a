"""Namespaces: which of them are deployed to, and whether the store has anything of one.

Rule: functions over a reader that answer with plain values; the statements are in `sql/namespaces.sql`.
"""

from __future__ import annotations

from partita.store.named import Fetching


def deployed_into(reader: Fetching) -> frozenset[str]:
    """The namespaces of the projects that were deployed, as they are to be served now."""
    return frozenset(row[0] for row in reader.fetch("deployed_namespaces"))


def is_known(reader: Fetching, namespace: str) -> bool:
    """Whether anything of it may be in a scheduler's memory: runs, schedules, sensors, backfills."""
    return bool(reader.fetch("namespace_is_known", (namespace,) * 4)[0][0])
