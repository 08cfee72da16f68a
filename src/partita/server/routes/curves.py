"""How much memory and processor an attempt used over time."""

from __future__ import annotations

import msgspec

from partita.server import examples, objects
from partita.server.calling import Call, Name, Number
from partita.server.objects import Instant
from partita.server.problems import not_found
from partita.server.remembering import graph
from partita.server.routing import route
from partita.worker.curve import read_curve


class UsageCurve(msgspec.Struct, frozen=True):
    """What an attempt used, about once a second, thinned to at most 240 points: `seconds` after `began_at`, resident
    memory of its worker with all below it, and processors in use since the point before.

    `limit_bytes` is the memory at which it is ended (its limit and what its worker had before), null without a limit. An
    attempt of under two seconds, or one among coroutines, has no points.
    """

    run: str
    step: str
    index: str
    attempt: int
    began_at: Instant | None
    seconds: list[float]
    memory_bytes: list[int]
    processors: list[float]
    limit_bytes: int | None


_EXAMPLE = UsageCurve(
    examples.RUN.id,
    "train",
    "",
    1,
    "2026-11-22T03:00:00.020Z",
    [0.0, 1.0, 2.0],
    [181_403_648, 240_123_904, 251_658_240],
    [0.0, 0.98, 1.02],
    4_294_967_296,
)


@route(
    "GET",
    "/runs/{run}/steps/{step}/attempts/{attempt}/usage",
    permission="view",
    summary="The memory and the processors that an attempt used over time",
    errors=(404, 422),
    example=_EXAMPLE,
)
def usage(call: Call, run: Name, step: Name, attempt: Number, index: str = "") -> UsageCurve:
    row = call.run(run)
    if all(tried.attempt != attempt for tried in call.reader.attempts(row.id, step=step, index=index)):
        raise not_found("attempt", f"{step}[{index}]#{attempt}" if index else f"{step}#{attempt}")
    found = read_curve(call.settings.home, row.no, step, index, attempt)
    points = found.points if found is not None else []
    limit = next((s.policies.memory_bytes for s in graph(call.reader, row).steps if s.key == step), None)
    before = [points[0], *points[:-1]] if points else []
    return UsageCurve(
        row.id,
        step,
        index,
        attempt,
        objects.iso(points[0].at) if points else None,
        [round(p.at - points[0].at, 3) for p in points],
        [p.rss for p in points],
        [
            round(max(0.0, p.cpu_s - b.cpu_s) / (p.at - b.at), 3) if p.at > b.at else 0.0
            for p, b in zip(points, before, strict=True)
        ],
        limit + (found.base if found is not None else 0) if limit else None,
    )
