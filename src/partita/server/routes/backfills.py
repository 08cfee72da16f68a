"""Backfills: plan, start, see, pause, resume, cancel, run again what failed."""

from __future__ import annotations

import os
import time
from typing import Annotated, Any, Literal

import msgspec

from partita.core.backfill import BackfillPlan, BackfillSpec, Work, part_keys
from partita.core.backfill_course import BackfillCourse, Part
from partita.core.plain import NotPlain, pack
from partita.engine.backfill_planning import plan_backfill
from partita.engine.backfills import AskBackfill, BackfillAnswer, RetryBackfill, StartBackfill
from partita.engine.pulse import AskPlaces, Place
from partita.errors import WorldError
from partita.server import examples, objects, reasons
from partita.server.calling import Because, Call, Cursor, Limit, Name
from partita.server.objects import Instant, Page, Reason
from partita.server.problems import Refused, not_found
from partita.server.routing import route
from partita.store import backfills as rows
from partita.store.backfills import BackfillRow, PartRow

# Of why: parts that are shown.
_SHOWN = 50
Place0 = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
_LETTERS = {"running": "r", "succeeded": "s", "failed": "f", "skipped": "k", "cancelled": "c"}
_STATES = Literal["running", "succeeded", "failed", "cancelled"]
Text = Annotated[str, msgspec.Meta(max_length=2000)]


class BackfillWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be made: a pipeline or a selection of assets, for partitions such as "2013-01-01..2013-12-31"."""

    target: Name
    partitions: Annotated[str, msgspec.Meta(min_length=1, max_length=100_000)] = "*"
    only: Literal["all", "missing", "failed"] = "all"
    cascade: Literal["none", "upstreams", "downstreams", "both"] = "none"
    batch: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] | None = None
    order: Literal["oldest", "newest"] = "oldest"
    priority: Annotated[int, msgspec.Meta(ge=-1_000_000, le=1_000_000)] = 0
    max_runs: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 8
    params: Annotated[dict[str, Any], msgspec.Meta(max_length=500)] = {}
    tags: Annotated[list[Name], msgspec.Meta(max_length=50)] = []
    note: Text = ""


class PlannedSubject(msgspec.Struct, frozen=True):
    """An asset or pipeline of a plan: how many of its partitions are chosen, there already, and to be made."""

    name: str
    project: str
    stage: int
    chosen: int
    present: int
    planned: int


class PlannedTime(msgspec.Struct, frozen=True):
    """How long it will take, by what it took before; `seconds` is null when nothing of it ever ran."""

    seconds: float | None
    work_s: float
    steps: int
    unknown: int
    bottleneck: str


class Plan(msgspec.Struct, frozen=True):
    """What a backfill would do."""

    target: str
    runs: int
    partitions: int
    subjects: list[PlannedSubject]
    estimate: PlannedTime


class Backfill(msgspec.Struct, frozen=True):
    """A backfill. `counts` has its parts by state."""

    id: str
    no: int
    namespace: str
    project: str
    target: str
    state: str
    paused: bool
    cancel_requested: bool
    total: int
    partitions: int
    priority: int
    created_at: Instant | None
    finished_at: Instant | None
    by: str
    reason: str
    spec: dict[str, Any]
    counts: dict[str, int]


class BackfillPart(msgspec.Struct, frozen=True):
    """One run's worth of a backfill."""

    stage: int
    part: int
    partition: str
    state: str
    tries: int
    run: str
    reason: str
    finished_at: Instant | None


class BackfillWhy(msgspec.Struct, frozen=True):
    """Why a backfill is as far as it is: what holds it up, and which of its parts failed (the first ones)."""

    backfill: Backfill
    reasons: list[Reason]
    failed: list[BackfillPart]
    # Its runs that wait for their start, with what each waits for.
    queued: list[Reason]
    engine: bool


class PartWhy(msgspec.Struct, frozen=True):
    """Why a part of a backfill is as it is; `waits_for` are parts (stage, part) of what it reads."""

    part: BackfillPart
    target: str
    partitions: list[str]
    waits_for: list[tuple[int, int]]
    reasons: list[Reason]


class StageProgress(msgspec.Struct, frozen=True):
    """One stage: what its runs make together, the label of each part, and a letter for each: "w" waiting, "r" running,
    "s" succeeded, "f" failed, "k" skipped, "c" cancelled. `needs` are stages that it waits for, part by part."""

    name: str
    project: str
    of: str
    needs: list[int]
    parts: list[str]
    states: str


