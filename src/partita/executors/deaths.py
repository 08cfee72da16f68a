"""How workers died while no engine was there to be told: one small file per death beside the spooled outcomes.

The engine that adopts a worker's attempts reads the note, so that a crash of user code is the user's failure and not a
loss, and "killed by SIGKILL" is not only "gone".

Rule: a note has its name only when it is whole. It may be missing (the host died too); then the attempt is lost.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec

from partita.executors.control import Died

_SUFFIX = ".death"


def note_death(folder: Path, worker: str, died: Died) -> None:
    """Write down how a worker died."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = _path(folder, worker)
    temporary = path.with_name(f".{path.name}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(fd, msgspec.msgpack.encode(died))
        os.fsync(fd)
    finally:
        os.close(fd)
    temporary.rename(path)


def read_death(folder: Path, worker: str) -> Died | None:
    """How a worker died, if that was noted."""
    try:
        return msgspec.msgpack.decode(_path(folder, worker).read_bytes(), type=Died)
    except (OSError, msgspec.DecodeError):
        return None


def forget_deaths(folder: Path, *, keep: set[str]) -> None:
    """Remove the notes about all workers but these."""
    kept = {_path(folder, worker).name for worker in keep}
    for path in folder.glob(f"*{_SUFFIX}"):
        if path.name not in kept:
            path.unlink(missing_ok=True)


def _path(folder: Path, worker: str) -> Path:
    return folder / f"{hashlib.sha256(worker.encode()).hexdigest()[:24]}{_SUFFIX}"
