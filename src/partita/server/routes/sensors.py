"""Sensors: how they stand, what they saw, a look without consequences; and webhooks, which call them."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec

from partita.core.plain import NotPlain, pack
from partita.engine.sensor_requests import (
    DeliveryAnswer,
    DeliveryArrived,
    LookNow,
    PauseSensor,
    ResetSensor,
    SensorDone,
    SensorNow,
    SensorsNow,
    TestSensor,
    TestSensorAnswer,
)
from partita.errors import WorldError
from partita.server import objects, reasons
from partita.server.calling import Because, Call, Cursor, Limit, Name, Reply
from partita.server.objects import Instant, Page, Reason
from partita.server.problems import Refused, not_found
from partita.server.routing import route
from partita.store import sensors as rows
from partita.store.sensors import EvaluationRow, SensorRow

_HOOK_BYTES = 5 << 20
# What a page sends of itself is nobody's signature.
_NOT_TOLD = frozenset({"authorization", "cookie", "host", "connection", "content-length", "transfer-encoding"})


class Sensor(msgspec.Struct, frozen=True):
    """A sensor: what it looks at, when it did last, how often it saw nothing."""

    namespace: str
    name: str
    project: str
    active: bool
    paused: bool
    reason: str
    evaluated_at: Instant | None
    failures: int
    looks: int
    quiet: int
    spec: dict[str, Any]


class SensorWhy(msgspec.Struct, frozen=True):
    """Why a sensor does what it does: when it looks next, its last kept look, and what holds it up.

    `engine`: one is there, and what only it knows is told: `next_at`, `looking`, `waiting` deliveries.
    """

    sensor: Sensor
    next_at: Instant | None
    looking: bool
    waiting: int
    last: Evaluation | None
    reasons: list[Reason]
    engine: bool


class RequestedRun(msgspec.Struct, frozen=True):
    """A run that a look asked for: made now, or known already under its key."""

    key: str
    run: str
    pipeline: str
    repeated: bool
    error: str


class Evaluation(msgspec.Struct, frozen=True):
    """A look that asked for something, failed, or said why not."""

    no: int
    at: Instant | None
    took_s: float
    skipped: str
    error: str
    requests: list[RequestedRun]
    output: str


class WouldRun(msgspec.Struct, frozen=True):
    """A run that there would be."""

    pipeline: str
    keys: list[str]
    params: Any
    partition: str
    tags: list[str]
    repeated: bool


class Tried(msgspec.Struct, frozen=True):
    """What a look would do."""

    runs: list[WouldRun]
    skipped: str
    cursor: Any
    waiting: int
    error: str
    traceback: str
    output: str
    took_s: float


class Try(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A look without consequences; with another cursor than its own, or with an event that it is told."""

    cursor: Any = None
    event: Any = None


