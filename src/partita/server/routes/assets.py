"""Assets: what is defined, how fresh and how stale they are, and what other tools report of them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

import msgspec

from partita.core import staleness as stale
from partita.core.events import Meta
from partita.core.manifest import AssetSpec, Manifest
from partita.core.plain import NotPlain, pack
from partita.engine import asset_health
from partita.engine.automation import AssetAnswer, WhyAsset
from partita.engine.reporting import ReportAsset, ReportCheck, Reported
from partita.errors import DefinitionError, WorldError
from partita.server import examples, objects
from partita.server.calling import Call, Cursor, Limit, Name, Reply, page_of
from partita.server.objects import Asset, Check, Instant, Materialization, Page
from partita.server.problems import Refused, not_found
from partita.server.routing import route
from partita.store import assets as rows

Key = Annotated[str, msgspec.Meta(max_length=500)]
Text = Annotated[str, msgspec.Meta(max_length=10_000)]


class ReportedMeta(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of metadata that another tool reports."""

    name: Name
    value: Any
    kind: Literal["number", "text", "markdown", "table", "path", "url", "json"] = "json"


class MaterializationReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another tool made an asset (partition). `key` makes saying it twice one report."""

    asset: Name
    partition: Key = ""
    data_version: Key = ""
    metadata: Annotated[list[ReportedMeta], msgspec.Meta(max_length=100)] = []
    key: Key = ""


class CheckReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A test of an asset ended elsewhere."""

    asset: Name
    check: Name
    passed: bool
    partition: Key = ""
    severity: Literal["warn", "error"] = "error"
    message: Text = ""
    metadata: Annotated[list[ReportedMeta], msgspec.Meta(max_length=100)] = []


class Taken(msgspec.Struct, frozen=True):
    """A report was taken in; `repeated`: it was known already, by its key."""

    count: int
    repeated: bool


class Latest(msgspec.Struct, frozen=True):
    """The newest materialization of a partition ("" = of an asset without partitions)."""

    partition: str
    at: Instant | None
    data_version: str
    code_version: str
    run: str
    by: str


class StaleCause(msgspec.Struct, frozen=True):
    """Why an asset is not as it would be made now."""

    code: str
    text: str
    asset: str
    partition: str


class Freshness(msgspec.Struct, frozen=True):
    """How fresh an asset is: "fresh", "warn", "fail", "unknown"."""

    asset: str
    partition: str
    state: str
    since: Instant | None
    reason: str
    due_at: Instant | None


class AssetHealth(msgspec.Struct, frozen=True):
    """How an asset is over all its partitions. `state` is the worst that is true of any: "failing" (a check), "stale",
    "missing", "current", "external". Of the `partitions` that there are by now, so many are `made`, `stale`, `failing`."""

    asset: str
    project: str
    state: str
    partitions: int
    made: int
    stale: int
    failing: int
    last_at: Instant | None
    last_partition: str
    last_run: str
    freshness: str | None
    freshness_reason: str


class AssetWhy(msgspec.Struct, frozen=True):
    """Why an asset (partition) is as it is. `stale` follows its partition mappings; `automation` is the tree of its
    condition, null if it has none or (`engine` false) nobody could be asked."""

    asset: str
    partition: str
    made: Latest | None
    freshness: Freshness | None
    stale: list[StaleCause]
    automation: dict[str, Any] | None
    problem: str
    engine: bool = True
    health: AssetHealth | None = None


_HEALTH = AssetHealth(
    "daily_delays",
    "shop",
    "stale",
    365,
    364,
    3,
    0,
    "2026-11-22T03:04:11.500Z",
    "2026-11-21",
    examples.RUN.id,
    "fresh",
    "",
)
_LATEST = Latest("2026-11-21", "2026-11-22T03:04:11.500Z", "sha256:2f1c", "1", examples.RUN.id, "")


@route("GET", "/assets", permission="view", summary="Assets, by name", errors=(422,), example=Page([examples.ASSET]))
def assets(
    call: Call,
    name: Name | None = None,
    group: Name | None = None,
    owner: Name | None = None,
    tag: Name | None = None,
    project: Name | None = None,
    limit: Limit = 100,
    cursor: Cursor = "",
) -> Page[Asset]:
    wanted = [
        (manifest, spec)
        for manifest, spec in call.visible(call.catalog.assets(), lambda f: f[0].namespace)
        if (name is None or fnmatchcase(spec.name, name))
        and group in (None, spec.group)
        and owner in (None, spec.owner)
        and (tag is None or tag in spec.tags)
        and project in (None, manifest.project)
    ]
    page = page_of(sorted(wanted, key=lambda f: f[1].name), cursor, limit)
    return Page([objects.asset(spec, m.project, m.namespace) for m, spec in page.items], page.next)


