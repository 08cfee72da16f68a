"""Projects that are served, and the versions of their code."""

from __future__ import annotations

from typing import Any

import msgspec

from partita.engine.control import Answer
from partita.engine.projects import Reload
from partita.server import objects
from partita.server.calling import Call, Cursor, Limit, Name
from partita.server.objects import Instant, Page, Problem
from partita.server.problems import not_found
from partita.server.routing import route
from partita.store import versions as rows


class Project(msgspec.Struct, frozen=True):
    """A project. `code` is the version that is served; `error` says why what lies in its folder is not."""

    project: str
    namespace: str
    code: str
    loaded_at: Instant | None
    took_s: float
    error: str
    active: bool
    problems: list[Problem]


class Version(msgspec.Struct, frozen=True):
    """A version of a project's code that was served."""

    project: str
    code: str
    at: Instant | None
    size: int


class Defined(msgspec.Struct, frozen=True):
    """What a version defines, by name."""

    project: str
    code: str
    pipelines: list[str]
    assets: list[str]
    sensors: list[str]


class Reloading(msgspec.Struct, frozen=True):
    """It will be done."""

    lines: list[str]


_PROJECT = Project("shop", "default", "5e9d2b4f", "2026-11-22T03:00:00.000Z", 0.31, "", True, [])


@route("GET", "/projects", permission="view", summary="Projects, by name", example=Page([_PROJECT]))
def projects(call: Call) -> Page[Project]:
    found = call.visible(rows.projects(call.reader), lambda row: row.namespace)
    return Page([_shown(row) for row in found])


@route("GET", "/projects/{project}", permission="view", summary="A project", errors=(404,), example=_PROJECT)
def project(call: Call, project: Name) -> Project:
    return _shown(_row(call, project))


@route(
    "POST",
    "/projects/{project}/reload",
    permission="author",
    summary="Load a project again, changed or not",
    errors=(404,),
    example=Reloading([]),
)
def reload(call: Call, project: Name) -> Reloading:
    row = _row(call, project)
    answer = call.change(Reload(row.project), Answer, namespace=row.namespace, object=f"project:{project}")
    return Reloading(list(answer.lines))


@route(
    "GET",
    "/projects/{project}/versions",
    permission="view",
    summary="Versions of a project's code, newest first",
    errors=(404, 422),
    example=Page([Version("shop", "5e9d2b4f", "2026-11-22T03:00:00.000Z", 18_211)]),
)
def versions(call: Call, project: Name, limit: Limit = 50, cursor: Cursor = "") -> Page[Version]:
    _row(call, project)
    return call.page(
        lambda before, count: rows.versions(call.reader, project, before=before, limit=count),
        cursor=cursor,
        limit=limit,
        key=lambda row: row.at,
        shown=lambda row: objects.shaped(Version, row),
        key_type=float,
    )


@route(
    "GET",
    "/projects/{project}/versions/{code}",
    permission="view",
    summary="What a version defines",
    errors=(404,),
    example=Defined("shop", "5e9d2b4f", ["nightly"], ["daily_delays"], []),
)
def version(call: Call, project: Name, code: Name) -> Defined:
    _row(call, project)
    found: Any = rows.manifest_of(call.reader, project, code)
    if found is None:
        raise not_found("version", code)
    return Defined(
        project,
        code,
        [p.name for p in found.pipelines],
        [a.name for a in found.assets],
        [s.name for s in found.sensors],
    )


def _row(call: Call, name: str) -> rows.ProjectRow:
    row = rows.project(call.reader, name)
    if row is None:
        raise not_found("project", name)
    call.require(row.namespace, "project", name)
    return row


def _shown(row: rows.ProjectRow) -> Project:
    return objects.shaped(Project, row, problems=[objects.problem(p) for p in row.problems])
