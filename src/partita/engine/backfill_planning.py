"""Planning a backfill against a store: what the target means, what it leads to, what is there, and how long it took before.

Rule: only reads, so whoever asks plans in its own process and the engine's loop is not held up; the arithmetic is
`core/backfill.py`.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Protocol

import msgspec

from partita.core import partitions
from partita.core.backfill import BackfillPlan, BackfillSpec, Member, World
from partita.core.backfill_plan import plan
from partita.core.graph import Graph, Step
from partita.core.manifest import AssetSpec, DepSpec, Manifest, PartitionSpec, PipelineSpec
from partita.core.plain import pack, unpack
from partita.core.schema import mismatch, read_text
from partita.engine.catalog import Catalog
from partita.engine.submission import ASSETS, graph_of_target, partitions_of, stored_in
from partita.errors import ParamError
from partita.store import assets, backfills
from partita.store.contract import Reader
from partita.store.database import Params, Row
from partita.store.named import Fetching

_FAILED = frozenset({"failed", "upstream_failed", "cancelled", "needs_attention"})

Usual = Mapping[str, tuple[float, float, int]]


class PlanReader(Reader, Fetching, Protocol):
    """A reader of a store over SQL."""

    def fetch(self, name: str, params: Params = ()) -> list[Row]: ...


def plan_backfill(
    spec: BackfillSpec, manifests: Iterable[Manifest], reader: PlanReader, *, now: float, workers: int
) -> BackfillPlan:
    """What a backfill would do. Raises `DefinitionError` (or one of its kind) with what is wrong.

    `manifests` are those of all projects that are served (`reader.manifests()`).
    """
    catalog = Catalog()
    for manifest in manifests:
        catalog.put(manifest)
    spec = msgspec.structs.replace(spec, params=_params(catalog, spec))
    found = _Members(catalog, reader)
    roots = found.take_roots(spec.target)
    if spec.cascade in ("upstreams", "both"):
        found.take_upstreams(roots)
    if spec.cascade in ("downstreams", "both"):
        found.take_downstreams(roots)
    members = found.in_order()
    if all(m.partitions is None for m in members if m.name in roots):
        raise ParamError(f"{spec.target} is not partitioned, so there is nothing to fill back", hint="partita run")
    world = World(
        at=now,
        present=cache(lambda name: _present(reader, name)),
        failed=_failures(reader, found.steps),
        capacity=found.capacity | {"workers": max(1, workers)},
    )
    return plan(spec, members, roots, world)


def _params(catalog: Catalog, spec: BackfillSpec) -> dict[str, bytes]:
    """Its parameters as the types of its pipeline; a text is read as what is expected. Raises `ParamError`."""
    if not spec.params:
        return {}
    named = catalog.pipeline(spec.target)
    if named is None:
        raise ParamError(f"{spec.target} is no pipeline, so it has no parameters", hint="leave them out")
    schemas = {param.name: msgspec.json.decode(param.schema or "{}") for param in named[1].params}
    found = {}
    for name, data in spec.params.items():
        if name not in schemas:
            known = ", ".join(schemas) or "none"
            raise ParamError(f"{spec.target} has no parameter {name!r}", hint=f"it has {known}")
        value = unpack(data)
        if isinstance(value, str):
            value = read_text(value, schemas[name])
        if problem := mismatch(value, schemas[name], f"parameter {name}"):
            raise ParamError(problem)
        found[name] = pack(value)
    return found


class _Members:
    """Assets and pipelines that a backfill may be of, found along the graph of all projects."""

    def __init__(self, catalog: Catalog, reader: PlanReader) -> None:
        self._catalog = catalog
        self._reader = reader
        self._found: dict[str, Member] = {}
        self._specs = {spec.name: (manifest, spec) for manifest, spec in catalog.assets()}
        self._usual: Usual = reader.usual(ASSETS)
        # The step that makes each asset.
        self.steps: dict[str, str] = {}
        self.capacity: dict[str, int] = {}

    def take_roots(self, target: str) -> list[str]:
        """What was asked for itself."""
        named = self._catalog.pipeline(target)
        if named is not None:
            member = self._pipeline(*named)
            self._found[member.name] = member
            return [member.name]
        manifest = self._catalog.target(target)
        graph = graph_of_target(manifest, target.removeprefix(f"{manifest.project}/"))
        names = [a.name for a in manifest.assets if any(s.asset == a.name for s in graph.steps)]
        for name in names:
            self._take(name)
        return names

    def take_upstreams(self, roots: Sequence[str]) -> None:
        """All that the roots are made of."""
        todo = [name for root in roots for name, _ in self._found[root].reads]
        while todo:
            name = todo.pop()
            if name not in self._found and self._take(name):
                todo += [read for read, _ in self._found[name].reads]

    def take_downstreams(self, roots: Sequence[str]) -> None:
        """All that is made of what the roots make: assets, and pipelines of tasks that read them."""
        readers: dict[str, list[str]] = {}
        for name, (_, spec) in self._specs.items():
            for dep in spec.deps:
                readers.setdefault(dep, []).append(name)
        todo = [made for root in roots for made in self._found[root].makes]
        while todo:
            for reader in readers.get(todo.pop(), ()):
                if reader not in self._found and self._take(reader):
                    todo.append(reader)
        made = {name for member in self._found.values() for name in member.makes}
        for manifest in self._catalog.manifests.values():
            for pipeline in manifest.pipelines:
                reads = {asset for step in pipeline.graph.steps for asset in stored_in(step)}
                if pipeline.name in self._found or reads.isdisjoint(made) or any(s.asset for s in pipeline.graph.steps):
                    continue
                self._found[pipeline.name] = self._pipeline(manifest, pipeline)

    def in_order(self) -> list[Member]:
        """All of them, each after what it reads."""
        maker = {made: member.name for member in self._found.values() for made in member.makes}
        order: dict[str, Member] = {}

        def visit(name: str) -> None:
            todo = [(name, False)]
            while todo:
                at, is_done = todo.pop()
                if at in order:
                    continue
                member = self._found[at]
                if is_done:
                    order[at] = member
                    continue
                todo.append((at, True))
                makers = (maker.get(read) for read, _ in member.reads)
                todo += [(other, False) for other in makers if other is not None and other != at and other not in order]

        for name in self._found:
            visit(name)
        return list(order.values())

    def _take(self, name: str) -> bool:
        manifest, spec = self._specs.get(name, (None, None))
        if manifest is None or spec is None or spec.external or not spec.step:
            return False
        self._found[name] = self._asset(manifest, spec)
        return True

    def _asset(self, manifest: Manifest, spec: AssetSpec) -> Member:
        steps = {s.key: s for s in manifest.assets_graph.steps} if manifest.assets_graph is not None else {}
        self.steps[spec.name] = spec.step
        mine = [steps[spec.step]] if spec.step in steps else []
        checks = [s for s in steps.values() if s.check is not None and s.check.asset == spec.name]
        took = backfills.durations(self._reader, spec.name)
        seconds = statistics.median(took) if took else self._usual.get(spec.step, (None,))[0]
        of_checks = sum(self._usual.get(s.key, (0.0,))[0] for s in checks)
        work_s = (seconds or 0.0) + of_checks
        declared = {dep.asset: dep for dep in spec.mappings}
        return Member(
            name=spec.name,
            project=manifest.project,
            partitions=self._resolved(manifest, spec.partitions),
            reads=tuple((dep, declared.get(dep) or DepSpec(dep)) for dep in spec.deps),
            makes=(spec.name,),
            batch=spec.backfill_batch,
            steps=1 + len(checks),
            unknown=int(seconds is None),
            work_s=work_s,
            chain_s=work_s,
            limited_s=self._limited(manifest, [(s, seconds or 0.0) for s in mine]),
        )

    def _pipeline(self, manifest: Manifest, spec: PipelineSpec) -> Member:
        usual = self._reader.usual(spec.name)
        runs = max((count for key, (_, _, count) in usual.items() if not _axes(spec.graph, key)), default=1)
        seconds = {
            step.key: usual[step.key][0] * (usual[step.key][2] / runs if step.axes else 1.0)
            for step in spec.graph.steps
            if step.key in usual
        }
        reads = dict.fromkeys(asset for step in spec.graph.steps for asset in stored_in(step))
        return Member(
            name=spec.name,
            project=manifest.project,
            of="pipeline",
            partitions=self._resolved(manifest, partitions_of(spec, spec.graph, manifest)),
            reads=tuple((asset, DepSpec(asset)) for asset in reads),
            makes=tuple(dict.fromkeys(step.asset for step in spec.graph.steps if step.asset)),
            steps=len(spec.graph.steps),
            unknown=sum(step.key not in seconds for step in spec.graph.steps),
            work_s=sum(seconds.values()),
            chain_s=_longest(spec.graph, {key: usual[key][0] for key in seconds}),
            limited_s=self._limited(manifest, [(s, seconds.get(s.key, 0.0)) for s in spec.graph.steps]),
        )

    def _limited(self, manifest: Manifest, steps: Iterable[tuple[Step, float]]) -> tuple[tuple[str, float], ...]:
        """The seconds of steps by what limits them."""
        sizes = dict(manifest.pools)
        found: dict[str, float] = {}
        for step, seconds in steps:
            policies = step.policies
            for pool, slots in policies.pools:
                name = f"pool {pool}"
                self.capacity[name] = sizes.get(pool, 1)
                found[name] = found.get(name, 0.0) + seconds * slots
            if policies.limit is not None:
                name = f"task {step.key}"
                self.capacity[name] = policies.limit
                found[name] = found.get(name, 0.0) + seconds
        return tuple(found.items())

    def _resolved(self, manifest: Manifest, spec: PartitionSpec | None) -> PartitionSpec | None:
        """Dynamic partitions with the keys that they have now."""
        if spec is None:
            return None
        return partitions.resolved(spec, lambda name: assets.dynamic_keys(self._reader, manifest.namespace, name))


def _axes(graph: Graph, key: str) -> tuple[str, ...]:
    return next((step.axes for step in graph.steps if step.key == key), ())


def _longest(graph: Graph, seconds: Mapping[str, float]) -> float:
    """How long the longest chain of a graph's steps takes."""
    ends: dict[str, float] = {}
    for step in graph.steps:
        ends[step.key] = seconds.get(step.key, 0.0) + max((ends.get(need, 0.0) for need in step.needs), default=0.0)
    return max(ends.values(), default=0.0)


def _present(reader: PlanReader, name: str) -> Collection[str]:
    pipeline = name.removeprefix("pipeline:")
    return backfills.materialized(reader, name) if pipeline == name else backfills.succeeded(reader, pipeline)


def _failures(reader: PlanReader, steps: Mapping[str, str]) -> Callable[[Member, Sequence[str]], Collection[str]]:
    """Asks which partitions of a member failed when they were last made."""
    states = cache(lambda key: backfills.step_states(reader, key))

    def failed(member: Member, keys: Sequence[str]) -> Collection[str]:
        if member.of == "pipeline":
            return [key for key in keys if backfills.newest_state(reader, member.name, key) in ("failed", "cancelled")]
        step = steps[member.name]
        return [key for key in keys if states(key).get(step) in _FAILED]

    return failed