@route("GET", "/assets/{asset}", permission="view", summary="An asset", errors=(404,), example=examples.ASSET)
def asset(call: Call, asset: Name) -> Asset:
    manifest, spec = found(call, asset)
    return objects.asset(spec, manifest.project, manifest.namespace)


@route(
    "GET",
    "/assets/{asset}/partitions",
    permission="view",
    summary="Partitions of an asset that were made, with their newest materialization",
    errors=(404, 422),
    example=Page([_LATEST]),
)
def partitions(call: Call, asset: Name, limit: Limit = 100, cursor: Cursor = "") -> Page[Latest]:
    found(call, asset)
    return call.page(
        lambda after, count: rows.made_of(call.reader, asset, after=after, limit=count),
        cursor=cursor,
        limit=limit,
        key=lambda item: item[0],
        shown=lambda item: objects.shaped(Latest, item[1], partition=item[0]),
        key_type=str,
    )


@route(
    "GET",
    "/assets/{asset}/materializations",
    permission="view",
    summary="Materializations of an asset (partition), newest first",
    errors=(404, 422),
    example=Page([examples.MATERIALIZATION]),
)
def materializations(
    call: Call, asset: Name, partition: Key | None = None, limit: Limit = 50, cursor: Cursor = ""
) -> Page[Materialization]:
    found(call, asset)
    return call.page(
        lambda before, count: rows.history(call.reader, asset, partition=partition, before_no=before, limit=count),
        cursor=cursor,
        limit=limit,
        key=lambda item: item.no,
        shown=lambda item: objects.materialization(item.row),
    )


@route(
    "GET",
    "/assets/{asset}/checks",
    permission="view",
    summary="How checks of an asset went, newest first",
    errors=(404, 422),
    example=Page([examples.CHECK]),
)
def checks(call: Call, asset: Name, limit: Limit = 100) -> Page[Check]:
    found(call, asset)
    return Page([objects.check(row) for row in call.reader.checks(asset=asset, limit=limit)])


@route(
    "GET",
    "/assets/{asset}/why",
    permission="view",
    summary="Why an asset (partition) is as it is: made, fresh, stale, and what its automation says",
    errors=(404, 422),
    example=AssetWhy("daily_delays", "2026-11-21", _LATEST, None, [], None, ""),
)
def why(call: Call, asset: Name, partition: Key = "") -> AssetWhy:
    manifest, spec = found(call, asset)
    made = rows.made(call.reader, asset, partition)
    fresh = rows.freshness(call.reader, asset, partition)
    answer, engine = AssetAnswer(), False
    with contextlib.suppress(WorldError):  # without an engine, the rows still tell the rest
        answer = call.ask(WhyAsset(asset, partition), AssetAnswer)
        engine = True
    tree: Any = None if answer.tree is None else msgspec.to_builtins(answer.tree)
    return AssetWhy(
        asset,
        partition,
        None if made is None else objects.shaped(Latest, made, partition=partition),
        None if fresh is None else objects.shaped(Freshness, fresh),
        [StaleCause(c.code, c.text, c.asset, c.partition) for c in _causes(call, manifest, spec, partition)],
        tree if isinstance(tree, dict) or tree is None else {"tree": tree},
        answer.problem,
        engine,
        next(iter(_health(call, [(manifest, spec)])), None),
    )


@route(
    "GET",
    "/assets/{asset}/health",
    permission="view",
    summary="How an asset is over all its partitions: made or missing, current or stale, fresh or late",
    errors=(404,),
    example=_HEALTH,
)
def health(call: Call, asset: Name) -> AssetHealth:
    told = _health(call, [found(call, asset)])
    if not told:
        raise not_found("asset", asset)
    return told[0]


@route(
    "GET",
    "/asset-health",
    permission="view",
    summary="How assets are, by name",
    errors=(422,),
    example=Page([_HEALTH]),
)
def all_health(
    call: Call, project: Name | None = None, group: Name | None = None, limit: Limit = 100, cursor: Cursor = ""
) -> Page[AssetHealth]:
    seen = call.visible(call.catalog.assets(), lambda f: f[0].namespace)
    wanted = [f for f in seen if project in (None, f[0].project) and group in (None, f[1].group)]
    page = page_of(sorted(wanted, key=lambda f: f[1].name), cursor, limit)
    return Page(_health(call, page.items), page.next)


@route(
    "GET",
    "/freshness",
    permission="view",
    summary="How fresh the assets are that say how fresh they are to be",
    errors=(422,),
    example=Page([Freshness("daily_delays", "", "fresh", "2026-11-22T03:04:11.500Z", "", None)]),
)
def freshness(call: Call, limit: Limit = 100, cursor: Cursor = "") -> Page[Freshness]:
    return call.page(
        lambda after, count: rows.freshness_list(call.reader, after=after or "", limit=count),
        cursor=cursor,
        limit=limit,
        key=lambda row: row.asset,
        shown=lambda row: objects.shaped(Freshness, row),
        namespace_of=lambda row: namespace_of(call, row.asset),
        key_type=str,
    )


