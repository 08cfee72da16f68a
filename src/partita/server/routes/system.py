"""The service itself: its health, its metrics, the description of the API, who is asking."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from partita.engine.control import Status
from partita.errors import WorldError
from partita.server import watched
from partita.server.calling import Call, Raw
from partita.server.measuring import exposition
from partita.server.routing import declared, route
from partita.store import house
from partita.store.reading import SqlReader


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
    found = [*watched.of_engine(call), *watched.of_store(call.reader, call.settings.home), *watched.of_web(call)]
    return Raw(exposition(found).encode(), "text/plain; version=0.0.4; charset=utf-8")


def _unwell(reader: SqlReader) -> list[str]:
    return [f"{row.part}: {row.problem}" for row in house.health(reader)]
