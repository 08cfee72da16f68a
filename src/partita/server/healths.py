"""How all assets are, kept for as long as nothing of it changes: the catalog and the lineage ask for it at every look.

Rule: what a new materialization, check or definition changes is never kept; what time alone changes (a partition that
comes to be, an asset that gets late), for some seconds.
"""

from __future__ import annotations

import threading
from typing import Any

from partita.engine import asset_health
from partita.engine.asset_health import AssetHealth
from partita.engine.catalog import Catalog
from partita.store import assets as rows
from partita.store.named import Fetching

_KEPT_S = 15.0


class Healths:
    """Gives the health of every asset by name."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key: tuple[Any, ...] = ()
        self._catalog: Catalog | None = None
        self._found: dict[str, AssetHealth] = {}

    def of_all(self, reader: Fetching, catalog: Catalog, now: float) -> dict[str, AssetHealth]:
        """How they are now. It must not be changed."""
        # One at a time: the second who asks for the same takes what the first has found.
        with self._lock:
            key = (*rows.stamp(reader), int(now // _KEPT_S))
            if key != self._key or catalog is not self._catalog:
                self._found = _all(reader, catalog, now)
                self._key, self._catalog = key, catalog
            return self._found


def _all(reader: Fetching, catalog: Catalog, now: float) -> dict[str, AssetHealth]:
    everything = [(manifest, spec) for manifest, spec in catalog.assets()]
    specs = [(manifest.project, spec) for manifest, spec in everything]
    found: dict[str, AssetHealth] = {}
    for namespace in dict.fromkeys(manifest.namespace for manifest, _ in everything):
        names = [spec.name for manifest, spec in everything if manifest.namespace == namespace]
        told = asset_health.health(reader, specs, names, now=now, namespace=namespace)
        found.update((health.asset, health) for health in told)
    return found
