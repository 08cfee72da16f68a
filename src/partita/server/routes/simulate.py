"""What the schedules will do in the days to come, before they do it.

Rule: the decisions are those that the service will make, on a clock that runs ahead; nothing is written.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Annotated

import msgspec

from partita.core.forecast import WORKERS, Forecast, ForecastTick, Planned, amount_of, forecast, machine_slots
from partita.core.manifest import Manifest
from partita.core.placement import declared
from partita.executors.capacity import of_machine
from partita.server import objects
from partita.server.calling import Call, Cursor, Limit, Name, make_cursor, read_cursor
from partita.server.objects import Instant
from partita.server.problems import Refused
from partita.server.routes.runs import Moment, instant
from partita.server.routing import route
from partita.store.schedules import schedule, usual_of

Days = Annotated[int, msgspec.Meta(ge=1, le=366)]
_DAY_S = 86_400.0
# More than this would hold up the other requests.
_MOST_SCHEDULES = 2_000


class TickAhead(msgspec.Struct, frozen=True):
    """A tick to come: its decision, when its run starts and lands, what it waits for, by how much it misses a deadline."""

    project: str
    schedule: str
    pipeline: str
    instant: Instant | None
    local: str
    decision: str
    reason: str
    count: int
    until: Instant | None
    clocks: str
    start_at: Instant | None
    started_at: Instant | None
    landed_at: Instant | None
    queued_s: float
    waited: dict[str, float]
    overlaps: bool
    cancelled: bool
    deadline_at: Instant | None
    late_s: float
    unknown: int


class Pressure(msgspec.Struct, frozen=True):
    """How full a pool gets at most; of what the machine has ("machine cpu") so much: bytes of memory, else a number."""

    project: str
    pool: str
    slots: float | None
    most: float


class Ahead(msgspec.Struct, frozen=True):
    """The days to come. `missed` counts deadlines; `left_out` names schedules of which nothing can be said, with the reason."""

    begin: Instant
    end: Instant
    items: list[TickAhead]
    next: str | None
    missed: int
    pools: list[Pressure]
    left_out: dict[str, str]


_TICK = TickAhead(
    "shop",
    "nightly",
    "nightly",
    "2026-11-23T03:00:00.000Z",
    "2026-11-23T03:00:00+00:00",
    "run",
    "",
    1,
    None,
    "",
    "2026-11-23T03:00:00.000Z",
    "2026-11-23T03:00:00.000Z",
    "2026-11-23T03:07:12.000Z",
    0.0,
    {"workers": 12.0},
    False,
    False,
    "2026-11-23T03:30:00.000Z",
    0.0,
    0,
)


@route(
    "GET",
    "/simulate",
    permission="view",
    summary="What the schedules will do in the days to come: every tick, predicted landing times, deadlines missed",
    errors=(422,),
    example=Ahead(
        "2026-11-22T09:00:00.000Z",
        "2026-12-22T09:00:00.000Z",
        [_TICK],
        None,
        0,
        [Pressure("shop", "workers", 8, 6)],
        {},
    ),
)
def simulate(
    call: Call,
    days: Days = 30,
    pipeline: Name | None = None,
    project: Name | None = None,
    begin: Moment | None = None,
    slow: bool = False,
    limit: Limit = 500,
    cursor: Cursor = "",
) -> Ahead:
    # A page that goes on goes on from the same beginning.
    skipped, first = read_cursor(cursor, tuple[int, float]) if cursor else (0, None)
    asked = instant("begin", begin)
    start = first if first is not None else asked if asked is not None else float(int(time.time()))
    if not 0 <= start < 4e9 or skipped < 0:
        raise Refused(422, "`begin` is too far away", hint="2026-11-22T03:00:00Z")
    end = start + days * _DAY_S
    found = [
        (manifest.project, _played(call, manifest, start, end, slow=slow, is_now=asked is None))
        for manifest in call.visible(call.catalog.manifests.values(), lambda m: m.namespace)
        if project in (None, manifest.project)
    ]
    ticks = sorted(
        (
            (tick.instant, name, tick)
            for name, played in found
            for tick in played.ticks
            if pipeline in (None, tick.pipeline)
        ),
        key=lambda found: found[:2],
    )
    until = skipped + limit
    return Ahead(
        objects.iso(start) or "",
        objects.iso(end) or "",
        [_shown(name, tick) for _, name, tick in ticks[skipped:until]],
        make_cursor((until, start)) if until < len(ticks) else None,
        sum(1 for _, _, tick in ticks if tick.late_s),
        [_pressure(name, pool, played, most) for name, played in found for pool, most in played.peaks.items()],
        {f"{name}/{schedule}": why for name, played in found for schedule, why in played.left_out.items()},
    )


def _pressure(project: str, pool: str, played: Forecast, most: int) -> Pressure:
    slots = played.slots.get(pool)
    return Pressure(project, pool, None if slots is None else amount_of(pool, slots), amount_of(pool, most))


def _played(call: Call, manifest: Manifest, start: float, end: float, *, slow: bool, is_now: bool) -> Forecast:
    planned = list(_planned(call, manifest, slow=slow, is_now=is_now))
    if len(planned) > _MOST_SCHEDULES:
        raise Refused(422, f"more than {_MOST_SCHEDULES} schedules", hint="partita simulate has no such limit")
    machine = machine_slots(declared(of_machine(), [dict(manifest.capacity)]))
    slots = {WORKERS: max(1, os.cpu_count() or 1), **dict(manifest.pools), **machine}
    return forecast(planned, slots=slots, start=start, end=end)


def _planned(call: Call, manifest: Manifest, *, slow: bool, is_now: bool) -> Iterator[Planned]:
    """The schedules of a project, with how long their runs usually take."""
    for pipeline in manifest.pipelines:
        if not pipeline.schedules:
            continue
        usual = call.reader.usual(pipeline.name)
        run_s = usual_of(call.reader, pipeline.name)[1]
        for spec in pipeline.schedules:
            row = schedule(call.reader, manifest.namespace, spec.name)
            yield Planned(
                spec=spec,
                pipeline=pipeline,
                usual={key: p90 if slow else median for key, (median, p90, _) in usual.items()},
                usual_run_s=run_s,
                paused=row.paused if row is not None and is_now else spec.paused,
            )


def _shown(project: str, tick: ForecastTick) -> TickAhead:
    return objects.shaped(TickAhead, tick, project=project)
