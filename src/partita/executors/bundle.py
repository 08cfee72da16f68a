"""A project's code as one file that can travel: to a server that serves it, to a machine that performs its steps.

A bundle is a gzipped tar of the files that the project is made of: what lies in the folders that may hold code (kept.py), as
far as it is code, settings, a lock, a template or small text, and what `include` under `[tool.partita]` names besides.
Its name is the SHA-256 of the tar before it is compressed; the tar holds names, contents and whether a file may be executed,
and nothing else: no times, no owners, no order of a disk. So the same files make the same bundle on every machine.

Rule: what comes in is not trusted. A bundle is unpacked into a new folder under limits, of plain files only, and gets its name
when its digest was proved; what is half unpacked has no name.
"""

from __future__ import annotations

import contextlib
import fnmatch
import gzip
import hashlib
import io
import os
import shutil
import stat
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

import msgspec

from partita.errors import DefinitionError, LoadError
from partita.executors.kept import SUFFIXES, may_hold_code
from partita.settings import outputs_of
from partita.values.blobs import sync_file

# Beside code: locks, templates, and small text that definitions are made from.
TEXTS = (".json", ".lock", ".txt", ".md", ".j2", ".jinja", ".jinja2", ".html", ".tmpl", ".proto", ".avsc")
MOST_FILES = 10_000
MOST_BYTES = 256 << 20
# Of the compressed file; a server takes no larger one.
MOST_PACKED_BYTES = 64 << 20
_MOST_NAME = 500
_PIECE = 1 << 20
_LOCKS = ("uv.lock", "poetry.lock", "pdm.lock", "pylock.toml", "requirements.txt", "constraints.txt")


class Bundle(msgspec.Struct, frozen=True):
    """A bundle on this machine's disk. `size` is that of the compressed file."""

    digest: str
    path: Path
    size: int


class BundledFile(msgspec.Struct, frozen=True):
    """One file of a bundle."""

    path: str
    size: int
    sha256: str


def pack(folder: Path, *, leave_out: frozenset[str] = frozenset(), into: Path | None = None) -> Bundle:
    """Pack a project's files as they are now; the bundle lies in `into` (default: the folder for temporary files) by its digest.

    `leave_out` names files and folders, as paths in the project. Raises `DefinitionError` for a project that is too large.
    """
    files = files_of(folder, leave_out=leave_out)
    place = into or Path(tempfile.gettempdir())
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(prefix=".bundle-", dir=place)
    making = Path(name)
    try:
        with os.fdopen(handle, "wb") as out:
            digest = _write(folder, files, out)
            size = out.tell()
            out.flush()
            os.fsync(out.fileno())
        if size > MOST_PACKED_BYTES:
            raise _too_large(folder, f"{size:,} bytes packed, of {MOST_PACKED_BYTES:,}")
        path = place / f"{digest}.tar.gz"
        making.replace(path)
        sync_file(place)
    except BaseException:
        making.unlink(missing_ok=True)
        raise
    return Bundle(digest, path, size)


def files_of(folder: Path, *, leave_out: frozenset[str] = frozenset()) -> list[str]:
    """The files that a bundle of this project has, by their paths in it, sorted. Raises `DefinitionError` if they are too many."""
    folder = folder.resolve()
    away = {os.path.normpath(folder / name) for name in leave_out}
    include = _include(folder)
    found: list[str] = []
    total = 0
    for parent in _folders(folder, away):
        for entry in os.scandir(parent):
            path = os.path.relpath(entry.path, folder).replace(os.sep, "/")
            if entry.path in away or not _belongs(path, include):
                continue
            with contextlib.suppress(FileNotFoundError):
                known = entry.stat()  # a link is followed: what it leads to is what the code finds
                if stat.S_ISREG(known.st_mode):
                    found.append(path)
                    total += known.st_size
    if len(found) > MOST_FILES:
        raise _too_large(folder, f"{len(found):,} files, of {MOST_FILES:,}")
    if total > MOST_BYTES:
        raise _too_large(folder, f"{total:,} bytes, of {MOST_BYTES:,}")
    return sorted(found)


