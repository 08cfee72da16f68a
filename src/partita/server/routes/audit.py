"""The audit: who changed what, and who was denied.

Rule: entries are read, never changed; those of a namespace are for whoever may read its audit.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from partita.core.permissions import EVERYWHERE
from partita.server import access_objects
from partita.server.calling import Call, Cursor, Limit
from partita.server.objects import Page
from partita.server.routing import route
from partita.store import access


class AuditChain(msgspec.Struct, frozen=True):
    """Whether the audit is as it was written: what is wrong with it (none: nothing), and the hash of its newest entry."""

    findings: list[str]
    head: str


@route(
    "GET",
    "/audit",
    permission="audit.read",
    summary="Who changed what, newest first",
    errors=(401, 403),
    example={
        "items": [
            {
                "no": 17,
                "at": "2026-11-02T03:00:00.000Z",
                "principal": "ann",
                "action": "POST /api/v1/runs",
                "object": "run:019a1f00",
                "result": "done",
                "namespace": "sales",
                "address": "127.0.0.1",
                "hash": "5f0c",
            }
        ]
    },
)
def many(
    call: Call,
    principal: Annotated[str, msgspec.Meta(max_length=300)] = "",
    cursor: Cursor = "",
    limit: Limit = 50,
) -> Page[access_objects.AuditEntry]:
    """Entries of the namespaces whose audit one may read; those of none are for who may read all."""
    return call.page(
        lambda before, count: access.audit_entries(call.reader, principal=principal, before_no=before, limit=count),
        cursor=cursor,
        limit=limit,
        key=lambda row: row.no,
        shown=access_objects.audit_entry,
        namespace_of=lambda row: row.namespace or EVERYWHERE,
    )


@route(
    "GET",
    "/audit-chain",
    permission="audit.read",
    summary="Whether no entry of the audit was changed, moved or taken out",
    errors=(404,),
    example={"findings": [], "head": "5f0c"},
)
def chain(call: Call) -> AuditChain:
    """Looks at the whole chain; only for who may read all of it."""
    call.require(EVERYWHERE, "audit", "")
    newest = access.audit_entries(call.reader, limit=1)
    return AuditChain(list(access.broken_links(call.reader))[:200], newest[0].hash.hex() if newest else "")
