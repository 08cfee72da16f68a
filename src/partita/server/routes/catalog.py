"""The catalog: every asset with its health, its checks and what makes it now, in one answer; searched and filtered."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec

from partita.core.manifest import AssetSpec, Manifest
from partita.engine.asset_health import AssetHealth
from partita.server import examples, objects
from partita.server.calling import Call, Cursor, Limit, Name, page_of
from partita.server.objects import Instant
from partita.server.routing import route
from partita.store import assets as rows

Words = Annotated[str, msgspec.Meta(max_length=200, description="Words that are all to be found")]
State = Literal["failing", "late", "stale", "missing", "partial", "current", "external", "running"]


class CatalogEntry(msgspec.Struct, frozen=True):
    """An asset with all that a list of assets shows of it.

    `partitioned` says how ("" = it has no partitions), `checks` counts its tests, `checks_failed` names those whose last
    word on some partition is that it failed, `checks_warned` those that only warn, and did. `reason` says why it is in its state, since `reason_at`.
    `health` is its state for people: also "late" (too old, and nothing worse) and "partial" (some of it was made).
    """

    name: str
    project: str
    namespace: str
    group: str
    owner: str
    tags: list[str]
    kinds: list[str]
    description: str
    external: bool
    partitioned: str
    health: str
    state: str
    reason: str
    reason_at: Instant | None
    partitions: int
    made: int
    stale: int
    failing: int
    last_at: Instant | None
    last_partition: str
    last_run: str
    freshness: str | None
    freshness_reason: str
    checks: int
    checks_failed: list[str]
    checks_warned: list[str]
    running: bool
    automated: bool
    reads: int
    readers: int


class Facet(msgspec.Struct, frozen=True):
    """A value that assets have, and how many have it."""

    value: str
    count: int


class Group(msgspec.Struct, frozen=True):
    """A group of assets: how many it has, and how these are."""

    value: str
    count: int
    healths: list[Facet]


class Facets(msgspec.Struct, frozen=True):
    """What all assets can be filtered by. `states` has "running" beside what `health` says."""

    states: list[Facet]
    groups: list[Group]
    owners: list[Facet]
    tags: list[Facet]
    kinds: list[Facet]
    projects: list[Facet]


class Catalog(msgspec.Struct, frozen=True):
    """A page of the catalog. `total` counts what fits the filters, `all` every asset; facets are of every asset."""

    items: list[CatalogEntry]
    next: str | None
    total: int
    all: int
    facets: Facets


_ENTRY = CatalogEntry(
    "daily_delays", "shop", "default", "marts", "ann", ["daily"], ["python"], "Mean delay of each route", False, "daily",
    "stale", "stale", "flights of 2026-11-21 has newer data", "2026-11-22T03:00:04.113Z", 365, 364, 3, 0,
    "2026-11-22T03:04:11.500Z", "2026-11-21", examples.RUN.id, "fresh", "", 1, [], [], False, False, 1, 2,
)  # fmt: skip
_FACETS = Facets(
    [Facet("stale", 1)], [Group("marts", 1, [Facet("stale", 1)])], [Facet("ann", 1)], [], [], [Facet("shop", 1)]
)


@route(
    "GET",
    "/catalog",
    permission="view",
    summary="Assets with their health, checks and last materialization; searched over names, descriptions, columns, "
    "owners, groups, kinds and tags",
    errors=(422,),
    example=Catalog([_ENTRY], None, 1, 1, _FACETS),
)
def catalog(
    call: Call,
    q: Words = "",
    name: Name | None = None,
    state: State | None = None,
    group: Name | None = None,
    owner: Name | None = None,
    tag: Name | None = None,
    kind: Name | None = None,
    project: Name | None = None,
    order: Literal["name", "group"] = "group",
    limit: Limit = 100,
    cursor: Cursor = "",
) -> Catalog:
    seen = call.visible(call.catalog.assets(), lambda f: f[0].namespace)
    entries = _entries(call, seen)
    words = q.casefold().split()
    wanted = [
        entry
        for entry, (_, spec) in zip(entries, seen, strict=True)
        if name in (None, entry.name)
        and (state is None or state in states_of(entry))
        and group in (None, entry.group)
        and owner in (None, entry.owner)
        and (tag is None or tag in entry.tags)
        and (kind is None or kind in entry.kinds)
        and project in (None, entry.project)
        and all(word in text_of(spec) for word in words)
    ]
    wanted.sort(key=lambda e: (e.group == "", e.group, e.name) if order == "group" else (False, "", e.name))
    page = page_of(wanted, cursor, limit)
    return Catalog(page.items, page.next, len(wanted), len(entries), _facets(entries))


def states_of(entry: CatalogEntry) -> list[str]:
    """All states that an asset is found under."""
    is_late = is_too_old(entry.freshness) and entry.health != "late"
    return [entry.health, *(["late"] if is_late else []), *(["running"] if entry.running else [])]


def is_too_old(freshness: str | None) -> bool:
    """Is it late by its policy?"""
    return freshness in ("warn", "fail")


def health_of(health: AssetHealth) -> str:
    """The state of an asset for people: what is too old and made in part have words of their own."""
    if health.state == "current" or (health.state == "missing" and health.made):
        calm = "current" if health.state == "current" else "partial"
        return "late" if is_too_old(health.freshness) else calm
    return health.state


def text_of(spec: AssetSpec) -> str:
    """All that a search looks at, in one text."""
    columns = " ".join(name for name, _ in spec.columns)
    fields = (spec.name, spec.group, spec.owner, *spec.tags, *spec.kinds, columns, spec.description)
    return "\n".join(fields).casefold()


def running_assets(call: Call) -> set[tuple[str, str]]:
    """Project and name of the steps that run now; an asset's step has them in its own."""
    return {(step.project, step.step) for step in rows.open_steps(call.reader)}


