"""What became of an asset over time: the numbers in its metadata as series, its staleness down to the first cause."""

from __future__ import annotations

import time
from typing import Annotated

import msgspec

from partita.core import partitions
from partita.core.manifest import AssetSpec, Manifest
from partita.core.plain import unpack
from partita.engine.staleness_tree import Node, staleness_tree
from partita.errors import PartitaError
from partita.server.calling import Call, Name
from partita.server.jsonable import iso
from partita.server.objects import Instant
from partita.server.problems import Refused
from partita.server.routes.assets import Key, found
from partita.server.routing import route
from partita.store import assets as rows

Many = Annotated[int, msgspec.Meta(ge=1, le=2_000, description="At most so many, the newest")]
Depth = Annotated[int, msgspec.Meta(ge=1, le=12, description="How far up")]
# Names of numbers in one answer.
_MOST = 50


class Numbers(msgspec.Struct, frozen=True):
    """One number over the materializations; null where one does not have it."""

    name: str
    values: list[float | None]


class Series(msgspec.Struct, frozen=True):
    """Materializations as columns, oldest first. `failed`: a check of it failed. `took_s` is null of reported ones."""

    asset: str
    at: list[Instant | None]
    partitions: list[str]
    runs: list[str]
    failed: list[bool]
    took_s: list[float | None]
    numbers: list[Numbers]


class StalenessNode(msgspec.Struct, frozen=True):
    """An asset (partition), or a reason: what is said of it, when it came to be, by which run or whom.

    `code`: "missing", "stale", "failing", "current", "external"; of reasons "missing", "upstream_newer",
    "upstream_missing", "code_changed", "check_failed", "run_failed". `more` counts reasons that are not in the answer.
    """

    code: str
    text: str
    asset: str
    partition: str
    at: Instant | None
    run: str
    by: str
    children: list[StalenessNode]
    more: int


@route(
    "GET",
    "/assets/{asset}/series",
    permission="view",
    summary="The numbers in the metadata of an asset over its materializations",
    errors=(404, 422),
    example=Series(
        "daily_delays",
        ["2026-11-22T03:04:11.500Z"],
        ["2026-11-21"],
        ["01932f5e-8a3c-7b1e-9d55-3f0a6c2b7e11"],
        [False],
        [4.1],
        [Numbers("rows", [12345.0])],
    ),
)
def series(call: Call, asset: Name, partition: Key | None = None, limit: Many = 200) -> Series:
    found(call, asset)
    history = rows.history(call.reader, asset, partition=partition, limit=limit)[::-1]
    checks = call.reader.checks(asset=asset, limit=5 * limit)
    bad = {(c.run, c.report.partition) for c in checks if not c.report.passed and c.report.severity == "error"}
    made = [h.row for h in history]
    numbers: dict[str, list[float | None]] = {}
    for at, row in enumerate(made):
        for meta in row.metadata:
            value = unpack(meta.data) if meta.kind == "number" else None
            if isinstance(value, int | float) and (meta.name in numbers or len(numbers) < _MOST):
                numbers.setdefault(meta.name, [None] * len(made))[at] = float(value)
    return Series(
        asset,
        [iso(row.at) for row in made],
        [row.partition for row in made],
        [row.run for row in made],
        [bool(row.run) and (row.run, row.partition) in bad for row in made],
        [round(row.ended_at - row.began_at, 6) if row.ended_at else None for row in made],
        [Numbers(name, values) for name, values in numbers.items()],
    )


@route(
    "GET",
    "/assets/{asset}/staleness",
    permission="view",
    summary="Why an asset (partition) is as it is, followed to the first causes",
    errors=(404, 422),
    example=StalenessNode(
        "stale",
        "daily_delays of 2026-11-21 is stale",
        "daily_delays",
        "2026-11-21",
        "2026-11-22T03:04:11.500Z",
        "01932f5e-8a3c-7b1e-9d55-3f0a6c2b7e11",
        "",
        [
            StalenessNode(
                "upstream_newer", "flights of 2026-11-21 has newer data", "flights", "2026-11-21",
                "2026-11-22T06:00:00.000Z", "01932f5e-8a3c-7b1e-9d55-3f0a6c2b7e12", "", [], 0,
            )
        ],
        0,
    ),
)  # fmt: skip
def staleness(call: Call, asset: Name, partition: Key = "", depth: Depth = 5) -> StalenessNode:
    manifest, spec = found(call, asset)
    if partition:
        _check(call, manifest, spec, partition)
    assets = [(m.project, s) for m, s in call.visible(call.catalog.assets(), lambda f: f[0].namespace)]
    namespace = manifest.namespace
    tree = staleness_tree(call.reader, assets, spec, partition, now=time.time(), namespace=namespace, depth=depth)
    failed = _failure(call, manifest, spec, partition) if partition or spec.partitions is None else None
    if failed is not None and (tree.at is None or (failed.at or 0.0) >= tree.at):
        tree = msgspec.structs.replace(tree, children=(failed, *tree.children))
    return _shown(tree)


def _failure(call: Call, manifest: Manifest, spec: AssetSpec, partition: str) -> Node | None:
    """The last time that making it failed."""
    failures = rows.failures(call.reader, manifest.project, spec.step) if spec.step else []
    found = next((f for f in reversed(failures) if spec.partitions is None or partition in f.partitions), None)
    if found is None:
        return None
    steps = call.reader.steps(found.run, step=spec.step, states=("failed", "needs_attention"))
    said = f": {steps[0].reason}" if steps and steps[0].reason else ""
    return Node("run_failed", f"making it failed{said}", at=found.at, run=found.run)


def _check(call: Call, manifest: Manifest, spec: AssetSpec, partition: str) -> None:
    if spec.partitions is None:
        raise Refused(422, f"asset {spec.name} has no partitions")
    try:
        dynamic = partitions.resolved(spec.partitions, lambda n: rows.dynamic_keys(call.reader, manifest.namespace, n))
        partitions.check(dynamic, partition)
    except (PartitaError, ValueError) as error:
        raise Refused(422, f"asset {spec.name} has no partition {partition!r}: {error}") from None


def _shown(node: Node) -> StalenessNode:
    children = [_shown(child) for child in node.children]
    return StalenessNode(
        node.code, node.text, node.asset, node.partition, iso(node.at), node.run, node.by, children, node.more
    )
