"""What the served projects define, as their bytes: whoever keeps them decoded compares.

Rule: rows only, nothing is decoded and nothing decided.
"""

from __future__ import annotations

from typing import Protocol

from partita.store.database import Params, Row

_MOST = 1000


class Fetching(Protocol):
    """What this file uses of a reader."""

    def fetch(self, name: str, params: Params = ()) -> list[Row]: ...


def packed_manifests(reader: Fetching, *, after: str = "", limit: int = _MOST) -> dict[str, bytes]:
    """The packed manifests of the projects that are served, by project."""
    return dict(reader.fetch("served_manifests", (after, limit)))
