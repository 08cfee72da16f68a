"""Keys of dynamic partition definitions."""

from __future__ import annotations

from typing import Annotated

import msgspec

from partita.engine.reporting import AddPartitions, RemovePartitions, Reported
from partita.server.calling import Call, Cursor, Limit, Name, page_of
from partita.server.objects import Page
from partita.server.problems import not_found
from partita.server.routing import route
from partita.store import assets as rows

Key = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class Keys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Keys to add or to take away."""

    keys: Annotated[list[Key], msgspec.Meta(min_length=1, max_length=1000)]


class Changed(msgspec.Struct, frozen=True):
    """How many keys were added or taken away: those that were (not) there already do not count."""

    count: int


@route(
    "GET",
    "/partitions/{namespace}/{name}",
    permission="view",
    summary="Keys of a dynamic partition definition",
    errors=(404, 422),
    example=Page(["customer-7"]),
)
def keys(call: Call, namespace: Name, name: Name, limit: Limit = 500, cursor: Cursor = "") -> Page[str]:
    _require(call, namespace, name)
    return page_of(rows.dynamic_keys(call.reader, namespace, name), cursor, limit)


@route(
    "POST",
    "/partitions/{namespace}/{name}/add",
    permission="report",
    summary="Say that there are new keys of a dynamic partition definition",
    errors=(404, 422),
    example=Changed(1),
    body_example={"keys": ["customer-7"]},
)
def add(call: Call, namespace: Name, name: Name, body: Keys) -> Changed:
    _require(call, namespace, name)
    request = AddPartitions(name, tuple(body.keys), call.principal.name, namespace)
    return Changed(call.change(request, Reported, namespace=namespace, object=f"partitions:{name}").count)


@route(
    "POST",
    "/partitions/{namespace}/{name}/remove",
    permission="report",
    summary="Take keys away from a dynamic partition definition; what was made of them stays",
    errors=(404, 422),
    example=Changed(1),
    body_example={"keys": ["customer-7"]},
)
def remove(call: Call, namespace: Name, name: Name, body: Keys) -> Changed:
    _require(call, namespace, name)
    request = RemovePartitions(name, tuple(body.keys), call.principal.name, namespace)
    return Changed(call.change(request, Reported, namespace=namespace, object=f"partitions:{name}").count)


def _require(call: Call, namespace: str, name: str) -> None:
    call.require(namespace, "partition definition", name)
    declared = {m.namespace for m in call.catalog.manifests.values()}
    if namespace not in declared:
        raise not_found("partition definition", name)
