"""Pipelines as they are defined now."""

from __future__ import annotations

import msgspec

from partita.core.graph import Graph
from partita.core.manifest import Manifest, PipelineSpec
from partita.server import examples, objects
from partita.server.calling import Call, Cursor, Limit, Name, page_of
from partita.server.objects import Page, Pipeline
from partita.server.problems import not_found
from partita.server.routing import route
from partita.store import versions


class Edge(msgspec.Struct, frozen=True):
    """A step of a pipeline, and what it needs."""

    step: str
    needs: list[str]
    group: list[str]
    asset: str
    owner: str
    mapped: bool


class PipelineGraph(msgspec.Struct, frozen=True):
    """The graph of a pipeline."""

    pipeline: str
    steps: list[Edge]


class Usual(msgspec.Struct, frozen=True):
    """How long a step usually takes: over so many attempts of the last runs."""

    step: str
    median_s: float
    p90_s: float
    count: int


@route(
    "GET",
    "/pipelines",
    permission="view",
    summary="Pipelines, by name",
    errors=(422,),
    example=Page([examples.PIPELINE]),
)
def pipelines(
    call: Call, project: Name | None = None, tag: Name | None = None, limit: Limit = 100, cursor: Cursor = ""
) -> Page[Pipeline]:
    found = [
        (spec.name, manifest.project, manifest, spec)
        for manifest in call.visible(call.catalog.manifests.values(), lambda m: m.namespace)
        for spec in manifest.pipelines
        if project in (None, manifest.project) and (tag is None or tag in spec.tags)
    ]
    page = page_of(sorted(found, key=lambda f: f[:2]), cursor, limit)
    return Page([objects.pipeline(spec, m.project, m.namespace) for _, _, m, spec in page.items], page.next)


@route(
    "GET",
    "/pipelines/{pipeline}",
    permission="view",
    summary="A pipeline, by name or project/name (its slash encoded)",
    errors=(404, 422),
    example=examples.PIPELINE,
)
def pipeline(call: Call, pipeline: Name) -> Pipeline:
    manifest, spec = found(call, pipeline)
    return objects.pipeline(spec, manifest.project, manifest.namespace)


@route(
    "GET",
    "/pipelines/{pipeline}/graph",
    permission="view",
    summary="The graph of a pipeline, as it is now or in a version of its project's code",
    errors=(404, 422),
    example=PipelineGraph("nightly", [Edge("load", ["extract"], [], "", "ann", False)]),
)
def graph(call: Call, pipeline: Name, version: Name | None = None) -> PipelineGraph:
    from partita.core.plan import Plan

    manifest, spec = found(call, pipeline)
    plan = Plan(spec.graph if version is None else _graph_in(call, manifest.project, version, spec.name))
    return PipelineGraph(
        spec.name,
        [
            Edge(
                node.key,
                list(dict.fromkeys(edge.need.key for edge in node.needs)),
                list(node.step.group),
                node.step.asset or "",
                node.step.owner,
                bool(node.step.axes),
            )
            for node in plan.nodes.values()
        ],
    )


@route(
    "GET",
    "/pipelines/{pipeline}/usual",
    permission="view",
    summary="How long the steps of a pipeline usually take, from its last successful runs",
    errors=(404, 422),
    example=Page([Usual("load", 4.1, 6.3, 20)]),
)
def usual(call: Call, pipeline: Name) -> Page[Usual]:
    _, spec = found(call, pipeline)
    times = call.reader.usual(spec.name)
    return Page([Usual(step, median, p90, count) for step, (median, p90, count) in sorted(times.items())])


def _graph_in(call: Call, project: str, version: str, name: str) -> Graph:
    manifest = versions.manifest_of(call.reader, project, version)
    if manifest is None:
        raise not_found("version", version)
    for spec in manifest.pipelines:
        if spec.name == name:
            return spec.graph
    raise not_found("pipeline", f"{name} of version {version}")


def found(call: Call, name: str) -> tuple[Manifest, PipelineSpec]:
    """The pipeline of that name, for who may see it. Raises `Refused`."""
    known = call.catalog.pipeline(name)
    if known is None:
        raise not_found("pipeline", name)
    call.require(known[0].namespace, "pipeline", name)
    return known
