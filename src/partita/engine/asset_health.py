"""How assets are: made or missing, current or stale, with the reasons; for one partition in full, for many as counts.

Rule: read from the store by any process; the service is not needed. Reasons are `core.staleness`, counts `core.ledger`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from partita.core import mappings
from partita.core.freshness import FreshnessState, Look, look
from partita.core.ledger import OUTSIDE, Holding, bits
from partita.core.manifest import AssetSpec
from partita.core.staleness import Read, Staleness, name_of, staleness
from partita.engine.automation import ledger_of
from partita.store import assets as rows
from partita.store.named import Fetching

# Upstream partitions of one partition that are looked at one by one.
_MOST = 10_000


class AssetHealth(msgspec.Struct, frozen=True):
    """An asset over all its partitions. `state` is the worst that is true of any: failing, stale, missing, current."""

    asset: str
    project: str
    state: Literal["current", "stale", "failing", "missing", "external"]
    # Partitions that there are by now (1 without partitions), and of these:
    partitions: int
    made: int
    stale: int
    failing: int
    last_at: float | None = None
    last_partition: str = ""
    last_run: str = ""
    freshness: FreshnessState | None = None
    freshness_reason: str = ""
    # Why it is in that state, in words; of what is stale, since when its upstream has newer data.
    reason: str = ""
    reason_at: float | None = None
    # Checks whose last word on some partition is that it failed; and of those that only warn, whose last word is that it did.
    checks_failed: tuple[str, ...] = ()
    checks_warned: tuple[str, ...] = ()


class Marks(msgspec.Struct, frozen=True):
    """The partitions of an asset that there are by now, as sets: bits over `keys` (bit 0 stands for none)."""

    keys: tuple[str, ...]
    made: int
    stale: int
    failing: int


def health(
    reader: Fetching,
    assets: Sequence[tuple[str, AssetSpec]],
    names: Sequence[str],
    *,
    now: float,
    namespace: str = "default",
) -> list[AssetHealth]:
    """How these assets are, in this order. Costs their partitions and those of what they read, nothing else."""
    specs = {spec.name: spec for _, spec in assets}
    needed = {dep for name in names if name in specs for dep in specs[name].deps} | set(names)
    ledger = ledger_of(reader, [(p, s) for p, s in assets if s.name in needed], now=now, namespace=namespace)
    return [_health(reader, ledger.holdings[name], now) for name in names if name in ledger.holdings]


def marks(
    reader: Fetching,
    assets: Sequence[tuple[str, AssetSpec]],
    spec: AssetSpec,
    *,
    now: float,
    namespace: str = "default",
) -> Marks:
    """How each partition of one asset is. Costs its partitions and those of what it reads."""
    needed = {spec.name, *spec.deps}
    ledger = ledger_of(reader, [(p, s) for p, s in assets if s.name in needed], now=now, namespace=namespace)
    holding = ledger.holdings[spec.name]
    _load_failed(reader, holding)
    exists, failing, stale = _judged(holding)
    return Marks(tuple(holding.universe.keys), holding.made & exists, stale, failing)


def staleness_of(
    reader: Fetching,
    asset_of: Callable[[str], AssetSpec | None],
    spec: AssetSpec,
    partition: str = "",
    *,
    namespace: str = "default",
) -> Staleness:
    """How one asset (partition) is, with all reasons."""

    def keys_of(name: str) -> tuple[str, ...]:
        return rows.dynamic_keys(reader, namespace, name)

    reads: list[Read] = []
    for dep in spec.deps:
        upstream = asset_of(dep)
        if upstream is None:
            continue
        mapping = mappings.resolved(mappings.mapping_of(spec, upstream, dep), keys_of)
        for key in mapping.upstream(partition, lambda dep=dep: rows.made_keys(reader, dep))[:_MOST]:  # type: ignore[misc]
            made = rows.made(reader, dep, key)
            # Of what others make and do not report nobody knows that it is missing.
            if made is not None or not upstream.external:
                reads.append(Read(dep, key, made))
    return staleness(
        rows.made(reader, spec.name, partition),
        reads,
        code_version=spec.code_version,
        verdicts=rows.verdicts(reader, spec.name, partition),
    )


def _load_failed(reader: Fetching, holding: Holding) -> dict[str, int]:
    """Note which checks failed on which partitions; those that only warn are given back."""
    warned: dict[str, int] = {}
    for key, verdict in rows.failed_verdicts(reader, holding.name, limit=100_000):
        found = holding.failed if verdict.severity == "error" else warned
        found[verdict.check] = found.get(verdict.check, 0) | holding.universe.bit(key)
    return warned


def _judged(holding: Holding) -> tuple[int, int, int]:
    """Which partitions exist, of which a check says that they are bad, which would be others now."""
    exists = holding.universe.full & ~OUTSIDE
    failing = 0
    for mask in holding.failed.values():
        failing |= mask & exists
    return exists, failing, (holding.newer | holding.outdated) & holding.made & exists & ~failing


def _health(reader: Fetching, holding: Holding, now: float) -> AssetHealth:
    warned = _load_failed(reader, holding)
    exists, failing, stale = _judged(holding)
    made = (holding.made & exists).bit_count()
    newest = rows.newest_made(reader, holding.name)
    fresh = _freshness(reader, holding, newest[1].at if newest is not None else None, now)
    state: Literal["current", "stale", "failing", "missing", "external"] = "current"
    if failing:
        state = "failing"
    elif stale:
        state = "stale"
    elif made < exists.bit_count():
        state = "external" if holding.spec.external and not made else "missing"
    reason, reason_at = _reason(holding, state, stale, failing, exists.bit_count() - made)
    return AssetHealth(
        asset=holding.name,
        project=holding.project,
        state=state,
        partitions=exists.bit_count(),
        made=made,
        stale=stale.bit_count(),
        failing=failing.bit_count(),
        last_at=newest[1].at if newest is not None else None,
        last_partition=newest[0] if newest is not None else "",
        last_run=newest[1].run if newest is not None else "",
        freshness=fresh.state if fresh is not None else None,
        freshness_reason=fresh.reason if fresh is not None else "",
        reason=reason,
        reason_at=reason_at,
        checks_failed=tuple(sorted(check for check, mask in holding.failed.items() if mask & exists)),
        checks_warned=tuple(sorted(check for check, mask in warned.items() if mask & exists)),
    )


def _reason(holding: Holding, state: str, stale: int, failing: int, missing: int) -> tuple[str, float | None]:
    """The first reason of a state, in words, and since when if that is known."""
    if state == "failing":
        check = next(name for name, mask in sorted(holding.failed.items()) if mask & failing)
        return f"check {check} failed" + _of_how_many(holding, holding.failed[check] & failing), None
    if state == "stale":
        newest = stale.bit_length() - 1
        found = _newer_upstream(holding, newest)
        if found is None:
            return "its code has changed" + _of_how_many(holding, stale), None
        upstream, key, at = found
        return f"{name_of(upstream, key)} has newer data", at
    if state == "missing":
        many = bool(holding.universe.keys[1:]) and holding.universe.spec is not None
        return (f"{missing:,} of its partitions were never made" if many else "it was never made"), None
    return "", None


def _of_how_many(holding: Holding, mask: int) -> str:
    if holding.universe.spec is None:
        return ""
    named = holding.universe.keys[mask.bit_length() - 1]
    others = mask.bit_count() - 1
    return f" of {named}" + (f" and {others:,} more" if others else "")


def _newer_upstream(holding: Holding, at: int) -> tuple[str, str, float] | None:
    """What a partition is older than: the upstream (partition) that changed last, and when."""
    found: tuple[int, str, str, float] | None = None
    for link in holding.upstreams:
        above = link.upstream
        for up in bits(link.above(at) & ~OUTSIDE):
            changed = above.changed_no[up]
            if changed > holding.made_no[at] and (found is None or changed > found[0]):
                found = (changed, above.name, above.universe.keys[up], above.made_at[up])
    return found[1:] if found is not None else None


def _freshness(reader: Fetching, holding: Holding, made_at: float | None, now: float) -> Look | None:
    """By the policy, at this moment: what was recorded says since when."""
    policy = holding.spec.freshness
    if policy is None:
        return None
    row = rows.freshness(reader, holding.name)
    return look(policy, made_at, since=row.since if row is not None else now, now=now)
