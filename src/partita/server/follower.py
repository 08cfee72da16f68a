"""Follows the journal for all who listen: one look at its end every 50 ms, only while somebody listens.

Rule: nobody is sent anything from here. Whoever listens is woken and takes the pages that it has not had at its own pace,
so a slow client holds up nobody, and nothing piles up for it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from partita.errors import PartitaError
from partita.store.contract import StreamRow
from partita.store.reading import SqlReader

LOOK_S = 0.05
_PAGE = 500
_PAGES_KEPT = 32


class Page(msgspec.Struct, frozen=True):
    """Rows of the journal behind a cursor, and which runs they are about."""

    rows: tuple[StreamRow, ...]
    end: int
    runs: frozenset[str]


class Follower:
    """Belongs to the event loop of the server; it reads in a thread of its own."""

    def __init__(self, reader: Callable[[], SqlReader], *, look_s: float = LOOK_S) -> None:
        self._reader = reader
        self._look_s = look_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="partita-follow")
        self._listeners = 0
        self._task: asyncio.Task[None] | None = None
        self._end = -1
        self._moved = asyncio.Event()
        self._pages: OrderedDict[int, Page] = OrderedDict()
        self.is_closing = False

    @property
    def listeners(self) -> int:
        """How many listen now."""
        return self._listeners

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """Listen; gives the end of the journal as it is now."""
        self._listeners += 1
        try:
            end = await self._in_thread(self._look)
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._follow())
            yield end
        finally:
            self._listeners -= 1

    async def page(self, after: int, timeout_s: float) -> Page | None:
        """What follows behind `after`, as soon as there is something; None if nothing came in time.

        Call it while listening.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self._end <= after:
                    if self.is_closing:
                        return None
                    await self._moved.wait()
                return await self._fetched(after)
        return None

    def stop(self) -> None:
        """Wake all who listen, for the last time."""
        self.is_closing = True
        self._wake()

    async def close(self) -> None:
        """Stop, and let the thread go."""
        self.stop()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._thread.shutdown(wait=True)

    async def _follow(self) -> None:
        while self._listeners and not self.is_closing:
            # A store that cannot be read now can be later; whoever listens hears nothing meanwhile.
            with contextlib.suppress(PartitaError):
                before = self._end
                if await self._in_thread(self._look) != before:
                    self._wake()
            await asyncio.sleep(self._look_s)

    def _wake(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    async def _fetched(self, after: int) -> Page:
        """A page from the store, or as another listener got it a moment ago."""
        known = self._pages.get(after)
        # A page that was not full may have grown.
        if known is not None and (len(known.rows) == _PAGE or known.end >= self._end):
            return known
        page: Page = await self._in_thread(self._read, after)
        self._pages[after] = page
        if len(self._pages) > _PAGES_KEPT:
            self._pages.popitem(last=False)
        return page

    def _read(self, after: int) -> Page:
        rows = tuple(self._reader().stream(after_no=after, limit=_PAGE))
        end = rows[-1].no if rows else after
        return Page(rows, end, frozenset(row.run for row in rows))

    def _look(self) -> int:
        self._end = self._reader().end_of_stream()
        return self._end

    async def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)