class Progress(msgspec.Struct, frozen=True):
    """How far a backfill is. `left_s` is how long it will take from now by how fast its parts ended lately; null while
    that is not known, and when it is paused."""

    backfill: Backfill
    stages: list[StageProgress]
    left_s: float | None
    per_minute: float | None


_PLAN = Plan(
    "daily_delays",
    31,
    31,
    [PlannedSubject("daily_delays", "shop", 0, 31, 2, 29)],
    PlannedTime(412.0, 800.0, 31, 0, "workers"),
)
_BACKFILL = Backfill(
    "01932f5e-8a3c-7b1e-9d55-3f0a6c2b7e12",
    3,
    "default",
    "shop",
    "daily_delays",
    "running",
    False,
    False,
    31,
    31,
    0,
    "2026-11-22T09:00:00.000Z",
    None,
    "ann",
    "",
    {"target": "daily_delays", "partitions": "2013-01-01..2013-01-31"},
    {"waiting": 20, "running": 8, "succeeded": 3},
)
_WANTED = {"target": "daily_delays", "partitions": "2013-01-01..2013-01-31", "only": "missing"}


@route(
    "POST",
    "/backfills/plan",
    permission="view",
    summary="What a backfill would do: how many runs, what is there already, how long it takes",
    errors=(404, 422),
    example=_PLAN,
    body_example=_WANTED,
)
def plan(call: Call, body: BackfillWanted) -> Plan:
    found = _planned(call, body)
    return Plan(
        body.target,
        found.runs,
        found.partitions,
        [objects.shaped(PlannedSubject, s) for s in found.subjects],
        objects.shaped(PlannedTime, found.estimate),
    )


@route(
    "POST",
    "/backfills",
    permission="operate",
    summary="Plan a backfill and start it",
    errors=(404, 422),
    status=201,
    example=_BACKFILL,
    body_example=_WANTED,
)
def start(call: Call, body: BackfillWanted) -> Backfill:
    found = _planned(call, body)
    namespace = call.catalog.target(body.target).namespace
    request = StartBackfill(found.spec, found.work, found.partitions, call.principal.name)
    answer = call.change(request, BackfillAnswer, namespace=namespace, object=f"backfill of {body.target}")
    return _shown(call, _row(call, answer.id))


@route(
    "GET",
    "/backfills",
    permission="view",
    summary="Backfills, newest first",
    errors=(422,),
    example=Page([_BACKFILL]),
)
def backfills(call: Call, state: _STATES | None = None, limit: Limit = 50, cursor: Cursor = "") -> Page[Backfill]:
    return call.page(
        lambda before, count: rows.backfills(call.reader, state=state, before_no=before, limit=count),
        cursor=cursor,
        limit=limit,
        key=lambda row: row.no,
        shown=lambda row: _shown(call, row),
        namespace_of=lambda row: row.namespace,
    )


@route("GET", "/backfills/{backfill}", permission="view", summary="A backfill", errors=(404,), example=_BACKFILL)
def backfill(call: Call, backfill: Name) -> Backfill:
    return _shown(call, _row(call, backfill))


@route(
    "GET",
    "/backfills/{backfill}/parts",
    permission="view",
    summary="The parts of a backfill that have begun or ended, in their order",
    errors=(404, 422),
    example=Page([BackfillPart(0, 3, "2013-01-04", "running", 1, examples.RUN.id, "", None)]),
)
def parts(
    call: Call, backfill: Name, state: Name | None = None, limit: Limit = 100, cursor: Cursor = ""
) -> Page[BackfillPart]:
    row = _row(call, backfill)
    return call.page(
        lambda after, count: rows.parts(call.reader, row, state=state, after=after, limit=count),
        cursor=cursor,
        limit=limit,
        key=lambda part: (part.stage, part.part),
        shown=lambda part: objects.shaped(BackfillPart, part),
        key_type=tuple[int, int],
    )


