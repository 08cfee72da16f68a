"""`partita doctor`: is all well here? Each line is ok, a warning, or broken, with what to do.

Rule: it looks and changes nothing; what it cannot look at is a line too, never a crash.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from partita.cli import fitting, options, project, terminal
from partita.cli.styled import Style
from partita.cli.words import ago, duration, many, size
from partita.errors import PartitaError, WorldError
from partita.store import opening

if TYPE_CHECKING:
    from partita.core.manifest import Manifest
    from partita.settings import Settings
    from partita.store.reading import SqlReader

Level = Literal["ok", "warn", "fail"]
_LOOKS: dict[str, tuple[str, Style]] = {"ok": ("●", "green"), "warn": ("◌", "amber"), "fail": ("■", "red")}
_LOW_DISK = 1 << 30
_SLOW_LOAD_S = 5.0


class Finding(NamedTuple):
    """One line of the doctor."""

    level: Level
    what: str
    text: str
    hint: str = ""


def doctor(json: options.Json = False, folder: options.Project = None) -> int:
    """Look whether all is well here. Exits with 1 if something is broken."""
    found: list[Finding] = []
    out = terminal.out()
    for finding in _all(folder):
        found.append(finding)
        if not json:
            glyph, style = _LOOKS[finding.level]
            out.line((f"{glyph} {finding.level:<4}  ", style), (f"{finding.what:<13}", "bold"), finding.text)
            if finding.hint:
                out.line(" " * 22, ("hint: ", "accent"), finding.hint)
            out.stream.flush()
    if json:
        terminal.print_json([f._asdict() for f in found])
    return 1 if any(f.level == "fail" for f in found) else 0


def _all(folder: Path | None) -> Iterator[Finding]:
    yield from _versions()
    try:
        settings = project.settings_of(folder)
    except PartitaError as error:
        yield Finding("fail", "project", error.message, error.hint or "")
        return
    looks: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
        _folders,
        _disk,
        _store,
        _storage,
        _service,
        _engine,
        _definitions,
    )
    for look in looks:
        try:
            yield from look(settings)
        except PartitaError as error:
            yield Finding("fail", look.__name__.strip("_"), error.message, error.hint or "")
        except OSError as error:
            yield Finding("fail", look.__name__.strip("_"), f"{error.strerror}: {error.filename}")


def _versions() -> Iterator[Finding]:
    import apsw

    from partita import __version__

    yield Finding("ok", "partita", __version__)
    yield Finding("ok", "python", f"{platform.python_version()} at {sys.executable}")
    sqlite = apsw.sqlite_lib_version()
    is_safe = tuple(map(int, sqlite.split("."))) >= (3, 51, 3)
    yield Finding(
        "ok" if is_safe else "fail",
        "sqlite",
        f"{sqlite} (apsw {apsw.apsw_version()})",
        "" if is_safe else "older ones can damage a database in WAL mode: pip install --upgrade apsw",
    )
    yield _tzdata()
    start = "fork server of its own" if sys.platform.startswith("linux") else "spawn"
    yield Finding(
        "ok", "workers", f"{start}; {os.cpu_count() or 1} processors, {platform.system()} {platform.release()}"
    )


def _tzdata() -> Finding:
    from partita.core import zones

    version, is_old = zones.version() or "of an unknown edition", zones.is_old(time.time())
    where = "of the package" if zones.source() == "package" else "of the system"
    hint = "it is older than six months, and rules change every year: pip install --upgrade tzdata" if is_old else ""
    return Finding(
        "warn" if is_old else "ok", "time zones", f"tzdata {version} {where}, here {time.strftime('%Z')}", hint
    )


def _folders(settings: Settings) -> Iterator[Finding]:
    yield Finding("ok", "project", str(settings.project))
    home = settings.home.root
    if not home.exists():
        yield Finding("ok", "home", f"{home} is made by the first run")
        return
    if not os.access(home, os.W_OK | os.X_OK):
        yield Finding(
            "fail", "home", f"{home} cannot be written", f"chown it to {project.user_name()}, or set PARTITA_HOME"
        )
        return
    open_to_others = [p for p in (home, settings.home.db) if p.exists() and p.stat().st_mode & 0o077]
    if open_to_others:
        names = " ".join(map(str, open_to_others))
        yield Finding("warn", "home", f"{names} can be read by other users", f"chmod go= {names}")
    else:
        yield Finding("ok", "home", f"{home}, for {project.user_name()} only")


def _disk(settings: Settings) -> Iterator[Finding]:
    home = settings.home.root if settings.home.root.exists() else settings.project
    free = shutil.disk_usage(home).free
    low = free < _LOW_DISK
    yield Finding(
        "warn" if low else "ok",
        "disk",
        f"{size(free)} free"
        + (f"; logs take {size(_size_of(settings.home.logs))}" if settings.home.logs.exists() else ""),
        "when it is full nothing new starts until there is space; nothing is lost" if low else "",
    )


def _size_of(folder: Path) -> int:
    total = 0
    for parent, _, files in os.walk(folder):
        for file in files:
            try:
                total += os.lstat(os.path.join(parent, file)).st_size
            except OSError:
                continue  # removed while we look
    return total


def _store(settings: Settings) -> Iterator[Finding]:
    if not opening.exists(settings.home):
        yield Finding("ok", "store", "none yet: the first run makes it")
        return
    reader = project.open_memory(settings)
    newest = reader.runs(limit=1)
    left = reader.open_runs()
    total = _bytes_of(settings, reader)
    yield from _server(reader)
    reader.close()
    last = f", last run {newest[0].no}" if newest else ""
    yield Finding("ok", "store", f"{opening.where(settings.home)}: {size(total)}{last}")
    if left and not project.has_engine(settings):
        numbers = ", ".join(str(row.no) for row in left[:5])
        yield Finding(
            "warn",
            "runs",
            f"{many(len(left), 'run')} without an engine: {numbers}",
            f"take it up: partita retry {left[0].no}   or end it: partita cancel {left[0].no}",
        )


def _bytes_of(settings: Settings, reader: SqlReader) -> int:
    if opening.is_shared(settings.home):
        return reader.size_bytes()
    path = settings.home.db
    return sum(f.stat().st_size for f in (path, path.with_name(path.name + "-wal")) if f.exists())


def _server(reader: SqlReader) -> Iterator[Finding]:
    """What there is to know of a database's server."""
    for told, hint in reader.about():
        yield Finding("warn" if hint else "ok", "database", told, hint)


