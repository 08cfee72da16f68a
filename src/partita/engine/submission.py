"""From what somebody asks for to a run that can be created: graph, parameters, partition, limits.

Rule: nothing is created here, and nothing that cannot run gets through: what is wrong is said before there is a run.
"""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from partita.core import concurrency, partitions
from partita.core.backfill import label
from partita.core.events import RunCreated
from partita.core.graph import Graph, Step
from partita.core.graph import version as graph_version
from partita.core.manifest import AssetSpec, Manifest, PartitionSpec, PipelineSpec
from partita.core.selection import cut, select
from partita.engine.ids import new_run_id
from partita.engine.stored import has_partition, never_made, stored_bindings
from partita.errors import DefinitionError, GraphError, ParamError, SelectionError
from partita.store.contract import Reader

ASSETS = "assets"
"""The name under which runs of a selection of assets are kept."""


@dataclass(frozen=True)
class RunRequest:
    """What somebody asks for: a pipeline by name, or a selection of assets.

    `select` cuts the pipeline down to some of its steps. `params` are packed and checked already.
    """

    target: str
    by: str
    origin: str
    select: str = ""
    params: Mapping[str, bytes] = field(default_factory=dict)
    partition: str = ""
    priority: int = 0
    fail_fast: bool | None = None
    tags: tuple[str, ...] = ()
    # Of one run over several partitions: all of them, instead of `partition`.
    partitions: tuple[str, ...] = ()


def plan_run(
    manifest: Manifest,
    request: RunRequest,
    reader: Reader,
    *,
    now: float,
    namespace: str,
    version_of: Callable[[Graph], str] = graph_version,
    graph_of: Callable[[Manifest, str, str], Graph] | None = None,
) -> tuple[Graph, RunCreated]:
    """The graph and the first event of the run. Raises `DefinitionError` (or one of its kind) with what is wrong."""
    pipeline = next((p for p in manifest.pipelines if p.name == request.target), None)
    graph = (graph_of or graph_of_request)(manifest, request.target, request.select)
    spec = partitions_of(pipeline, graph, manifest)
    partition = _checked_partition(spec, request)
    _check_params(pipeline, request.params)
    _check_pools(graph, manifest)
    _check_rates(graph, manifest)
    keys = request.partitions or (request.partition,)
    _check_made(graph, manifest, keys, reader)
    _check_stored(graph, manifest, keys, reader)
    run = RunCreated(
        at=now,
        run=new_run_id(now),
        namespace=namespace,
        project=manifest.project,
        pipeline=pipeline.name if pipeline is not None else ASSETS,
        graph=version_of(graph),
        code=manifest.code,
        origin=request.origin,
        by=request.by,
        params=dict(request.params),
        partition=partition,
        priority=request.priority + (pipeline.priority if pipeline is not None else 0),
        selection=tuple(s.key for s in graph.steps) if request.select or pipeline is None else (),
        fail_fast=_or(request.fail_fast, pipeline.fail_fast if pipeline is not None else False),
        timeout_s=pipeline.timeout_s if pipeline is not None else None,
        limit=pipeline.max_steps if pipeline is not None else None,
        keys=concurrency.asked(pipeline.concurrency, pipeline.params, request.params, request.partition)
        if pipeline is not None and pipeline.concurrency
        else (),
        tags=(*(pipeline.tags if pipeline is not None else ()), *request.tags),
    )
    if len(request.partitions) > 1:
        run = msgspec.structs.replace(run, partitions=request.partitions)
    return graph, run


