"""Projects and the versions of their code: rows, how they are read, and which rows each fact writes.

Rule: functions over a reader (`reader.fetch(name, params)`) that answer with frozen types; the statements are in
`sql/versions.sql`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import msgspec

from partita.core import manifest as manifests
from partita.core.facts.versions import ProjectLoaded, ProjectRemoved, VersionRegistered
from partita.core.manifest import Manifest, Problem

_problems = msgspec.msgpack.Decoder(tuple[Problem, ...])


class ProjectRow(msgspec.Struct, frozen=True):
    """A project that is or was served.

    `code` is the version that is served. `error` says why what lies in the folder now is not it; `problems` are what is
    wrong with what lies there.
    """

    project: str
    namespace: str
    folder: str
    code: str
    loaded_at: float
    took_s: float
    problems: tuple[Problem, ...] = ()
    error: str = ""
    active: bool = True


class VersionRow(msgspec.Struct, frozen=True):
    """A version of a project's code that was served. `size` is that of its manifest, in bytes."""

    project: str
    code: str
    at: float
    size: int


class _Reader(Protocol):
    def fetch(self, name: str, params: Any = ()) -> Sequence[tuple[Any, ...]]: ...


def projects(reader: _Reader, *, after: str = "", limit: int = 1000) -> list[ProjectRow]:
    """Projects by name, those that are served no more among them (`active` False); those after a name."""
    return [_project_row(row) for row in reader.fetch("projects", (after, limit))]


def project(reader: _Reader, name: str) -> ProjectRow | None:
    """One project."""
    rows = reader.fetch("project", (name,))
    return _project_row(rows[0]) if rows else None


def versions(reader: _Reader, name: str, *, before: float | None = None, limit: int = 100) -> list[VersionRow]:
    """The versions of a project, newest first, those before `before` (the `at` of the last one of a page)."""
    rows = reader.fetch("versions", (name, float("inf") if before is None else before, limit))
    return [VersionRow(*row) for row in rows]


def manifest_of(reader: _Reader, name: str, code: str) -> Manifest | None:
    """What a version of a project defines."""
    rows = reader.fetch("version_manifest", (name, code))
    return manifests.decode(rows[0][0]) if rows else None


def _project_row(row: tuple[Any, ...]) -> ProjectRow:
    name, namespace, folder, code, loaded_at, took_s, problems, error, active = row
    found = _problems.decode(problems) if problems else ()
    return ProjectRow(name, namespace, folder, code, loaded_at, took_s, found, error, bool(active))


def _loaded(execute: Callable[[str, Any], Any], fact: ProjectLoaded) -> None:
    execute(
        "put_project",
        (
            fact.project,
            fact.namespace,
            fact.folder,
            fact.code,
            fact.at,
            fact.took_s,
            fact.problems or None,
            fact.error,
        ),
    )


def _registered(execute: Callable[[str, Any], Any], fact: VersionRegistered) -> None:
    execute("put_version", (fact.project, fact.code, fact.at, fact.manifest))


def _removed(execute: Callable[[str, Any], Any], fact: ProjectRemoved) -> None:
    execute("remove_project", (fact.project,))


WRITES: Final[dict[type, Callable[..., Any]]] = {
    ProjectLoaded: _loaded,
    VersionRegistered: _registered,
    ProjectRemoved: _removed,
}
