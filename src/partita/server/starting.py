"""Runs that are asked for over HTTP, on their way to the engine.

Rule: whether a project may be asked is known by what it defines, before the engine is asked; what is wrong with a request
the engine says.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal

import msgspec

from partita.core.plain import NotPlain, pack
from partita.engine.asking import Retry, Submit, Submitted
from partita.server import objects
from partita.server.calling import Call, Name, Reply
from partita.server.objects import Run
from partita.server.problems import Refused
from partita.store.contract import RunRow

Tag = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Started(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to run: a pipeline by its name (or project/name), or a selection of assets; `select` cuts it down."""

    pipeline: Name | None = None
    assets: Name | None = None
    params: Annotated[dict[str, Any], msgspec.Meta(max_length=500)] = {}
    partition: Annotated[str, msgspec.Meta(max_length=500)] = ""
    select: Annotated[str, msgspec.Meta(max_length=2000)] = ""
    priority: Annotated[int, msgspec.Meta(ge=-1_000_000, le=1_000_000)] = 0
    fail_fast: bool | None = None
    tags: Annotated[list[Tag], msgspec.Meta(max_length=50)] = []


class Retried(msgspec.Struct, frozen=True):
    """From which steps on, on which version."""

    steps: tuple[str, ...] = ()
    version: Literal["latest", "same"] = "latest"


def start(call: Call, asked: Started) -> Run | Reply:
    """Make a run; one that is there already, by the request's key, is answered with 200. Raises `Refused`."""
    target = asked.pipeline or asked.assets
    if target is None or (asked.pipeline and asked.assets):
        raise Refused(422, "say what is to run: either `pipeline` or `assets`", hint='{"pipeline": "nightly"}')
    namespace = call.catalog.target(target).namespace
    call.require(namespace, "pipeline", target)
    request = Submit(
        target=target,
        by=call.principal.name,
        params=_packed(asked.params) if asked.params else b"",
        partition=asked.partition,
        select=asked.select,
        key=_key(call),
        tags=tuple(asked.tags),
        priority=asked.priority,
        fail_fast=asked.fail_fast,
    )
    made = call.change(request, Submitted, namespace=namespace, object=f"pipeline:{target}")
    run = _made(call, made)
    return run if made.is_new else Reply(run)


def retry(call: Call, row: RunRow, asked: Retried) -> Run:
    """Run a finished run again. Raises `Refused`, `DefinitionError`."""
    request = Retry(row.id, call.principal.name, asked.steps, asked.version, _key(call))
    made = call.change(request, Submitted, namespace=row.namespace, object=f"run:{row.id}")
    return _made(call, made)


def _made(call: Call, made: Submitted) -> Run:
    row = call.reader.run(made.run)
    assert row is not None, "it was committed before the engine answered"
    return objects.run(row)


def _packed(params: dict[str, Any]) -> bytes:
    try:
        return pack(params)
    except (NotPlain, OverflowError, RecursionError) as error:
        raise Refused(422, f"a parameter cannot be stored: {error}") from None


def _key(call: Call) -> str:
    """What makes asking twice one run, also when the answer to the first was lost: the key, for this principal."""
    key = call.incoming.headers.get("idempotency-key")
    if not key:
        return ""
    return hashlib.sha256(f"{call.principal.name}\0{call.route.key}\0{key}".encode()).hexdigest()[:32]
