"""The engine's lease on its store: taken at the start, renewed in time, looked at before anything is handed out.

Rule: a lease is renewed by the store's clock and trusted by this engine's own, and whoever is in doubt stops.
"""

from __future__ import annotations

from partita.engine.clock import Clock
from partita.errors import Fenced
from partita.store.contract import Lease, Store

RESOURCE = "engine"


class Tenure:
    """Who this engine is to the store, until when, and in which epoch."""

    def __init__(self, store: Store, clock: Clock, *, holder: str, lease_s: float) -> None:
        self._store = store
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

    def begin(self) -> None:
        """Take the lease. Raises `StoreLocked` when somebody else has it."""
        now = self._clock.now()
        self._hold(self._store.acquire(RESOURCE, self._holder, self._lease_s), now)

    def renew(self, *, at_once: bool) -> bool:
        """Renew the lease if it is time, or `at_once`. Was it?

        Raises `StoreLocked` or `Fenced` when another engine has taken over: then this one must stop at once. Raises
        `StoreFull`.
        """
        now = self._clock.now()
        # A clock that jumped backward must not put the renewal off.
        if not at_once and self.renew_at - self._lease_s <= now < self.renew_at:
            return False
        lease = self._store.acquire(RESOURCE, self._holder, self._lease_s)
        # One more: it ran out and nobody took it (the clock jumped, the machine slept). More: somebody did, and has gone
        # since; what this engine holds in memory is of another time.
        if lease.epoch > self.epoch + 1:
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
