"""The engine's lease on its store: taken at the start, renewed in time, looked at before anything is handed out.

Rule: a lease is renewed by the store's clock and trusted by this engine's own, and whoever is in doubt stops.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from partita.engine.clock import Clock
from partita.errors import Fenced, StoreFull, StoreLocked
from partita.store.contract import Lease, Store
from partita.store.leases import ENGINE

RESOURCE = ENGINE
# A lease that is free is taken so soon at the latest.
_LOOK_EVERY_S = 1.0


class Tenure:
    """Who this engine is to the store, until when, and in which epoch."""

    def __init__(self, store: Store, clock: Clock, *, holder: str, lease_s: float, resource: str = RESOURCE) -> None:
        self._store = store
        self._resource = resource
        self._clock = clock
        self._holder = holder
        self._lease_s = lease_s
        self._lease: Lease | None = None
        self.renew_at = 0.0
        # By this engine's clock: that of the store may be another one.
        self._held_until = 0.0

    @property
    def epoch(self) -> int:
        assert self._lease is not None, "the engine has not been started"
        return self._lease.epoch

    @property
    def has_begun(self) -> bool:
        return self._lease is not None

    def begin(self) -> None:
        """Take the lease. Raises `StoreLocked` when somebody else has it."""
        now = self._clock.now()
        self._hold(self._store.acquire(self._resource, self._holder, self._lease_s), now)

    def renew(self, *, at_once: bool) -> bool:
        """Renew the lease if it is time, or `at_once`. Was it?

        Raises `StoreLocked` or `Fenced` when another engine has taken over: then this one must stop at once. Raises
        `StoreFull`.
        """
        now = self._clock.now()
        # A clock that jumped backward must not put the renewal off.
        if not at_once and self.renew_at - self._lease_s <= now < self.renew_at:
            return False
        lease = self._store.acquire(self._resource, self._holder, self._lease_s)
        # One more: it ran out and nobody took it (the clock jumped, the machine slept). More: somebody did, and has gone
        # since; what this engine holds in memory is of another time.
        if lease.epoch not in (self.epoch, self.epoch + 1):
            self._store.release(lease)
            raise Fenced(f"epoch {self.epoch} of the engine is over: others were here since", hint="start it again")
        self._hold(lease, now)
        return True

    def is_held(self) -> bool:
        """Is the lease still ours, as far as is known?"""
        return self._clock.now() < self._held_until

    def end(self) -> None:
        """Give it back."""
        if self._lease is not None:
            self._store.release(self._lease)
            self._lease = None

    def _hold(self, lease: Lease, asked_at: float) -> None:
        self._lease = lease
        self.renew_at = asked_at + self._lease_s / 3
        self._held_until = asked_at + self._lease_s


def stand_by(
    store: Store,
    *,
    holder: str,
    lease_s: float,
    is_gone: Callable[[str], bool],
    wait: Callable[[float], bool],
    tell: Callable[[str], None],
    resource: str = RESOURCE,
    courtesy_s: float = 0.0,
) -> bool:
    """Take the lease as soon as it is free; False when `wait` says that nobody wants that any more.

    A holder that `is_gone` for sure need not be waited for. `tell` hears whom it waits for, once. A free lease is left for
    so long to others who want it more (`courtesy_s`).
    """
    has_told = False
    while True:
        try:
            known = store.lease(resource)
            if known is not None and known.holder != holder and is_gone(known.holder):
                store.release(known)
            if courtesy_s and (known is None or not known.holder or known.until < time.time()) and wait(courtesy_s):
                return False
            store.acquire(resource, holder, lease_s)
            return True
        except (StoreLocked, StoreFull) as error:
            # Somebody has it, the database is away, or whoever has its row stands still.
            problem = error.message
        if not has_told:
            tell(problem)
        has_told = True
        if wait(min(_LOOK_EVERY_S, lease_s / 4)):
            return False
