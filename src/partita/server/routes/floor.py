"""All runs over a window of time, one lane for each pipeline: the floor of the factory; and how long runs usually take."""

from __future__ import annotations

import time
from typing import Annotated

import msgspec

from partita.server.calling import Call, Name
from partita.server.objects import Instant, Page, iso
from partita.server.problems import Refused
from partita.server.routes.runs import Moment, instant
from partita.server.routing import route
from partita.store import today as rows
from partita.store.today import Passed

_DAY_S = 86_400.0
_LONGEST_S = 31 * _DAY_S
_MOST_LANES = 80
# Bars closer than this part of the window cannot be told apart on a screen, so they are one; and all lanes have so many
# at most, for somebody has to draw them.
_RESOLUTION = 600
_MOST_BARS = 6_000
_ORDER = ("failed", "cancelled", "running", "queued", "succeeded")

Pipelines = Annotated[list[Name], msgspec.Meta(max_length=200)]


class FloorBar(msgspec.Struct, frozen=True):
    """A run, or several that lie too close to be told apart. Seconds since `since`; `to` is null while it goes on.

    `no` is the run, or of several the one that says most: the worst, then the newest. `began`: it waited until then.
    """

    no: int
    state: str
    from_: float = msgspec.field(name="from")
    began: float | None
    to: float | None
    partition: str
    count: int
    failed: int


class Lane(msgspec.Struct, frozen=True):
    """The runs of a pipeline in the window, in order."""

    pipeline: str
    project: str
    namespace: str
    counts: dict[str, int]
    bars: list[FloorBar]


class Floor(msgspec.Struct, frozen=True):
    """What was on. `cut`: there were more runs than are looked at, so the earliest are missing; `more` pipelines have no lane."""

    since: Instant | None
    until: Instant | None
    now: float
    lanes: list[Lane]
    more: int
    cut: bool


class UsualLength(msgspec.Struct, frozen=True):
    """How long the last successful runs of a pipeline took, in seconds; null when none has succeeded."""

    pipeline: str
    p10_s: float | None
    median_s: float | None
    p90_s: float | None
    count: int


@route(
    "GET",
    "/floor",
    permission="view",
    summary="All runs over a window (the last day; at most 31 days), a lane for each pipeline, the busiest 80",
    errors=(422,),
    example=Floor(
        "2026-11-21T09:00:00.000Z",
        "2026-11-22T09:00:00.000Z",
        86_400.0,
        [Lane("nightly", "shop", "default", {"failed": 1}, [FloorBar(12, "failed", 100.0, 101.0, 3600.0, "", 1, 1)])],
        0,
        False,
    ),
)
def floor(
    call: Call,
    since: Moment | None = None,
    until: Moment | None = None,
    pipeline: Pipelines = [],  # noqa: B006
    namespace: Name | None = None,
) -> Floor:
    now = time.time()
    end = instant("until", until)
    end = now if end is None else end
    begin = instant("since", since)
    begin = end - _DAY_S if begin is None else begin
    if not 0 < end - begin <= _LONGEST_S:
        raise Refused(422, "the window must be more than nothing and at most 31 days", hint="since=... until=...")
    ended = rows.ended_between(call.reader, begin, end)
    is_open = [r for state in ("running", "queued") for r in rows.open_before(call.reader, end, state)]
    seen = [
        row
        for row in call.visible([*ended, *is_open], lambda row: row.namespace)
        if (not pipeline or row.pipeline in pipeline) and namespace in (None, row.namespace)
    ]
    lanes: dict[tuple[str, str, str], list[Passed]] = {}
    for row in seen:
        lanes.setdefault((row.pipeline, row.project, row.namespace), []).append(row)
    # Those in which something is wrong, then those in which most happens; shown by name, so that lanes stay where they are.
    chosen = sorted(lanes, key=lambda key: (all(r.state != "failed" for r in lanes[key]), -len(lanes[key])))
    resolution = max(_RESOLUTION // 8, min(_RESOLUTION, _MOST_BARS // max(1, min(len(lanes), _MOST_LANES))))
    return Floor(
        iso(begin),
        iso(end),
        now - begin,
        [_lane(key, lanes[key], begin, (end - begin) / resolution, now) for key in sorted(chosen[:_MOST_LANES])],
        max(0, len(lanes) - _MOST_LANES),
        len(ended) >= 20_000,
    )


@route(
    "GET",
    "/durations",
    permission="view",
    summary="How long runs of pipelines usually take, from their last 20 successes",
    errors=(422,),
    example=Page([UsualLength("nightly", 3000.0, 3600.0, 4000.0, 20)]),
)
def durations(call: Call, pipeline: Pipelines) -> Page[UsualLength]:
    return Page([_usual(name, rows.lengths(call.reader, name)) for name in dict.fromkeys(pipeline)])


def _usual(pipeline: str, took: list[float]) -> UsualLength:
    if not took:
        return UsualLength(pipeline, None, None, None, 0)
    p10, median, p90 = (took[min(len(took) - 1, int(part * len(took)))] for part in (0.1, 0.5, 0.9))
    return UsualLength(pipeline, round(p10, 3), round(median, 3), round(p90, 3), len(took))


def _lane(key: tuple[str, str, str], found: list[Passed], begin: float, together_s: float, now: float) -> Lane:
    found.sort(key=lambda row: (row.created_at, row.no))
    counts: dict[str, int] = {}
    for row in found:
        counts[row.state] = counts.get(row.state, 0) + 1
    return Lane(*key, counts, _bars(found, begin, together_s, now))


def _bars(found: list[Passed], begin: float, together_s: float, now: float) -> list[FloorBar]:
    """The runs in order; short ones that begin within a moment of one another are one bar."""
    bars: list[FloorBar] = []
    for row in found:
        bar = FloorBar(
            row.no,
            row.state,
            round(row.created_at - begin, 3),
            None if row.started_at is None else round(row.started_at - begin, 3),
            None if row.finished_at is None else round(row.finished_at - begin, 3),
            row.partition,
            1,
            int(row.state == "failed"),
        )
        if bars and _is_together(bars[-1], bar, together_s, now - begin):
            bar = _joined(bars.pop(), bar)
        bars.append(bar)
    return bars


def _is_together(a: FloorBar, b: FloorBar, together_s: float, now_s: float) -> bool:
    is_short = (b.to or now_s) - b.from_ < together_s and (a.to or now_s) - a.from_ < 2 * together_s
    return is_short and b.from_ - a.from_ < together_s and (a.to is None) == (b.to is None)


def _joined(a: FloorBar, b: FloorBar) -> FloorBar:
    worst = min(b, a, key=lambda bar: _ORDER.index(bar.state))
    return FloorBar(
        worst.no,
        worst.state,
        a.from_,
        a.began if b.began is None else b.began if a.began is None else min(a.began, b.began),
        None if a.to is None or b.to is None else max(a.to, b.to),
        worst.partition,
        a.count + b.count,
        a.failed + b.failed,
    )
