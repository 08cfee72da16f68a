"""Runs that people and programs ask the engine for: new ones, and finished ones again.

The parameters of a run are checked in the project's own process, for only it knows their types; that takes a moment, in
which the engine goes on. Whoever asks twice under one key gets the run of the first time.

Rule: what is wrong is said to who asked, before there is a run.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Literal, Protocol, TypeVar

import msgspec

from partita.core.events import Event
from partita.core.facts import Fact
from partita.core.manifest import Manifest, ParamSpec
from partita.core.plain import NotPlain, unpack
from partita.engine.active import ActiveRun
from partita.engine.again import current_graph, graph_of, rerun_of
from partita.engine.catalog import Catalog
from partita.engine.control import Handler
from partita.engine.loop import Engine
from partita.engine.submission import RunRequest
from partita.engine.submitter import Submitter
from partita.errors import DefinitionError, ParamError
from partita.executors.control import Bound
from partita.store.contract import OriginTaken, RunRow
from partita.store.writing import SqlStore


class Submit(msgspec.Struct, frozen=True, tag="submit"):
    """Make a run. `params`: the dict as the user gave it, packed plain data (texts are read by type).

    `key` names the request, so that asking twice makes one run; `origin` says where it comes from ("api", "cli").
    """

    target: str
    by: str
    params: bytes = b""
    partition: str = ""
    select: str = ""
    key: str = ""
    tags: tuple[str, ...] = ()
    priority: int = 0
    fail_fast: bool | None = None
    origin: str = "api"


class Retry(msgspec.Struct, frozen=True, tag="retry"):
    """Run a finished run again: what failed, or from steps (or groups) on; with its own version or the latest."""

    run: str
    by: str
    steps: tuple[str, ...] = ()
    version: Literal["latest", "same"] = "latest"
    key: str = ""


class Submitted(msgspec.Struct, frozen=True):
    """The run that was asked for. `is_new` False: it was there already, by its key."""

    run: str
    no: int
    is_new: bool = True
    # Steps that are taken over from the run before, and those that are to do.
    reused: int = 0
    to_do: int = 0


class Loading(Protocol):
    """What is asked of `engine.projects.Projects`."""

    @property
    def is_loading(self) -> bool: ...
    def when_loaded(self, then: Callable[[], None]) -> None: ...
    def has_version(self, project: str, code: str) -> bool: ...


Bind = Callable[[str, str, Mapping[str, object]], "Future[Bound]"]
"""Checks parameters in the project's host: (project, pipeline, raw)."""

A = TypeVar("A")


