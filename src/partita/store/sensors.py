"""Sensors, their looks, keys and deliveries: rows, how they are read, and which rows each fact writes.

Rule: functions over a reader (`reader.fetch(name, params)`) that answer with frozen types; the statements are in
`sql/sensors.sql`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from partita.core.facts.sensors import (
    DeliveryTaken,
    Requested,
    SensorChanged,
    SensorEvaluated,
    SensorPaused,
    SensorReset,
    SensorsHeard,
)
from partita.core.manifest import SensorSpec
from partita.store.database import Row
from partita.store.named import Fetching

LAST: Final = 2**62
_encode = msgspec.msgpack.Encoder().encode
_spec = msgspec.msgpack.Decoder(SensorSpec).decode
_requests = msgspec.msgpack.Decoder(tuple[Requested, ...]).decode
_headers = msgspec.msgpack.Decoder(tuple[tuple[str, str], ...]).decode


class SensorRow(msgspec.Struct, frozen=True):
    """A sensor as it is. `state` is what it remembers (`core.sensing.Memory`); `quiet` of its `looks` saw nothing."""

    namespace: str
    name: str
    project: str
    spec: SensorSpec
    active: bool
    paused: bool
    reason: str
    state: bytes | None
    evaluated_at: float | None
    failures: int
    looks: int
    quiet: int
    heard: int


class EvaluationRow(msgspec.Struct, frozen=True):
    """A look that asked for something, failed, or said why not."""

    no: int
    namespace: str
    sensor: str
    at: float
    took_s: float
    skipped: str
    error: str
    requests: tuple[Requested, ...]
    output: str


class DeliveryRow(msgspec.Struct, frozen=True):
    """A delivery that waits for its look."""

    no: int
    delivery: str
    at: float
    body: bytes
    headers: tuple[tuple[str, str], ...]


class RunKeyRow(msgspec.Struct, frozen=True):
    """A key under which a sensor asked for a run."""

    key: str
    run: str
    at: float


def sensors(reader: Fetching, *, after: tuple[str, str] = ("", ""), limit: int = 1000) -> list[SensorRow]:
    """Sensors by namespace and name, also those that are declared no more; `after` is the cursor."""
    return [_sensor_row(row) for row in reader.fetch("sensors", (*after, limit))]


def sensor(reader: Fetching, namespace: str, name: str) -> SensorRow | None:
    """The sensor of a name."""
    rows = reader.fetch("sensor", (namespace, name))
    return _sensor_row(rows[0]) if rows else None


def all_sensors(reader: Fetching) -> Iterator[SensorRow]:
    """Every sensor, page by page."""
    after = ("", "")
    while page := sensors(reader, after=after):
        yield from page
        after = (page[-1].namespace, page[-1].name)


def evaluations(
    reader: Fetching, namespace: str, sensor: str, *, before_no: int | None = None, limit: int = 50
) -> list[EvaluationRow]:
    """The looks that are kept, newest first; `before_no` is the cursor."""
    rows = reader.fetch("evaluations", (namespace, sensor, LAST if before_no is None else before_no, limit))
    return [
        EvaluationRow(no, ns, name, at, took_s, skipped, error, _requests(requests) if requests else (), output)
        for no, ns, name, at, took_s, skipped, error, requests, output in rows
    ]


def run_of_key(reader: Fetching, namespace: str, sensor: str, key: str) -> str | None:
    """The run that was made for a key of a sensor."""
    rows = reader.fetch("run_key", (namespace, sensor, key))
    return rows[0][0] if rows else None


def run_keys(reader: Fetching, namespace: str, sensor: str, *, after: str = "", limit: int = 1000) -> list[RunKeyRow]:
    """The keys of a sensor in order; `after` is the cursor."""
    return [RunKeyRow(*row) for row in reader.fetch("run_keys", (namespace, sensor, after, limit))]


def is_delivered(reader: Fetching, namespace: str, sensor: str, delivery: str) -> bool:
    """Whether a delivery of this id was taken in before."""
    return bool(reader.fetch("delivery", (namespace, sensor, delivery)))


def waiting(
    reader: Fetching, namespace: str, sensor: str, *, after_no: int = 0, limit: int = 1000
) -> list[DeliveryRow]:
    """The deliveries that no look has dealt with, in the order in which they came."""
    rows = reader.fetch("deliveries_waiting", (namespace, sensor, after_no, limit))
    return [
        DeliveryRow(no, delivery, at, body or b"", _headers(headers) if headers else ())
        for no, delivery, at, body, headers in rows
    ]


def findings(reader: Any) -> Iterator[str]:
    """I15: each request that is told has its key, its key has its run, and the run says that it is of this sensor."""
    for row in all_sensors(reader):
        before: int | None = None
        while page := evaluations(reader, row.namespace, row.name, before_no=before, limit=1000):
            before = page[-1].no
            for look in page:
                yield from _wrong_requests(reader, row, look)


def _wrong_requests(reader: Any, row: SensorRow, look: EvaluationRow) -> Iterator[str]:
    for request in look.requests:
        if request.error or not request.run:
            continue
        where = f"look {look.no} of sensor {row.name}"
        if request.key and run_of_key(reader, row.namespace, row.name, request.key) != request.run:
            yield f"{where}: key {request.key!r} is not kept with its run {request.run}"
        # Retention removes runs before their keys.
        run = reader.run(request.run)
        if run is not None and not request.repeated and not run.origin.startswith(f"sensor:{row.name}:"):
            yield f"{where}: run {run.no} has the origin {run.origin!r}"


def _sensor_row(row: Row) -> SensorRow:
    namespace, name, project, spec, active, paused, reason, state, at, failures, looks, quiet, heard = row
    return SensorRow(
        namespace,
        name,
        project,
        _spec(spec),
        bool(active),
        bool(paused),
        reason,
        state,
        at,
        failures,
        looks,
        quiet,
        heard,
    )


# --- which rows each fact writes ------------------------------------------------------------------------------------


def _changed(execute: Callable[..., Any], f: SensorChanged) -> None:
    execute("put_sensor", (f.namespace, f.name, f.project, f.spec, f.active, f.paused, f.heard))


def _paused(execute: Callable[..., Any], f: SensorPaused) -> None:
    execute("pause_sensor", (f.paused, f.reason, f.heard, f.namespace, f.name))


def _reset(execute: Callable[..., Any], f: SensorReset) -> None:
    execute("reset_sensor", (f.state, f.namespace, f.name))


def _heard(execute: Callable[..., Any], f: SensorsHeard) -> None:
    execute("sensors_heard", (f.heard,))


def _evaluated(execute: Callable[..., Any], f: SensorEvaluated) -> None:
    is_told = bool(f.requests or f.skipped or f.error)
    execute(
        "sensor_looked",
        (f.cursor, f.at, f.failures, f.quiet, f.quiet + (not is_told), f.heard or 0, f.namespace, f.name),
    )
    if is_told:
        execute(
            "put_evaluation",
            (
                f.namespace,
                f.name,
                f.at,
                f.took_s,
                f.skipped,
                f.error,
                _encode(f.requests) if f.requests else None,
                f.output,
            ),
        )
    for request in f.requests:
        # Also a repeated one: a key that was forgotten before its run is kept anew.
        if request.key and request.run:
            execute("put_run_key", (f.namespace, f.name, request.key, request.run, f.at))
    for delivery in f.delivered:
        execute("take_delivery", (f.namespace, f.name, delivery))
    for delivery in f.dropped:
        execute("drop_delivery", (f.namespace, f.name, delivery))


def _delivered(execute: Callable[..., Any], f: DeliveryTaken) -> None:
    execute("put_delivery", (f.namespace, f.name, f.delivery, f.at, f.body, _encode(f.headers) if f.headers else None))


WRITES: Final[dict[type, Callable[..., Any]]] = {
    SensorChanged: _changed,
    SensorPaused: _paused,
    SensorReset: _reset,
    SensorsHeard: _heard,
    SensorEvaluated: _evaluated,
    DeliveryTaken: _delivered,
}
