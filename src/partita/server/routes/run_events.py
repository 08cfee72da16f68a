"""The history of one run: its own journal, which is short however long that of the store is."""

from __future__ import annotations

from typing import Any

import msgspec

from partita.server import examples
from partita.server.calling import Call, Cursor, Limit, Name, make_cursor, read_cursor
from partita.server.events import event_object
from partita.server.objects import Instant, Page, iso
from partita.server.routing import route


class Committed(msgspec.Struct, frozen=True):
    """What was committed together: the `seq`-th commit of its run. Each event has `kind`, `at` and its own fields."""

    seq: int
    at: Instant | None
    events: list[dict[str, Any]]


_EXAMPLE = Committed(
    2, "2026-11-22T03:00:00.012Z", [{"kind": "run_started", "at": "2026-11-22T03:00:00.012Z", "run": examples.RUN.id}]
)


@route(
    "GET",
    "/runs/{run}/events",
    permission="view",
    summary="The history of a run, oldest first",
    errors=(404, 422),
    example=Page([_EXAMPLE], "Mg"),
)
def run_events(call: Call, run: Name, limit: Limit = 100, cursor: Cursor = "") -> Page[Committed]:
    row = call.run(run)
    after = read_cursor(cursor) if cursor else 0
    rows = call.reader.journal(row.id, after_seq=after, limit=limit)
    items = [Committed(r.seq, iso(r.at), [event_object(event) for event in r.events]) for r in rows]
    return Page(items, make_cursor(rows[-1].seq) if len(rows) == limit else None)
