"""A cluster of what a project's settings say: which kinds there are, and which module has each.

Rule: a kind's module is imported when a project has such an executor, and the engine's own packages when it is first used.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from partita.core.graph import Step
from partita.core.manifest import ExecutorSpec, Manifest, Problem
from partita.core.policies import Policies
from partita.errors import DefinitionError
from partita.executors.clusters.cluster import Cluster

KINDS: Final = ("dask", "kubernetes", "ray", "slurm")


def cluster_of(spec: ExecutorSpec) -> Cluster:
    """The cluster that an executor's settings describe; nothing is reached yet. Raises `DefinitionError`."""
    if spec.kind not in KINDS:
        raise DefinitionError(
            f"executor {spec.name}: there is no kind {spec.kind!r}", hint=f"kinds: {', '.join(KINDS)}"
        )
    module = importlib.import_module(f"partita.executors.clusters.{spec.kind}")
    cluster: Cluster = module.make(spec.name, msgspec.json.decode(spec.table))
    return cluster


def checked(manifest: Manifest) -> Manifest:
    """The manifest, with what its executors cannot be or would refuse among its problems; no engine is asked."""
    if not manifest.executors:
        return manifest
    clusters: dict[str, Cluster] = {}
    problems: list[Problem] = []
    for spec in manifest.executors:
        try:
            clusters[spec.name] = cluster_of(spec)
        except DefinitionError as error:
            problems.append(Problem(error.message, error.hint or ""))
    problems += _refused(manifest, clusters)
    found = dict.fromkeys([*manifest.problems, *problems])
    return msgspec.structs.replace(manifest, problems=tuple(found))


def _refused(manifest: Manifest, clusters: Mapping[str, Cluster]) -> Iterator[Problem]:
    known: dict[Policies, str] = {}
    for step in _steps(manifest):
        policies = step.policies
        if policies.executor not in clusters:
            continue
        if policies not in known:
            options = msgspec.json.decode(policies.executor_options) if policies.executor_options else {}
            known[policies] = clusters[policies.executor].check(policies, options)
        if why := known[policies]:
            file, _, line = step.written_at.rpartition(":")
            message = f"step `{step.key}`: executor `{policies.executor}` does not take it: {why}"
            yield Problem(message, "", file, int(line) if line.isdigit() else 0)


def _steps(manifest: Manifest) -> Iterator[Step]:
    for pipeline in manifest.pipelines:
        yield from pipeline.graph.steps
    if manifest.assets_graph is not None:
        yield from manifest.assets_graph.steps