def interval(manifest: Manifest, run: RunCreated) -> tuple[str, str]:
    """The bounds of the run's partition as ISO instants in UTC; empty when it has none, or none in time."""
    pipeline = next((p for p in manifest.pipelines if p.name == run.pipeline), None)
    steps = {s.key for s in pipeline.graph.steps} if pipeline is not None else set(run.selection)
    specs = [pipeline.partitions] if pipeline is not None and pipeline.partitions is not None else []
    # Only of what the run makes: another definition of the project may have the same keys in another zone.
    specs += [a.partitions for a in manifest.assets if a.step in steps and a.partitions is not None]
    first, last = (run.partitions[0], run.partitions[-1]) if run.partitions else (run.partition, run.partition)
    for spec in specs:
        begin, end = bounds_of(spec, first), bounds_of(spec, last)
        if begin is not None and end is not None:
            return min(begin[0], end[0]), max(begin[1], end[1])
    return "", ""


def bounds_of(spec: PartitionSpec, partition: str) -> tuple[str, str] | None:
    """When a partition begins and ends, as ISO instants in UTC; None if it is none of these, or covers no time."""
    if not partitions.contains(spec, partition):
        return None
    try:
        start, end = partitions.window(spec, partition)
    except ParamError:
        return None
    return start.isoformat().replace("+00:00", "Z"), end.isoformat().replace("+00:00", "Z")


def partition_keys(manifest: Manifest, target: str, text: str, *, now: float) -> Sequence[str]:
    """The partitions that "2013-06-13" or "2013-06-01..2013-06-13" names for a pipeline or selection."""
    pipeline = next((p for p in manifest.pipelines if p.name == target), None)
    graph = pipeline.graph if pipeline is not None else _graph_of_assets(manifest, target)
    spec = partitions_of(pipeline, graph, manifest)
    if spec is None:
        raise ParamError(f"{target} is not partitioned", hint="leave --partition out")
    return partitions.parse_range(spec, text, until=dt.datetime.fromtimestamp(now, dt.UTC))


def graph_of_target(manifest: Manifest, target: str) -> Graph:
    """The graph that a pipeline's name or a selection of assets means. Raises `DefinitionError`, `SelectionError`."""
    pipeline = next((p for p in manifest.pipelines if p.name == target), None)
    return pipeline.graph if pipeline is not None else _graph_of_assets(manifest, target)


def graph_of_request(manifest: Manifest, target: str, selected: str) -> Graph:
    """The graph of a run: of its target, or of some of its steps. Raises as `graph_of_target`."""
    graph = graph_of_target(manifest, target)
    return _cut(graph, selected, manifest.assets) if selected else graph


def _or(value: bool | None, otherwise: bool) -> bool:
    return otherwise if value is None else value


def _graph_of_assets(manifest: Manifest, target: str) -> Graph:
    names = [a.name for a in manifest.assets]
    if manifest.assets_graph is None:
        raise _unknown(target, [p.name for p in manifest.pipelines])
    try:
        keys = select(target, manifest.assets_graph, manifest.assets)
    except SelectionError as error:
        if not any(c in target for c in ":+*,|&-!( "):
            raise _unknown(target, [*(p.name for p in manifest.pipelines), *names]) from error
        raise
    return cut(manifest.assets_graph, keys)


def _cut(graph: Graph, expression: str, assets: Sequence[AssetSpec]) -> Graph:
    return cut(graph, select(expression, graph, assets))


def _unknown(name: str, known: Sequence[str]) -> DefinitionError:
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]!r}?" if near else "`partita list` shows what there is"
    return GraphError(f"there is no pipeline or asset {name!r} in this project", hint=hint)


def partitions_of(pipeline: PipelineSpec | None, graph: Graph, manifest: Manifest) -> PartitionSpec | None:
    """How a run of this graph is partitioned: as its pipeline says, else as the first of the assets that it makes."""
    if pipeline is not None and pipeline.partitions is not None:
        return pipeline.partitions
    made = {s.asset for s in graph.steps if s.asset}
    specs = [a.partitions for a in manifest.assets if a.name in made and a.partitions is not None]
    return specs[0] if specs else None