def checks_of(manifests: list[Manifest]) -> Counter[str]:
    """How many tests each asset has."""
    graphs = [m.assets_graph for m in manifests if m.assets_graph is not None]
    return Counter(step.check.asset for graph in graphs for step in graph.steps if step.check is not None)


def _entries(call: Call, seen: list[tuple[Manifest, AssetSpec]]) -> list[CatalogEntry]:
    healths = call.links.healths.of_all(call.reader, call.catalog, time.time())
    running = running_assets(call)
    checks = checks_of(list(call.catalog.manifests.values()))
    readers = Counter(dep for _, spec in seen for dep in spec.deps)
    return [
        _entry(m, spec, healths[spec.name], checks[spec.name], readers[spec.name], (m.project, spec.step) in running)
        for m, spec in seen
    ]


def _entry(m: Manifest, spec: AssetSpec, health: AssetHealth, checks: int, readers: int, running: bool) -> CatalogEntry:
    return objects.shaped(
        CatalogEntry,
        health,
        name=spec.name,
        project=m.project,
        namespace=m.namespace,
        group=spec.group,
        owner=spec.owner,
        tags=list(spec.tags),
        kinds=list(spec.kinds),
        description=spec.description.strip().partition("\n")[0],
        external=spec.external,
        partitioned=spec.partitions.kind if spec.partitions is not None else "",
        health=health_of(health),
        checks=checks,
        running=running,
        automated=spec.automation is not None,
        reads=len(spec.deps),
        readers=readers,
    )


def _facets(entries: list[CatalogEntry]) -> Facets:
    return Facets(
        _counted(s for e in entries for s in states_of(e)),
        _groups(entries),
        _counted(e.owner for e in entries),
        _counted(t for e in entries for t in e.tags),
        _counted(k for e in entries for k in e.kinds),
        _counted(e.project for e in entries),
    )


def _groups(entries: list[CatalogEntry]) -> list[Group]:
    healths: dict[str, list[str]] = {}
    for entry in entries:
        if entry.group:
            healths.setdefault(entry.group, []).append(entry.health)
    return [Group(name, len(found), _counted(found)) for name, found in sorted(healths.items())]


def _counted(values: Iterable[str]) -> list[Facet]:
    found = Counter(v for v in values if v)
    return [Facet(value, count) for value, count in sorted(found.items())]
