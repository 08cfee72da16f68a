"""Schedules and their ticks."""

from __future__ import annotations

import datetime as dt
import time
from itertools import islice
from typing import Annotated, Any

import msgspec

from partita.core.timetable import is_own
from partita.engine.schedules import NextTicks, PauseSchedule, ResumeSchedule, ScheduleSaid, TriggerSchedule
from partita.engine.tick_trial import TickTried, TryTick
from partita.errors import PartitaError, ScheduleError
from partita.server import examples, objects, reasons
from partita.server.calling import Because, Call, Cursor, Limit, Name, Reply, has_engine
from partita.server.objects import Instant, Page, Reason, Run
from partita.server.problems import Refused, not_found
from partita.server.routing import route
from partita.store import schedules as rows
from partita.store.schedules import ScheduleRow

# Of why: ticks that are looked at, and instants that are shown.
_LOOKED_BACK = 200
_SHOWN = 5

Count = Annotated[int, msgspec.Meta(ge=1, le=1000)]
Moment = Annotated[str, msgspec.Meta(max_length=40, description="An instant: 2026-11-22T03:00:00Z")]


class Schedule(msgspec.Struct, frozen=True):
    """A schedule: when it starts what (`words`: in words), when it did last, and what it decided then."""

    namespace: str
    name: str
    project: str
    pipeline: str
    version: int
    active: bool
    paused: bool
    automatic: bool
    reason: str
    next_at: Instant | None
    last_at: Instant | None
    last_decision: str
    decided_at: Instant | None
    failures: int
    spec: dict[str, Any]
    words: str = ""


class Tick(msgspec.Struct, frozen=True):
    """The one decision about a due instant; with `until`, about all of a range (`count` of them)."""

    namespace: str
    schedule: str
    instant: Instant | None
    decision: str
    reason: str
    run: str
    version: int
    tzdata: str
    decided_at: Instant | None
    until: Instant | None
    count: int


class ScheduleWhy(msgspec.Struct, frozen=True):
    """Why a schedule does what it does: in `words`, its `last` decision, what comes `next`, and what holds it up.

    `overlap` and `catchup` say what happens when its last run is still going, and when nobody was there. `engine`: one is
    there to decide the next tick.
    """

    schedule: Schedule
    words: str
    catchup: str
    overlap: str
    last: Tick | None
    last_skipped: Tick | None
    next: list[Instant]
    reasons: list[Reason]
    engine: bool


class TickTest(msgspec.Struct, frozen=True):
    """What a tick would do. `is_tick`: the schedule has one then (null: only its own function knows); `problem`: why there
    could be no run; `decided`: what was decided about it already."""

    instant: Instant | None
    is_tick: bool | None
    decision: str
    reason: str
    start_at: Instant | None
    pipeline: str
    partition: str
    params: dict[str, Any]
    problem: str
    decided: str


class Instants(msgspec.Struct, frozen=True):
    """Coming instants of a schedule."""

    items: list[str]


_SCHEDULE = Schedule(
    "default",
    "nightly",
    "shop",
    "nightly",
    1,
    True,
    False,
    False,
    "",
    "2026-11-23T03:00:00.000Z",
    "2026-11-22T03:00:00.000Z",
    "run",
    "2026-11-22T03:00:00.002Z",
    0,
    {"rule": "cron 0 3 * * *", "tz": "UTC"},
    "at 03:00",
)
_TICK = Tick(
    "default",
    "nightly",
    "2026-11-22T03:00:00.000Z",
    "run",
    "",
    examples.RUN.id,
    1,
    "2026f",
    "2026-11-22T03:00:00.002Z",
    None,
    1,
)


@route(
    "GET",
    "/schedules",
    permission="view",
    summary="Schedules, by namespace and name; those that are declared no more are not active",
    errors=(422,),
    example=Page([_SCHEDULE]),
)
def schedules(call: Call, limit: Limit = 100, cursor: Cursor = "") -> Page[Schedule]:
    return call.page(
        lambda after, count: rows.schedules(call.reader, after=after or ("", ""), limit=count),
        cursor=cursor,
        limit=limit,
        key=lambda row: (row.namespace, row.name),
        shown=_shown,
        namespace_of=lambda row: row.namespace,
        key_type=tuple[str, str],
    )


@route(
    "GET",
    "/schedules/{namespace}/{schedule}",
    permission="view",
    summary="A schedule",
    errors=(404,),
    example=_SCHEDULE,
)
def schedule(call: Call, namespace: Name, schedule: Name) -> Schedule:
    return _shown(_row(call, namespace, schedule))


@route(
    "GET",
    "/schedules/{namespace}/{schedule}/ticks",
    permission="view",
    summary="Ticks of a schedule with their decisions, newest first",
    errors=(404, 422),
    example=Page([_TICK]),
)
def ticks(call: Call, namespace: Name, schedule: Name, limit: Limit = 50, cursor: Cursor = "") -> Page[Tick]:
    _row(call, namespace, schedule)
    return call.page(
        lambda before, count: rows.ticks(call.reader, namespace, schedule, before=before, limit=count),
        cursor=cursor,
        limit=limit,
        key=lambda row: row.instant,
        shown=lambda row: objects.shaped(Tick, row),
        key_type=float,
    )


@route(
    "GET",
    "/schedules/{namespace}/{schedule}/next",
    permission="view",
    summary="The next instants of a schedule",
    errors=(404, 422),
    example=Instants(["2026-11-23T03:00:00.000Z"]),
)
def next_instants(
    call: Call, namespace: Name, schedule: Name, count: Count = 20, after: Moment | None = None
) -> Instants:
    row = _row(call, namespace, schedule)
    begin = _instant(after) if after else None
    said = call.ask(NextTicks(row.name, count, begin, row.namespace), ScheduleSaid)
    return Instants([objects.iso(at) or "" for at in said.ticks])