class Asking:
    """The part of the service that answers those who want runs."""

    name = "asking"

    def __init__(
        self,
        engine: Engine,
        store: SqlStore,
        catalog: Catalog,
        submitter: Submitter,
        *,
        bind: Bind | None = None,
        loading: Loading | None = None,
    ) -> None:
        self._engine = engine
        self._store = store
        self._catalog = catalog
        self._submitter = submitter
        self._bind = bind
        self._loading = loading

    # --- the part -------------------------------------------------------------------------------------------------

    def start(self, now: float) -> None:
        return

    def due_at(self) -> float:
        return float("inf")

    def turn(self, now: float) -> None:
        return

    def committed(self, run: ActiveRun, events: Sequence[Event]) -> None:
        return

    def recorded(self, facts: Sequence[Fact]) -> None:
        return

    def loaded(self, manifest: Manifest) -> None:
        return

    def handlers(self) -> Mapping[type, Handler]:
        return {Submit: self._submit, Retry: self._retry}

    # --- new runs -------------------------------------------------------------------------------------------------

    def _submit(self, request: Submit) -> Submitted | Future[Submitted]:
        if self._loading is not None and self._loading.is_loading:
            # Just started: what is asked for may be known in a moment.
            return self._later(self._loading.when_loaded, lambda: self._submit(request))
        manifest = self._catalog.target(request.target)
        if request.key and (known := self._known(manifest.namespace, f"{request.origin}:{request.key}")):
            return known
        raw = _raw(request.params)
        found = self._catalog.pipeline(request.target)
        if found is None and raw:
            raise ParamError(f"{request.target} is no pipeline, so it has no parameters", hint="leave them out")
        params = _defaults(found[1].params) if found is not None else {}
        if found is None or (not raw and params is not None):
            return self._make(request, params or {})
        return self._bound(request, manifest.project, found[1].name, raw)

    def _bound(self, request: Submit, project: str, pipeline: str, raw: Mapping[str, object]) -> Future[Submitted]:
        if self._bind is None:
            raise ParamError(f"{pipeline} takes parameters, and nobody here knows their types")
        try:
            asked = self._bind(project, pipeline, raw)
        except NotPlain as error:
            raise ParamError(f"a parameter cannot be stored: {error}", hint="texts must be valid Unicode") from error
        return self._later(
            lambda then: asked.add_done_callback(lambda _: then()),
            lambda: self._make(request, _checked(asked.result())),
        )

    def _make(self, request: Submit, params: Mapping[str, bytes]) -> Submitted:
        origin = f"{request.origin}:{request.key or uuid.uuid4()}"
        asked = RunRequest(
            target=request.target,
            by=request.by,
            origin=origin,
            select=request.select,
            params=params,
            partition=request.partition,
            priority=request.priority,
            fail_fast=request.fail_fast,
            tags=request.tags,
        )
        try:
            active = self._submitter.submit(asked)
        except OriginTaken as taken:
            return self._there(taken.run)
        return Submitted(active.id, active.no)

    # --- runs again -----------------------------------------------------------------------------------------------

    def _retry(self, request: Retry) -> Submitted | Future[Submitted]:
        if self._loading is not None and self._loading.is_loading:
            return self._later(self._loading.when_loaded, lambda: self._retry(request))
        store = self._store
        row = store.run(request.run)
        if row is None:
            raise DefinitionError(f"there is no run {request.run}", hint="partita runs")
        origin = f"api:{request.key}" if request.key else ""
        if origin and (known := self._known(row.namespace, origin)):
            return known
        old = graph_of(store, row)
        if request.version == "same":
            graph, code = old, row.code
            self._require(row)
        else:
            manifest = self._catalog.manifests.get(row.project)
            if manifest is None:
                raise DefinitionError(
                    f"project {row.project!r} of run {row.no} is not served here", hint="partita doctor"
                )
            graph, code = current_graph(manifest, row, old), manifest.code
        now = self._engine.clock.now()
        graph, run, reused = rerun_of(
            store, row, graph, code=code, by=request.by, now=now, again=request.steps or None, origin=origin
        )
        try:
            active = self._engine.submit(graph, run, reused)
        except OriginTaken as taken:
            return self._there(taken.run)
        total = sum(1 for _ in active.machine.instances())
        return Submitted(active.id, active.no, reused=len(reused), to_do=total - len(reused))

    def _require(self, row: RunRow) -> None:
        """The version of a run must be there to run it once more."""
        manifest = self._catalog.manifests.get(row.project)
        if manifest is not None and manifest.code == row.code:
            return
        if self._loading is None or not self._loading.has_version(row.project, row.code):
            raise DefinitionError(
                f"version {row.code} of run {row.no} is not kept",
                hint=f"run the current code: partita retry {row.no} --latest",
            )

    # --- answers --------------------------------------------------------------------------------------------------

    def _known(self, namespace: str, origin: str) -> Submitted | None:
        run = self._store.run_of_origin(namespace, origin)
        return self._there(run) if run is not None else None

    def _there(self, run: str) -> Submitted:
        row = self._store.run(run)
        assert row is not None, "its origin is taken"
        return Submitted(row.id, row.no, is_new=False)

    def _later(self, wait: Callable[[Callable[[], None]], object], go_on: Callable[[], A | Future[A]]) -> Future[A]:
        """The answer of `go_on`, which is called in a turn of the engine after what `wait` waits for."""
        answer: Future[A] = Future()

        def settle(result: Future[Any]) -> None:
            error = result.exception()
            if error is not None:
                answer.set_exception(error)
            elif isinstance(value := result.result(), Future):
                value.add_done_callback(settle)
            else:
                answer.set_result(value)

        wait(lambda: self._engine.post(go_on).add_done_callback(settle))
        return answer


def _raw(packed: bytes) -> dict[str, object]:
    value: Any = unpack(packed) if packed else {}
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise ParamError("parameters are given by name", hint='{"region": "eu"}')
    return value


def _defaults(specs: Sequence[ParamSpec]) -> dict[str, bytes] | None:
    """All parameters as they are when none is given; None if one has no default, or takes what nobody here can check."""
    found = {spec.name: spec.default for spec in specs}
    return None if None in found.values() else {name: value for name, value in found.items() if value is not None}


def _checked(bound: Bound) -> dict[str, bytes]:
    """The parameters, if nothing is wrong with them. Raises `ParamError`."""
    if bound.problems:
        first, *others = bound.problems
        raise ParamError("; ".join([first.message, *(p.message for p in others)]), hint=first.hint or None)
    return dict(bound.params)