def unpack(path: Path, into: Path, *, digest: str = "") -> Path:
    """Unpack a bundle to the folder `into`, which appears as a whole or not at all; `into`. If it is there already, nothing is done.

    Raises `LoadError` for a bundle that is damaged, is not the one of this digest, or holds what no bundle holds.
    """
    if into.is_dir():
        return into
    into.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    making = Path(tempfile.mkdtemp(prefix=f".{into.name[:80]}.", dir=into.parent))
    try:
        with path.open("rb") as file:
            found = hashlib.sha256()
            with _reading(path.name):
                for member, content in _members(file, found):
                    _put(making, member, content)
            if digest and found.hexdigest() != digest:
                raise _not_taken(path.name, f"its content is {found.hexdigest()[:12]}, not {digest[:12]}")
        try:
            making.rename(into)
        except OSError:
            if not into.is_dir():  # else another process was faster with the same
                raise
            shutil.rmtree(making, ignore_errors=True)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise
    return into


def digest_of(data: bytes) -> str:
    """The digest of a bundle that came in: every member was looked at on the way. Raises `LoadError` as `unpack` does."""
    found = hashlib.sha256()
    with _reading("the bundle"):
        for _, content in _members(io.BytesIO(data), found):
            while content.read(_PIECE):
                pass
    return found.hexdigest()


def contents(data: bytes) -> list[BundledFile]:
    """The files of a bundle, sorted. Raises `LoadError` as `unpack` does."""
    files = []
    with _reading("the bundle"):
        for member, content in _members(io.BytesIO(data), hashlib.sha256()):
            digest = hashlib.file_digest(content, "sha256")  # type: ignore[arg-type]
            files.append(BundledFile(member.name, member.size, digest.hexdigest()))
    return files


def listed(folder: Path, *, leave_out: frozenset[str] = frozenset()) -> list[BundledFile]:
    """The files that a bundle of this project would have, with what is in them now."""
    found = []
    for path in files_of(folder, leave_out=leave_out):
        data = (folder / path).read_bytes()
        found.append(BundledFile(path, len(data), hashlib.sha256(data).hexdigest()))
    return found


def is_lock(path: str) -> bool:
    """Whether a file of a bundle says which versions of packages the project wants.

    >>> is_lock("uv.lock"), is_lock("requirements-dev.txt"), is_lock("notes.txt")
    (True, True, False)
    """
    return path in _LOCKS or ("/" not in path and fnmatch.fnmatch(path, "requirements*.txt"))


# --- packing --------------------------------------------------------------------------------------------------------


def _folders(project: Path, away: set[str]) -> Iterator[str]:
    """The folders of a project, those that links lead to among them: a kept version has links where there is no code."""
    away = away | outputs_of(project)
    seen: set[str] = set()
    for parent, folders, _ in os.walk(project, followlinks=True):
        yield parent
        seen.add(os.path.realpath(parent))
        folders[:] = [
            name
            for name in folders
            if may_hold_code(parent, name)
            and os.path.join(parent, name) not in away
            # A link may lead back to where we are.
            and os.path.realpath(os.path.join(parent, name)) not in seen
        ]


def _belongs(path: str, include: tuple[str, ...]) -> bool:
    name = path.rpartition("/")[2]
    if name.startswith("."):
        return name == ".python-version"
    return path.endswith(SUFFIXES + TEXTS) or any(PurePosixPath(path).match(p) or _below(path, p) for p in include)


def _below(path: str, pattern: str) -> bool:
    """`seeds/**` and `seeds` are all that lies below."""
    return path.startswith(pattern.removesuffix("/**").rstrip("/") + "/")


def _include(folder: Path) -> tuple[str, ...]:
    import tomllib

    try:
        text = (folder / "pyproject.toml").read_text(encoding="utf-8")
        named = tomllib.loads(text)["tool"]["partita"]["include"] if "include" in text else []
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError):
        return ()  # whoever loads the project says what is wrong with the file
    return tuple(n for n in named if isinstance(n, str)) if isinstance(named, list) else ()


def _write(folder: Path, files: list[str], out: BinaryIO) -> str:
    digest = hashlib.sha256()
    with gzip.GzipFile(filename="", mode="wb", fileobj=out, compresslevel=6, mtime=0) as packed:
        both = _Tee(packed, digest)
        # Streamed and by hand: a file that grows while it is read must not change what its header has said.
        with tarfile.open(fileobj=both, mode="w|", format=tarfile.PAX_FORMAT) as tar:
            for path in files:
                with (folder / path).open("rb") as file:
                    data = file.read(MOST_BYTES + 1)
                    executable = os.fstat(file.fileno()).st_mode & 0o100
                member = tarfile.TarInfo(path)
                member.size, member.mode = len(data), 0o755 if executable else 0o644
                tar.addfile(member, io.BytesIO(data))
    return digest.hexdigest()


