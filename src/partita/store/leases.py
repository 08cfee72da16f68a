"""Who may take a lease, and in which epoch: pure rules on one row, for every store.

Rule: the epoch grows with every change of holder and whenever a lease had run out, so that whoever slept through the
end of its lease finds itself fenced.
"""

from __future__ import annotations

import datetime as dt

from partita.errors import Fenced, StoreLocked
from partita.store.contract import Lease

# The lease whose epoch guards every commit.
ENGINE = "engine"


def acquired(known: Lease | None, resource: str, holder: str, *, now: float, ttl_s: float) -> Lease:
    """The lease after `holder` asked for it. Raises `StoreLocked` while someone else holds it."""
    if known is None:
        return Lease(resource=resource, holder=holder, epoch=1, until=now + ttl_s)
    held = bool(known.holder) and now < known.until
    if held and known.holder != holder:
        until = dt.datetime.fromtimestamp(known.until, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        raise StoreLocked(
            f"{resource!r} is held by {known.holder} until {until}",
            hint="stop it, or wait until its lease has run out",
        )
    return Lease(resource=resource, holder=holder, epoch=known.epoch + (not held), until=now + ttl_s)


def released(known: Lease | None, lease: Lease) -> Lease | None:
    """The row after `lease` was given back: held by nobody, and its epoch over. Another holder's row stays."""
    if known is None or known.holder != lease.holder or known.epoch != lease.epoch:
        return known
    return Lease(resource=lease.resource, holder="", epoch=lease.epoch + 1, until=0.0)


def check_epoch(known: Lease | None, epoch: int) -> None:
    """Raise `Fenced` unless `epoch` is the current one; before the first lease that is 0."""
    current = known.epoch if known else 0
    if epoch != current:
        raise Fenced(
            f"epoch {epoch} of the engine is over: it is {current} now",
            hint="another engine took over; this one must stop",
        )
