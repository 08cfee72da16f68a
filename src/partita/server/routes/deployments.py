"""Deployments: bundles of projects brought to this server, and which version of each is served.

Rule: a bundle is proved to be one before anybody hears of it: its digest, its limits, what lies in it. It runs nowhere but in
the processes of its own project.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from partita.engine.deploying import bundle_of, put_bundle
from partita.engine.deployments import Deploy, Deploying
from partita.errors import LoadError
from partita.executors import bundle
from partita.server import objects
from partita.server.calling import Call, Cursor, Limit, Name, Number
from partita.server.objects import Instant, Page, Problem
from partita.server.problems import Refused, not_found
from partita.server.routing import route
from partita.store import deployments as rows
from partita.store import versions

_Digest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$", description="SHA-256 of the bundle's tar")]
_Before = Annotated[
    str, msgspec.Meta(pattern="^([0-9a-f]{64})?$", description="Only if this is served now; empty: nothing is")
]
_Reason = Annotated[str, msgspec.Meta(max_length=2000)]
_Namespace = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class Deployment(msgspec.Struct, frozen=True):
    """A bundle that was brought. `state`: "trying" (it is being loaded), "taken", "refused" (`error`, `problems`).

    `code` is the version that it makes; `served` says that this is what the project is served with now. `lock` is the file that
    says which packages it wants, with the beginning of its SHA-256; `warnings` are about packages.
    """

    project: str
    no: int
    namespace: str
    digest: str
    size: int
    state: Literal["trying", "taken", "refused"]
    served: bool
    code: str
    lock: str
    rollback: bool
    reason: str
    by: str
    at: Instant | None
    ended_at: Instant | None
    warnings: list[str]
    error: str
    problems: list[Problem]


class DeployedFile(msgspec.Struct, frozen=True):
    """A file of a bundle."""

    path: str
    size: int
    sha256: str


class Rollback(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which deployment to go back to (default: the one before what is served), and why."""

    no: Annotated[int, msgspec.Meta(ge=1)] | None = None
    reason: _Reason = ""


_EXAMPLE = Deployment(
    project="shop",
    no=7,
    namespace="default",
    digest="9c1f" * 16,
    size=18_211,
    state="taken",
    served=True,
    code="5e9d2b4f",
    lock="uv.lock 41ab93c07d5e",
    rollback=False,
    reason="new tariffs",
    by="ann",
    at="2026-11-22T03:00:00.000Z",
    ended_at="2026-11-22T03:00:01.200Z",
    warnings=[],
    error="",
    problems=[],
)


@route("GET", "/deployments", permission="view", summary="What is deployed, by project", example=Page([_EXAMPLE]))
def many(call: Call, limit: Limit = 50, cursor: Cursor = "") -> Page[Deployment]:
    """The deployment that each project is served with."""
    return call.page(
        lambda after, count: rows.deployed(call.reader, after=after or "", limit=count),
        cursor=cursor,
        limit=limit,
        key=lambda row: row.project,
        shown=lambda row: _shown(call, row),
        namespace_of=lambda row: row.namespace,
        key_type=str,
    )


@route(
    "GET",
    "/deployments/{project}",
    permission="view",
    summary="Deployments of a project, newest first",
    errors=(404, 422),
    example=Page([_EXAMPLE]),
)
def of_project(call: Call, project: Name, limit: Limit = 50, cursor: Cursor = "") -> Page[Deployment]:
    newest = rows.deployments(call.reader, project, limit=1)
    if not newest:
        raise not_found("deployment", project)
    call.require(newest[0].namespace, "project", project)
    return call.page(
        lambda before, count: rows.deployments(call.reader, project, before=before, limit=count),
        cursor=cursor,
        limit=limit,
        key=lambda row: row.no,
        shown=lambda row: _shown(call, row),
        namespace_of=lambda row: row.namespace,
    )


@route(
    "GET",
    "/deployments/{project}/{no}",
    permission="view",
    summary="A deployment",
    errors=(404,),
    example=_EXAMPLE,
)
def one(call: Call, project: Name, no: Number) -> Deployment:
    return _shown(call, _row(call, project, no))


@route(
    "GET",
    "/deployments/{project}/{no}/files",
    permission="log.read",
    summary="The files of a deployment",
    errors=(404,),
    example=[DeployedFile("pipelines.py", 812, "41ab" * 16)],
)
def files(call: Call, project: Name, no: Number) -> list[DeployedFile]:
    row = _row(call, project, no)
    try:
        found = bundle.contents(bundle_of(call.settings.home, project, row.digest))
    except LoadError as error:
        raise Refused(404, error.message, hint=error.hint or "") from None
    return [DeployedFile(file.path, file.size, file.sha256) for file in found]


