"""Lineage: what is made of what, over all projects; columns where it is known; who uses an asset."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated

import msgspec

from partita.core.manifest import AssetSpec, Manifest
from partita.core.plain import unpack
from partita.core.sensing import assets_of
from partita.engine.submission import stored_in
from partita.server.calling import Call, Name
from partita.server.problems import not_found
from partita.server.routes.assets import found
from partita.server.routes.catalog import checks_of, health_of, running_assets
from partita.server.routing import route
from partita.store import assets as rows

Depth = Annotated[int, msgspec.Meta(ge=0, le=100, description="How many steps away")]
# Assets of one answer.
_MOST = 5_000


class LineageNode(msgspec.Struct, frozen=True):
    """An asset in the lineage. `level` counts from the one that was asked for (upstream is negative); `more_up` and
    `more_down` count neighbours that are not in the answer."""

    name: str
    project: str
    group: str
    owner: str
    kinds: list[str]
    external: bool
    health: str
    state: str
    freshness: str | None
    partitions: int
    made: int
    checks: int
    checks_failed: list[str]
    running: bool
    level: int
    more_up: int
    more_down: int


class Lineage(msgspec.Struct, frozen=True):
    """Assets, and by their places in the list from which each is made: [upstream, downstream]. `left_out` counts those
    beyond the limit of one answer."""

    nodes: list[LineageNode]
    edges: list[tuple[int, int]]
    left_out: int = 0


class ColumnRef(msgspec.Struct, frozen=True):
    """A column of an asset."""

    asset: str
    column: str


class ColumnLineage(msgspec.Struct, frozen=True):
    """A column: what it is made from, and what is made from it, where that was declared."""

    name: str
    type: str
    reads: list[ColumnRef]
    readers: list[ColumnRef]


class Columns(msgspec.Struct, frozen=True):
    """The columns of an asset."""

    asset: str
    columns: list[ColumnLineage]


class CheckUse(msgspec.Struct, frozen=True):
    """A test of an asset. `failed` counts partitions on which its last word is that it failed."""

    name: str
    step: str
    blocking: bool
    description: str
    owner: str
    failed: int


class PipelineUse(msgspec.Struct, frozen=True):
    """A pipeline that makes ("makes") or only reads ("reads") an asset."""

    name: str
    project: str
    how: str
    schedules: list[str]


class SensorUse(msgspec.Struct, frozen=True):
    """A sensor that hears of an asset."""

    name: str
    namespace: str
    targets: list[str]


class Uses(msgspec.Struct, frozen=True):
    """Who uses an asset: what is made from it, what tests it, what makes or reads it, who hears of it."""

    asset: str
    reads: list[LineageNode]
    readers: list[LineageNode]
    checks: list[CheckUse]
    pipelines: list[PipelineUse]
    sensors: list[SensorUse]


_NODE = LineageNode(
    "daily_delays",
    "shop",
    "marts",
    "ann",
    ["python"],
    False,
    "stale",
    "stale",
    "fresh",
    365,
    364,
    1,
    [],
    False,
    0,
    1,
    2,
)


@route(
    "GET",
    "/lineage",
    permission="view",
    summary="What is made of what: around one asset (so far up and down), or all assets",
    errors=(404, 422),
    example=Lineage([_NODE], []),
)
def lineage(
    call: Call,
    asset: Name | None = None,
    up: Depth = 2,
    down: Depth = 2,
    group: Name | None = None,
    project: Name | None = None,
) -> Lineage:
    seen = _seen(call)
    if asset is not None:
        found(call, asset)
        levels = _around(seen, asset, up, down)
    else:
        levels = {
            name: 0 for name, (m, spec) in seen.items() if group in (None, spec.group) and project in (None, m.project)
        }
    names = list(levels)[:_MOST]
    return Lineage(_nodes(call, seen, names, levels), _edges(seen, names), len(levels) - len(names))


@route(
    "GET",
    "/assets/{asset}/columns",
    permission="view",
    summary="The columns of an asset, with what they are made from and what is made from them",
    errors=(404,),
    example=Columns(
        "daily_delays",
        [
            ColumnLineage(
                "delay", "float", [ColumnRef("flights", "dep_delay")], [ColumnRef("delay_report", "mean_delay")]
            )
        ],
    ),
)
def columns(call: Call, asset: Name) -> Columns:
    _, spec = found(call, asset)
    reads = {column: [ColumnRef(*read) for read in read_from] for column, read_from in spec.lineage}
    readers: dict[str, list[ColumnRef]] = {}
    for other, (_, reader) in _seen(call).items():
        for column, read_from in reader.lineage:
            for of, name in read_from:
                if of == asset:
                    readers.setdefault(name, []).append(ColumnRef(other, column))
    types = dict(spec.columns)
    names = dict.fromkeys([*types, *reads, *readers])
    return Columns(asset, [ColumnLineage(n, types.get(n, ""), reads.get(n, []), readers.get(n, [])) for n in names])


@route(
    "GET",
    "/assets/{asset}/uses",
    permission="view",
    summary="Who uses an asset: assets made from it, tests, pipelines, sensors",
    errors=(404,),
    example=Uses(
        "daily_delays",
        [],
        [],
        [CheckUse("delays_are_plausible", "daily_delays:delays_are_plausible", True, "", "ann", 0)],
        [PipelineUse("nightly", "shop", "makes", ["nightly"])],
        [SensorUse("orders", "default", ["nightly"])],
    ),
)
def uses(call: Call, asset: Name) -> Uses:
    _, spec = found(call, asset)
    seen = _seen(call)
    below = [name for name, (_, other) in seen.items() if asset in other.deps]
    above = [name for name in spec.deps if name in seen]
    around = dict.fromkeys([*above, *below], 0)
    manifests = call.visible(call.catalog.manifests.values(), lambda m: m.namespace)
    return Uses(
        asset,
        _nodes(call, seen, above, around),
        _nodes(call, seen, below, around),
        _checks(call, manifests, asset),
        [use for m in manifests for use in _pipelines(m, spec)],
        [
            SensorUse(s.name, m.namespace, list(s.targets))
            for m in manifests
            for s in m.sensors
            if s.of == "asset" and asset in _heard(s.options)
        ],
    )


_Seen = Mapping[str, tuple[Manifest, AssetSpec]]


def _seen(call: Call) -> _Seen:
    """Every asset that the asker may see, by name."""
    return {f[1].name: f for f in call.visible(call.catalog.assets(), lambda f: f[0].namespace)}


def _around(seen: _Seen, asset: str, up: int, down: int) -> dict[str, int]:
    """The assets so near, with their distance."""
    readers: dict[str, list[str]] = {}
    for name, (_, spec) in seen.items():
        for dep in spec.deps:
            readers.setdefault(dep, []).append(name)
    if asset not in seen:
        raise not_found("asset", asset)
    levels = {asset: 0}
    for sign, depth in ((-1, up), (1, down)):
        level, edge = 0, [asset]
        while edge and level < depth:
            level += 1
            near = [n for name in edge for n in (seen[name][1].deps if sign < 0 else readers.get(name, ()))]
            edge = [n for n in dict.fromkeys(near) if n in seen and n not in levels]
            levels.update(dict.fromkeys(edge, sign * level))
    return levels


def _nodes(call: Call, seen: _Seen, names: list[str], levels: Mapping[str, int]) -> list[LineageNode]:
    healths = call.links.healths.of_all(call.reader, call.catalog, time.time())
    running = running_assets(call)
    checks = checks_of(list(call.catalog.manifests.values()))
    shown = set(names)
    down: dict[str, int] = {}
    for _, spec in seen.values():
        if spec.name not in shown:
            for dep in spec.deps:
                down[dep] = down.get(dep, 0) + 1
    nodes = []
    for name in names:
        manifest, spec = seen[name]
        health = healths[name]
        nodes.append(
            LineageNode(
                name=name,
                project=manifest.project,
                group=spec.group,
                owner=spec.owner,
                kinds=list(spec.kinds),
                external=spec.external,
                health=health_of(health),
                state=health.state,
                freshness=health.freshness,
                partitions=health.partitions,
                made=health.made,
                checks=checks[name],
                checks_failed=list(health.checks_failed),
                running=(manifest.project, spec.step) in running,
                level=levels.get(name, 0),
                more_up=sum(dep in seen and dep not in shown for dep in spec.deps),
                more_down=down.get(name, 0),
            )
        )
    return nodes


def _edges(seen: _Seen, names: list[str]) -> list[tuple[int, int]]:
    place = {name: at for at, name in enumerate(names)}
    return [(place[dep], place[name]) for name in names for dep in seen[name][1].deps if dep in place]


def _checks(call: Call, manifests: list[Manifest], asset: str) -> list[CheckUse]:
    failed: dict[str, int] = {}
    for _, verdict in rows.failed_verdicts(call.reader, asset, limit=100_000):
        failed[verdict.check] = failed.get(verdict.check, 0) + 1
    steps = [s for m in manifests if m.assets_graph is not None for s in m.assets_graph.steps]
    declared = [
        CheckUse(s.check.name, s.key, s.check.blocking, s.description, s.owner, failed.pop(s.check.name, 0))
        for s in steps
        if s.check is not None and s.check.asset == asset
    ]
    # Those that other tools have reported are declared nowhere.
    return declared + [CheckUse(name, "", False, "", "", count) for name, count in failed.items()]


def _pipelines(manifest: Manifest, spec: AssetSpec) -> list[PipelineUse]:
    found = []
    readers = {asset.name for asset in manifest.assets if spec.name in asset.deps}
    for pipeline in manifest.pipelines:
        steps = pipeline.graph.steps
        makes = any(step.asset == spec.name for step in steps)
        if makes or any(step.asset in readers or spec.name in stored_in(step) for step in steps):
            schedules = [schedule.name for schedule in pipeline.schedules]
            found.append(PipelineUse(pipeline.name, manifest.project, "makes" if makes else "reads", schedules))
    return found


def _heard(options: bytes) -> frozenset[str]:
    condition = unpack(options).get("condition") if options else None
    return frozenset(assets_of(condition)) if condition is not None else frozenset()
