"""Limits while the service runs: what the projects declare, and what people have set over it.

Rule: the counters are those of the admission and of the run queue, which count open attempts and running runs and
nothing else; this file only says how many there may be.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from partita.core import placement
from partita.core.events import Event
from partita.core.facts import Fact
from partita.core.facts.limits import LimitChanged, PoolChanged
from partita.core.manifest import Manifest
from partita.core.placement import MACHINE, Capacity
from partita.core.rate import Rate
from partita.engine.active import ActiveRun
from partita.engine.catalog import Catalog
from partita.engine.clock import Clock
from partita.engine.control import Handler
from partita.engine.loop import Engine
from partita.errors import DefinitionError
from partita.store import limits as rows
from partita.store.writing import SqlStore

Of = Literal["pool", "pipeline", "task", "tag", "namespace", "rate"]


class SetLimit(msgspec.Struct, frozen=True, tag="set_limit"):
    """Set a limit while running; `slots` None = back to what the project declares. 0 = nothing may start."""

    namespace: str
    of: Of
    name: str
    slots: int | None
    by: str
    reason: str = ""


class ListLimits(msgspec.Struct, frozen=True, tag="list_limits"):
    """Every limit, with what is in use and who waits."""

    namespace: str = ""


class LimitState(msgspec.Struct, frozen=True):
    """A limit as it is now. `declared` and `set` are None where there is none; `waiting` steps or runs ask for it."""

    namespace: str
    of: Of
    name: str
    slots: int | None
    used: int
    waiting: int
    declared: int | None
    set: int | None
    by: str = ""
    reason: str = ""
    # Of a rate.
    per_s: float = 0.0


class ListCapacity(msgspec.Struct, frozen=True, tag="list_capacity"):
    """What this machine has for steps, and how much of it is taken."""


class CapacityState(msgspec.Struct, frozen=True):
    """One of what the machine has: `total` of it, `used` by open attempts (bytes of memory, else numbers); `waiting` steps ask for it."""

    name: str
    total: float
    used: float
    waiting: int
    # Of GPUs: their indexes, and those that are taken.
    gpus: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()


class Limits:
    """The part of the service that keeps limits."""

    name = "limits"

    def __init__(
        self, engine: Engine, store: SqlStore, catalog: Catalog, clock: Clock, machine: Capacity | None = None
    ) -> None:
        """`machine`: what there is for steps on this machine; without it nothing is packed."""
        self._engine = engine
        self._machine = machine
        self._store = store
        self._catalog = catalog
        self._clock = clock
        self._set: dict[tuple[str, str, str], rows.LimitRow] = {}
        self._declared: dict[tuple[str, str, str], int] = {}
        self._started = False
        # As projects were declared last, until they are loaded: their open runs go on before that.
        self._known: dict[str, Manifest] = {}
        # Rates that an earlier engine has kept, and until when it may have started something.
        self._kept: set[tuple[str, ...]] = set()
        self._kept_until = float("-inf")

    def start(self, now: float) -> None:
        """Take up what people have set. Rates of which an earlier engine may have used something count as used up."""
        has = self._engine.realm.has
        self._set = {(row.namespace, row.of, row.name): row for row in rows.limits(self._store) if has(row.namespace)}
        manifests = self._store.manifests()
        open_ones = {run.run.project for run in self._engine.active.values()}
        self._known = {m.project: m for m in manifests if m.project in open_ones}
        self._kept = {("rate", m.namespace, rate.name) for m in manifests for rate in m.rates}
        last = rows.last_end(self._store)
        self._kept_until = now if self._engine.active else min(now, last) if last is not None else float("-inf")
        self._started = True
        self._declare()

    def due_at(self) -> float:
        return float("inf")

    def turn(self, now: float) -> None: ...

    def committed(self, run: ActiveRun, events: Sequence[Event]) -> None: ...

    def recorded(self, facts: Sequence[Fact]) -> None: ...

    def loaded(self, manifest: Manifest) -> None:
        if self._started:
            self._declare()

    def handlers(self) -> Mapping[type, Handler]:
        return {SetLimit: self._on_set, ListLimits: self._on_list, ListCapacity: self._on_capacity}

    def _declare(self) -> None:
        """Set every capacity to what is set, or else declared; take back those that are neither any more."""
        before = set(self._declared)
        self._declared = {}
        for manifest in {**self._known, **self._catalog.manifests}.values():
            for key, slots in declared_limits(manifest):
                # Two projects of a namespace that declare one pool: the smaller number is safe for both.
                self._declared[key] = min(slots, self._declared.get(key, slots))
            for rate in manifest.rates:
                self._declare_rate(("rate", manifest.namespace, rate.name), Rate(rate.count, rate.per_s))
        for key in before | set(self._declared) | set(self._set):
            self._apply(key)
        self._declare_capacity()
        shares = {name: share for m in self._catalog.manifests.values() for name, share in m.shares}
        self._engine.admission.shares.update(shares)
        self._engine.queue.shares.update(shares)

    def _declare_capacity(self) -> None:
        if self._machine is None:
            return
        manifests = self._known | self._catalog.manifests
        capacity = placement.declared(self._machine, [dict(m.capacity) for m in manifests.values()])
        self._engine.gpus.indexes = capacity.gpus
        admission = self._engine.admission
        for name in {key[1] for key in admission.capacity if key[0] == MACHINE} - capacity.amounts.keys():
            admission.limit((MACHINE, name), None)
        for name, n in capacity.amounts.items():
            if admission.capacity.get((MACHINE, name)) != n:
                admission.limit((MACHINE, name), n)

    def _on_capacity(self, request: ListCapacity) -> list[CapacityState]:
        admission = self._engine.admission
        found = []
        for key, n in admission.capacity.items():
            if key[0] != MACHINE:
                continue
            unit = 1 if key[1] == "memory" else placement.WHOLE
            gpus = self._engine.gpus.indexes if key[1] == "gpu" else ()
            taken = tuple(i for held in self._engine.gpus.held.values() for i in held) if gpus else ()
            used, waiting = admission.used.get(key, 0), admission.waiting_for(key)
            found.append(CapacityState(key[1], n / unit, used / unit, waiting, gpus, taken))
        return sorted(found, key=lambda state: _ORDER.get(state.name, state.name))

    def _declare_rate(self, key: tuple[str, str, str], rate: Rate) -> None:
        if key in self._kept:
            self._kept.discard(key)
            rate.start_full(self._kept_until)
        self._engine.admission.limit_rate(key, rate)

    def _apply(self, key: tuple[str, str, str]) -> None:
        namespace, of, name = key
        row = self._set.get(key)
        slots = row.slots if row is not None else self._declared.get(key)
        if of == "pipeline":
            self._engine.queue.limit((of, namespace, name), slots)
        elif of == "namespace":
            self._engine.admission.limit((of, namespace), slots)
        else:
            self._engine.admission.limit((of, namespace, name), slots)

    def _on_set(self, request: SetLimit) -> LimitState:
        key = (request.namespace, request.of, request.name)
        if request.of == "rate":
            raise DefinitionError("rates are declared", hint="[tool.partita.rates] in pyproject.toml; saved is loaded")
        if request.slots is not None and request.slots < 0:
            raise DefinitionError(f"{request.slots} is no number of slots", hint="0 stops it, more lets it go on")
        if request.of == "pool" and key not in self._declared:
            known = ", ".join(name for space, of, name in self._declared if of == "pool" and space == request.namespace)
            raise DefinitionError(f"no project declares a pool {request.name!r}", hint=f"there are: {known or 'none'}")
        now = self._clock.now()
        if request.of == "pool":
            self._engine.record(
                PoolChanged(now, request.namespace, request.name, request.slots, request.by, request.reason)
            )
        else:
            self._engine.record(LimitChanged(now, *key, request.slots, request.by, request.reason))
        if request.slots is None:
            self._set.pop(key, None)
        else:
            self._set[key] = rows.LimitRow(*key, request.slots, now, request.by, request.reason)
        self._apply(key)
        return self._state(key)

    def _on_list(self, request: ListLimits) -> list[LimitState]:
        keys = sorted({*self._declared, *self._set}, key=lambda key: (key[1], key[0], key[2]))
        # Of a namespace that was given out since, another scheduler tells.
        has = self._engine.realm.has
        states = [self._state(key) for key in keys if request.namespace in ("", key[0]) and has(key[0])]
        for key, rate in sorted(self._engine.admission.rates.items()):
            if request.namespace in ("", key[1]):
                used = rate.count - rate.free(self._clock.now())
                waiting = self._engine.admission.waiting_for(key)
                states.append(
                    LimitState(key[1], "rate", key[2], rate.count, used, waiting, rate.count, None, per_s=rate.per_s)
                )
        return states

    def _state(self, key: tuple[str, str, str]) -> LimitState:
        namespace, of, name = key
        row, declared = self._set.get(key), self._declared.get(key)
        counted = (of, namespace) if of == "namespace" else (of, namespace, name)
        where = self._engine.queue if of == "pipeline" else self._engine.admission
        return LimitState(
            namespace,
            of,  # type: ignore[arg-type]
            name,
            row.slots if row is not None else declared,
            where.used.get(counted, 0),
            where.waiting_for(counted),
            declared,
            row.slots if row is not None else None,
            row.by if row is not None else "",
            row.reason if row is not None else "",
        )


_ORDER = {"cpu": " 1", "memory": " 2", "gpu": " 3"}


def declared_limits(manifest: Manifest) -> Iterable[tuple[tuple[str, str, str], int]]:
    """What a project declares: namespace, kind and name of each limit, with its slots; rates are not among them."""
    namespace = manifest.namespace
    for name, slots in manifest.pools:
        yield (namespace, "pool", name), slots
    for tag, slots in manifest.tag_limits:
        yield (namespace, "tag", tag), slots
    for pipeline in manifest.pipelines:
        if pipeline.max_runs is not None:
            yield (namespace, "pipeline", pipeline.name), pipeline.max_runs
    if manifest.namespace_limit is not None:
        yield (namespace, "namespace", namespace), manifest.namespace_limit