def check_partition(spec: PartitionSpec | None, partition: str, target: str) -> None:
    """Raise `ParamError` if a run of `target` cannot have this partition ("" = none)."""
    if spec is None:
        if partition:
            raise ParamError(
                f"{target} is not partitioned, so it has no partition {partition!r}", hint="leave --partition out"
            )
        return
    if not partition:
        example = partitions.example(spec)
        raise ParamError(f"{target} is partitioned ({spec.kind}): say which one", hint=f"--partition {example}")
    partitions.check(spec, partition)


def _checked_partition(spec: PartitionSpec | None, request: RunRequest) -> str:
    """What the partition of the run is called, if it may have it."""
    keys = request.partitions or (request.partition,)
    for key in keys:
        check_partition(spec, key, request.target)
    return label(spec, keys)


def _check_params(pipeline: PipelineSpec | None, given: Mapping[str, bytes]) -> None:
    known = {p.name for p in pipeline.params} if pipeline is not None else set()
    for name in given:
        if name not in known:
            raise ParamError(f"there is no parameter {name!r}", hint=f"there are {', '.join(sorted(known)) or 'none'}")
    missing = [p.name for p in pipeline.params if p.required and p.name not in given] if pipeline is not None else []
    if missing:
        raise ParamError(f"these parameters have no default: {', '.join(missing)}", hint=f"--param {missing[0]}=...")


def _check_pools(graph: Graph, manifest: Manifest) -> None:
    sizes = dict(manifest.pools)
    for step in graph.steps:
        for pool, slots in step.policies.pools:
            if pool not in sizes:
                near = difflib.get_close_matches(pool, list(sizes), 1)
                hint = f"did you mean {near[0]!r}?" if near else f"declare it: [tool.partita] pools = {{ {pool} = 5 }}"
                raise GraphError(f"step {step.key} asks for pool {pool!r}, which is not declared", hint=hint)
            if slots > sizes[pool]:
                raise GraphError(
                    f"step {step.key} asks for {slots} slots of pool {pool!r}, which has {sizes[pool]}",
                    hint="it could never start; give the pool more slots or the step fewer",
                )


def _check_rates(graph: Graph, manifest: Manifest) -> None:
    counts = {rate.name: rate.count for rate in manifest.rates}
    for step in graph.steps:
        for rate, starts in step.policies.rates:
            if rate not in counts:
                raise GraphError(
                    f"step {step.key} asks for rate {rate!r}, which is not declared",
                    hint=f'declare it: [tool.partita] rates = {{ {rate} = "10/min" }}',
                )
            if starts > counts[rate]:
                raise GraphError(
                    f"step {step.key} counts as {starts} starts of rate {rate!r}, which has {counts[rate]}"
                )


def _check_made(graph: Graph, manifest: Manifest, keys: Sequence[str], reader: Reader) -> None:
    """All assets of the run must have the partitions that it is for."""
    specs = {a.name: a.partitions for a in manifest.assets if a.partitions is not None}
    for step in graph.steps:
        spec = specs.get(step.asset or "")
        lost = next((k for k in keys if spec and k and not has_partition(reader, manifest.namespace, spec, k)), None)
        if lost is None or spec is None:
            continue
        if spec.kind == "dynamic":
            raise ParamError(
                f"{spec.name} has no partition {lost!r} (yet)",
                hint=f"partita assets partitions {spec.name} --add {lost}",
            )
        raise ParamError(
            f"{step.asset} has no partition {lost!r}: it is partitioned another way than the rest of the run",
            hint=f"run it by itself, for example with --partition {partitions.example(spec)}",
        )


def _check_stored(graph: Graph, manifest: Manifest, keys: Sequence[str], reader: Reader) -> None:
    """Assets that the run reads but does not make must have been made before."""
    missing = never_made(graph, manifest, keys, reader)
    if missing:
        told = ", ".join(f"{asset} (read by {step})" for asset, step in missing.items())
        first = next(iter(missing.values()))
        raise SelectionError(f"never made yet: {told}", hint=f"make it in the same run: partita run +{first}")


def stored_in(step: Step) -> list[str]:
    """The assets that a step reads from where they are stored."""
    return [binding.asset for binding in stored_bindings(step)]
