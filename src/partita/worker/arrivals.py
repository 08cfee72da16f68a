"""Files and objects that have arrived: what lies under a pattern now, and whether it has settled.

What is still being written is not there yet: a file has arrived when its size and time have not changed for the settle
time, by the looks at it. Object stores show an object only when it is whole, but a slow copy of many may settle as well.

Rule: nothing is opened; what a look remembers is bounded by what lies there now.
"""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from partita.errors import WorldError

MOST = 20_000
"""So many files or objects under one pattern can be told apart."""


class Arrival(NamedTuple):
    """A file or object. `stamp` changes when its content does."""

    path: str
    size: int
    modified_at: float
    stamp: str

    @property
    def mark(self) -> bytes:
        """Eight bytes by which it is known again."""
        return hashlib.blake2b(f"{self.path}\0{self.stamp}".encode(errors="surrogateescape"), digest_size=8).digest()


class Settling(NamedTuple):
    """What has settled, and what to remember of the rest; `due_at` is when the next of it may have."""

    there: list[Arrival]
    waiting: dict[str, list[Any]]
    due_at: float | None


def files(pattern: str) -> list[Arrival]:
    """The files under a glob pattern, oldest first; `**` goes through folders. Relative to the project's folder."""
    return _sorted(_files(pattern), pattern)


def objects(url: str, options: dict[str, Any]) -> list[Arrival]:
    """The objects under a URL with a glob pattern, oldest first: "s3://bucket/in/*.csv". Needs fsspec or obstore."""
    return _sorted(_objects(url, options), url)


def settled(found: list[Arrival], waiting: dict[str, list[Any]] | None, settle_s: float, now: float) -> Settling:
    """Which of `found` have not changed for `settle_s`, by what an earlier look has remembered."""
    if settle_s <= 0:
        return Settling(found, {}, None)
    there: list[Arrival] = []
    rest: dict[str, list[Any]] = {}
    for one in found:
        stamp, since = (waiting or {}).get(one.path, ("", 0.0))
        if stamp != one.stamp:
            # Seen for the first time: it may have been at rest for long already.
            since = min(now, one.modified_at) if waiting is None or not stamp else now
        if now - since >= settle_s:
            there.append(one)
        else:
            rest[one.path] = [one.stamp, since]
    due_at = min((since + settle_s for _, since in rest.values()), default=None)
    return Settling(there, rest, due_at)


def _sorted(found: Iterator[Arrival], what: str) -> list[Arrival]:
    several: list[Arrival] = []
    for one in found:
        several.append(one)
        if len(several) > MOST:
            raise WorldError(
                f"more than {MOST} files match {what!r}",
                hint="move what was taken in elsewhere, or use a narrower pattern",
            )
    return sorted(several, key=lambda one: (one.modified_at, one.path))


def _files(pattern: str) -> Iterator[Arrival]:
    for path in glob.iglob(os.path.expanduser(pattern), recursive=True):
        try:
            stat = os.stat(path)
        except OSError:
            continue  # gone since it was listed
        if not os.path.isdir(path):
            yield Arrival(path, stat.st_size, stat.st_mtime, f"{stat.st_mtime_ns}:{stat.st_size}")


def _objects(url: str, options: dict[str, Any]) -> Iterator[Arrival]:
    try:
        import fsspec
    except ImportError:
        yield from _objects_of_obstore(url, options)
        return
    system, path = fsspec.core.url_to_fs(url, **options)
    # What a file system remembers of its listings is of an earlier look.
    system.invalidate_cache()
    for found, info in system.glob(path, detail=True).items():
        if info.get("type") != "directory":
            size = int(info.get("size") or 0)
            modified = _seconds(
                next((info[k] for k in ("LastModified", "mtime", "updated", "created") if k in info), 0)
            )
            stamp = str(info.get("ETag") or info.get("etag") or f"{modified}:{size}")
            yield Arrival(system.unstrip_protocol(found), size, modified, stamp)


def _objects_of_obstore(url: str, options: dict[str, Any]) -> Iterator[Arrival]:
    import fnmatch
    from urllib.parse import urlsplit

    try:
        import obstore
        from obstore.store import from_url
    except ImportError:
        raise WorldError(
            "watching objects needs fsspec or obstore", hint="install `fsspec` and what it needs for the URL"
        ) from None
    parts = urlsplit(url)
    pattern = parts.path.lstrip("/")
    prefix = pattern[: next((i for i, c in enumerate(pattern) if c in "*?["), len(pattern))].rpartition("/")[0]
    store = from_url(f"{parts.scheme}://{parts.netloc}", **options)
    for page in obstore.list(store, prefix=prefix or None):
        for info in page:
            if fnmatch.fnmatchcase(info["path"], pattern):
                modified = _seconds(info["last_modified"])
                stamp = str(info.get("e_tag") or f"{modified}:{info['size']}")
                yield Arrival(f"{parts.scheme}://{parts.netloc}/{info['path']}", info["size"], modified, stamp)


def _seconds(moment: Any) -> float:
    return float(moment.timestamp() if hasattr(moment, "timestamp") else moment or 0)