@route(
    "POST",
    "/deployments/{project}",
    permission="author",
    summary="Bring a bundle, and serve it if it is well",
    errors=(403, 404, 413, 422),
    status=202,
    example=msgspec.structs.replace(_EXAMPLE, state="trying", served=False, code="", ended_at=None),
    max_body=bundle.MOST_PACKED_BYTES,
)
def deploy(
    call: Call,
    project: Name,
    digest: _Digest,
    body: bytes,
    namespace: _Namespace = "default",
    over: _Before | None = None,
    reason: _Reason = "",
    anyway: bool = False,
) -> Deployment:
    """The body is the bundle (a gzipped tar), as `partita deploy` makes it. Ask for the deployment to hear how it ends.

    `anyway`: also if the server does not have all packages that the project needs.
    """
    _require(call, project, namespace)
    try:
        found = bundle.digest_of(body)
    except LoadError as error:
        raise Refused(422, error.message, hint=error.hint or "") from None
    if found != digest:
        raise Refused(422, f"the bundle that came has the digest {found[:12]}, not {digest[:12]}", hint="send it again")
    put_bundle(call.settings.home, project, digest, body)
    request = Deploy(project, namespace, digest, len(body), call.principal.name, reason, over=over, anyway=anyway)
    return _begun(call, request)


@route(
    "POST",
    "/deployments/{project}/rollback",
    permission="author",
    summary="Serve an earlier deployment again",
    errors=(403, 404, 422),
    status=202,
    body_example={"no": 6, "reason": "the new tariffs are wrong"},
    example=msgspec.structs.replace(_EXAMPLE, no=8, state="trying", served=False, rollback=True, ended_at=None),
)
def rollback(call: Call, project: Name, body: Rollback) -> Deployment:
    served = rows.deployed_project(call.reader, project)
    if served is None:
        raise not_found("deployment", project)
    _require(call, project, served.namespace)
    to = _row(call, project, body.no) if body.no is not None else _before(call, served)
    if to.state != "taken":
        raise Refused(422, f"deployment {to.no} of {project} was never served", hint="name one that was taken")
    request = Deploy(
        project,
        to.namespace,
        to.digest,
        to.size,
        call.principal.name,
        body.reason or f"back to deployment {to.no}",
        over=served.digest,
        # It was taken once, with the packages that there are.
        anyway=True,
        rollback=True,
    )
    return _begun(call, request)


def _before(call: Call, served: rows.DeploymentRow) -> rows.DeploymentRow:
    """The last deployment before the one that is served, of another bundle."""
    if (row := rows.earlier(call.reader, served)) is not None:
        return row
    raise Refused(422, f"{served.project} has no earlier version", hint="partita deployments lists them")


def _begun(call: Call, request: Deploy) -> Deployment:
    answer = call.change(request, Deploying, namespace=request.namespace, object=f"project:{request.project}")
    row = rows.deployment(call.reader, request.project, answer.no)
    assert row is not None
    if (row.namespace, row.digest) != (request.namespace, request.digest):
        why = f"another deployment of {request.project} was begun in the same moment, into namespace {row.namespace!r}"
        raise Refused(422, why, hint="a project is in one namespace: give one of the two another name")
    return _shown(call, row)


def _require(call: Call, project: str, namespace: str) -> None:
    """Whoever brings a project may bring it to its namespace, and to the one that it was in."""
    known = versions.project(call.reader, project)
    if known is not None and known.namespace != namespace and known.active:
        call.require(known.namespace, "project", project)
    call.require(namespace, "project", project)


def _row(call: Call, project: str, no: int) -> rows.DeploymentRow:
    row = rows.deployment(call.reader, project, no)
    if row is None:
        raise not_found("deployment", f"{project}/{no}")
    call.require(row.namespace, "deployment", f"{project}/{no}")
    return row


def _shown(call: Call, row: rows.DeploymentRow) -> Deployment:
    known = versions.project(call.reader, row.project)
    taken = rows.deployed_project(call.reader, row.project)
    is_newest = taken is not None and taken.no == row.no
    return objects.shaped(
        Deployment,
        row,
        served=is_newest and known is not None and known.active and known.code == row.code,
        warnings=list(row.warnings),
        problems=[objects.problem(p) for p in row.problems],
    )
