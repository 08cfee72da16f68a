"""Freshness of assets: who is late, told once, at the instant at which it begins.

Rule: nobody is polled. Each policy says when its answer can change by itself; until then only a new materialization is
looked at.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

from partita.core.events import Event, Materialized
from partita.core.facts import Fact
from partita.core.facts.assets import AssetReported, FreshnessChanged
from partita.core.freshness import FreshnessState, look
from partita.core.manifest import Freshness, Manifest
from partita.engine.active import ActiveRun
from partita.engine.catalog import Catalog
from partita.engine.control import Handler
from partita.engine.loop import Engine
from partita.store import assets as rows
from partita.store.named import Fetching

_NEVER = float("inf")


class _Kept:
    """What is known about one asset with a policy."""

    __slots__ = ("due_at", "policy", "since", "state")

    def __init__(self, policy: Freshness, since: float, state: FreshnessState | None) -> None:
        self.policy = policy
        self.since = since
        self.state = state
        self.due_at = _NEVER


class FreshnessWatch:
    """The part of the service that notices when an asset is late, and when it is fresh again."""

    name = "freshness"

    def __init__(self, engine: Engine, store: Fetching, catalog: Catalog) -> None:
        self._engine = engine
        self._store = store
        self._catalog = catalog
        self._kept: dict[str, _Kept] = {}
        # When to look at whom; what was put off is passed over when its turn comes.
        self._due: list[tuple[float, str]] = []
        self._generation = -1

    def start(self, now: float) -> None:
        """Take up what the store says."""
        self._take_up(now)

    def due_at(self) -> float:
        """When the next asset may become late."""
        if self._generation != self._catalog.generation:
            return 0.0
        return self._due[0][0] if self._due else _NEVER

    def turn(self, now: float) -> None:
        """Look at those whose time has come."""
        if self._generation != self._catalog.generation:
            self._take_up(now)
        while self._due and self._due[0][0] <= now:
            due_at, asset = heapq.heappop(self._due)
            kept = self._kept.get(asset)
            if kept is not None and kept.due_at == due_at:
                self._look(asset, kept, now)

    def committed(self, run: ActiveRun, events: Sequence[Event]) -> None:
        if self._kept:
            for event in events:
                if type(event) is Materialized and event.asset in self._kept:
                    self._put(event.asset, self._kept[event.asset], 0.0)

    def recorded(self, facts: Sequence[Fact]) -> None:
        for fact in facts:
            if type(fact) is AssetReported and fact.asset in self._kept:
                self._put(fact.asset, self._kept[fact.asset], 0.0)

    def loaded(self, manifest: Manifest) -> None: ...

    def handlers(self) -> Mapping[type, Handler]:
        return {}

    def _take_up(self, now: float) -> None:
        self._generation = self._catalog.generation
        before, self._kept, self._due = self._kept, {}, []
        for _, spec in self._catalog.assets():
            if spec.freshness is None:
                continue
            known = before.get(spec.name)
            if known is None:
                row = rows.freshness(self._store, spec.name)
                # Of an asset that was never made the policy counts from when it was first seen.
                known = _Kept(spec.freshness, row.since if row is not None else now, row.state if row else None)
            kept = self._kept[spec.name] = _Kept(spec.freshness, known.since, known.state)
            self._look(spec.name, kept, now)

    def _look(self, asset: str, kept: _Kept, now: float) -> None:
        newest = rows.newest_made(self._store, asset)
        found = look(kept.policy, newest[1].at if newest is not None else None, since=kept.since, now=now)
        if found.state != kept.state:
            kept.state = found.state
            self._engine.record(FreshnessChanged(now, asset, found.state, found.reason, "", found.due_at))
        self._put(asset, kept, _NEVER if found.due_at is None else found.due_at)

    def _put(self, asset: str, kept: _Kept, due_at: float) -> None:
        kept.due_at = due_at
        if due_at < _NEVER:
            heapq.heappush(self._due, (due_at, asset))
