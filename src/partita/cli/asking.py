"""Asking the service that runs here, or, when none does, doing the same straight at the folder's store.

Rule: the same requests and the same handlers in both cases, so the words mean the same. What needs user code or workers
says so when no service is there.
"""

from __future__ import annotations

import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from partita.errors import DefinitionError, WorldError

if TYPE_CHECKING:
    import msgspec

    from partita.core.manifest import Manifest
    from partita.settings import Settings

A = TypeVar("A")
# How long a service may take to start its scheduler again.
_RESTART_S = 10.0
_LOOK_EVERY_S = 0.05


def answer(settings: Settings, request: msgspec.Struct, returns: type[A], *, declared: Manifest | None = None) -> A:
    """Ask the engine at work here; without one, carry the request out in this process. Raises `PartitaError`.

    `declared`: what the project defines now, if the request is about something that was never served.
    """
    told = _told_by_service(settings, request, returns)
    return told if told is not None else _straight(settings, request, returns, declared)


def answer_of_service(settings: Settings, request: msgspec.Struct, returns: type[A]) -> A:
    """Ask the service at work here; it is an error that there is none."""
    told = _told_by_service(settings, request, returns)
    if told is None:
        raise DefinitionError("no service is at work here", hint="start it: partita up")
    return told


def _told_by_service(settings: Settings, request: msgspec.Struct, returns: type[A]) -> A | None:
    """The answer of the engine at work here; None without one. A scheduler that is just being started again is waited for."""
    from partita.cli.serving import service_of
    from partita.engine.postbox import reach

    told = reach(settings.home, request, returns)
    deadline = time.monotonic() + _RESTART_S
    while told is None and service_of(settings) is not None and time.monotonic() < deadline:
        time.sleep(_LOOK_EVERY_S)
        told = reach(settings.home, request, returns)
    return told


def _straight(settings: Settings, request: msgspec.Struct, returns: type[A], declared: Manifest | None) -> A:
    import msgspec

    from partita.cli.leftover import Leftovers
    from partita.engine.clock import SystemClock
    from partita.engine.control import tag_of
    from partita.engine.service import Service
    from partita.store import opening

    if not opening.exists(settings.home) and declared is None:
        raise DefinitionError(
            f"nothing was run in {settings.project} yet", hint="start with: partita run, or serve it: partita up"
        )
    clock = SystemClock()
    settings.home.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    store = opening.open_store(settings.home, clock=clock.now)
    try:
        service = Service(
            store, Leftovers(settings.home), settings=settings, clock=clock, holder=f"ask:{time.time_ns():x}"
        )
        for manifest in store.manifests():
            service.catalog.put(manifest)
        if declared is not None:
            service.load(declared)
        handler = service.handlers().get(type(request))
        if handler is None:
            raise DefinitionError(f"{tag_of(type(request))} needs the service", hint="start it: partita up")
        service.start()
        asked: Future[Any] = service.engine.post(lambda: handler(request))
        service.engine.turn(0.0, chores=False)
        result = asked.result(0)
        if isinstance(result, Future):
            raise DefinitionError("this needs workers, and no service is at work here", hint="start it: partita up")
        service.close()
    finally:
        store.close()
    try:
        return msgspec.convert(msgspec.to_builtins(result, builtin_types=(bytes,)), returns)
    except msgspec.ValidationError as error:
        raise WorldError(f"the answer cannot be read: {error}") from error
