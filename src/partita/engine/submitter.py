"""Runs made by the engine's own chores and for its askers: from a request to a run that is staged or durable.

Rule: everything that makes runs beside `Embedded` goes through here, so a tick, a sensor, a backfill and the API mean the
same by the same words.
"""

from __future__ import annotations

from collections.abc import Callable

from partita.core.events import RunCreated
from partita.core.graph import Graph
from partita.core.graph import version as graph_version
from partita.core.manifest import Manifest
from partita.engine.active import ActiveRun
from partita.engine.catalog import Catalog
from partita.engine.clock import Clock
from partita.engine.loop import Engine
from partita.engine.submission import RunRequest, graph_of_request, plan_run

# Graphs that are kept: pipelines, and selections of assets. Some hundred kilobytes each, if they are large.
_GRAPHS = 1_000


class Submitter:
    """Plans runs against the catalog and gives them to the engine."""

    def __init__(self, engine: Engine, catalog: Catalog, clock: Clock) -> None:
        self._engine = engine
        self._catalog = catalog
        self._clock = clock
        # Graphs that are asked for run after run are the same object, and their versions are computed once.
        self._graphs: dict[tuple[str, str, str], Graph] = {}
        self._versions: dict[int, tuple[Graph, str]] = {}
        self._generation = -1
        # Told of each run before it is made; may replace it (limits, tags).
        self.shaping: list[Callable[[Manifest, RunCreated], RunCreated]] = []

    def plan(self, request: RunRequest) -> tuple[Graph, RunCreated]:
        """The graph and the first event of a run. Raises `DefinitionError` with what is wrong."""
        manifest = self._catalog.target(request.target)
        bare = request.target.removeprefix(f"{manifest.project}/")
        graph, run = plan_run(
            manifest,
            request if bare == request.target else _named(request, bare),
            self._engine.store,
            now=self._clock.now(),
            namespace=manifest.namespace,
            version_of=self._version_of,
            graph_of=self._graph_of,
        )
        for shape in self.shaping:
            run = shape(manifest, run)
        return graph, run

    def create(self, request: RunRequest) -> RunCreated:
        """Stage a run for the commit of this turn. Raises `DefinitionError`, `OriginTaken`."""
        graph, run = self.plan(request)
        self._engine.create(graph, run)
        return run

    def submit(self, request: RunRequest) -> ActiveRun:
        """Make a run that is durable when this returns. Raises `DefinitionError`, `OriginTaken`, `StoreFull`."""
        return self._engine.submit(*self.plan(request))

    def _graph_of(self, manifest: Manifest, target: str, selected: str) -> Graph:
        if self._generation != self._catalog.generation or len(self._graphs) >= _GRAPHS:
            self._graphs.clear()
            self._versions.clear()
            self._generation = self._catalog.generation
        key = manifest.project, target, selected
        found = self._graphs.get(key)
        if found is None:
            found = self._graphs[key] = graph_of_request(manifest, target, selected)
        return found

    def _version_of(self, graph: Graph) -> str:
        known = self._versions.get(id(graph))
        if known is None:
            # The graph is kept with it, so nothing else can get its id.
            known = self._versions[id(graph)] = graph, graph_version(graph)
        return known[1]


def _named(request: RunRequest, target: str) -> RunRequest:
    from dataclasses import replace

    return replace(request, target=target)