def _storage(settings: Settings) -> Iterator[Finding]:
    """What takes how much, and whether what is to be removed can be read."""
    from partita.cli.storage import in_short
    from partita.engine.keeping import policy_for
    from partita.engine.storage import storage_of

    policy = policy_for(settings.project)
    if not opening.exists(settings.home):
        return
    reader = project.open_memory(settings)
    found = storage_of(settings.home, reader, policy, now=time.time())
    reader.close()
    is_free = found.free > found.spaces[0].bytes // 2 and found.free > 64 << 20
    yield Finding("warn" if is_free else "ok", "storage", in_short(found), "partita db vacuum" if is_free else "")


def _service(settings: Settings) -> Iterator[Finding]:
    """What `partita up` says of itself, of its projects, and of what is unwell."""
    from partita.cli.serving import service_of
    from partita.store import house, versions

    service = service_of(settings)
    if service is None:
        yield Finding("ok", "service", "not at work here", "serve schedules, sensors and the API: partita up")
        return
    parts = ", ".join(f"{name} {pid}" for name, pid in service.get("parts", {}).items())
    at = f", answers at {service['address']}" if service.get("address") else ""
    yield Finding("ok", "service", f"up since {ago(service['since'], time.time())}{at} (processes: {parts})")
    reader = project.open_memory(settings)
    try:
        for row in versions.projects(reader):
            if row.active:
                told = f"{row.project} at {row.folder}, version {row.code or 'none'}"
                yield Finding("fail" if row.error else "ok", "", told + (f": {row.error}" if row.error else ""))
        for unwell in house.health(reader):
            if not unwell.part.startswith("project "):
                yield Finding("warn", "", f"{unwell.part}: {unwell.problem}")
    finally:
        reader.close()


def _engine(settings: Settings) -> Iterator[Finding]:
    from partita.engine.control import Status
    from partita.engine.postbox import reach

    try:
        answer = reach(settings.home, Status())
    except WorldError as error:
        yield Finding("fail", "engine", error.message, error.hint or "")
        return
    if answer is None:
        yield Finding("ok", "engine", "none is at work here")
        return
    first, *more = answer.lines or ("at work",)
    yield Finding("ok", "engine", first)
    for line in more:
        blocked = line.startswith("blocked: ")
        yield Finding(
            "fail" if blocked else "ok", "", line, "it goes on by itself once that is mended" if blocked else ""
        )


def _definitions(settings: Settings) -> Iterator[Finding]:
    manifest = project.load(settings)
    slow = manifest.load_s > _SLOW_LOAD_S
    told = f"{many(len(manifest.pipelines), 'pipeline')}, {many(len(manifest.assets), 'asset')}, loaded in {duration(manifest.load_s)}"
    yield Finding(
        "warn" if slow else "ok",
        "definitions",
        f"{told} (Python {manifest.python})",
        "imports at the top of the project's modules take long: move them into the tasks" if slow else "",
    )
    if manifest.problems:
        yield Finding("fail", "", many(len(manifest.problems), "problem"), "partita check")
    for warning, hint in fitting.warnings(manifest):
        yield Finding("warn", "", warning, hint)
    yield from _threads(manifest)


def _threads(manifest: Manifest) -> Iterator[Finding]:
    if manifest.threads > 1:
        yield Finding(
            "warn",
            "threads",
            f"the import leaves {many(manifest.threads - 1, 'thread')} running: workers cannot be forked from it",
            "start threads in tasks, not at import; until then each worker imports the project itself",
        )
