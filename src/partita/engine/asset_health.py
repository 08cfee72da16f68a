"""How assets are: made or missing, current or stale, with the reasons; for one partition in full, for many as counts.

Rule: read from the store by any process; the service is not needed. Reasons are `core.staleness`, counts `core.ledger`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from partita.core import mappings
from partita.core.freshness import FreshnessState, Look, look
from partita.core.ledger import OUTSIDE, Holding
from partita.core.manifest import AssetSpec
from partita.core.staleness import Read, Staleness, staleness
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


def _health(reader: Fetching, holding: Holding, now: float) -> AssetHealth:
    for key, verdict in rows.failed_verdicts(reader, holding.name, limit=100_000):
        if verdict.severity == "error":
            holding.failed[verdict.check] = holding.failed.get(verdict.check, 0) | holding.universe.bit(key)
    exists = holding.universe.full & ~OUTSIDE
    failing = 0
    for mask in holding.failed.values():
        failing |= mask & exists
    stale = (holding.newer | holding.outdated) & holding.made & exists & ~failing
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
    )


def _freshness(reader: Fetching, holding: Holding, made_at: float | None, now: float) -> Look | None:
    """By the policy, at this moment: what was recorded says since when."""
    policy = holding.spec.freshness
    if policy is None:
        return None
    row = rows.freshness(reader, holding.name)
    return look(policy, made_at, since=row.since if row is not None else now, now=now)
