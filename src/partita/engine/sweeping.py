"""Removing files that nothing needs any more: logs and checkpoints of runs that are gone, old cache entries, values that no
row, cache entry, checkpoint or outcome refers to. Done by a process of its own, for it reads everything.

A file that is in doubt stays: what was written or used within a day is never touched, and a value goes only if what
could refer to it was all read. A value that is put again while it is being taken away is put anew (`FileBlobs.adopt`). Values in
an object storage have another name each day, so an old name is put by nobody; only the installation that came first removes any.

Rule: rows are read and never written here; order matters: references first, then files.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from partita.core.retention import DAY_S, Policy
from partita.core.values import Value
from partita.errors import PartitaError, ValueCodecError
from partita.settings import Home, home_at
from partita.store import house, opening
from partita.store.reading import SqlReader
from partita.values.blobs import Blobs, FileBlobs
from partita.values.cache import Entry
from partita.values.object_blobs import ObjectBlobs, blobs_of, place_of
from partita.values.storing import items_in
from partita.worker.wire import MemberEnded, Outcome, Spooled

_LOOK_S = 1.0
# An object that was put on a day is found again until that day ends, and by a clock that is a little wrong.
_OBJECT_S = 2 * DAY_S
_AT_ONCE = 500
_value = msgspec.msgpack.Decoder(Value).decode
_entry = msgspec.msgpack.Decoder(Entry).decode
_spooled = msgspec.msgpack.Decoder(Spooled).decode


class Swept(msgspec.Struct):
    """What a sweep removed, by kind: files (or folders of runs), and their bytes; or why it could not."""

    removed: dict[str, tuple[int, int]] = {}
    problem: str = ""


class Sweeper:
    """Runs sweeps in a process, one at a time."""

    def __init__(self, home: Home, policy: Policy) -> None:
        self._home = home
        self._policy = policy
        self._process: subprocess.Popen[bytes] | None = None
        self._look_at = 0.0

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def look_at(self, now: float) -> float:
        """When to look next whether it is done; never further away than that, whatever the clock does."""
        return min(self._look_at, now + _LOOK_S)

    def start(self, now: float) -> None:
        """Begin a sweep."""
        if not opening.is_shared(self._home) and not self._home.db.exists():
            return
        command = [sys.executable, "-m", "partita.engine.sweeping", str(self._home.root)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.msgpack.encode(self._policy))
        self._process.stdin.close()
        self._look_at = now + _LOOK_S

    def result(self, now: float) -> Swept | None:
        """What came of it; None while it goes on."""
        assert self._process is not None
        self._look_at = now + _LOOK_S
        if self._process.poll() is None:
            return None
        process, self._process = self._process, None
        assert process.stdout is not None
        with process.stdout as answer:
            data = answer.read()
        try:
            return msgspec.msgpack.decode(data, type=Swept)
        except msgspec.DecodeError:
            return Swept(problem=f"the process ended with {process.returncode}")

    def close(self) -> None:
        """End a sweep that goes on; the next one begins anew."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()
            self._process = None


def sweep(home: Home, policy: Policy, *, now: float) -> Swept:
    """Remove what nothing needs. Raises `StoreError` if the store cannot be read."""
    reader = opening.open_reader(home)
    swept = Swept({})
    try:
        kept = _kept_values(home, reader)
        if kept is None:
            swept.problem = "a list of values could not be read, so no values were removed"
        else:
            place = place_of(blobs_of(home))
            if isinstance(place, ObjectBlobs):
                _sweep_objects(home, place, kept, policy, now, swept)
            elif isinstance(place, FileBlobs) and place.root != home.blobs:
                _sweep_values(place.root, kept, policy, now, swept)
            _sweep_values(home.blobs, kept, policy, now, swept)
        # After the values: what an entry refers to may have been handed out a moment ago.
        _sweep_cache(home, policy, now, swept)
        _sweep_logs(home, reader, policy, now, swept)
        _sweep_checkpoints(home, reader, now, swept)
    finally:
        reader.close()
    return swept


