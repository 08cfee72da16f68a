"""Limits: pools, and limits of pipelines, tasks, tags, namespaces and rates, as they are now."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from partita.engine.limits import LimitState, ListLimits, SetLimit, declared_limits
from partita.errors import WorldError
from partita.server import objects
from partita.server.calling import Call, Name
from partita.server.objects import Page
from partita.server.routing import route
from partita.store import limits as stored

Of = Literal["pool", "pipeline", "task", "tag", "namespace", "rate"]


class LimitNow(msgspec.Struct, frozen=True):
    """A limit as it is now: `used` of `slots` are taken, `waiting` ask for more; both are null when no engine is there."""

    namespace: str
    of: str
    name: str
    slots: int | None
    used: int | None
    waiting: int | None
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
    summary="Every limit, with what is in use and how many wait; without an engine, as declared and set",
    errors=(422,),
    example=Page([_EXAMPLE]),
)
def limits(call: Call, of: Of | None = None) -> Page[LimitNow]:
    try:
        told = [objects.shaped(LimitNow, row) for row in call.ask(ListLimits(), list[LimitState])]
    except WorldError:
        told = _as_stored(call)
    return Page([row for row in call.visible(told, lambda row: row.namespace) if of in (None, row.of)])


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


def _as_stored(call: Call) -> list[LimitNow]:
    """What is declared and what is set, when there is nobody who counts."""
    declared: dict[tuple[str, str, str], int] = {}
    found: list[LimitNow] = []
    for manifest in call.catalog.manifests.values():
        for key, slots in declared_limits(manifest):
            declared[key] = min(slots, declared.get(key, slots))
        for rate in manifest.rates:
            key = (manifest.namespace, "rate", rate.name)
            found.append(LimitNow(*key, rate.count, None, None, rate.count, None, "", "", rate.per_s))
    rows = {(row.namespace, row.of, row.name): row for row in stored.limits(call.reader)}
    for key in sorted({*declared, *rows}, key=lambda k: (k[1], k[0], k[2])):
        row, own = rows.get(key), declared.get(key)
        is_set = None if row is None else row.slots
        by, reason = ("", "") if row is None else (row.by, row.reason)
        found.append(LimitNow(*key, own if is_set is None else is_set, None, None, own, is_set, by, reason, 0.0))
    return found