class _Tee(io.RawIOBase):
    """Writes on, and hashes what it has written."""

    def __init__(self, out: gzip.GzipFile, digest: hashlib._Hash) -> None:
        super().__init__()
        self._out, self._digest = out, digest

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._digest.update(data)
        return self._out.write(data)


def _too_large(folder: Path, what: str) -> DefinitionError:
    return DefinitionError(
        f"{folder} is too large for a bundle: {what}",
        hint="name the folders that steps write into: outputs = [...] under [tool.partita] in its pyproject.toml",
    )


# --- unpacking --------------------------------------------------------------------------------------------------------


def _members(file: BinaryIO, digest: hashlib._Hash) -> Iterator[tuple[tarfile.TarInfo, IO[bytes]]]:
    """The files of a bundle with their contents, each to be read before the next; raises for what no bundle holds."""
    with gzip.GzipFile(fileobj=file, mode="rb") as packed:
        bounded = _Bounded(packed, digest)
        seen: set[str] = set()
        with tarfile.open(fileobj=bounded, mode="r|", bufsize=tarfile.BLOCKSIZE) as tar:
            for member in tar:
                if problem := _problem(member, seen, bounded.read_bytes):
                    raise _not_taken("the bundle", problem)
                seen.add(member.name)
                content = tar.extractfile(member)
                assert content is not None
                yield member, content
        if not seen:
            raise _not_taken("the bundle", "it has no files")
        # To the very end: the padding counts for the digest, and the checksum of gzip stands last.
        while bounded.read(_PIECE):
            pass


def _problem(member: tarfile.TarInfo, seen: set[str], read_bytes: int) -> str:
    name = member.name
    parts = name.split("/")
    if not member.isreg():
        return f"{name[:100]!r} is no plain file"
    if (
        len(name) > _MOST_NAME
        or "\0" in name
        or "\\" in name
        or not all(0x20 <= ord(c) < 0xD800 or ord(c) > 0xDFFF for c in name)
    ):
        return f"{name[:100]!r} is no name for a file"
    if name.startswith("/") or any(part in ("", ".", "..") for part in parts):
        return f"{name[:100]!r} leads out of the folder"
    if any(part.startswith(".") and part != ".python-version" for part in parts):
        return f"{name[:100]!r} is hidden"
    if name in seen or any("/".join(parts[:at]) in seen for at in range(1, len(parts))):
        return f"{name[:100]!r} is there twice"
    if len(seen) >= MOST_FILES:
        return f"it has more than {MOST_FILES:,} files"
    if member.size > MOST_BYTES or read_bytes + member.size > MOST_BYTES:
        return f"it has more than {MOST_BYTES:,} bytes"
    return ""


class _Bounded(io.RawIOBase):
    """Reads on, hashes what it has read, and reads no more than a bundle may have."""

    def __init__(self, packed: gzip.GzipFile, digest: hashlib._Hash) -> None:
        super().__init__()
        self._packed, self._digest = packed, digest
        self.read_bytes = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._packed.read(_PIECE if size < 0 else size)
        self.read_bytes += len(data)
        # Headers and padding come on top of the contents.
        if self.read_bytes > MOST_BYTES + MOST_FILES * 4 * tarfile.BLOCKSIZE:
            raise _not_taken("the bundle", f"it has more than {MOST_BYTES:,} bytes")
        self._digest.update(data)
        return data


def _put(folder: Path, member: tarfile.TarInfo, content: IO[bytes]) -> None:
    path = folder / member.name
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    mode = 0o755 if member.mode & 0o100 else 0o644
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), mode)
    with os.fdopen(fd, "wb") as out:
        shutil.copyfileobj(content, out, _PIECE)


@contextlib.contextmanager
def _reading(name: str) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile, UnicodeError, ValueError) as error:
        raise _not_taken(name, f"it cannot be read: {error}") from None
    except OSError as error:
        raise LoadError(f"{name} cannot be unpacked: {error}", hint="is there space on the disk?") from error


def _not_taken(name: str, why: str) -> LoadError:
    return LoadError(f"{name} is no bundle that is taken: {why}", hint="make it anew: partita deploy")
