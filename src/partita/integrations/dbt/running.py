"""dbt in process: commands that tell of each node as it happens.

Rule: nothing of dbt leaves this file, and dbt is imported only inside functions. One process runs one dbt command
at a time (dbt keeps its flags and its adapters in globals), and gives the warehouse back when a command ends.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec

from partita.integrations.dbt.project import DbtFailed, DbtProject, Kind, content_hash

State = Literal["succeeded", "warned", "failed", "skipped"]

_STATES: dict[str, State] = {
    "success": "succeeded",
    "pass": "succeeded",
    "no-op": "succeeded",
    "warn": "warned",
    "fail": "failed",
    "error": "failed",
    "runtime error": "failed",
    "partial success": "failed",
    "skipped": "skipped",
}
_HEARD = ("info", "warn", "error")
_SKIPS = ("SkippingDetails", "LogSkipBecauseError")
_QUIET = ("--log-level", "none", "--log-level-file", "none", "--no-use-colors", "--no-print")


class DbtNodeStarted(msgspec.Struct, frozen=True):
    unique_id: str
    kind: Kind
    at: float


class DbtNodeLine(msgspec.Struct, frozen=True):
    """A line of the log of one node."""

    unique_id: str
    level: str
    text: str
    at: float


class DbtNodeFinished(msgspec.Struct, frozen=True):
    unique_id: str
    kind: Kind
    state: State
    dbt_status: str
    started_at: float
    finished_at: float
    execution_s: float
    message: str
    rows: int | None  # what the adapter says it wrote; DuckDB says it for seeds only
    failures: int | None  # rows that a test found
    adapter_response: dict[str, Any]
    compiled_path: str | None
    relation: str | None
    depends_on: tuple[str, ...]
    blocked_by: tuple[str, ...]  # of a skipped node: the failed ones that it would have built on


DbtEvent = DbtNodeStarted | DbtNodeLine | DbtNodeFinished


class DbtOutcome(msgspec.Struct, frozen=True):
    succeeded: bool
    nodes: tuple[DbtNodeFinished, ...]  # in the order in which they finished
    elapsed_s: float

    def of(self, state: State) -> tuple[DbtNodeFinished, ...]:
        return tuple(node for node in self.nodes if node.state == state)


_ONE_COMMAND = threading.Lock()


def parse_project(encoded: str) -> None:
    """Parse a project that is given as JSON: what a process of its own is started for."""
    DbtRunner(msgspec.json.decode(encoded, type=DbtProject)).parse()


class DbtRunner:
    """Runs commands of one project in this process; what dbt has parsed is kept between them."""

    def __init__(self, project: DbtProject) -> None:
        self.project = project
        self._manifest: Any = None
        self._manifest_hash = ""

    def parse(self) -> None:
        """Parse the project unless this runner has parsed these files already."""
        with _ONE_COMMAND:
            self._parse()

    def run(
        self,
        select: Iterable[str] | None = None,
        *,
        command: Literal["build", "run", "test", "seed", "snapshot", "compile"] = "build",
        on_event: Callable[[DbtEvent], object] | None = None,
        full_refresh: bool = False,
    ) -> DbtOutcome:
        """Run exactly the nodes with these unique ids (None: all), and tell of each as it starts and ends.

        A node that fails is part of the outcome; `DbtFailed` is raised if dbt could not run nodes at all.
        """
        with _ONE_COMMAND:
            started = time.time()
            self._parse()
            arguments = self._selection(select)
            if arguments is None:
                return DbtOutcome(True, (), 0.0)
            if full_refresh:
                arguments = [*arguments, "--full-refresh"]
            listener = _Listener(self._manifest, self.project, on_event)
            result = self._invoke([command, *arguments], listener)
            listener.finish(result)
            return DbtOutcome(bool(result.success), tuple(listener.finished.values()), time.time() - started)

    def _parse(self) -> None:
        current = content_hash(self.project)
        if self._manifest is not None and current == self._manifest_hash:
            return
        result = self._invoke(["parse"], None)
        if not result.success:
            raise DbtFailed(f"dbt cannot parse {self.project.folder.name}: {result.exception or 'see its messages'}")
        self._manifest, self._manifest_hash = result.result, current
        stamp = self.project.target_folder / "manifest.hash"
        temporary = stamp.with_name(f".{stamp.name}.{os.getpid()}.tmp")
        temporary.write_text(current)
        temporary.replace(stamp)

    def _selection(self, select: Iterable[str] | None) -> list[str] | None:
        if select is None:
            return []
        names = [self._selector(unique_id) for unique_id in select]
        if not names:
            return None  # for dbt an empty selection is everything
        # "empty": dbt adds no tests of its own accord to the nodes that were chosen.
        return ["--indirect-selection", "empty", "--select", *names]

    def _selector(self, unique_id: str) -> str:
        node = self._manifest.nodes.get(unique_id)
        if node is None:
            raise LookupError(f"the dbt project has no node {unique_id!r}{_hint(unique_id, self._manifest.nodes)}")
        return ".".join(["fqn:" + node.fqn[0], *node.fqn[1:]])

    def _invoke(self, command: Sequence[str], listener: _Listener | None) -> Any:
        from dbt.cli.main import dbtRunner

        is_parse = command[0] == "parse"
        runner = dbtRunner(manifest=None if is_parse else self._manifest)
        if listener:
            runner.callbacks = [listener.hear]
        # Written by a parse only: 3 MB of manifest after every command is a tenth of a second for nobody.
        write = [] if is_parse else ["--no-write-json"]
        with _environment(self.project.environment):
            try:
                return runner.invoke([*_QUIET, *write, command[0], *self._places(), *command[1:]])
            finally:
                _give_warehouse_back()

    def _places(self) -> list[str]:
        project = self.project
        target = project.target_folder
        target.mkdir(parents=True, exist_ok=True)
        places = ["--project-dir", str(project.folder), "--target-path", str(target), "--log-path", str(target)]
        places += ["--profiles-dir", str(Path(project.profiles_dir or project.project_dir).absolute())]
        if project.target:
            places += ["--target", project.target]
        if project.threads:
            places += ["--threads", str(project.threads)]
        if project.variables:
            places += ["--vars", msgspec.json.encode(project.variables).decode()]
        return places


def _hint(unique_id: str, known: Iterable[str]) -> str:
    import difflib

    close = difflib.get_close_matches(unique_id, list(known), n=1)
    return f"\nhint: did you mean {close[0]!r}?" if close else ""


class _Result(msgspec.Struct, frozen=True):
    """What dbt says of a node that ended."""

    status: str
    seconds: float
    message: str
    response: dict[str, Any] = {}
    failures: int | None = None

    @property
    def rows(self) -> int | None:
        rows = self.response.get("rows_affected")
        return int(rows) if rows is not None and int(rows) >= 0 else None


class _Listener:
    """Turns dbt's events into ours. It is called from dbt's threads, one call at a time."""

    def __init__(self, manifest: Any, project: DbtProject, on_event: Callable[[DbtEvent], object] | None) -> None:
        self._manifest = manifest
        self._project = project
        self._on_event = on_event
        self._lock = threading.Lock()
        self._starting: dict[str, float] = {}
        self._started: dict[str, float] = {}
        self._broken: BaseException | None = None
        self.finished: dict[str, DbtNodeFinished] = {}

    def hear(self, event: Any) -> None:
        with self._lock:
            try:
                self._hear(event)
            except Exception as error:
                # Raised inside dbt it would fail the node that happened to run; the caller gets it at the end.
                self._broken = self._broken or error

    def finish(self, result: Any) -> None:
        """Tell of the nodes that dbt left out without a word, and raise what kept it from running."""
        if self._broken:
            raise self._broken
        if result.exception is not None and not self.finished:
            raise DbtFailed(str(result.exception)) from result.exception
        for run_result in getattr(result.result, "results", None) or ():
            if run_result.node.unique_id not in self.finished:
                self._tell_left_out(run_result)

    def _hear(self, event: Any) -> None:
        unique_id = event.data.node_info.unique_id if hasattr(event.data, "node_info") else ""
        if not unique_id:
            return
        at = event.info.ts.ToMicroseconds() / 1e6
        if event.info.name == "NodeStart":
            self._starting[unique_id] = at
        elif event.info.name == "NodeFinished":
            self._tell_finished(unique_id, event.data.run_result, at)
        elif event.info.name not in _SKIPS and (event.info.level in _HEARD or event.info.name == "SQLQuery"):
            self._tell_started(unique_id)
            self._tell(DbtNodeLine(unique_id, event.info.level, event.info.msg, at))

    def _tell_started(self, unique_id: str) -> None:
        # dbt says of a node that it will skip as well that it starts; told is what really does.
        if unique_id in self._starting and unique_id not in self._started:
            at = self._started[unique_id] = self._starting[unique_id]
            self._tell(DbtNodeStarted(unique_id, self._kind(unique_id), at))

    def _tell_finished(self, unique_id: str, result: Any, at: float) -> None:
        from google.protobuf.json_format import MessageToDict

        failures = result.num_failures if self._kind(unique_id) == "test" else None
        response = MessageToDict(result.adapter_response)
        self._add(unique_id, at, _Result(result.status, result.execution_time, result.message, response, failures))

    def _tell_left_out(self, result: Any) -> None:
        self._add(result.node.unique_id, time.time(), _Result(str(result.status), 0.0, result.message or ""))

    def _add(self, unique_id: str, at: float, result: _Result) -> None:
        node = self._manifest.nodes[unique_id]
        depends_on = tuple(getattr(node, "depends_on_nodes", ()))  # a seed has none
        state = _STATES.get(result.status, "failed")
        if state != "skipped":
            self._tell_started(unique_id)
        finished = DbtNodeFinished(
            unique_id=unique_id,
            kind=self._kind(unique_id),
            state=state,
            dbt_status=result.status,
            started_at=self._started.get(unique_id, at),
            finished_at=at,
            execution_s=round(float(result.seconds), 6),
            message=result.message,
            rows=result.rows,
            failures=result.failures,
            adapter_response=result.response,
            compiled_path=self._compiled_path(node),
            relation=getattr(node, "relation_name", None),
            depends_on=depends_on,
            blocked_by=self._blocked_by(depends_on) if state == "skipped" else (),
        )
        self.finished[unique_id] = finished
        self._tell(finished)

    def _blocked_by(self, depends_on: Sequence[str]) -> tuple[str, ...]:
        found: list[str] = []
        for unique_id in depends_on:
            above = self.finished.get(unique_id)
            if above and above.state == "failed":
                found.append(unique_id)
            elif above and above.state == "skipped":
                found += above.blocked_by
            found += [test.unique_id for test in self.finished.values() if _is_failed_test_of(test, unique_id)]
        return tuple(dict.fromkeys(found))

    def _compiled_path(self, node: Any) -> str | None:
        path = getattr(node, "compiled_path", None)
        return str(Path(self._project.folder, path)) if path else None

    def _kind(self, unique_id: str) -> Kind:
        return str(self._manifest.nodes[unique_id].resource_type)  # type: ignore[return-value]

    def _tell(self, event: DbtEvent) -> None:
        if self._on_event:
            self._on_event(event)


def _is_failed_test_of(node: DbtNodeFinished, unique_id: str) -> bool:
    return node.kind == "test" and node.state == "failed" and unique_id in node.depends_on


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    # dbt reads the environment of its process and nothing else.
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _give_warehouse_back() -> None:
    """Close what dbt keeps open: DuckDB locks its file for other processes as long as this one holds it."""
    from dbt.adapters.factory import reset_adapters

    reset_adapters()  # type: ignore[no-untyped-call]
    connections = sys.modules.get("dbt.adapters.duckdb.connections")
    if connections is None:
        return
    manager = connections.DuckDBConnectionManager
    if manager._ENV is not None:
        manager._ENV.close()
    manager.close_all_connections()
