"""The projects that are served: loaded by processes of their own, loaded again when their files change.

A load is a new host process. What it defines is served from then on, unless it would lose something: definitions with
problems that lack what was served before are not taken, the last good version goes on, and everybody can see why. A
version is known by its content: one that is seen for the first time is registered with its manifest, and its files are
kept, so that a run ends on the version that it began with, also after a restart.

A load that took too long or was killed is tried again by itself, with growing pauses: the same files may load another time.
What is wrong in the code itself is tried again when a file has changed.

Rule: nothing here waits. A load is watched by a thread that only hands its end to the engine's thread; all that is
decided is decided there.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from partita.core import manifest as manifests
from partita.core.events import Event, RunEnded
from partita.core.facts import Fact
from partita.core.facts.house import HealthChanged
from partita.core.facts.versions import ProjectLoaded, ProjectRemoved, VersionRegistered
from partita.core.manifest import Manifest, Problem
from partita.engine.active import ActiveRun
from partita.engine.catalog import Catalog
from partita.engine.changes import Changes
from partita.engine.control import Answer, Handler
from partita.engine.loop import Engine
from partita.engine.premises import LoadNow
from partita.errors import DefinitionError, ExecutorError, LoadError, PartitaError
from partita.executors.control import Bound
from partita.executors.kept import Listing, discard, forget, is_kept, keep, kept_folder, listing
from partita.executors.loading import HostConnection, start_host
from partita.settings import Settings
from partita.store import versions
from partita.store.writing import SqlStore

_NEVER = float("inf")
# The pauses before a load is tried again that took too long or was killed.
_FIRST_PAUSE_S = 5.0
_LONGEST_PAUSE_S = 300.0
_problems = msgspec.msgpack.Encoder()


class Reload(msgspec.Struct, frozen=True, tag="reload"):
    """Load projects again, changed or not: one by its name, or all of them."""

    project: str = ""


class Hosts(Protocol):
    """What is asked of the executor (`executors.processes.ProcessExecutor`)."""

    def serve(self, project: str, code: str, connection: HostConnection, kept: Path | None = None) -> None: ...
    def configure(self, manifest: Manifest) -> None: ...
    def pin(self, project: str) -> None: ...
    def let_go(self, project: str, wanted: set[str]) -> None: ...
    def remove(self, project: str) -> None: ...
    def bind(self, project: str, pipeline: str, raw: Mapping[str, object]) -> Future[Bound]: ...


@dataclass
class _Served:
    """A folder, and what became of loading it. `files`: what lay in it when the last load began."""

    settings: Settings
    project: str = ""
    manifest: Manifest | None = None
    state: Literal["new", "loading", "loaded"] = "new"
    again: bool = False
    files: Listing = field(default_factory=dict)
    # Why what lies in the folder is not what is served, and what is wrong with it.
    error: str = ""
    problems: tuple[Problem, ...] = ()
    loads: int = 0
    # Of loads that took too long or were killed: how many one after the other, and when the next one is (engine's clock).
    fruitless: int = 0
    again_at: float = _NEVER
    # Of a folder that is not a person's: what lays it out, before each load; and what brings back the files of an
    # earlier version, if that can be.
    prepare: Callable[[], None] | None = None
    earlier: Callable[[str], Callable[[], None] | None] = lambda code: None

    @property
    def code(self) -> str:
        return self.manifest.code if self.manifest is not None else ""


@dataclass(frozen=True)
class _Load:
    """The end of a load: a manifest with its host, or what was wrong. `old`: of the last good version, not of the folder."""

    files: Listing
    took_s: float
    manifest: Manifest | None = None
    connection: HostConnection | None = None
    kept: Path | None = None
    error: str = ""
    old: bool = False
    # It may go well another time with the same files.
    passing: bool = False


class Projects:
    """The part of the service that serves projects."""

    name = "projects"

    def __init__(
        self,
        engine: Engine,
        store: SqlStore,
        hosts: Hosts,
        catalog: Catalog,
        take_in: Callable[[Manifest], None],
        settings: Sequence[Settings],
        *,
        tell: Callable[[dict[str, Any]], None] = lambda event: None,
        watch: bool = True,
        base: Settings | None = None,
    ) -> None:
        # Where no project is served from a folder: how those are served that were deployed.
        self._base = base
        self._engine = engine
        self._store = store
        self._hosts = hosts
        self._catalog = catalog
        self._take_in = take_in
        self._tell = tell
        # What is told once it is durable.
        self._untold: list[dict[str, Any]] = []
        self._served = {s.project: _Served(s) for s in settings}
        # Projects with older versions that may be of no more use.
        self._untidy: set[str] = set()
        # Earlier versions that were asked for, and whether their files are on their way.
        self._coming: dict[tuple[str, str], bool] = {}
        self._ended = threading.Event()
        self._changes = Changes(list(self._served), self._look) if watch else None
        # Told when every project was loaded for the first time, well or not.
        self._waiting: list[Callable[[], None]] = []

    # --- the part -------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Begin to load everything. May be called before the engine starts: hosts import meanwhile."""
        for served in self._served.values():
            if served.state == "new":
                self._load(served)

    def start(self, now: float) -> None:
        self.begin()
        folders = {str(folder) for folder in self._served}
        # What was deployed lies in another folder on another machine.
        names = {served.project for served in self._served.values()}
        for row in versions.projects(self._store):
            is_here = row.folder in folders or row.project in names
            if row.active and not is_here and self._engine.realm.has(row.namespace):
                self._engine.record(ProjectRemoved(now, row.project))
        if self._changes is not None:
            self._changes.start()

    def due_at(self) -> float:
        if self._untidy:
            return 0.0
        return min((s.again_at for s in self._served.values() if s.state == "loaded"), default=_NEVER)

    def turn(self, now: float) -> None:
        """Let go of versions whose runs have ended; load again what did not come to an end the last time."""
        for served in self._served.values():
            if served.state == "loaded" and served.again_at <= now:
                self._load(served)
        while self._untidy:
            project = self._untidy.pop()
            self._hosts.let_go(
                project, {run.run.code for run in self._engine.active.values() if run.run.project == project}
            )

    def committed(self, run: ActiveRun, events: Sequence[Event]) -> None:
        if type(events[-1]) is RunEnded and run.run.code != self._code_of(run.run.project):
            self._untidy.add(run.run.project)

    def recorded(self, facts: Sequence[Fact]) -> None:
        untold, self._untold = self._untold, []
        for event in untold:
            self._tell(event)

    def loaded(self, manifest: Manifest) -> None:
        return

    def handlers(self) -> Mapping[type, Handler]:
        return {Reload: self._reload}

    def close(self) -> None:
        """Stop watching, and let no load come in any more."""
        self._ended.set()
        if self._changes is not None:
            self._changes.close()

    def serve(
        self,
        project: str,
        settings: Settings,
        prepare: Callable[[], None],
        earlier: Callable[[str], Callable[[], None] | None],
    ) -> None:
        """Serve the folder of a project that `prepare` lays out before each load, in a thread; if it is served, load it again.

        `earlier` answers with what keeps the files of an earlier version (also in a thread), or None if nothing can.
        """
        served = self._served.setdefault(settings.project, _Served(settings, project))
        served.prepare, served.earlier = prepare, earlier
        self._load(served)

    # --- questions ------------------------------------------------------------------------------------------------

    def folder_of(self, project: str) -> Path | None:
        """The folder that a project is served from."""
        return next((s.settings.project for s in self._served.values() if s.project == project), None)

    def loads(self) -> list[LoadNow]:
        """How each folder was loaded last."""
        return [
            LoadNow(
                s.project or s.settings.project.name,
                str(s.settings.project),
                s.code,
                s.error,
                s.state == "loading",
                s.fruitless,
                self._again_in(s),
            )
            for s in self._served.values()
        ]

    @property
    def is_loading(self) -> bool:
        """Whether a project has not been loaded for the first time."""
        return any(not served.loads for served in self._served.values())

    def when_loaded(self, then: Callable[[], None]) -> None:
        """Call `then` in the engine's thread when no first load is under way."""
        if self.is_loading:
            self._waiting.append(then)
        else:
            then()

    def has_version(self, project: str, code: str) -> bool:
        """Whether a run may be made of this version: it is served, or its files are kept."""
        if self._code_of(project) == code:
            return True
        settings = self._settings_of(project)
        return settings is not None and is_kept(settings.home, project, code, settings.project)

    def host_of(self, project: str, code: str) -> HostConnection | None:
        """A host for a version that has none; None while its project is being loaded. Raises `LookupError`."""
        settings = self._settings_of(project)
        kept = kept_folder(settings.home, project, code, settings.project) if settings is not None else None
        if settings is not None and kept is not None and kept.is_dir():
            return start_host(replace(settings, source=kept), workers=1)
        if self.is_loading or self._is_brought_back(project, code):
            return None
        raise LookupError(f"version {code} of project {project!r} is not kept any more")

    def _is_brought_back(self, project: str, code: str) -> bool:
        """Whether the files of an earlier version are on their way; it is begun when they are asked for first."""
        key = project, code
        if key not in self._coming:
            keep = next((s.earlier(code) for s in self._served.values() if s.project == project), None)
            self._coming[key] = keep is not None
            if keep is not None:
                threading.Thread(
                    target=self._bring_back, args=(key, keep), name=f"partita-keep-{project}", daemon=True
                ).start()
        return self._coming[key]

    def _bring_back(self, key: tuple[str, str], keep: Callable[[], None]) -> None:
        """In a thread."""
        # If it cannot be had, runs go on with the version that is served.
        with contextlib.suppress(PartitaError, OSError):
            keep()
        if not self._ended.is_set():
            self._engine.post(lambda: self._coming.update({key: False}))

    def _settings_of(self, project: str) -> Settings | None:
        """Of a project that is served, or was."""
        served = next((s for s in self._served.values() if s.project == project), None)
        if served is not None:
            return served.settings
        row = versions.project(self._store, project)
        if row is None or not Path(row.folder).is_dir():
            return None
        some = self._served.get(Path(row.folder)) or next(iter(self._served.values()), None)
        settings = some.settings if some is not None else self._base
        return replace(settings, project=Path(row.folder)) if settings is not None else None

    def _code_of(self, project: str) -> str:
        return next((s.code for s in self._served.values() if s.project == project), "")

    # --- loading --------------------------------------------------------------------------------------------------

    def reload(self, project: str = "") -> list[str]:
        """Load again; the names of the projects that are."""
        chosen = [s for s in self._served.values() if not project or s.project == project]
        for served in chosen:
            self._load(served)
        return [served.project or served.settings.project.name for served in chosen]

    def _reload(self, request: Reload) -> Answer:
        names = self.reload(request.project)
        if not names:
            raise DefinitionError(f"no project {request.project!r} is served here", hint="partita doctor")
        return Answer(lines=tuple(names))

    def _load(self, served: _Served) -> None:
        if served.state == "loading":
            served.again = True
            return
        served.state, served.again_at = "loading", _NEVER
        prepare = served.prepare
        self._in_a_thread(served, lambda: _loaded(served.settings, prepare=prepare))

    def _in_a_thread(self, served: _Served, load: Callable[[], _Load]) -> None:
        def run() -> None:
            result = load()
            if not self._ended.is_set():
                self._engine.post(lambda: self._came(served, result))
            elif result.connection is not None:
                result.connection.close(kill=True)

        threading.Thread(target=run, name=f"partita-load-{served.settings.project.name}", daemon=True).start()

    def _look(self, folders: set[Path]) -> None:
        """Something may have changed in these folders. Called by another thread."""
        for folder in folders:
            files = listing(folder)
            self._engine.post(lambda folder=folder, files=files: self._looked(self._served[folder], files))  # type: ignore[misc]

    def _looked(self, served: _Served, files: Listing) -> None:
        if served.state == "loading":
            # Whether that load has seen the change is known when it ends.
            served.again = True
        elif files != served.files:
            self._load(served)

    def _came(self, served: _Served, load: _Load) -> None:
        """A load has ended."""
        served.state = "loaded"
        if not load.old:
            served.files = load.files
            self._plan_again(served, load)
        manifest, why = load.manifest, load.error
        if manifest is not None and not why:
            why = self._why_not(served, manifest)
        if manifest is not None and load.connection is not None and not why:
            self._take(served, manifest, load)
        else:
            if load.connection is not None:
                load.connection.close(kill=True)
            if self._fall_back(served, why, load):
                return
            self._keep_last(served, why, load)
        served.loads += 1
        if served.again:
            served.again = False
            if served.prepare is not None or listing(served.settings.project) != served.files:
                self._load(served)
        self._tell_waiting()

    def _plan_again(self, served: _Served, load: _Load) -> None:
        """When it is tried again without a change of its files, if ever."""
        served.fruitless = served.fruitless + 1 if load.passing else 0
        served.again_at = _NEVER
        if load.passing:
            pause = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** min(served.fruitless - 1, 10))
            served.again_at = self._engine.clock.now() + pause

    def _again_in(self, served: _Served) -> float | None:
        wait = served.again_at - self._engine.clock.now()
        return None if wait == _NEVER else round(max(0.0, wait), 1)

    def _tell_waiting(self) -> None:
        if not self.is_loading:
            waiting, self._waiting = self._waiting, []
            for then in waiting:
                then()

    def _why_not(self, served: _Served, manifest: Manifest) -> str:
        """Why what was loaded is not to be served; "" if it is."""
        if not self._engine.realm.has(manifest.namespace):
            return f"it is of namespace {manifest.namespace!r} now, which another scheduler leads: start `partita up` again"
        others = (s for s in self._served.values() if s is not served and s.project == manifest.project)
        # What is deployed has its name before it was ever loaded, and a folder of this name may be first.
        other = next((s for s in others if s.manifest is not None or s.prepare is None), None)
        if other is not None:
            return (
                f"{served.settings.project} and {other.settings.project} are both project {manifest.project!r}"
                " (say `name = ...` under [tool.partita] in the pyproject.toml of one)"
            )
        before = served.manifest or (None if served.loads else self._last_good(served))
        if before is None or not manifest.problems:
            return ""
        if manifest.failed_modules:
            return f"{', '.join(manifest.failed_modules)} cannot be imported"
        lost = sorted(_names(before) - _names(manifest))
        if not lost:
            return ""
        shown = ", ".join(lost[:5]) + (" ..." if len(lost) > 5 else "")
        return f"with these problems it would lose {shown}"

    def _take(self, served: _Served, manifest: Manifest, load: _Load) -> None:
        """Serve a version from now on."""
        store, now = self._store, self._engine.clock.now()
        assert load.connection is not None
        same = served.code == manifest.code
        if served.project and served.project != manifest.project:
            self._remove(served, now)
        if not load.old:
            served.error, served.problems = "", manifest.problems
        if manifest.code and not store.fetch("version_manifest", (manifest.project, manifest.code)):
            self._engine.record(VersionRegistered(now, manifest.project, manifest.code, manifests.encode(manifest)))
        served.project, served.manifest = manifest.project, manifest
        self._hosts.serve(manifest.project, manifest.code, load.connection, load.kept)
        self._hosts.configure(manifest)
        self._take_in(manifest)
        self._record(served, load)
        self._say(served, "kept" if load.old else "reloaded" if served.loads else "loaded", load, same=same)
        self._untidy.add(manifest.project)
        self._forget_old()

    def _fall_back(self, served: _Served, why: str, load: _Load) -> bool:
        """Nothing is served yet and this load is no good: try the last good version. Is it being tried?"""
        if served.manifest is not None or served.error:
            return False
        row = self._row_of(served)
        manifest = versions.manifest_of(self._store, row.project, row.code) if row is not None else None
        if row is None or manifest is None:
            return False
        kept = kept_folder(served.settings.home, row.project, row.code, served.settings.project)
        if not kept.is_dir():
            return False
        served.error, served.state, served.project = why, "loading", row.project
        served.problems = load.manifest.problems if load.manifest is not None else ()
        settings = replace(served.settings, source=kept)
        self._in_a_thread(served, lambda: replace(_loaded(settings, manifest), old=True))
        return True

    def _keep_last(self, served: _Served, why: str, load: _Load) -> None:
        """What was loaded is not served; what was served before goes on."""
        # An error of the fallback comes after the one that it was tried for.
        if not load.old:
            served.error, served.problems = why, load.manifest.problems if load.manifest is not None else ()
        if served.project:
            self._hosts.pin(served.project)
        served.project = served.project or (self._row_of(served) or _no_row(served)).project
        self._record(served, load)
        self._say(served, "kept" if served.manifest is not None else "broken", load)

    def _remove(self, served: _Served, now: float) -> None:
        """The folder's project has another name now."""
        self._hosts.remove(served.project)
        self._catalog.remove(served.project)
        self._engine.record(ProjectRemoved(now, served.project))

    def _row_of(self, served: _Served) -> versions.ProjectRow | None:
        folder = str(served.settings.project)
        rows = [r for r in versions.projects(self._store) if r.folder == folder and r.code]
        return max(rows, key=lambda r: (r.active, r.loaded_at), default=None)

    def _last_good(self, served: _Served) -> Manifest | None:
        row = self._row_of(served)
        return versions.manifest_of(self._store, row.project, row.code) if row is not None else None

    def _forget_old(self) -> None:
        """Kept files that nobody will want; in a thread, for there may be many."""
        wanted = {(s.project, s.code) for s in self._served.values()}
        wanted |= {(run.run.project, run.run.code) for run in self._engine.active.values()}
        realm = self._engine.realm
        # Schedulers of one machine share the folder, and know only what they want themselves.
        of = {project for project, _ in wanted} if realm.only or realm.without else None
        homes = {s.settings.home for s in self._served.values()}
        for home in homes:
            threading.Thread(target=forget, args=(home, wanted, of), name="partita-forget", daemon=True).start()

    # --- what is said ---------------------------------------------------------------------------------------------

    def _record(self, served: _Served, load: _Load) -> None:
        now = self._engine.clock.now()
        manifest = served.manifest
        self._engine.record(
            ProjectLoaded(
                now,
                manifest.namespace if manifest is not None else served.settings.namespace,
                served.project,
                str(served.settings.project),
                served.code,
                load.took_s,
                _problems.encode(served.problems),
                served.error,
            )
        )
        part = f"project {served.project}"
        before = next((r for r in self._store.fetch("project", (served.project,))), None)
        if served.error or (before is not None and before[7]):
            self._engine.record(HealthChanged(now, part, served.error))

    def _say(self, served: _Served, event: str, load: _Load, *, same: bool = False) -> None:
        manifest = served.manifest
        schedules = sum(len(p.schedules) for p in manifest.pipelines) if manifest is not None else 0
        self._untold.append(
            {
                "event": event,
                "project": served.project,
                "folder": str(served.settings.project),
                "code": served.code,
                "same": same,
                "took_s": round(load.took_s, 3),
                "pipelines": len(manifest.pipelines) if manifest is not None else 0,
                "assets": len(manifest.assets) if manifest is not None else 0,
                "schedules": schedules,
                "sensors": len(manifest.sensors) if manifest is not None else 0,
                "error": served.error,
                "again_in_s": self._again_in(served),
                "problems": [
                    {"file": p.file, "line": p.line, "message": p.message, "hint": p.hint} for p in served.problems
                ],
            }
        )


