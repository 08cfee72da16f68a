"""Whether all is well here, as the server can see it: the findings of `GET /doctor`.

Rule: it looks and changes nothing; what cannot be looked at is a line too. What is wrong with definitions the loader has
told the store, so nothing is imported here.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from typing import Literal, NamedTuple

from partita.core import zones
from partita.engine.control import Answer, Status
from partita.engine.keeping import policy_for
from partita.engine.storage import storage_of
from partita.errors import PartitaError
from partita.server.calling import Call
from partita.store import house, versions

_LOW_DISK = 1 << 30
_MUCH_FREE = 64 << 20
_SAFE_SQLITE = (3, 51, 3)


class Finding(NamedTuple):
    """One line."""

    level: Literal["ok", "warn", "fail"]
    what: str
    text: str
    hint: str = ""


def of(call: Call) -> list[Finding]:
    """All of them, in the order in which one looks."""
    found: list[Finding] = []
    for look in (_programs, _disk, _storage, _engine, _parts, _projects):
        try:
            found += look(call)
        except PartitaError as error:
            found.append(Finding("fail", look.__name__.strip("_"), error.message, error.hint or ""))
        except OSError as error:
            found.append(Finding("fail", look.__name__.strip("_"), str(error.strerror)))
    return found


def _programs(call: Call) -> Iterator[Finding]:
    import apsw

    from partita import __version__

    yield Finding("ok", "partita", __version__)
    sqlite = apsw.sqlite_lib_version()
    is_safe = tuple(int(part) for part in sqlite.split(".")) >= _SAFE_SQLITE
    hint = "" if is_safe else "older ones can damage a database in WAL mode: pip install --upgrade apsw"
    yield Finding("ok" if is_safe else "fail", "sqlite", sqlite, hint)
    is_old = zones.is_old(time.time())
    hint = "it is older than six months, and rules change every year: pip install --upgrade tzdata" if is_old else ""
    yield Finding(
        "warn" if is_old else "ok", "time zones", f"tzdata {zones.version() or 'of an unknown edition'}", hint
    )


def _disk(call: Call) -> Iterator[Finding]:
    free = shutil.disk_usage(call.settings.home.root).free
    is_low = free < _LOW_DISK
    hint = "when it is full nothing new starts until there is space; nothing is lost" if is_low else ""
    yield Finding("warn" if is_low else "ok", "disk", f"{free >> 20} MiB free", hint)


def _storage(call: Call) -> Iterator[Finding]:
    policy = policy_for(call.settings.project)
    found = storage_of(call.settings.home, call.reader, policy, now=time.time())
    is_much = found.free > _MUCH_FREE and found.free > found.spaces[0].bytes // 2
    hint = "POST /api/v1/storage/vacuum, or partita db vacuum" if is_much else ""
    yield Finding("warn" if is_much else "ok", "storage", f"{found.bytes >> 20} MiB in all", hint)


def _engine(call: Call) -> Iterator[Finding]:
    first, *more = call.ask(Status(), Answer).lines or ("at work",)
    yield Finding("ok", "engine", first)
    for line in more:
        is_blocked = line.startswith("blocked: ")
        hint = "it goes on by itself once that is mended" if is_blocked else ""
        yield Finding("fail" if is_blocked else "ok", "engine", line, hint)


def _parts(call: Call) -> Iterator[Finding]:
    for row in house.health(call.reader):
        yield Finding("warn", row.part, row.problem)


def _projects(call: Call) -> Iterator[Finding]:
    for row in versions.projects(call.reader):
        if row.active:
            hint = "partita check says what is wrong" if row.error else ""
            text = f"version {row.code or 'none'}" + (f": {row.error}" if row.error else "")
            yield Finding("fail" if row.error else "ok", f"project {row.project}", text, hint)