class Remembered(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a sensor is to remember; null = nothing."""

    cursor: Any = None


class Delivered(msgspec.Struct, frozen=True):
    """A delivery was taken in ("accepted"), or was here before ("duplicate")."""

    state: str
    delivery: str


_SENSOR = Sensor(
    "default",
    "new_files",
    "shop",
    True,
    False,
    "",
    "2026-11-22T09:00:00.000Z",
    0,
    120,
    118,
    {"of": "file", "interval_s": 30.0},
)


@route("GET", "/sensors", permission="view", summary="Sensors", errors=(422,), example=Page([_SENSOR]))
def sensors(call: Call, limit: Limit = 100, cursor: Cursor = "") -> Page[Sensor]:
    return call.page(
        lambda after, count: rows.sensors(call.reader, after=after or ("", ""), limit=count),
        cursor=cursor,
        limit=limit,
        key=lambda row: (row.namespace, row.name),
        shown=_shown,
        namespace_of=lambda row: row.namespace,
        key_type=tuple[str, str],
    )


@route("GET", "/sensors/{namespace}/{sensor}", permission="view", summary="A sensor", errors=(404,), example=_SENSOR)
def sensor(call: Call, namespace: Name, sensor: Name) -> Sensor:
    return _shown(_row(call, namespace, sensor))


@route(
    "GET",
    "/sensors/{namespace}/{sensor}/evaluations",
    permission="view",
    summary="Looks that asked for something, failed, or said why not; newest first",
    errors=(404, 422),
    example=Page([Evaluation(7, "2026-11-22T09:00:00.000Z", 0.02, "", "", [], "")]),
)
def evaluations(call: Call, namespace: Name, sensor: Name, limit: Limit = 50, cursor: Cursor = "") -> Page[Evaluation]:
    _row(call, namespace, sensor)
    return call.page(
        lambda before, count: rows.evaluations(call.reader, namespace, sensor, before_no=before, limit=count),
        cursor=cursor,
        limit=limit,
        key=lambda row: row.no,
        shown=_evaluation,
    )


@route(
    "GET",
    "/sensors/{namespace}/{sensor}/why",
    permission="view",
    summary="Why a sensor asks for nothing, or for what it asked: its last look, when it looks next, what holds it up",
    errors=(404,),
    example=SensorWhy(
        _SENSOR,
        "2026-11-22T09:00:30.000Z",
        False,
        0,
        None,
        [Reason("quiet", "its last 118 looks saw nothing to ask a run for")],
        True,
    ),
)
def why(call: Call, namespace: Name, sensor: Name) -> SensorWhy:
    row = _row(call, namespace, sensor)
    now: SensorNow | None = None
    engine = False
    with contextlib.suppress(WorldError):  # without an engine, the rows still tell the rest
        states = call.ask(SensorsNow(), tuple[SensorNow, ...])
        engine = True
        now = next((s for s in states if (s.namespace, s.name) == (row.namespace, row.name)), None)
    kept = rows.evaluations(call.reader, namespace, sensor, limit=1)
    return SensorWhy(
        _shown(row),
        objects.iso(now.next_at) if now is not None else None,
        now is not None and now.looking,
        now.waiting if now is not None else 0,
        _evaluation(kept[0]) if kept else None,
        reasons.of_sensor(row, now, kept[0] if kept else None, has_engine=engine),
        engine,
    )


@route(
    "POST",
    "/sensors/{namespace}/{sensor}/test",
    permission="secret.use",
    summary="Let a sensor look without consequences, in a process of its project",
    errors=(404, 422),
    example=Tried([WouldRun("nightly", ["2026-11-22"], {}, "", [], False)], "", None, 0, "", "", "", 0.02),
    body_example={},
)
def test(call: Call, namespace: Name, sensor: Name, body: Try) -> Tried:
    row = _row(call, namespace, sensor)
    request = TestSensor(row.name, _packed(body.cursor), _packed(body.event), row.namespace)
    answer = call.change(request, TestSensorAnswer, namespace=row.namespace, object=f"sensor:{row.name}")
    return objects.shaped(
        Tried,
        answer,
        cursor=objects.plain(answer.cursor) if answer.cursor else None,
        runs=[
            objects.shaped(WouldRun, run, params=objects.plain(run.params) if run.params else {}) for run in answer.runs
        ],
    )


@route(
    "POST",
    "/sensors/{namespace}/{sensor}/pause",
    permission="operate",
    summary="Let a sensor look no more",
    errors=(404,),
    example=_SENSOR,
    body_example={"reason": "too many files"},
)
def pause(call: Call, namespace: Name, sensor: Name, body: Because) -> Sensor:
    row = _row(call, namespace, sensor)
    by = call.principal.name
    return _asked(call, row, PauseSensor(row.name, by, True, body.reason, row.namespace))


@route(
    "POST",
    "/sensors/{namespace}/{sensor}/resume",
    permission="operate",
    summary="Let a sensor look again",
    errors=(404,),
    example=_SENSOR,
    body_example={},
)
def resume(call: Call, namespace: Name, sensor: Name, body: Because) -> Sensor:
    row = _row(call, namespace, sensor)
    by = call.principal.name
    return _asked(call, row, PauseSensor(row.name, by, False, body.reason, row.namespace))


@route(
    "POST",
    "/sensors/{namespace}/{sensor}/look",
    permission="operate",
    summary="Let a sensor look at once",
    errors=(404,),
    example=_SENSOR,
    body_example={},
)
def look(call: Call, namespace: Name, sensor: Name, body: Because) -> Sensor:
    row = _row(call, namespace, sensor)
    return _asked(call, row, LookNow(row.name, row.namespace))


@route(
    "POST",
    "/sensors/{namespace}/{sensor}/reset",
    permission="operate",
    summary="Set what a sensor remembers; keys of runs stay known",
    errors=(404, 422),
    example=_SENSOR,
    body_example={"cursor": None},
)
def reset(call: Call, namespace: Name, sensor: Name, body: Remembered) -> Sensor:
    row = _row(call, namespace, sensor)
    return _asked(call, row, ResetSensor(row.name, call.principal.name, _packed(body.cursor), row.namespace))


@route(
    "POST",
    "/hooks/{namespace}/{sensor}",
    permission="signed",
    summary="A webhook: the body is taken as it comes, its signature is checked by the sensor",
    prefix="",
    errors=(401, 404, 413),
    status=202,
    example=Delivered("accepted", "d-4711"),
    max_body=_HOOK_BYTES,
)
def hook(call: Call, namespace: Name, sensor: Name, body: bytes) -> Delivered | Reply:
    headers = tuple((k, v) for k, v in call.incoming.headers.items() if k not in _NOT_TOLD)
    call.namespace, call.object = namespace, f"sensor:{sensor}"
    answer = call.ask(DeliveryArrived(sensor, body, headers, namespace), DeliveryAnswer)
    delivered = Delivered(answer.state, answer.delivery)
    match answer.state:
        case "accepted":
            return delivered
        case "duplicate":
            return Reply(delivered)
        case "refused":
            raise Refused(401, "the delivery is not signed as it has to be")
        case "too_large":
            raise Refused(413, "the delivery is too large")
        case "busy":
            raise Refused(503, "too many deliveries wait", headers=(("Retry-After", "5"),))
        case _:
            raise not_found("webhook", sensor)


def _asked(call: Call, row: SensorRow, request: msgspec.Struct) -> Sensor:
    call.change(request, SensorDone, namespace=row.namespace, object=f"sensor:{row.name}")
    return _shown(_row(call, row.namespace, row.name))


def _row(call: Call, namespace: str, name: str) -> SensorRow:
    row = rows.sensor(call.reader, namespace, name)
    if row is None:
        raise not_found("sensor", name)
    call.require(row.namespace, "sensor", name)
    return row


def _evaluation(row: EvaluationRow) -> Evaluation:
    return objects.shaped(Evaluation, row, requests=[objects.shaped(RequestedRun, r) for r in row.requests])


def _shown(row: SensorRow) -> Sensor:
    return objects.shaped(Sensor, row, spec=objects.fields_of(row.spec))


def _packed(value: Any) -> bytes | None:
    try:
        return None if value is None else pack(value)
    except (NotPlain, OverflowError, RecursionError) as error:
        raise Refused(422, f"this cannot be stored: {error}") from None
