"""Outcomes on disk for as long as no scheduler is there to take them.

Rule: a file has its name only when it is whole and synced. A spooled outcome may be one that was taken already (the
scheduler died before it could say so); whoever reads the spool knows by attempt and epoch.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

from partita.values.blobs import new_file, sync_file
from partita.worker.wire import Spooled

_SUFFIX = ".msgpack"
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Spooled)
_numbers = itertools.count()


def spool(folder: Path, outcomes: Iterable[Spooled]) -> None:
    """Keep outcomes, each in a file of its own, synced when this returns."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    written = False
    for outcome in outcomes:
        _write(folder, outcome)
        written = True
    if written:
        sync_file(folder)


def read_spool(folder: Path) -> list[tuple[Path, Spooled]]:
    """All outcomes that wait in the folder, oldest first. What is not whole or not readable is left where it is."""
    try:
        paths = [path for path in folder.iterdir() if path.suffix == _SUFFIX and not path.name.startswith(".")]
    except FileNotFoundError:
        return []
    found = []
    for path in paths:
        try:
            outcome = _decoder.decode(path.read_bytes())
        except (OSError, msgspec.DecodeError):
            continue
        if outcome.version == 1:
            found.append((path, outcome))
    return sorted(found, key=lambda pair: (pair[1].outcome.ended_at, pair[0].name))


def take(path: Path) -> None:
    """Remove a spooled outcome that was taken; one that is gone already is gone."""
    path.unlink(missing_ok=True)


def _write(folder: Path, outcome: Spooled) -> None:
    # The run's id is the engine's own; this is for ids that a test or a later engine may make.
    run = re.sub(r"[^0-9A-Za-z._-]", "_", outcome.run)[:100].lstrip(".") or "run"
    name = f"{run}~{os.getpid():x}-{next(_numbers):x}-{os.urandom(3).hex()}{_SUFFIX}"
    temporary = folder / f".{name}"
    with new_file(temporary) as file:
        file.write(_encoder.encode(outcome))
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(folder / name)
