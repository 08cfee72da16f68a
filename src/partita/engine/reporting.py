"""Reports from other tools: that they made an asset, how a test of theirs ended, that there is a new partition.

Rule: a report is checked against what is declared and recorded as it was said; with a key, saying it twice is one report.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import msgspec

from partita.core import partitions
from partita.core.events import Event, Meta
from partita.core.facts import Fact
from partita.core.facts.assets import AssetReported, CheckReported, PartitionAdded
from partita.core.manifest import AssetSpec, Manifest, PartitionSpec
from partita.engine.active import ActiveRun
from partita.engine.catalog import Catalog
from partita.engine.clock import Clock
from partita.engine.control import Handler
from partita.engine.loop import Engine
from partita.errors import DefinitionError, ParamError
from partita.store import assets as rows
from partita.store.named import Fetching

_LONGEST = 200


class ReportAsset(msgspec.Struct, frozen=True, tag="report_asset"):
    """Another tool made an asset (partition). `key` makes saying it twice one report."""

    asset: str
    by: str
    partition: str = ""
    data_version: str = ""
    metadata: tuple[Meta, ...] = ()
    key: str = ""


class ReportCheck(msgspec.Struct, frozen=True, tag="report_check"):
    """A test of an asset ended elsewhere."""

    asset: str
    check: str
    passed: bool
    by: str
    partition: str = ""
    severity: Literal["warn", "error"] = "error"
    message: str = ""
    metadata: tuple[Meta, ...] = ()


class AddPartitions(msgspec.Struct, frozen=True, tag="add_partitions"):
    """There are new keys of a dynamic partition definition."""

    name: str
    keys: tuple[str, ...]
    by: str
    namespace: str = "default"


class RemovePartitions(msgspec.Struct, frozen=True, tag="remove_partitions"):
    """Keys of a dynamic partition definition are there no more. What was made of them stays."""

    name: str
    keys: tuple[str, ...]
    by: str
    namespace: str = "default"


class Reported(msgspec.Struct, frozen=True):
    """What came of a report: how many facts it was, `repeated` if it was known already under its key."""

    count: int = 1
    repeated: bool = False


Report = ReportAsset | ReportCheck | AddPartitions | RemovePartitions
AssetOf = Callable[[str], AssetSpec | None]


def facts_of(
    report: Report, asset_of: AssetOf, known: Sequence[str], dynamic: set[str], reader: Fetching, *, now: float
) -> list[Fact]:
    """The facts that a report makes; none if it was said before. Raises `DefinitionError` for what cannot be.

    `known` are the names of assets, `dynamic` those of dynamic partition definitions.
    """
    if isinstance(report, AddPartitions | RemovePartitions):
        return _partitions(report, dynamic, reader, now)
    spec = asset_of(report.asset)
    if spec is None:
        near = difflib.get_close_matches(report.asset, known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"declare it: pt.external_asset({report.asset!r})"
        raise DefinitionError(f"no project declares an asset {report.asset!r}", hint=hint)
    _check_by(report.by)
    partition = _partition(spec, report.partition, reader)
    if isinstance(report, ReportCheck):
        if not report.check or len(report.check) > _LONGEST:
            raise ParamError("a check needs a name", hint='"check": "row_count"')
        return [
            CheckReported(
                now,
                report.asset,
                report.check,
                report.passed,
                report.by,
                partition,
                report.severity,
                report.message,
                report.metadata,
            )
        ]
    if len(report.key) > _LONGEST:
        raise ParamError(f"a key must not be longer than {_LONGEST} characters")
    if report.key and rows.report_no(reader, report.asset, partition, report.by, report.key) is not None:
        return []
    return [AssetReported(now, report.asset, partition, report.by, report.data_version, report.metadata, report.key)]


def dynamic_names(manifests: Sequence[Manifest]) -> set[str]:
    """The names of all dynamic partition definitions."""
    specs = [a.partitions for m in manifests for a in m.assets if a.partitions is not None]
    specs += [p.partitions for m in manifests for p in m.pipelines if p.partitions is not None]
    inner = [*specs, *(one for spec in specs for _, one in spec.dimensions)]
    return {spec.name for spec in inner if spec.kind == "dynamic"}


def _check_by(by: str) -> None:
    if not by or len(by) > _LONGEST or not by.isprintable():
        raise ParamError("a report needs a word about who says it", hint='"by": "airbyte"')


def _partition(spec: AssetSpec, partition: str, reader: Fetching) -> str:
    if spec.partitions is None:
        if partition:
            raise ParamError(f"{spec.name} is not partitioned, so it has no partition {partition!r}")
        return ""
    if not partition:
        example = partitions.example(spec.partitions)
        raise ParamError(f"{spec.name} is partitioned: say which one was made", hint=f"for example {example}")
    return partitions.canonical(_resolved(spec.partitions, reader), partition)


def _resolved(spec: PartitionSpec, reader: Fetching, namespace: str = "default") -> PartitionSpec:
    return partitions.resolved(spec, lambda name: rows.dynamic_keys(reader, namespace, name))


def _partitions(
    report: AddPartitions | RemovePartitions, dynamic: set[str], reader: Fetching, now: float
) -> list[Fact]:
    if report.name not in dynamic:
        near = difflib.get_close_matches(report.name, sorted(dynamic), 1)
        hint = f"did you mean {near[0]!r}?" if near else f"declare them: partitions=pt.dynamic({report.name!r})"
        raise DefinitionError(f"there are no dynamic partitions {report.name!r}", hint=hint)
    _check_by(report.by)
    removed = isinstance(report, RemovePartitions)
    found: list[Fact] = []
    for key in dict.fromkeys(report.keys):
        if problem := partitions.key_problem(key):
            raise ParamError(problem)
        if rows.has_dynamic_key(reader, report.namespace, report.name, key) == removed:
            found.append(PartitionAdded(now, report.namespace, report.name, key, report.by, removed))
    return found


class Reporting:
    """The part of the service that takes reports."""

    name = "reporting"

    def __init__(self, engine: Engine, store: Fetching, catalog: Catalog, clock: Clock) -> None:
        self._engine = engine
        self._store = store
        self._catalog = catalog
        self._clock = clock

    def start(self, now: float) -> None: ...

    def due_at(self) -> float:
        return float("inf")

    def turn(self, now: float) -> None: ...

    def committed(self, run: ActiveRun, events: Sequence[Event]) -> None: ...

    def recorded(self, facts: Sequence[Fact]) -> None: ...

    def loaded(self, manifest: Manifest) -> None: ...

    def handlers(self) -> Mapping[type, Handler]:
        """Reports, as they come from the API and the command line."""
        return dict.fromkeys((ReportAsset, ReportCheck, AddPartitions, RemovePartitions), self._on_report)

    def _on_report(self, report: Report) -> Reported:
        found = facts_of(
            report,
            self._asset,
            [spec.name for _, spec in self._catalog.assets()],
            dynamic_names(list(self._catalog.manifests.values())),
            self._store,
            now=self._clock.now(),
        )
        self._engine.record(*found)
        return Reported(len(found), repeated=not found)

    def _asset(self, name: str) -> AssetSpec | None:
        found = self._catalog.asset(name)
        return found[1] if found is not None else None
