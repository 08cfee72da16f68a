"""An engine for one project folder, in this process: what `partita run` and `pipeline.run()` of a project need.

It owns the folder's store while it is open; a second one is told who holds it.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Literal

from partita.core.manifest import Manifest
from partita.core.plain import NotPlain
from partita.engine import submission
from partita.engine.access import Access
from partita.engine.active import ActiveRun
from partita.engine.again import current_graph, graph_of, rerun_of
from partita.engine.catalog import Catalog
from partita.engine.clock import Clock, SystemClock
from partita.engine.control import ControlServer
from partita.engine.gates import Gates
from partita.engine.limits import Limits
from partita.engine.loop import Engine, Listener
from partita.engine.submission import RunRequest
from partita.engine.tokens import GateTokens
from partita.errors import DefinitionError, ParamError, StoreFull
from partita.executors.capacity import of_machine
from partita.executors.kept import is_kept, kept_folder
from partita.executors.loading import HostConnection, start_host
from partita.executors.routed import RoutedExecutor
from partita.settings import Settings
from partita.store.contract import RunRow
from partita.store.opening import open_store
from partita.store.writing import SqlStore


class Embedded:
    """Store, project, workers and engine of one folder.

    Use as a context manager. The store is opened and the project's host started at once; `manifest` waits for the project.

    >>> with Embedded(Settings.of(Path("shop"))) as partita:        # doctest: +SKIP
    ...     run = partita.submit("nightly")
    ...     partita.wait(run)
    """

    def __init__(
        self,
        settings: Settings,
        *,
        listeners: Iterable[Listener] = (),
        clock: Clock | None = None,
        workers: int = 1,
        connection: HostConnection | None = None,
    ) -> None:
        self.settings = settings
        self.clock: Clock = clock or SystemClock()
        self._listeners = list(listeners)
        self._engine: Engine | None = None
        self._control: ControlServer | None = None
        _make(settings.home.root)
        # The host imports the project while we open the store (and a caller's `connection` is at it already).
        self.connection: HostConnection = connection or start_host(settings, workers=workers)
        try:
            self.store: SqlStore = open_store(settings.home, clock=self.clock.now)
        except BaseException:
            self.connection.close(kill=True)
            raise

    def __enter__(self) -> Embedded:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(kill=kind is not None)

    @property
    def manifest(self) -> Manifest:
        """What the project defines. Raises `LoadError`."""
        return self.connection.manifest()

    @property
    def engine(self) -> Engine:
        assert self._engine is not None, "call `start` first"
        return self._engine

    def start(self) -> list[ActiveRun]:
        """Start the engine; answers with the runs of earlier engines that it has taken up."""
        manifest = self.manifest
        self.store.put_manifest(manifest)
        executor = RoutedExecutor({manifest.project: self.connection}, home=self.settings.home, source=self._host_of)
        executor.crews[manifest.project].code = manifest.code
        executor.configure(manifest)
        self._engine = Engine(
            self.store,
            executor,
            self.clock,
            holder=f"{socket.gethostname()}:{os.getpid()}:{time.time_ns():x}",
            lease_s=self.settings.lease_s,
            interval=lambda run: submission.interval(manifest, run),
            listeners=self._listeners,
        )
        gates = Gates(
            self._engine,
            self.store,
            self.clock,
            tokens=GateTokens.of_file(self.settings.home.gate_key),
            evaluator=executor.evaluator,
        )
        catalog = Catalog()
        catalog.put(manifest)
        limits = Limits(self._engine, self.store, catalog, self.clock, of_machine())
        self._engine.chores += [limits, gates]
        # Steps say as they run that they use a secret.
        self._engine.listeners.append(Access(self._engine, self.store, self.clock))
        resumed = self._engine.start()
        self._control = ControlServer(
            self.settings.home.socket, self._engine, {**limits.handlers(), **gates.handlers()}
        )
        return resumed

    def bind(self, target: str, raw: Mapping[str, object]) -> dict[str, bytes]:
        """Check and pack the parameters of a pipeline, in the process that knows their types. Raises `ParamError`."""
        if not any(p.name == target for p in self.manifest.pipelines):
            if raw:
                raise ParamError(f"{target} is no pipeline, so it has no parameters", hint="leave --param out")
            return {}
        try:
            bound = self.connection.bind(target, raw)
        except NotPlain as error:
            raise ParamError(f"a parameter cannot be stored: {error}", hint="texts must be valid Unicode") from error
        if bound.problems:
            first = bound.problems[0]
            others = [p.message for p in bound.problems[1:]]
            raise ParamError("; ".join([first.message, *others]), hint=first.hint or None)
        return dict(bound.params)

    def submit(self, request: RunRequest) -> ActiveRun:
        """Create a run. Raises `DefinitionError` with what is wrong, `OriginTaken`."""
        graph, run = submission.plan_run(
            self.manifest, request, self.store, now=self.clock.now(), namespace=self.manifest.namespace
        )
        return self.engine.submit(graph, run)

    def rerun(
        self,
        row: RunRow,
        *,
        by: str,
        again: Iterable[str] | None = None,
        version: Literal["latest", "same"] = "latest",
    ) -> ActiveRun:
        """Run a finished run again from what failed, or from the named steps or groups on.

        The project's current code runs, or the version that the run had. Raises `DefinitionError`.
        """
        old = graph_of(self.store, row)
        manifest = self.manifest
        if version == "same" and row.code != manifest.code:
            self._require_kept(row)
            graph, code = old, row.code
        else:
            graph, code = current_graph(manifest, row, old), manifest.code
        now = self.clock.now()
        graph, run, reused = rerun_of(self.store, row, graph, code=code, by=by, now=now, again=again)
        return self.engine.submit(graph, run, reused)

    def wait(
        self, runs: Iterable[ActiveRun], *, between: Callable[[], None] | None = None, patience_s: float = 1.0
    ) -> None:
        """Turn the engine until all these runs have ended; `between` is called after each turn."""
        waiting = list(runs)
        while waiting:
            self.engine.turn(patience_s)
            if between is not None:
                between()
            waiting = [r for r in waiting if not r.machine.is_finished]

    def close(self, *, kill: bool = False) -> None:
        """Let everything go; running steps end first, or at once with `kill`."""
        if self._control is not None:
            self._control.close()
        if self._engine is not None:
            self._engine.close(kill=kill)
        self.connection.close(kill=kill)
        self.store.close()

    def _require_kept(self, row: RunRow) -> None:
        """The files of a run's version must be there to run it once more."""
        if not is_kept(self.settings.home, row.project, row.code, self.settings.project):
            raise DefinitionError(
                f"version {row.code} of run {row.no} is not kept: it ran without `partita up`",
                hint=f"run the current code: partita retry {row.no} --latest",
            )

    def _host_of(self, project: str, code: str) -> HostConnection | None:
        """A host over the kept files of another version, for runs that began with it."""
        folder = self.settings.project
        if project != self.manifest.project or not is_kept(self.settings.home, project, code, folder):
            raise LookupError(f"version {code} of project {project!r} is not kept")
        return start_host(replace(self.settings, source=kept_folder(self.settings.home, project, code, folder)))


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        hint = "make room, or set PARTITA_HOME to a folder that can be written"
        raise StoreFull(f"{folder} cannot be made: {error.strerror}", hint=hint) from error
