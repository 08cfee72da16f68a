"""Who may take a lease, and in which epoch: pure rules on rows, for every store.

One lease guards everything, until a namespace is given out: from then on it has a lease of its own, and the scheduler that
holds it works for that namespace alone. Giving out and taking back end the epochs of all who are concerned.

Rule: the epoch grows with every change of holder and whenever a lease had run out, so that whoever slept through the
end of its lease finds itself fenced.
"""

from __future__ import annotations

import datetime as dt

from partita.errors import Fenced, StoreLocked
from partita.store.contract import Lease

# The lease whose epoch guards every commit, but those for namespaces that were given out.
ENGINE = "engine"
_OF = f"{ENGINE}:"


def shard_of(namespace: str) -> str:
    """The lease of a namespace that was given out; "" = of all others, and of what belongs to none.

    >>> shard_of("team-a"), shard_of("")
    ('engine:team-a', 'engine')
    """
    return _OF + namespace if namespace else ENGINE


def namespace_of(shard: str) -> str:
    """The namespace that a lease is for; "" = all that were not given out."""
    return shard.removeprefix(_OF) if shard.startswith(_OF) else ""


def given_out(rest: Lease | None, namespace: str) -> tuple[Lease, Lease]:
    """The rows after a namespace was given out: of all others, which nobody holds now, and its own, still free."""
    epoch = (rest.epoch if rest else 0) + 1
    return Lease(ENGINE, "", epoch, 0.0), Lease(shard_of(namespace), "", epoch, 0.0)


def taken_back(rest: Lease | None, own: Lease) -> Lease:
    """The row of all others after a namespace was taken back: nobody holds it, and no older epoch comes again."""
    return Lease(ENGINE, "", max(rest.epoch if rest else 0, own.epoch) + 1, 0.0)


def acquired(known: Lease | None, resource: str, holder: str, *, now: float, ttl_s: float) -> Lease:
    """The lease after `holder` asked for it. Raises `StoreLocked` while someone else holds it."""
    if known is None:
        return Lease(resource=resource, holder=holder, epoch=1, until=now + ttl_s, since=now)
    held = bool(known.holder) and now < known.until
    if held and known.holder != holder:
        until = dt.datetime.fromtimestamp(known.until, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        raise StoreLocked(
            f"{resource!r} is held by {known.holder} until {until}",
            hint="stop it, or wait until its lease has run out",
        )
    since = known.since if held else now
    return Lease(resource=resource, holder=holder, epoch=known.epoch + (not held), until=now + ttl_s, since=since)


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
