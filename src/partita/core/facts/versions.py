"""Facts about projects and the versions of their code."""

from __future__ import annotations

from partita.core.facts.fact import FactBase


class ProjectLoaded(FactBase, frozen=True, array_like=True, tag="project_loaded"):
    """A load of a project ended. `code` is the version that is served from now on; `error` says why a newer one is not."""

    namespace: str
    project: str
    folder: str
    code: str
    took_s: float
    problems: bytes = b""
    error: str = ""


class VersionRegistered(FactBase, frozen=True, array_like=True, tag="version_registered"):
    """A version of a project's code was seen for the first time. `manifest` is packed; its files are kept by content."""

    project: str
    code: str
    manifest: bytes


class ProjectRemoved(FactBase, frozen=True, array_like=True, tag="project_removed"):
    """A project is served no more."""

    project: str


VersionFact = ProjectLoaded | VersionRegistered | ProjectRemoved
