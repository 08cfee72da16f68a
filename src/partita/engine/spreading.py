"""Namespaces of deployed projects, spread over schedulers (`partita up --spread`).

Whoever leads what is left gives a namespace out when the first project in it was taken, and serves nothing of it itself. The
supervisor of each machine hears of it, and starts a scheduler for that namespace.

Rule: what was given out is in the store; whoever was not told, or told nobody any more, finds it there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from partita.engine.realm import Realm
from partita.errors import Fenced, StoreAway
from partita.store import namespaces
from partita.store.leases import ENGINE
from partita.store.writing import SqlStore


class Spreading:
    """What the scheduler of all others does for namespaces that have one of their own. `tell`: the supervisor."""

    def __init__(self, store: SqlStore, tell: Callable[[dict[str, Any]], None]) -> None:
        self._store = store
        self._tell = tell
        # Those that were given out, at the last look.
        self._known: frozenset[str] | None = None

    def look(self) -> None:
        """Tell which deployed namespaces have schedulers of their own, if others were given out since the last look."""
        with contextlib.suppress(StoreAway):  # there is a next look
            self._look()

    def begin(self, holder: str) -> None:
        """Give out all that is deployed into; the lease of all others was taken just now. Raises `Fenced`."""
        lease = self._store.lease(ENGINE)
        if lease is None or lease.holder != holder:
            raise Fenced("another scheduler leads all others by now", hint="this one stands by again")
        for namespace in sorted(namespaces.deployed_into(self._store) - self._store.given_out()):
            self._store.give_out(namespace, by=lease.epoch)
        self._look()

    def give_out(self, namespace: str, *, epoch: int) -> Realm:
        """Give out a namespace in which the first project was taken; what is left for the engine of this epoch.

        Raises `Fenced` also if that engine may have something of it in memory: it is to begin anew, without that.
        """
        if namespace not in self._store.given_out():
            if namespaces.is_known(self._store, namespace):
                self._store.give_out(namespace)
                raise Fenced(
                    f"namespace {namespace!r} is given a scheduler of its own, and was led with all others before",
                    hint="this one begins anew without it",
                )
            self._store.give_out(namespace, by=epoch)
        self._look()
        return Realm.of(self._store)

    def _look(self) -> None:
        known = self._store.given_out()
        if known != self._known:
            self._tell({"event": "namespaces", "names": sorted(known & namespaces.deployed_into(self._store))})
            self._known = known
