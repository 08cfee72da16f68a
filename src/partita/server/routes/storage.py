"""What retention has removed."""

from __future__ import annotations

import msgspec

from partita.server import objects
from partita.server.calling import Call, Cursor, Limit
from partita.server.objects import Instant, Page
from partita.server.routing import route
from partita.store import house as rows


class Removal(msgspec.Struct, frozen=True):
    """What retention removed at once."""

    no: int
    at: Instant | None
    what: str
    count: int
    bytes: int
    older_than: Instant | None
    reason: str


@route(
    "GET",
    "/removals",
    permission="view",
    summary="What retention has removed, newest first",
    errors=(422,),
    example=Page([Removal(3, "2026-11-22T04:00:00.000Z", "runs", 500, 0, "2026-08-24T04:00:00.000Z", "age")]),
)
def removals(call: Call, limit: Limit = 50, cursor: Cursor = "") -> Page[Removal]:
    return call.page(
        lambda before, count: rows.removals(call.reader, before_no=before, limit=count),
        cursor=cursor,
        limit=limit,
        key=lambda row: row.no,
        shown=lambda row: objects.shaped(Removal, row, older_than=objects.iso(row.older_than)),
    )