def _no_row(served: _Served) -> versions.ProjectRow:
    return versions.ProjectRow(served.settings.project.name, "", "", "", 0.0, 0.0)


def _names(manifest: Manifest) -> set[str]:
    """What people would miss."""
    return {p.name for p in manifest.pipelines} | {a.name for a in manifest.assets} | {s.name for s in manifest.sensors}


def _loaded(settings: Settings, known: Manifest | None = None, prepare: Callable[[], None] | None = None) -> _Load:
    """Load a project and wait for it; in a thread of its own. `known`: the manifest of the kept version that it is."""
    began = time.monotonic()
    files: Listing = {}
    connection: HostConnection | None = None
    try:
        if prepare is not None:
            prepare()
        files = listing(settings.project)
        connection = start_host(settings, workers=1)
        manifest = connection.manifest()
        if known is not None:
            # The pin of its runs; what its files give may be named otherwise when an interpreter has changed.
            manifest = msgspec.structs.replace(manifest, code=known.code, project=known.project)
            kept: Path | None = settings.source
        else:
            kept = keep(settings.home, manifest.project, manifest.code, settings.project)
            if kept is not None and listing(settings.project) != files:
                # Edited meanwhile: it is loaded again at once, and what was kept may be of both.
                discard(settings.home, manifest.project, manifest.code, settings.project)
                kept, files = None, {}
        return _Load(files, time.monotonic() - began, manifest, connection, kept)
    except (PartitaError, OSError) as error:
        if connection is not None:
            connection.close(kill=True)
        message = error.message if isinstance(error, PartitaError) else str(error)
        # Of an error of the world, such as no space or no memory, the files know nothing.
        passing = error.passing if isinstance(error, LoadError) else isinstance(error, ExecutorError | OSError)
        return _Load(files, time.monotonic() - began, error=message, passing=passing)
