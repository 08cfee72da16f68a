"""Limits: pools, and limits of pipelines, tasks, tags, namespaces and rates, as they are now."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from partita.engine.limits import LimitState, ListLimits, SetLimit
from partita.server import objects
from partita.server.calling import Call, Name
from partita.server.objects import Page
from partita.server.routing import route

Of = Literal["pool", "pipeline", "task", "tag", "namespace", "rate"]


class LimitNow(msgspec.Struct, frozen=True):
    """A limit as it is now: `used` of `slots` are taken, `waiting` ask for more."""

    namespace: str
    of: str
    name: str
    slots: int | None
    used: int
    waiting: int
    declared: int | None
    set: int | None
    by: str
    reason: str
    per_s: float


class LimitWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many slots there are to be; null = as the project declares."""

    slots: Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)] | None
    reason: Annotated[str, msgspec.Meta(max_length=2000)] = ""


_EXAMPLE = LimitNow("default", "pool", "db", 5, 5, 3, 8, 5, "ann", "the database is slow", 0.0)


@route(
    "GET",
    "/limits",
    permission="view",
    summary="Every limit, with what is in use and how many wait",
    errors=(422,),
    example=Page([_EXAMPLE]),
)
def limits(call: Call, of: Of | None = None) -> Page[LimitNow]:
    found = call.visible(call.ask(ListLimits(), list[LimitState]), lambda row: row.namespace)
    return Page([objects.shaped(LimitNow, row) for row in found if of in (None, row.of)])


@route(
    "PUT",
    "/limits/{namespace}/{of}/{name}",
    permission="operate",
    summary="Set a limit while running; 0 = nothing may start",
    errors=(404, 422),
    example=Page([_EXAMPLE]),
    body_example={"slots": 5, "reason": "the database is slow"},
)
def set_limit(call: Call, namespace: Name, of: Of, name: Name, body: LimitWanted) -> Page[LimitNow]:
    call.require(namespace, "limit", name)
    request = SetLimit(namespace, of, name, body.slots, call.principal.name, body.reason)
    call.change(request, LimitState, namespace=namespace, object=f"{of}:{name}")
    found = call.ask(ListLimits(namespace), list[LimitState])
    return Page([objects.shaped(LimitNow, row) for row in found if (row.of, row.name) == (of, name)])
