"""Where encoded values lie that are too large to travel inline: files named by the SHA-256 of their content.

Rule: a blob is written once and never changed. It is complete before its name exists (temporary file, sync, rename),
and whoever reads it proves size and digest first, so damage is an error and never a wrong value.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from partita.errors import ValueCodecError

# Above this an encoded value is written to a file as it is made, and read from a file, instead of held in memory.
SPILL_BYTES = 1 << 20
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)


class Blobs(Protocol):
    """A place for blobs. Workers of any process and thread call it at the same time.

    What may fail: `ValueCodecError` when a blob cannot be written, is missing or is damaged. What happens twice: the
    same content put again gives the same name and changes nothing.
    """

    def scratch(self) -> Path:
        """A new name for a local file in which a blob may be made, to be given to `adopt` or removed."""
        ...

    def adopt(self, path: Path, digest: str, size: int) -> str:
        """Take a finished local file as a blob (it is gone afterwards); the name of the blob."""
        ...

    def put(self, data: bytes, digest: str) -> str:
        """Keep the bytes as a blob; the name of the blob."""
        ...

    def read(self, ref: str, digest: str, size: int) -> bytes:
        """The proven bytes of a blob."""
        ...

    def open(self, ref: str, digest: str, size: int) -> BinaryIO:
        """The proven blob as an open file at its beginning."""
        ...

    def has(self, ref: str, size: int) -> bool:
        """Whether a blob of this size lies there (its content is not read)."""
        ...


class FileBlobs:
    """Blobs in a folder: `root/ab/abcdef...`, files 0600 in folders 0700."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._numbers = itertools.count()

    def scratch(self) -> Path:
        folder = self.root / "tmp"
        with _storing(self.root):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder / f"{os.getpid():x}-{next(self._numbers):x}-{os.urandom(4).hex()}"

    def adopt(self, path: Path, digest: str, size: int) -> str:
        ref = f"{digest[:2]}/{digest}"
        final = self.root / ref
        with _storing(self.root, size):
            if self._renewed(final, size):
                path.unlink()
                return ref
            final.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_file(path)
            path.rename(final)
            sync_file(final.parent)
        return ref

    def _renewed(self, path: Path, size: int) -> bool:
        """Whether the blob is there; retention goes by age, and a blob that is used again is young again."""
        try:
            if path.stat().st_size != size:
                return False
            os.utime(path)
        except FileNotFoundError:
            # Never made, or retention has just taken it away: then it is made anew.
            return False
        return True

    def put(self, data: bytes, digest: str) -> str:
        path = self.scratch()
        with _storing(self.root, len(data)):
            try:
                with new_file(path) as file:
                    file.write(data)
                return self.adopt(path, digest, len(data))
            except BaseException:
                path.unlink(missing_ok=True)
                raise

    def read(self, ref: str, digest: str, size: int) -> bytes:
        with self._opened(ref) as file:
            data = file.read()
        _prove(ref, digest, size, hashlib.sha256(data).hexdigest(), len(data))
        return data

    def open(self, ref: str, digest: str, size: int) -> BinaryIO:
        file: Any = self._opened(ref)
        try:
            found = hashlib.file_digest(file, "sha256").hexdigest()
            _prove(ref, digest, size, found, file.tell())
            file.seek(0)
        except BaseException:
            file.close()
            raise
        opened: BinaryIO = file
        return opened

    def has(self, ref: str, size: int) -> bool:
        try:
            return (self.root / ref).stat().st_size == size
        except OSError:
            return False

    def _opened(self, ref: str) -> BinaryIO:
        try:
            return (self.root / ref).open("rb")
        except OSError as error:
            raise ValueCodecError(
                f"blob {ref} cannot be read: {error.strerror or error}",
                hint="it may have been removed by retention or by hand; run the step that made it again",
            ) from None