# --- values ---------------------------------------------------------------------------------------------------------


def _kept_values(home: Home, reader: SqlReader) -> set[str] | None:
    """The names of all blobs that something refers to; None if that cannot be known."""
    blobs = blobs_of(home)
    kept: set[str] = set()
    # Files first: an outcome in the spool, or a result in the cache, becomes a row and not the other way around.
    for found in (_values_of_files(home), house.kept_values(reader)):
        for value in found:
            if not _mark(value, blobs, kept):
                return None
    return kept


def _mark(value: Value, blobs: Blobs, kept: set[str]) -> bool:
    todo = [value]
    while todo:
        at = todo.pop()
        if at.ref is not None:
            if at.ref in kept:
                continue
            kept.add(at.ref)
        if at.codec == "items":
            try:
                todo += items_in(at, blobs)
            except ValueCodecError:
                # Gone: then nobody can read what it lists. There and unreadable: nobody knows.
                if at.ref is None or _may_be_there(at, blobs):
                    return False
    return True


def _may_be_there(value: Value, blobs: Blobs) -> bool:
    try:
        return blobs.has(value.ref or "", value.size)
    except ValueCodecError:
        return True


def _values_of_files(home: Home) -> Iterator[Value]:
    for path in _files(home.spool):
        with contextlib.suppress(OSError, msgspec.DecodeError):
            spooled = _spooled(path.read_bytes())
            outcomes: list[Outcome | MemberEnded] = [spooled.outcome, *spooled.members]
            for outcome in outcomes:
                if outcome.value is not None:
                    yield outcome.value
                reports = outcome.detail.assets if outcome.detail is not None else ()
                yield from (report.value for report in reports if report.value is not None)
    for path in _files(home.checkpoints):
        with contextlib.suppress(OSError, msgspec.DecodeError):
            yield _value(path.read_bytes())
    for path in _files(home.cache):
        with contextlib.suppress(OSError, msgspec.DecodeError):
            entry = _entry(path.read_bytes())
            yield entry.value
            yield from (report.value for report in entry.assets if report.value is not None)


def _sweep_objects(home: Home, place: ObjectBlobs, kept: set[str], policy: Policy, now: float, swept: Swept) -> None:
    before = policy.before("values", now)
    if before is None:
        return
    mine = _name_of(home)
    try:
        if (owner := place.owner(mine)) != mine:
            swept.problem = (
                f"{place.address} has the values of another installation ({owner}), so none were removed there;"
                " give this one a place of its own, or remove the object `partita-owner` if that one is no more"
            )
            return
        gone: list[str] = []
        for found in place.listed():
            if found.ref not in kept and found.at < min(before, now - _OBJECT_S):
                gone.append(found.ref)
                _count(swept, "values", found.size)
            if len(gone) >= _AT_ONCE:
                place.remove(gone)
                gone = []
        if gone:
            place.remove(gone)
    except PartitaError as error:
        swept.problem = str(error)


def _name_of(home: Home) -> str:
    """What this installation is called: its database, or the file that is it. Without a password."""
    if not opening.is_shared(home):
        return f"{socket.gethostname()}:{home.db}"
    return home.store.rpartition("@")[2] or home.store


def _sweep_values(folder: Path, kept: set[str], policy: Policy, now: float, swept: Swept) -> None:
    before = policy.before("values", now)
    if before is None:
        return
    aside = folder / "tmp"
    for path in _files(folder):
        ref = f"{path.parent.name}/{path.name}"
        if path.parent == aside:
            _remove_old(path, now - DAY_S, "values", swept)
        elif ref not in kept and _mtime(path, now) < before:
            _take_away(path, aside / f"gone-{os.getpid():x}-{path.name}", before, now, swept)