@route(
    "GET",
    "/schedules/{namespace}/{schedule}/test",
    permission="view",
    summary="What a tick would do at an instant (at the next one, if none is named); nothing is started",
    errors=(404, 422),
    example=TickTest(
        "2026-11-23T03:00:00.000Z",
        True,
        "run",
        "",
        "2026-11-23T03:00:00.000Z",
        "nightly",
        "2026-11-22",
        {"region": "eu"},
        "",
        "",
    ),
)
def tried(call: Call, namespace: Name, schedule: Name, at: Moment | None = None) -> TickTest:
    row = _row(call, namespace, schedule)
    said = call.ask(TryTick(row.name, _instant(at, "at") if at else None, row.namespace), TickTried)
    return objects.shaped(TickTest, said, params={name: objects.plain(value) for name, value in said.params.items()})


@route(
    "GET",
    "/schedules/{namespace}/{schedule}/why",
    permission="view",
    summary="Why a schedule did what it did: its last decision, the last tick that was skipped and why, what comes next",
    errors=(404,),
    example=ScheduleWhy(
        _SCHEDULE,
        "at 03:00",
        "of missed ticks the newest is run",
        "the tick is skipped",
        _TICK,
        None,
        ["2026-11-23T03:00:00.000Z"],
        [],
        True,
    ),
)
def why(call: Call, namespace: Name, schedule: Name) -> ScheduleWhy:
    row = _row(call, namespace, schedule)
    looked = rows.ticks(call.reader, namespace, schedule, limit=_LOOKED_BACK)
    skipped = next((tick for tick in looked if tick.decision == "skipped"), None)
    found = reasons.of_schedule(row, looked[0] if looked else None)
    try:
        words = row.spec.words()
    except ScheduleError as error:
        words = row.spec.rule
        found.append(Reason("broken", error.message))
    return ScheduleWhy(
        _shown(row),
        words,
        reasons.of_catchup(row.spec),
        reasons.of_overlap(row.spec),
        objects.shaped(Tick, looked[0]) if looked else None,
        objects.shaped(Tick, skipped) if skipped is not None else None,
        [objects.iso(at) or "" for at in _coming(call, row)],
        found,
        has_engine(call),
    )


@route(
    "POST",
    "/schedules/{namespace}/{schedule}/pause",
    permission="operate",
    summary="Start no more runs of a schedule",
    errors=(404,),
    example=_SCHEDULE,
    body_example={"reason": "the source moves"},
)
def pause(call: Call, namespace: Name, schedule: Name, body: Because) -> Schedule:
    row = _row(call, namespace, schedule)
    return _asked(call, row, PauseSchedule(row.name, call.principal.name, body.reason, row.namespace))


@route(
    "POST",
    "/schedules/{namespace}/{schedule}/resume",
    permission="operate",
    summary="Let a schedule go on, from its next tick",
    errors=(404,),
    example=_SCHEDULE,
    body_example={},
)
def resume(call: Call, namespace: Name, schedule: Name, body: Because) -> Schedule:
    row = _row(call, namespace, schedule)
    return _asked(call, row, ResumeSchedule(row.name, call.principal.name, row.namespace))


@route(
    "POST",
    "/schedules/{namespace}/{schedule}/trigger",
    permission="operate",
    summary="Start a run now as the schedule would; no tick is decided by it",
    errors=(404, 422),
    status=201,
    example=examples.RUN,
    body_example={},
)
def trigger(call: Call, namespace: Name, schedule: Name, body: Because) -> Run | Reply:
    row = _row(call, namespace, schedule)
    request = TriggerSchedule(row.name, call.principal.name, row.namespace)
    said = call.change(request, ScheduleSaid, namespace=row.namespace, object=f"schedule:{row.name}")
    made = call.reader.run(said.run) if said.run else None
    if made is None:
        raise Refused(409, f"schedule {row.name} has started nothing")
    return objects.run(made)


def _coming(call: Call, row: ScheduleRow) -> list[float]:
    """The next instants, as far as they can be known: a timetable of the project's own is the engine's to ask."""
    if not row.active or row.paused:
        return []
    begin = row.next_at if row.next_at is not None else time.time()
    try:
        if not is_own(row.spec.rule):
            return [float(at) for at in islice(row.spec.timetable().ticks(int(begin) - 1), _SHOWN)]
        return list(call.ask(NextTicks(row.name, _SHOWN, None, row.namespace), ScheduleSaid).ticks)
    except PartitaError:
        return [row.next_at] if row.next_at is not None else []


def _asked(call: Call, row: ScheduleRow, request: msgspec.Struct) -> Schedule:
    call.change(request, ScheduleSaid, namespace=row.namespace, object=f"schedule:{row.name}")
    return _shown(_row(call, row.namespace, row.name))


def _row(call: Call, namespace: str, name: str) -> ScheduleRow:
    row = rows.schedule(call.reader, namespace, name)
    if row is None:
        raise not_found("schedule", name)
    call.require(row.namespace, "schedule", name)
    return row


def _shown(row: ScheduleRow) -> Schedule:
    try:
        words = row.spec.words()
    except ScheduleError:
        words = row.spec.rule
    return objects.shaped(Schedule, row, spec=objects.schedule_spec(row.spec), words=words)


def _instant(text: str, name: str = "after") -> float:
    try:
        at = dt.datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=dt.UTC)).timestamp()
    except (ValueError, OverflowError):
        raise Refused(422, f"`{name}` is no instant", hint="2026-11-22T03:00:00Z") from None
