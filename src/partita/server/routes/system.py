"""The service itself: its health, its metrics, the description of the API, who is asking."""

from __future__ import annotations

import os
import resource
import sys
import time
from typing import Any

import msgspec

from partita.engine.control import Status
from partita.errors import PartitaError, WorldError
from partita.server.calling import Call, Raw
from partita.server.measuring import Metric, exposition, gauge
from partita.server.routing import declared, route
from partita.store import house
from partita.store.reading import SqlReader

_STATES = ("queued", "running")


class Nothing(msgspec.Struct, frozen=True):
    """Nothing to say: it is well."""


class Health(msgspec.Struct, frozen=True):
    """How the service is. `engine`: it answers. `lines` are what it says of itself, `unwell` parts that are not well."""

    ok: bool
    engine: bool
    version: str
    answered_ms: float | None
    open_runs: int
    listeners: int
    lines: list[str]
    unwell: list[str]


@route("GET", "/healthz", permission="public", summary="Whether the server answers", prefix="", example=Nothing())
def healthz(call: Call) -> Nothing:
    return Nothing()


@route(
    "GET",
    "/openapi.json",
    permission="public",
    summary="This document",
    example={"openapi": "3.1.0"},
)
def openapi(call: Call) -> dict[str, Any]:
    from partita import __version__
    from partita.server.openapi import document

    if not _document:
        _document.update(document(declared(), __version__))
    return _document


_document: dict[str, Any] = {}


@route(
    "GET",
    "/health",
    permission="view",
    summary="How the service is: the engine, what is open, what is unwell",
    example=Health(True, True, "0.1.0", 0.4, 3, 1, ["engine of process 4711"], []),
)
def health(call: Call) -> Health:
    from partita import __version__

    began = time.perf_counter()
    lines: tuple[str, ...] = ()
    answered_ms = None
    try:
        lines = call.ask(Status()).lines
        answered_ms = round((time.perf_counter() - began) * 1e3, 3)
    except WorldError as error:
        lines = (error.message,)
    unwell = _unwell(call.reader)
    runs = call.visible(call.reader.open_runs(), lambda row: row.namespace)
    return Health(
        ok=answered_ms is not None and not unwell,
        engine=answered_ms is not None,
        version=__version__,
        answered_ms=answered_ms,
        open_runs=len(runs),
        listeners=call.follower.listeners,
        # What workers do names steps of all namespaces.
        lines=list(lines) if call.principal.namespaces("view") is None else [],
        unwell=unwell,
    )


@route(
    "GET",
    "/metrics",
    permission="view",
    summary="Metrics in the text format of Prometheus; numbers only, no names",
    prefix="",
    media="text/plain; version=0.0.4; charset=utf-8",
    example="partita_engine_up 1\n",
)
def metrics(call: Call) -> Raw:
    reader = call.reader
    open_runs = reader.open_runs()
    newest = reader.runs(limit=1)
    try:
        call.ask(Status())
        up = 1
    except PartitaError:
        up = 0
    by_state = tuple(("", {"state": s}, float(sum(r.state == s for r in open_runs))) for s in _STATES)
    found = [
        gauge("partita_engine_up", "Whether the engine answers", up),
        Metric("partita_open_runs", "gauge", "Runs that have not ended, by state", by_state),
        Metric(
            "partita_runs_total", "counter", "Runs ever made in this store", (("", {}, newest[0].no if newest else 0),)
        ),
        Metric(
            "partita_journal_rows_total",
            "counter",
            "Rows ever put into the journal",
            (("", {}, reader.end_of_stream()),),
        ),
        gauge("partita_oldest_open_run_seconds", "Age of the oldest run that has not ended", _age(open_runs)),
        gauge("partita_unwell_parts", "Parts of the service that are unwell", len(_unwell(reader))),
        gauge("partita_web_resident_bytes", "Memory of the web process, at its highest", _peak_bytes()),
        gauge("partita_web_cpu_seconds", "Processor time of the web process", round(sum(os.times()[:2]), 3)),
        gauge("partita_web_listeners", "Clients of live streams and waits", call.follower.listeners),
        *call.links.measurements.metrics(),
    ]
    return Raw(exposition(found).encode(), "text/plain; version=0.0.4; charset=utf-8")


def _age(open_runs: list[Any]) -> float:
    return round(max(0.0, time.time() - min(r.created_at for r in open_runs)), 3) if open_runs else 0.0


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _unwell(reader: SqlReader) -> list[str]:
    return [f"{row.part}: {row.problem}" for row in house.health(reader)]
