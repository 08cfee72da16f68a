"""What happens, as it happens: the journal as server-sent events, and in pages.

Rule: a client that comes back says the last number that it has seen and misses nothing: what it gets is the journal.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import msgspec

from partita.core.events import Event
from partita.core.facts import Fact
from partita.server import examples
from partita.server.calling import Call, Cursor, Limit, Name, Stream, make_cursor, read_cursor
from partita.server.events import Happened, happened, kind_of
from partita.server.objects import Page
from partita.server.routing import route
from partita.server.sse import END, HEARTBEAT_S, LOOK_AGAIN_S, comment, message
from partita.store.contract import StreamRow

No = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Kind = Annotated[str, msgspec.Meta(min_length=1, max_length=60)]
Back = Annotated[float, msgspec.Meta(ge=0, le=600)]

_EXAMPLE = Happened(
    4711, examples.RUN.id, "2026-11-22T03:00:00.012Z", [{"kind": "run_started", "at": "2026-11-22T03:00:00.012Z"}]
)
_RUNS_KNOWN = 4096
# After so many rows that are not for this client it is told how far it is, so that it does not see them again.
_SILENT_ROWS = 2000
# How far `back` reaches at most: whatever happens more often than so is heard again soon anyway.
_BACK_ROWS = 1000


@route(
    "GET",
    "/events",
    permission="view",
    summary="What happened, oldest first, in the order of commit",
    errors=(404, 422),
    example=Page([_EXAMPLE], "NDcxMQ"),
)
def events(
    call: Call,
    run: Name | None = None,
    pipeline: Name | None = None,
    kind: list[Kind] = [],  # noqa: B006
    limit: Limit = 100,
    cursor: Cursor = "",
) -> Page[Happened]:
    wanted = _Wanted(call, run, pipeline, kind)
    after = read_cursor(cursor) if cursor else 0
    found: list[Happened] = []
    for _ in range(20):
        rows = call.reader.stream(after_no=after, limit=500)
        for row in rows:
            after = row.no
            shown = wanted.shown(row)
            if shown is not None:
                found.append(shown)
            if len(found) == limit:
                return Page(found, make_cursor(after))
        if len(rows) < 500:
            return Page(found, None)
    return Page(found, make_cursor(after))


@route(
    "GET",
    "/events/live",
    permission="view",
    summary="What happens, as server-sent events; a message's id is its number, and `Last-Event-ID` goes on behind it",
    errors=(404, 422),
    media="text/event-stream",
    example='id: 4711\nevent: happened\ndata: {"no":4711,"run":"...","at":"...","events":[{"kind":"run_started"}]}\n\n',
)
async def live(
    call: Call,
    run: Name | None = None,
    pipeline: Name | None = None,
    kind: list[Kind] = [],  # noqa: B006
    after: No | None = None,
    back: Back = 0.0,
) -> Stream:
    """`back`: without `after`, begin so many seconds ago (at most 1,000 rows): what a page has missed that asked for its
    data before it listened."""
    wanted = await call.in_thread(_Wanted, call, run, pipeline, kind)
    last = call.incoming.headers.get("last-event-id", "")
    if last.isdigit() and len(last) < 16:
        after = int(last)
    return Stream(_followed(call, wanted, after, back), "text/event-stream")


async def _followed(call: Call, wanted: _Wanted, after: int | None, back_s: float) -> AsyncIterator[bytes]:
    clock = asyncio.get_running_loop().time
    silent, said = 0, clock()
    async with call.follower.listening() as end:
        if after is None and back_s:
            after = await call.in_thread(_end_before, call, end, time.time() - back_s)
        after = min(after, end) if after is not None else end
        # Headers and a first line leave at once, so that a client knows that it listens.
        yield comment(f"after {after}")
        while not call.follower.is_closing:
            page = await call.follower.page(after, LOOK_AGAIN_S)
            if not await call.in_thread(call.still_allowed):
                yield message(END, {"reason": "you may not see this any more"}, str(after))
                return
            for found in await call.in_thread(wanted.of, page.rows) if page is not None else ():
                silent, said = 0, clock()
                yield message("happened", found, str(found.no))
            if page is not None:
                silent += len(page.rows)
                after = page.end
            if silent > _SILENT_ROWS:
                silent, said = 0, clock()
                yield message("passed", {"no": after}, str(after))
            if clock() - said > HEARTBEAT_S:
                said = clock()
                yield comment()
        yield message(END, {"reason": "the server is stopping"}, str(after))


def _end_before(call: Call, end: int, at: float) -> int:
    """The end of the journal as it was at that time, or a thousand rows ago if that is later."""
    rows = call.reader.stream(after_no=max(0, end - _BACK_ROWS), limit=_BACK_ROWS)
    return next((row.no - 1 for row in rows if row.at >= at), end)


class _Wanted:
    """Which rows a client wants and may see."""

    def __init__(self, call: Call, run: str | None, pipeline: str | None, kinds: list[str]) -> None:
        self._call = call
        self._run = call.run(run).id if run is not None else ""
        self._pipeline = pipeline
        self._kinds = frozenset(kinds)
        # Of runs: namespace and pipeline.
        self._runs: dict[str, tuple[str, str]] = {}
        self._sees_all = call.principal.namespaces(call.route.permission) is None
        self._assets: dict[str, str] = {}

    def of(self, rows: tuple[StreamRow, ...]) -> list[Happened]:
        """What is to be sent of these rows."""
        return [found for row in rows if (found := self.shown(row)) is not None]

    def shown(self, row: StreamRow) -> Happened | None:
        """What is to be sent of a row."""
        if self._run and row.run != self._run:
            return None
        if row.run:
            namespace, pipeline = self._known(row.run)
            if not self._call.sees(namespace) or (self._pipeline and pipeline != self._pipeline):
                return None
            return happened(row, self._is_wanted)
        if self._pipeline:
            return happened(row, lambda f: self._is_wanted(f) and getattr(f, "pipeline", "") == self._pipeline)
        if self._sees_all:
            return happened(row, self._is_wanted)
        return happened(row, lambda fact: self._is_wanted(fact) and self._may_see(fact))

    def _is_wanted(self, event: Event | Fact) -> bool:
        return not self._kinds or kind_of(event) in self._kinds

    def _known(self, run: str) -> tuple[str, str]:
        known = self._runs.get(run)
        if known is None:
            row = self._call.reader.run(run)
            known = (row.namespace, row.pipeline) if row is not None else ("", "")
            if len(self._runs) >= _RUNS_KNOWN:
                self._runs.clear()
            self._runs[run] = known
        return known

    def _may_see(self, fact: Any) -> bool:
        """Of a fact: by its namespace, or that of what it is about. What is about nothing of a namespace is for those who
        see all of them."""
        fields: dict[str, Callable[[str], str]] = {
            "namespace": lambda name: name,
            "run": lambda run: self._known(run)[0],
            "asset": self._namespace_of_asset,
        }
        for field, namespace_of in fields.items():
            value = getattr(fact, field, "")
            if value:
                namespace = namespace_of(value)
                return bool(namespace) and self._call.sees(namespace)
        return False

    def _namespace_of_asset(self, asset: str) -> str:
        found = self._call.catalog.asset(asset)
        return found[0].namespace if found is not None else ""
