"""An engine for one project folder, in this process: what `partita run` and `pipeline.run()` of a project need.

It owns the folder's store while it is open; a second one is told who holds it.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType

import msgspec

from partita.core.admission import Key
from partita.core.events import StepReused
from partita.core.graph import Graph
from partita.core.graph import decode as decode_graph
from partita.core.graph import version as graph_version
from partita.core.manifest import Manifest
from partita.core.plain import NotPlain
from partita.core.selection import cut
from partita.engine import submission
from partita.engine.active import ActiveRun
from partita.engine.clock import Clock, SystemClock
from partita.engine.control import ControlServer
from partita.engine.ids import new_run_id
from partita.engine.loop import Engine, Listener
from partita.engine.rerun import reused_steps, steps_named
from partita.engine.restore import rebuilt, run_created_of
from partita.engine.submission import RunRequest
from partita.errors import DefinitionError, ParamError, PartitaError, SelectionError, StoreFull
from partita.executors.loading import HostConnection, start_host
from partita.executors.processes import ProcessExecutor
from partita.settings import Settings
from partita.store.contract import Reader, RunRow
from partita.store.sqlite import SqliteStore, open_store


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
            self.store: SqliteStore = open_store(settings.home.db, clock=self.clock.now)
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
        namespace = self.settings.namespace
        limits: dict[Key, int] = {("pool", namespace, name): slots for name, slots in manifest.pools}
        self._engine = Engine(
            self.store,
            ProcessExecutor({manifest.project: self.connection}),
            self.clock,
            holder=f"{socket.gethostname()}:{os.getpid()}:{time.time_ns():x}",
            lease_s=self.settings.lease_s,
            limits=limits,
            max_runs={p.name: p.max_runs for p in manifest.pipelines if p.max_runs is not None},
            interval=lambda run: submission.interval(manifest, run),
            listeners=self._listeners,
        )
        resumed = self._engine.start()
        self._control = ControlServer(self.settings.home.socket, self._engine)
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
            self.manifest, request, self.store, now=self.clock.now(), namespace=self.settings.namespace
        )
        return self.engine.submit(graph, run)

    def rerun(self, row: RunRow, *, by: str, again: Iterable[str] | None = None) -> ActiveRun:
        """Run a finished run again from what failed, or from the named steps or groups on.

        The project's current code runs. Raises `DefinitionError`.
        """
        if row.state not in ("succeeded", "failed", "cancelled"):
            raise DefinitionError(
                f"run {row.no} is still {row.state}", hint=f"wait for it, or: partita cancel {row.no}"
            )
        old = graph_of(self.store, row)
        machine = rebuilt(old, row, self.store.steps(row.id), self.store.attempts(row.id))
        graph = self._current_graph(row, old)
        chosen: list[str] | None = None
        if again is not None:
            chosen = []
            for name in again:
                named = steps_named(graph, name)
                if not named:
                    raise SelectionError(f"run {row.no} has no step or group {name!r}", hint=f"partita show {row.no}")
                chosen.extend(named)
        now = self.clock.now()
        reused: list[StepReused] = reused_steps(machine, graph, at=now, again=chosen)
        if machine.started_at is not None and len(reused) == sum(1 for _ in machine.instances()):
            raise DefinitionError(
                f"run {row.no} succeeded, there is nothing to repeat", hint="name a step: --from STEP"
            )
        count = 1 + sum(r.rerun_of == row.id for r in self.store.runs(pipeline=row.pipeline, limit=1000))
        run = msgspec.structs.replace(
            run_created_of(row),
            at=now,
            run=new_run_id(now),
            graph=graph_version(graph),
            code=self.manifest.code,
            origin=f"rerun:{row.id}:{count}",
            by=by,
            rerun_of=row.id,
        )
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

    def _current_graph(self, row: RunRow, old: Graph) -> Graph:
        """The graph that the project's current code gives for what the run executed."""
        pipeline = next((p for p in self.manifest.pipelines if p.name == row.pipeline), None)
        whole = pipeline.graph if pipeline is not None else self.manifest.assets_graph
        if whole is None:
            return old
        if not row.selection:
            return whole
        wanted = set(row.selection)
        present = {s.key for s in whole.steps}
        if missing := sorted(wanted - present):
            raise SelectionError(f"steps of run {row.no} are gone from the project: {', '.join(missing[:5])}")
        return cut(whole, [s.key for s in whole.steps if s.key in wanted])


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        hint = "make room, or set PARTITA_HOME to a folder that can be written"
        raise StoreFull(f"{folder} cannot be made: {error.strerror}", hint=hint) from error


def graph_of(reader: Reader, row: RunRow) -> Graph:
    """The graph of a run."""
    data = reader.graph(row.graph)
    if data is None:
        raise PartitaError(f"the graph of run {row.no} is missing in the store", hint="partita db audit")
    return decode_graph(data)