def _take_away(path: Path, aside: Path, before: float, now: float, swept: Swept) -> None:
    """Remove a value unless somebody used it since: first out of the way, so that whoever puts it now puts it anew."""
    with contextlib.suppress(OSError):
        aside.parent.mkdir(mode=0o700, exist_ok=True)
        path.rename(aside)
        if _mtime(aside, now) >= before:
            aside.rename(path)
            return
        _remove_old(aside, before, "values", swept)


# --- cache, logs, checkpoints -----------------------------------------------------------------------------------------


def _sweep_cache(home: Home, policy: Policy, now: float, swept: Swept) -> None:
    before = policy.before("cache", now)
    entries = sorted((_mtime(path, now), path) for path in _files(home.cache))
    sizes = {path: _size_of_entry(path) for _, path in entries}
    total = sum(sizes.values())
    for at, path in entries:
        if (before is not None and at < before) or policy.is_too_much("cache", total):
            total -= sizes[path]
            _remove_old(path, now + 1, "cache", swept)


def _size_of_entry(path: Path) -> int:
    """The bytes of an entry with the value that it holds on to."""
    with contextlib.suppress(OSError, msgspec.DecodeError):
        return path.stat().st_size + _entry(path.read_bytes()).value.size
    return 0


def _sweep_logs(home: Home, reader: SqlReader, policy: Policy, now: float, swept: Swept) -> None:
    """Logs of runs that are gone, of old runs, and of the oldest runs while there is too much."""
    before = policy.before("logs", now)
    newest = house.newest_run(reader)
    left: list[tuple[float, Path, int]] = []
    total = 0
    for number, folder in _runs_in(home.logs):
        ended = house.ended_at(reader, number)
        size = _size(folder)
        if (ended is False and number <= newest) or (ended and before is not None and ended < before):
            _remove_folder(folder, size, "logs", swept)
        else:
            total += size
            if ended:
                left.append((ended, folder, size))
    for _, folder, size in sorted(left):
        if not policy.is_too_much("logs", total):
            return
        total -= size
        _remove_folder(folder, size, "logs", swept)


def _sweep_checkpoints(home: Home, reader: SqlReader, now: float, swept: Swept) -> None:
    """A checkpoint is for the next attempt of its step, so it goes a day after its run."""
    newest = house.newest_run(reader)
    for number, folder in _runs_in(home.checkpoints):
        ended = house.ended_at(reader, number)
        if (ended is False and number <= newest) or (ended and ended < now - DAY_S):
            _remove_folder(folder, _size(folder), "checkpoints", swept)


def _runs_in(folder: Path) -> Iterator[tuple[int, Path]]:
    """The folders of runs, by their numbers."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for entry in os.scandir(folder):
            if entry.name.isdecimal():
                yield int(entry.name), Path(entry.path)


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        for name in names:
            yield Path(parent, name)


def _mtime(path: Path, otherwise: float) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return otherwise


def _size(folder: Path) -> int:
    total = 0
    for path in _files(folder):
        with contextlib.suppress(OSError):
            total += path.stat().st_size
    return total


def _remove_old(path: Path, before: float, kind: str, swept: Swept) -> None:
    with contextlib.suppress(OSError):
        found = path.stat()
        if found.st_mtime < before:
            path.unlink()
            _count(swept, kind, found.st_size)


def _remove_folder(folder: Path, size: int, kind: str, swept: Swept) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    _count(swept, kind, size)


def _count(swept: Swept, kind: str, size: int) -> None:
    count, total = swept.removed.get(kind, (0, 0))
    swept.removed[kind] = count + 1, total + size


def main() -> None:
    """The process: the policy comes on stdin, the answer goes to stdout."""
    with contextlib.suppress(OSError, AttributeError):
        os.nice(10)
    policy = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Policy)
    try:
        swept = sweep(home_at(Path(sys.argv[1])), policy, now=time.time())
    except (PartitaError, OSError) as error:
        swept = Swept(problem=str(error))
    sys.stdout.buffer.write(msgspec.msgpack.encode(swept))


if __name__ == "__main__":
    main()