class Sink(io.RawIOBase):
    """A file-like end for codecs: counts and hashes what is written, in memory first, in a scratch file when it grows."""

    def __init__(self, blobs: Blobs, max_bytes: int) -> None:
        super().__init__()
        self._blobs = blobs
        self._max_bytes = max_bytes
        self._hash = hashlib.sha256()
        self._memory = bytearray()
        self._path: Path | None = None
        self._file: BinaryIO | None = None
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: bytes | memoryview) -> int:  # type: ignore[override]
        count = memoryview(data).nbytes
        self.size += count
        if self.size > self._max_bytes:
            raise too_large(self.size, self._max_bytes)
        self._hash.update(data)
        if self._file is None and self.size <= SPILL_BYTES:
            self._memory += data
            return count
        with _storing_blob(self.size):
            if self._file is None:
                self._path = self._blobs.scratch()
                self._file = new_file(self._path)
                self._file.write(self._memory)
                self._memory.clear()
            self._file.write(data)
        return count

    def flush(self) -> None:
        """Codecs call it, some after the end; nothing is held back that matters before `finish`."""

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    @property
    def memory(self) -> bytes | None:
        """All that was written, as long as it is held in memory."""
        return bytes(self._memory) if self._file is None else None

    def finish(self) -> str:
        """Make a blob of what was written; its name."""
        if self._file is None:
            return self._blobs.put(bytes(self._memory), self.digest)
        assert self._path is not None
        with _storing_blob(self.size):
            self._file.close()
            return self._blobs.adopt(self._path, self.digest, self.size)

    def discard(self) -> None:
        """Remove what is left of a blob that was not finished."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def too_large(size: int, limit: int) -> ValueCodecError:
    """The error for a value that is not kept because of its size."""
    return ValueCodecError(
        f"the encoded value has more than {limit:,} bytes ({size:,} or more), which is the limit for one value",
        hint="write the data to a file or table of your own and return its path, or split it into a list to map over",
    )


def new_file(path: Path) -> BinaryIO:
    """A new file 0600 that must not exist, not even as a link."""
    return os.fdopen(os.open(path, _NEW, 0o600), "wb")


def sync_file(path: Path) -> None:
    """Bring a file or folder to the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_then_rename(path: Path | str, data: bytes, *, sync: bool) -> None:
    """Put a small file in its place as a whole or not at all, replacing what was there."""
    place = os.fspath(path)
    temporary = temporary_name(place)
    try:
        write_small_file(temporary, data, sync=sync)
        os.replace(temporary, place)
        if sync:
            sync_file(Path(place).parent)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def temporary_name(path: str) -> str:
    """A name beside `path`, hidden and new, under which a file may be made that is to have that name."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/.{name[:80]}.{os.getpid():x}-{os.urandom(4).hex()}"


def write_small_file(path: str, data: bytes, *, sync: bool) -> None:
    """Write a file 0600 that must not exist. Folders are made when they turn out to be missing, for most often they are there.

    Steps on clusters wait for this: it takes a quarter of the time that a file object and a look for the folder would.
    """
    try:
        fd = os.open(path, _NEW, 0o600)
    except FileNotFoundError:
        Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(path, _NEW, 0o600)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(fd, left) :]
        if sync:
            os.fsync(fd)
    finally:
        os.close(fd)


def _prove(ref: str, digest: str, size: int, found_digest: str, found_size: int) -> None:
    if found_size == size and found_digest == digest:
        return
    what = f"it has {found_size:,} bytes instead of {size:,}" if found_size != size else "its SHA-256 differs"
    raise ValueCodecError(
        f"blob {ref} is damaged: {what}",
        hint="remove the file and run the step that made it again; check the disk",
    )


@contextlib.contextmanager
def _storing(root: Path, size: int = 0) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ValueCodecError(
            f"a value of {size:,} bytes cannot be stored in {root}: {error.strerror or error}",
            hint="free some space or make the folder writable, then retry",
        ) from error


@contextlib.contextmanager
def _storing_blob(size: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ValueCodecError(
            f"a value of {size:,} bytes cannot be stored: {error.strerror or error}",
            hint="free some space or make the folder writable, then retry",
        ) from error
