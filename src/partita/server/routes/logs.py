"""Logs of attempts: parts of them, and as they are written.

Rule: which file it is follows from a stored attempt, never from a request's words.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import Annotated, Literal

import msgspec

from partita.server import examples
from partita.server.calling import Call, Name, Number, Raw, Stream
from partita.server.problems import not_found
from partita.server.routing import route
from partita.server.sse import END, HEARTBEAT_S, LOOK_AGAIN_S, comment, message
from partita.store.contract import AttemptRow, RunRow
from partita.worker.log_lines import LEVELS, Numbered, index_of_log
from partita.worker.logs import LogEnd, LogLine, log_end, read_log

_LOOK_S = 0.1
_LINGER_S = 2.0
_BATCH = 500

Offset = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Lines = Annotated[int, msgspec.Meta(ge=1, le=10_000)]
LineNo = Annotated[int, msgspec.Meta(ge=1, le=2**40, description="The number of a line, from 1")]
Level = Literal["", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]


class Line(msgspec.Struct, frozen=True):
    """One line. `at` is when it was written."""

    at: str
    level: str
    text: str


class Log(msgspec.Struct, frozen=True):
    """Part of a log. `next` is the offset to go on from; `state` is null while it is open, then "complete", "truncated"
    (parts were left out) or "lost"."""

    run: str
    step: str
    index: str
    attempt: int
    lines: list[Line]
    next: int
    more: bool
    state: str | None
    bytes: int | None


class NumberedLine(msgspec.Struct, frozen=True):
    """One line with its number, from 1."""

    no: int
    at: str
    level: str
    text: str


class LogLines(msgspec.Struct, frozen=True):
    """Lines of a log that has `total` lines so far. `next` is the offset from which the live log goes on behind them all;
    `over`: nothing more comes. `folds` are pairs of numbers: the inside of a traceback, without the exception itself.
    """

    run: str
    step: str
    index: str
    attempt: int
    lines: list[NumberedLine]
    total: int
    next: int
    over: bool
    first_error: int | None
    levels: dict[str, int]
    folds: list[list[int]]


class LogFound(msgspec.Struct, frozen=True):
    """Lines that were looked for, of `count` in the whole log; `next` is the number of the first one that is not among them."""

    lines: list[NumberedLine]
    count: int
    next: int | None


_NUMBERED = NumberedLine(1, "2026-11-22T03:00:01.123Z", "INFO", "INFO loading 12,345 rows")
_LINES = LogLines(
    examples.RUN.id, "load", "", 1, [_NUMBERED], 1, 50, True, None, dict.fromkeys(LEVELS, 0) | {"INFO": 1}, []
)
_EXAMPLE = Log(
    examples.RUN.id,
    "load",
    "",
    1,
    [Line("2026-11-22T03:00:01.123Z", "INFO", "INFO loading 12,345 rows")],
    31,
    False,
    "complete",
    31,
)


@route(
    "GET",
    "/runs/{run}/steps/{step}/log",
    permission="log.read",
    summary="What an attempt of a step has written: from an offset on, or its last lines",
    errors=(404, 422),
    example=_EXAMPLE,
)
def log(
    call: Call,
    run: Name,
    step: Name,
    index: str = "",
    attempt: Number | None = None,
    offset: Offset = 0,
    tail: Lines | None = None,
    limit: Lines = 1000,
) -> Log:
    row, tried = _found(call, run, step, index, attempt)
    return _part(call, row, tried, offset, tail, limit)


@route(
    "GET",
    "/runs/{run}/steps/{step}/log/text",
    permission="log.read",
    summary="The same as plain text, as it was written",
    errors=(404, 422),
    media="text/plain; charset=utf-8",
    example="loading 12,345 rows\n",
)
def text(
    call: Call, run: Name, step: Name, index: str = "", attempt: Number | None = None, tail: Lines = 10_000
) -> Raw:
    row, tried = _found(call, run, step, index, attempt)
    lines = read_log(call.settings.home, row.no, tried.step, tried.index, tried.attempt, tail=tail)
    body = "".join(f"{line.text}\n" for line in lines)
    return Raw(body.encode("utf-8", "replace"), "text/plain; charset=utf-8")


@route(
    "GET",
    "/runs/{run}/steps/{step}/log/live",
    permission="log.read",
    summary="The log as it is written, as server-sent events; a message's id is the offset to go on from",
    errors=(404, 422),
    media="text/event-stream",
    example='id: 31\nevent: line\ndata: {"at":"2026-11-22T03:00:01.123Z","level":"","text":"loading"}\n\n',
)
async def live(
    call: Call, run: Name, step: Name, index: str = "", attempt: Number | None = None, offset: Offset = 0
) -> Stream:
    row, tried = await call.in_thread(_found, call, run, step, index, attempt)
    last = call.incoming.headers.get("last-event-id", "")
    begin = int(last) if last.isdigit() and len(last) < 16 else offset
    return Stream(_followed(call, row, tried, begin), "text/event-stream")


@route(
    "GET",
    "/runs/{run}/steps/{step}/log/lines",
    permission="log.read",
    summary="Lines of a log by their numbers, with what a viewer of a long log wants to know of the whole",
    errors=(404, 422),
    example=_LINES,
)
def lines(
    call: Call,
    run: Name,
    step: Name,
    index: str = "",
    attempt: Number | None = None,
    first: LineNo = 1,
    limit: Lines = 500,
) -> LogLines:
    row, tried = _found(call, run, step, index, attempt)
    found = index_of_log(call.settings.home, row.no, tried.step, tried.index, tried.attempt)
    return LogLines(
        row.id,
        tried.step,
        tried.index,
        tried.attempt,
        [_numbered(line) for line in found.lines(first, limit)],
        found.total,
        found.offset,
        found.has_ended or _is_settled(tried),
        found.first_error or None,
        found.levels,
        [list(fold) for fold in found.folds],
    )


@route(
    "GET",
    "/runs/{run}/steps/{step}/log/find",
    permission="log.read",
    summary="Lines of a log that have a text (in any case) or a level, from a line on",
    errors=(404, 422),
    example=LogFound([_NUMBERED], 1, None),
)
def find(
    call: Call,
    run: Name,
    step: Name,
    index: str = "",
    attempt: Number | None = None,
    text: Annotated[str, msgspec.Meta(max_length=500)] = "",
    level: list[Level] = [],  # noqa: B006
    first: LineNo = 1,
    limit: Lines = 500,
) -> LogFound:
    row, tried = _found(call, run, step, index, attempt)
    known = index_of_log(call.settings.home, row.no, tried.step, tried.index, tried.attempt)
    found, count = known.find(text, frozenset(level), first, limit + 1)
    following = found[limit].no if len(found) > limit else None
    return LogFound([_numbered(line) for line in found[:limit]], count, following)


@route(
    "GET",
    "/runs/{run}/steps/{step}/log/whole",
    permission="log.read",
    summary="A whole log as plain text, to be kept as a file",
    errors=(404, 422),
    media="text/plain; charset=utf-8",
    example="loading 12,345 rows\n",
)
async def whole(call: Call, run: Name, step: Name, index: str = "", attempt: Number | None = None) -> Stream:
    row, tried = await call.in_thread(_found, call, run, step, index, attempt)
    return Stream(_whole(call, row, tried), "text/plain; charset=utf-8")


async def _whole(call: Call, row: RunRow, tried: AttemptRow) -> AsyncIterator[bytes]:
    offset = 0
    while True:
        part: list[LogLine] = await call.in_thread(_next_lines, call, row, tried, offset, _BATCH * 20)
        if not part:
            return
        offset = part[-1].offset
        yield "".join(f"{line.text}\n" for line in part).encode("utf-8", "replace")


def _numbered(line: Numbered) -> NumberedLine:
    return NumberedLine(line.no, line.at, line.level, line.text)


def _found(call: Call, run: str, step: str, index: str, attempt: int | None) -> tuple[RunRow, AttemptRow]:
    row = call.run(run)
    tries = call.reader.attempts(row.id, step=step, index=index)
    if attempt is not None:
        tries = [t for t in tries if t.attempt == attempt]
    if not tries:
        raise not_found("attempt", f"{step}[{index}]" if index else step)
    return row, tries[-1]


def _part(call: Call, row: RunRow, tried: AttemptRow, offset: int, tail: int | None, limit: int) -> Log:
    home = call.settings.home
    where = (row.no, tried.step, tried.index, tried.attempt)
    found = list(islice(read_log(home, *where, offset=offset, tail=tail), limit + 1))
    end: LogEnd | None = log_end(home, *where)
    lines = found[:limit]
    return Log(
        row.id,
        tried.step,
        tried.index,
        tried.attempt,
        [Line(line.at, line.level, line.text) for line in lines],
        lines[-1].offset if lines else offset,
        len(found) > limit,
        end.state if end is not None else None,
        end.bytes if end is not None else None,
    )


async def _followed(call: Call, row: RunRow, tried: AttemptRow, offset: int) -> AsyncIterator[bytes]:
    """Lines as they come; no thread is held while nothing does."""
    clock = asyncio.get_running_loop().time
    said = looked = clock()
    while True:
        if clock() - looked > LOOK_AGAIN_S:
            looked = clock()
            if not await call.in_thread(call.still_allowed):
                yield message(END, {"reason": "you may not see this any more"}, str(offset))
                return
        # Asked before reading: what was written until it ended is in the file then.
        over = await call.in_thread(_is_over, call, row, tried)
        lines: list[LogLine] = await call.in_thread(_next_lines, call, row, tried, offset)
        for line in lines:
            offset = line.offset
            yield message("line", Line(line.at, line.level, line.text), str(offset))
        if lines:
            said = clock()
            continue
        if over or call.follower.is_closing:
            yield message(END, {"reason": "complete" if over else "the server is stopping"}, str(offset))
            return
        if clock() - said > HEARTBEAT_S:
            said = clock()
            yield comment()
        await asyncio.sleep(_LOOK_S)


def _next_lines(call: Call, row: RunRow, tried: AttemptRow, offset: int, most: int = _BATCH) -> list[LogLine]:
    lines: Iterator[LogLine] = read_log(
        call.settings.home, row.no, tried.step, tried.index, tried.attempt, offset=offset
    )
    return list(islice(lines, most))


def _is_over(call: Call, row: RunRow, tried: AttemptRow) -> bool:
    if log_end(call.settings.home, row.no, tried.step, tried.index, tried.attempt) is not None:
        return True
    # One that wrote nothing has no log, and one whose host died has no end.
    tries = call.reader.attempts(row.id, step=tried.step, index=tried.index)
    return all(_is_settled(t) for t in tries if t.attempt == tried.attempt)


def _is_settled(tried: AttemptRow) -> bool:
    """Whether an attempt ended so long ago that its last lines, which come a moment after its outcome, are there."""
    return tried.finished_at is not None and time.time() - tried.finished_at > _LINGER_S
