"""One owner for one store: an exclusive lock on a file beside it, held until it is closed or its process dies.

Rule: the kernel's lock decides, never the file's content; that is only the answer to "who has it?".
"""

from __future__ import annotations

import fcntl
import os
import socket
import sys
import time
import weakref
from pathlib import Path

import msgspec

from partita.errors import StoreError, StoreFull, StoreLocked

# File systems on which locks or shared memory do not hold between machines.
_NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ncpfs", "fuse.sshfs", "fuse.s3fs", "fuse.gcsfuse"}
)


class Owner(msgspec.Struct, frozen=True):
    """Who holds the lock, for people."""

    pid: int
    host: str
    since: float
    command: str


class OwnerLock:
    """The lock of a store's file. Taken by making it; `release` gives it back."""

    def __init__(self, db: Path) -> None:
        self._fd: int | None = _open(db)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _owner(self._fd)
            self._close()
            raise _locked(db, owner) from None
        except OSError as error:
            self._close()
            raise StoreError(f"{db} cannot be locked: {error.strerror}", hint="keep it on a local disk") from error
        try:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, msgspec.json.encode(_myself()), 0)
        except OSError as error:
            self._close()
            raise StoreFull(f"{db} cannot be written: {error.strerror}", hint="make room on its disk") from error
        _let_go_in_children(self)

    def release(self) -> None:
        """Give the lock back. The file stays: removing it would let two owners lock two files of one name."""
        if self._fd is not None:
            os.ftruncate(self._fd, 0)
            fcntl.flock(self._fd, fcntl.LOCK_UN)
            self._close()

    def _close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def refuse_network(folder: Path, mounts: str) -> None:
    """Raise `StoreError` if `folder` lies on a network file system, by the text of /proc/mounts."""
    best, kind = "", ""
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) < 3:
            continue
        point = fields[1].replace("\\040", " ")
        if folder.is_relative_to(point) and len(point) >= len(best):
            best, kind = point, fields[2]
    if kind in _NETWORK:
        raise StoreError(
            f"{folder} lies on a network file system ({kind} at {best}), where a database is not safe",
            hint="set PARTITA_HOME to a folder on a local disk",
        )


def mounts() -> str:
    """The text of /proc/mounts; empty where there is none."""
    try:
        return Path("/proc/self/mounts").read_text(errors="replace")
    except OSError:
        return ""


def _open(db: Path) -> int:
    path = db.with_name(db.name + ".lock")
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreFull(
            f"{db.parent} cannot be written: {error.strerror}",
            hint="the store's folder must be writable, with space left; or set PARTITA_HOME to another one",
        ) from error


def _myself() -> Owner:
    # Not all of the command line: parameters may be secrets.
    words = [Path(sys.argv[0]).name, *sys.argv[1:2]] if sys.argv and sys.argv[0] else ["python"]
    return Owner(pid=os.getpid(), host=socket.gethostname(), since=time.time(), command=" ".join(words))


def _owner(fd: int) -> Owner | None:
    try:
        return msgspec.json.decode(os.pread(fd, 4096, 0), type=Owner)
    except msgspec.DecodeError:
        return None


def _locked(db: Path, owner: Owner | None) -> StoreLocked:
    if owner is None:
        return StoreLocked(f"{db} is in use by another process", hint="stop it first; reading commands work meanwhile")
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(owner.since))
    return StoreLocked(
        f"{db} is in use by process {owner.pid} on {owner.host} ({owner.command}) since {since}",
        hint=f"stop it first (kill {owner.pid}); reading commands work meanwhile",
    )


_held: weakref.WeakSet[OwnerLock] = weakref.WeakSet()


def _let_go_in_children(lock: OwnerLock) -> None:
    """A child made by fork must not hold the lock: workers may outlive the engine, and its successor must get in."""
    if not _held:
        os.register_at_fork(after_in_child=_forked)
    _held.add(lock)


def _forked() -> None:
    for lock in list(_held):
        lock._close()
