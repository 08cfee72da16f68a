"""What takes how much space in a project's home, how long each kind is kept, and what retention would remove now.

Rule: it looks and changes nothing; sizes are those of files, counts come from indexes.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from partita.core.retention import KINDS, Policy
from partita.errors import PartitaError
from partita.settings import Home
from partita.store import house, opening
from partita.store.reading import SqlReader

_COUNTED = 20_000


class Space(msgspec.Struct, frozen=True):
    """What one part of the home takes."""

    name: str
    bytes: int
    files: int


class Kept(msgspec.Struct, frozen=True):
    """How long a kind is kept; `removable` things are older than that (None: nobody has counted)."""

    kind: str
    age_s: float | None
    max_bytes: int | None
    removable: int | None = None


class Elsewhere(msgspec.Struct, frozen=True):
    """Values that lie in an object storage. `bytes` and `files` are None where nobody has looked, or `trouble` says why one could not;
    with `more` there are more of them than were counted."""

    address: str
    bytes: int | None = None
    files: int | None = None
    more: bool = False
    trouble: str = ""


class Storage(msgspec.Struct, frozen=True):
    """All of it. `free` are bytes of the database that nothing uses; what lies `elsewhere` is not in the sum."""

    spaces: tuple[Space, ...]
    free: int
    kept: tuple[Kept, ...]
    removals: tuple[house.RemovalRow, ...]
    elsewhere: Elsewhere | None = None

    @property
    def bytes(self) -> int:
        """Of everything."""
        return sum(space.bytes for space in self.spaces)


def storage_of(home: Home, reader: SqlReader, policy: Policy, *, now: float) -> Storage:
    """The storage of a home whose store is open."""
    sizes = _database(home, reader)
    folders = {
        "logs": home.logs,
        "values": home.blobs,
        "cache": home.cache,
        "checkpoints": home.checkpoints,
        "code": home.code,
        "spool": home.spool,
    }
    free_pages, page_bytes = reader.free_pages()
    return Storage(
        spaces=(Space("database", sum(sizes), len(sizes)), *(_space(name, path) for name, path in folders.items())),
        free=free_pages * page_bytes,
        kept=tuple(
            Kept(kind, keep.age_s, keep.max_bytes, _removable(reader, kind, policy.before(kind, now)))
            for kind, keep in policy.kinds.items()
            if kind in KINDS
        ),
        removals=tuple(house.removals(reader, limit=10)),
        elsewhere=Elsewhere(home.values) if _is_elsewhere(home) else None,
    )


def counted(home: Home) -> Elsewhere | None:
    """What lies in the object storage of a home, looked up: a request for each thousand, `_COUNTED` objects at most. None: no storage."""
    from partita.values.object_blobs import ObjectBlobs, blobs_at

    if not _is_elsewhere(home):
        return None
    files = size = 0
    try:
        blobs = blobs_at(home.values, scratch=home.blobs / "tmp")
        for found in blobs.listed() if isinstance(blobs, ObjectBlobs) else ():
            if files == _COUNTED:
                return Elsewhere(home.values, size, files, more=True)
            files, size = files + 1, size + found.size
    except PartitaError as error:
        return Elsewhere(home.values, trouble=error.message)
    return Elsewhere(home.values, size, files)


def _is_elsewhere(home: Home) -> bool:
    return bool(home.values) and not home.values.startswith("file:")


def _database(home: Home, reader: SqlReader) -> list[int]:
    """The bytes of its files, or of a database that is a server's."""
    if opening.is_shared(home):
        return [reader.size_bytes()]
    files = [home.db, *(home.db.with_name(home.db.name + end) for end in ("-wal", "-shm"))]
    return [path.stat().st_size for path in files if path.exists()]


def _removable(reader: SqlReader, kind: str, before: float | None) -> int | None:
    if kind not in ("runs", "ticks"):
        return None
    return 0 if before is None else house.count_before(reader, kind, before)


def _space(name: str, folder: Path) -> Space:
    files = size = 0
    for parent, _, names in os.walk(folder):
        for file in names:
            try:
                size += os.stat(os.path.join(parent, file)).st_size
                files += 1
            except FileNotFoundError:
                pass  # it has just been removed
    return Space(name, size, files)
