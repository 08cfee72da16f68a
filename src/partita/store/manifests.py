"""What the served projects define, as their bytes: whoever keeps them decoded compares.

Rule: rows only, nothing is decoded and nothing decided.
"""

from __future__ import annotations

from partita.store.named import Fetching

_MOST = 1000


def packed_manifests(reader: Fetching, *, after: str = "", limit: int = _MOST) -> dict[str, bytes]:
    """The packed manifests of the projects that are served, by project."""
    return dict(reader.fetch("served_manifests", (after, limit)))