@route(
    "POST",
    "/materializations",
    permission="report",
    summary="Say that another tool made an asset (partition)",
    errors=(404, 422),
    status=201,
    example=Taken(1, False),
    body_example={
        "asset": "flights",
        "partition": "2026-11-21",
        "data_version": "etag:9f2c",
        "metadata": [{"name": "rows", "value": 12345, "kind": "number"}],
        "key": "load-2026-11-21",
    },
)
def report_materialization(call: Call, body: MaterializationReport) -> Taken | Reply:
    namespace = _reportable(call, body.asset)
    request = ReportAsset(
        body.asset, call.principal.name, body.partition, body.data_version, _metas(body.metadata), body.key
    )
    return _taken(call.change(request, Reported, namespace=namespace, object=f"asset:{body.asset}"))


@route(
    "POST",
    "/checks",
    permission="report",
    summary="Say how a test of an asset ended elsewhere",
    errors=(404, 422),
    status=201,
    example=Taken(1, False),
    body_example={"asset": "flights", "check": "row_count", "passed": True, "message": "12,345 rows"},
)
def report_check(call: Call, body: CheckReport) -> Taken | Reply:
    namespace = _reportable(call, body.asset)
    request = ReportCheck(
        body.asset,
        body.check,
        body.passed,
        call.principal.name,
        body.partition,
        body.severity,
        body.message,
        _metas(body.metadata),
    )
    return _taken(call.change(request, Reported, namespace=namespace, object=f"asset:{body.asset}"))


@route(
    "GET",
    "/checks",
    permission="view",
    summary="Evaluations of checks, newest first; of one asset or of all",
    errors=(422,),
    example=Page([examples.CHECK]),
)
def all_checks(call: Call, asset: Name | None = None, limit: Limit = 100) -> Page[Check]:
    found_rows = call.reader.checks(asset=asset, limit=limit)
    visible = call.visible(found_rows, lambda row: namespace_of(call, row.report.asset))
    return Page([objects.check(row) for row in visible])


# --- helpers --------------------------------------------------------------------------------------------------------


def found(call: Call, name: str, permission: str = "") -> tuple[Manifest, AssetSpec]:
    """The asset of that name, for who may. Raises `Refused`."""
    known = call.catalog.asset(name)
    if known is None:
        raise not_found("asset", name)
    call.require(known[0].namespace, "asset", name, permission)
    return known


def namespace_of(call: Call, asset: str) -> str:
    """The namespace of an asset; of one that is defined no more, that of the service."""
    known = call.catalog.asset(asset)
    return known[0].namespace if known is not None else call.settings.namespace


def _reportable(call: Call, name: str) -> str:
    """The namespace of an asset of which something is reported; what is declared nowhere the engine refuses."""
    known = call.catalog.asset(name)
    namespace = known[0].namespace if known is not None else call.settings.namespace
    call.require(namespace, "asset", name)
    return namespace


def _taken(reported: Reported) -> Taken | Reply:
    taken = Taken(reported.count, reported.repeated)
    return Reply(taken) if reported.repeated else taken


def _metas(entries: list[ReportedMeta]) -> tuple[Meta, ...]:
    try:
        return tuple(Meta(e.name, e.kind, pack(e.value)) for e in entries)
    except (NotPlain, OverflowError, RecursionError) as error:
        raise Refused(422, f"metadata cannot be stored: {error}") from None


def _causes(call: Call, manifest: Manifest, spec: AssetSpec, partition: str) -> Sequence[stale.Cause]:
    """Why it is stale, by the partitions of its upstreams that its mappings name."""
    if spec.external:
        return ()

    def asset_of(name: str) -> AssetSpec | None:
        known = call.catalog.asset(name)
        return known[1] if known is not None else None

    try:
        judged = asset_health.staleness_of(call.reader, asset_of, spec, partition, namespace=manifest.namespace)
    except (DefinitionError, KeyError, ValueError) as error:
        raise Refused(422, f"asset {spec.name} has no partition {partition!r}: {error}") from None
    return judged.causes


def _health(call: Call, wanted: Sequence[tuple[Manifest, AssetSpec]]) -> list[AssetHealth]:
    """In the order of the names; what each reads may be of other projects."""
    found: list[AssetHealth] = []
    everything = [(m.project, spec) for m, spec in call.catalog.assets()]
    for namespace in dict.fromkeys(m.namespace for m, _ in wanted):
        names = [spec.name for m, spec in wanted if m.namespace == namespace]
        told = asset_health.health(call.reader, everything, names, now=time.time(), namespace=namespace)
        found += [objects.shaped(AssetHealth, row) for row in told]
    return sorted(found, key=lambda h: h.asset)