@route(
    "GET",
    "/backfills/{backfill}/progress",
    permission="view",
    summary="How far a backfill is: a letter for each of its parts, and how long it will still take",
    errors=(404,),
    example=Progress(
        _BACKFILL,
        [StageProgress("daily_delays", "shop", "assets", [], ["2013-01-01", "2013-01-02"], "sr")],
        412.0,
        2.5,
    ),
)
def progress(call: Call, backfill: Name) -> Progress:
    row = _row(call, backfill)
    work = rows.work(call.reader, row.id)
    # What has done nothing yet is in no row.
    idle = "w" if row.state == "running" else "c"
    letters = [[idle] * work.count(stage) for stage in range(len(work.stages))]
    for stage, part, state in rows.part_states(call.reader, row):
        letters[stage][part] = idle if state == "waiting" else _LETTERS[state]
    stages = [
        StageProgress(
            found.name,
            found.project,
            found.of,
            [need.stage for need in found.needs],
            _labels(work, number),
            "".join(letters[number]),
        )
        for number, found in enumerate(work.stages)
    ]
    left = sum(word.count("w") + word.count("r") for word in (s.states for s in stages))
    goes = row.state == "running" and not row.paused
    speed = rate(rows.part_ends(call.reader, row), time.time()) if goes else None
    return Progress(_shown(call, row), stages, left / speed if speed else None, round(60 * speed, 3) if speed else None)


@route(
    "GET",
    "/backfills/{backfill}/why",
    permission="view",
    summary="Why a backfill is as far as it is: paused, full, waiting for a project or for its runs; what failed of it",
    errors=(404,),
    example=BackfillWhy(
        _BACKFILL, [Reason("max_runs", "8 of its runs are open, as many as it may have")], [], [], True
    ),
)
def why(call: Call, backfill: Name) -> BackfillWhy:
    row = _row(call, backfill)
    counts = rows.counts(call.reader, row)
    running = rows.parts(call.reader, row, state="running", limit=_SHOWN)
    places: tuple[Place, ...] = ()
    engine = True
    try:
        places = call.ask(AskPlaces(tuple(p.run for p in running)), tuple[Place, ...])
    except WorldError:
        engine = False
    served = {m.project for m in call.catalog.manifests.values()}
    stages = rows.work(call.reader, row.id).stages
    return BackfillWhy(
        _shown(call, row),
        reasons.of_backfill(row, counts, [s.project for s in stages if s.project not in served], has_engine=engine),
        [_told(call, p) for p in rows.parts(call.reader, row, state="failed", limit=_SHOWN)],
        [Reason("queued", p.refusal or f"{p.before} runs come before it", [p.run]) for p in places],
        engine,
    )


@route(
    "GET",
    "/backfills/{backfill}/parts/{stage}/{part}/why",
    permission="view",
    summary="Why a part of a backfill is as it is: which parts of what it reads it waits for",
    errors=(404,),
    example=PartWhy(
        BackfillPart(1, 3, "2013-01-04", "waiting", 0, "", "", None),
        "daily_delays",
        ["2013-01-04"],
        [(0, 3)],
        [Reason("needs", "1 part of what it reads has not succeeded yet")],
    ),
)
def part_why(call: Call, backfill: Name, stage: Place0, part: Place0) -> PartWhy:
    row = _row(call, backfill)
    known = {Part(p.stage, p.part): p for p in rows.all_parts(call.reader, row)}
    work = rows.work(call.reader, row.id)
    if stage >= len(work.stages) or part >= work.count(stage):
        raise not_found("part", f"{stage}/{part}")
    course = BackfillCourse(work, row.spec.max_runs, [(p, r.state) for p, r in known.items()])
    place = Part(stage, part)
    found = known.get(place) or PartRow(stage, part, "", "waiting", 0, "", "", None)
    missing = course.missing(place) if found.state == "waiting" else []
    found = msgspec.structs.replace(found, reason=_reason(call, found))
    return PartWhy(
        objects.shaped(BackfillPart, found),
        course.target(place),
        list(course.keys(place)),
        [(p.stage, p.part) for p in missing[:_SHOWN]],
        reasons.of_part(row, found, len(missing), running=course.counts["running"]),
    )


@route(
    "POST",
    "/backfills/{backfill}/pause",
    permission="operate",
    summary="Start nothing new of a backfill",
    errors=(404, 409),
    example=_BACKFILL,
    body_example={"reason": "the source is down"},
)
def pause(call: Call, backfill: Name, body: Because) -> Backfill:
    return _ask(call, backfill, "pause", body.reason)


