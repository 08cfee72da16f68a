"""What the projects define, as the web process sees it: the manifests of the store, decoded when they have changed.

Rule: the bytes in the store decide whether something is new; nobody has to tell.
"""

from __future__ import annotations

import threading

from partita.core import manifest as manifests
from partita.engine.catalog import Catalog
from partita.store.manifests import packed_manifests
from partita.store.named import Fetching


class Definitions:
    """Gives a catalog that is not changed any more, as new as the store."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._packed: dict[str, bytes] = {}
        self._catalog = Catalog()

    def catalog(self, reader: Fetching) -> Catalog:
        """All that is defined now."""
        packed = packed_manifests(reader)
        with self._lock:
            if packed != self._packed:
                made = Catalog()
                for project, data in packed.items():
                    same = self._packed.get(project) == data
                    known = self._catalog.manifests.get(project) if same else None
                    made.put(known or manifests.decode(data))
                self._packed, self._catalog = packed, made
            return self._catalog
