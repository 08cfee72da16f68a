"""What all served projects define, together: pipelines and assets by name.

Rule: one catalog per engine; whoever loads a project puts its manifest here, everybody else reads. Nothing is stored.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from partita.core.manifest import AssetSpec, Manifest, PipelineSpec
from partita.errors import DefinitionError, GraphError


class Catalog:
    """Manifests by project. `generation` counts changes, so that whoever keeps something made of it knows when it is old."""

    def __init__(self) -> None:
        self.manifests: dict[str, Manifest] = {}
        self.generation = 0
        self._pipelines: dict[str, list[str]] = {}
        self._assets: dict[str, str] = {}

    def put(self, manifest: Manifest) -> None:
        """Take in the newest manifest of a project."""
        self.manifests[manifest.project] = manifest
        self._index()

    def remove(self, project: str) -> None:
        """A project is served no more."""
        if self.manifests.pop(project, None) is not None:
            self._index()

    def pipeline(self, name: str) -> tuple[Manifest, PipelineSpec] | None:
        """The pipeline of a name, or of "project/name"; None if there is none.

        Raises `DefinitionError` if several projects have one of this name.
        """
        project, _, bare = name.rpartition("/")
        projects = [project] if project else self._pipelines.get(name, [])
        if len(projects) > 1:
            raise DefinitionError(
                f"there is a pipeline {name!r} in several projects: {', '.join(projects)}",
                hint=f"say which one: {projects[0]}/{name}",
            )
        for manifest in (self.manifests[p] for p in projects if p in self.manifests):
            for pipeline in manifest.pipelines:
                if pipeline.name == bare:
                    return manifest, pipeline
        return None

    def asset(self, name: str) -> tuple[Manifest, AssetSpec] | None:
        """The asset of a name: as the project that makes it declares it, before those that only read it."""
        project = self._assets.get(name)
        if project is None:
            return None
        manifest = self.manifests[project]
        return manifest, next(a for a in manifest.assets if a.name == name)

    def assets(self) -> Iterator[tuple[Manifest, AssetSpec]]:
        """Every asset once, over all projects."""
        for name in self._assets:
            found = self.asset(name)
            assert found is not None
            yield found

    def target(self, target: str) -> Manifest:
        """The manifest that a pipeline's name or a selection of assets is about. Raises `DefinitionError`."""
        found = self.pipeline(target)
        if found is not None:
            return found[0]
        if len(self.manifests) == 1:
            return next(iter(self.manifests.values()))
        project, _, _ = target.partition("/")
        if project in self.manifests:
            return self.manifests[project]
        if target in self._assets:
            return self.manifests[self._assets[target]]
        names = [*self._pipelines, *self._assets]
        near = difflib.get_close_matches(target, names, 1)
        raise GraphError(
            f"no project has a pipeline or asset {target!r}",
            hint=f"did you mean {near[0]!r}?" if near else "of several projects, say which: project/selection",
        )

    def _index(self) -> None:
        self.generation += 1
        self._pipelines, self._assets = {}, {}
        for project, manifest in self.manifests.items():
            for pipeline in manifest.pipelines:
                self._pipelines.setdefault(pipeline.name, []).append(project)
            for asset in manifest.assets:
                if asset.name not in self._assets or not asset.external:
                    self._assets[asset.name] = project