@route(
    "POST",
    "/backfills/{backfill}/resume",
    permission="operate",
    summary="Let a paused backfill go on",
    errors=(404, 409),
    example=_BACKFILL,
    body_example={},
)
def resume(call: Call, backfill: Name, body: Because) -> Backfill:
    return _ask(call, backfill, "resume", body.reason)


@route(
    "POST",
    "/backfills/{backfill}/cancel",
    permission="operate",
    summary="End a backfill, with the runs that it has open",
    errors=(404, 409),
    example=_BACKFILL,
    body_example={"reason": "wrong range"},
)
def cancel(call: Call, backfill: Name, body: Because) -> Backfill:
    return _ask(call, backfill, "cancel", body.reason)


@route(
    "POST",
    "/backfills/{backfill}/retry",
    permission="operate",
    summary="Run again what failed, was skipped or was cancelled of a backfill",
    errors=(404, 409, 422),
    example=_BACKFILL,
    body_example={},
)
def retry(call: Call, backfill: Name, body: Because) -> Backfill:
    row = _row(call, backfill)
    call.change(RetryBackfill(row.id, call.principal.name), BackfillAnswer, namespace=row.namespace)
    return _shown(call, _row(call, row.id))


def _planned(call: Call, body: BackfillWanted) -> BackfillPlan:
    namespace = call.catalog.target(body.target).namespace
    call.require(namespace, "pipeline", body.target)
    try:
        params = {name: pack(value) for name, value in body.params.items()}
    except (NotPlain, OverflowError, RecursionError) as error:
        raise Refused(422, f"a parameter cannot be stored: {error}") from None
    spec = BackfillSpec(
        target=body.target,
        partitions=body.partitions,
        only=body.only,
        cascade=body.cascade,
        batch=body.batch,
        order=body.order,
        priority=body.priority,
        max_runs=body.max_runs,
        params=params,
        tags=tuple(body.tags),
        note=body.note,
    )
    # A cascade must not reach into a namespace where the asker may do nothing.
    seen = call.visible(call.catalog.manifests.values(), lambda m: m.namespace)
    return plan_backfill(spec, seen, call.reader, now=time.time(), workers=max(1, os.cpu_count() or 1))


def _row(call: Call, name: str) -> BackfillRow:
    row = rows.backfill(call.reader, name)
    if row is None:
        raise not_found("backfill", name)
    call.require(row.namespace, "backfill", row.id if name == row.id else name)
    return row


def _ask(call: Call, name: str, what: Literal["pause", "resume", "cancel"], reason: str) -> Backfill:
    row = _row(call, name)
    if row.state != "running":
        raise Refused(409, f"backfill {row.no} has ended: it {row.state}")
    request = AskBackfill(row.id, what, call.principal.name, reason)
    call.change(request, BackfillAnswer, namespace=row.namespace, object=f"backfill:{row.id}")
    return _shown(call, _row(call, row.id))


def _told(call: Call, part: PartRow) -> BackfillPart:
    """A part that failed, with what failed in its run."""
    return objects.shaped(BackfillPart, part, reason=_reason(call, part))


def _reason(call: Call, part: PartRow) -> str:
    """Why a part ended as it did: as was noted, else by the first step that failed in its run."""
    if part.reason or part.state != "failed" or not part.run:
        return part.reason
    failed = call.reader.steps(part.run, states=("failed",))
    return f"{failed[0].step}: {failed[0].reason}" if failed else ""


def _labels(work: Work, stage: int) -> list[str]:
    keys_of = part_keys(work, stage)
    return [keys[0] if len(keys) == 1 else f"{keys[0]}..{keys[-1]}" for keys in map(keys_of, range(work.count(stage)))]


def rate(ends: list[float], now: float) -> float | None:
    """Parts a second, by when the newest of them ended; with the time since the last one, which may be a long one."""
    if len(ends) < 2 or now <= ends[-1]:
        return None
    return (len(ends) - 1) / max(ends[0] - ends[-1], 0.001) if now - ends[0] < 60 else len(ends) / (now - ends[-1])


def _shown(call: Call, row: BackfillRow) -> Backfill:
    counts = {str(state): count for state, count in rows.counts(call.reader, row).items()}
    return objects.shaped(Backfill, row, spec=_spec(row), counts=counts)


def _spec(row: BackfillRow) -> dict[str, Any]:
    fields = objects.fields_of(row.spec, "params")
    fields["params"] = {name: objects.plain(data) for name, data in row.spec.params.items()}
    return fields
