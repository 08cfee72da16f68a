"""Values in object storage: S3, Google Cloud Storage, Azure, or a folder that several machines share.

A blob's name there is its digest and the day on which it was put: `ab/abcdef...-4f2a`. Content that is put again on the same
day is found and not sent again; on another day it is a new object. So no name is ever written that retention might be taking
away at that moment, and "written within a day" is the same as "used within a day".

Credentials and endpoints are what the storage's own variables say (AWS_ACCESS_KEY_ID, AWS_ENDPOINT, GOOGLE_APPLICATION_CREDENTIALS,
AZURE_STORAGE_ACCOUNT_KEY ...), so none is kept by Partita. Values that were kept in the home before it had an address are read from there.

Rule: only these functions know that there are kinds of places; all others have `Blobs`. Nothing is opened before it is used: a process
that forks must not have talked to a storage before.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import unquote, urlsplit

import msgspec

from partita.errors import DefinitionError, PartitaError, ValueCodecError
from partita.settings import VALUE_ADDRESSES, Home
from partita.values.blobs import Blobs, FileBlobs, new_file

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_NAME = re.compile(r"[0-9a-f]{2}/[0-9a-f]{64}-[0-9a-f]{1,6}")
_DAY_S = 86_400
# Read in pieces, so that no single request takes long enough to be cut off.
_PIECE = 16 << 20
_OWNER = "partita-owner"


class Stored(msgspec.Struct, frozen=True):
    """A blob that lies in a storage."""

    ref: str
    size: int
    at: float


def blobs_of(home: Home) -> Blobs:
    """Where a home keeps its values. Raises `DefinitionError` for an address that cannot be.

    >>> blobs_of(Home(Path("/srv/shop/.partita"))).root
    PosixPath('/srv/shop/.partita/blobs')
    """
    if not home.values:
        return FileBlobs(home.blobs)
    place = blobs_at(home.values, scratch=home.blobs / "tmp")
    if isinstance(place, FileBlobs) and place.root == home.blobs:
        return place
    return _Moved(place, FileBlobs(home.blobs))


def blobs_at(address: str, *, scratch: Path | None = None) -> Blobs:
    """The blobs of an address: file:///..., s3://..., gs://..., az://... Nothing is opened yet.

    `scratch`: where blobs are made before they are sent (default: the folder for temporary files).
    """
    scheme = urlsplit(address).scheme
    if scheme == "file":
        return FileBlobs(folder_of(address))
    if not address.startswith(VALUE_ADDRESSES) or not urlsplit(address).netloc:
        raise DefinitionError(
            f"values = {address!r} is no place for values",
            hint="file:///folder, s3://bucket/prefix, gs://..., az://...",
        )
    return ObjectBlobs(address, scratch=scratch)


def folder_of(address: str) -> Path:
    """The folder of a file:// address. Raises `DefinitionError` for one that is not of this machine or no whole path."""
    parts = urlsplit(address)
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise DefinitionError(f"{address!r} is no folder", hint="write it with three slashes: file:///srv/values")
    return Path(unquote(parts.path))


@functools.lru_cache(maxsize=32)
def store_at(address: str) -> ObjectStore:
    """The object storage of an address, with patience for a network. Raises `DefinitionError` if that cannot be."""
    try:
        from obstore.store import from_url
    except ModuleNotFoundError:
        raise DefinitionError(f"{address} needs obstore", hint="pip install 'partita[objects]'") from None
    if urlsplit(address).scheme == "file":
        folder_of(address).mkdir(parents=True, exist_ok=True, mode=0o700)
    from datetime import timedelta

    options: dict[str, Any] = {}
    if urlsplit(address).scheme not in ("file", "memory"):
        options = {
            "client_options": {"timeout": "120s", "connect_timeout": "10s", "allow_http": True},
            "retry_config": {"max_retries": 6, "retry_timeout": timedelta(seconds=60)},
        }
    try:
        return from_url(address, **options)
    except Exception as error:  # its errors have no family of their own
        raise DefinitionError(f"{address}: {said(error)}", hint="see docs/guide/deploy.md for what it needs") from None


class ObjectBlobs:
    """Blobs in an object storage. `store`: instead of the address's own, for tests."""

    def __init__(self, address: str, *, scratch: Path | None = None, store: ObjectStore | None = None) -> None:
        self.address = address
        self._given = store
        self._scratch = scratch or Path(tempfile.gettempdir()) / f"partita-values-{os.getuid()}"

    def scratch(self) -> Path:
        with _at(self.address, "stored"):
            self._scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._scratch / f"{os.getpid():x}-{os.urandom(8).hex()}"

    def adopt(self, path: Path, digest: str, size: int) -> str:
        ref = _ref(digest)
        if not self.has(ref, size):
            self._put(ref, path)
        path.unlink()
        return ref

    def put(self, data: bytes, digest: str) -> str:
        # Small enough that sending it again is no dearer than asking; the content of a name never differs.
        ref = _ref(digest)
        self._put(ref, data)
        return ref

    def read(self, ref: str, digest: str, size: int) -> bytes:
        data = b"".join(self._pieces(ref, size))
        _prove(self.address, ref, digest, hashlib.sha256(data).hexdigest())
        return data

    def open(self, ref: str, digest: str, size: int) -> BinaryIO:
        path = self.scratch()
        found = hashlib.sha256()
        with _at(self.address, "read"):
            with new_file(path) as file:
                for piece in self._pieces(ref, size):
                    found.update(piece)
                    file.write(piece)
            opened = path.open("rb")
            path.unlink()
        try:
            _prove(self.address, ref, digest, found.hexdigest())
        except BaseException:
            opened.close()
            raise
        return opened

    def has(self, ref: str, size: int) -> bool:
        import obstore

        try:
            return bool(obstore.head(self._store, ref)["size"] == size)
        except Exception as error:
            if is_missing(error):
                return False
            raise _failed(self.address, "read", error) from None

    # --- for retention ----------------------------------------------------------------------------------------------

    def listed(self) -> Iterator[Stored]:
        """All blobs that lie there, page by page; nothing else that lies beside them. Raises `ValueCodecError`."""
        import obstore

        try:
            for page in obstore.list(self._store):
                for found in page:
                    if _NAME.fullmatch(found["path"]):
                        yield Stored(found["path"], found["size"], found["last_modified"].timestamp())
        except Exception as error:
            raise _failed(self.address, "listed", error) from None

    def remove(self, refs: list[str]) -> None:
        """Take blobs away; those that are gone already are no error."""
        import obstore

        try:
            obstore.delete(self._store, refs)
        except Exception as error:
            if not is_missing(error):
                raise _failed(self.address, "removed", error) from None

    def owner(self, mine: str) -> str:
        """Whose values lie here: what the first one to ask has said of itself. Only the owner may remove any."""
        import obstore

        try:
            obstore.put(self._store, _OWNER, mine.encode(), mode="create")
        except Exception as error:
            if not is_there(error):
                raise _failed(self.address, "written", error) from None
        try:
            return bytes(obstore.get(self._store, _OWNER).bytes()).decode("utf-8", "replace")
        except Exception as error:
            raise _failed(self.address, "read", error) from None

    # --- inside -----------------------------------------------------------------------------------------------------

    @property
    def _store(self) -> ObjectStore:
        return self._given if self._given is not None else store_at(self.address)

    def _put(self, ref: str, data: bytes | Path) -> None:
        import obstore

        try:
            obstore.put(self._store, ref, data)
        except Exception as error:
            raise _failed(self.address, "stored", error) from None

    def _pieces(self, ref: str, size: int) -> Iterator[bytes]:
        import obstore

        try:
            found = obstore.head(self._store, ref)["size"]
            if found != size:
                raise _damaged(self.address, ref, f"it has {found:,} bytes instead of {size:,}")
            for start in range(0, size, _PIECE):
                piece = obstore.get_range(self._store, ref, start=start, end=min(start + _PIECE, size))
                yield piece.to_bytes()
        except PartitaError:
            raise
        except Exception as error:
            if is_missing(error):
                raise _missing(self.address, ref) from None
            raise _failed(self.address, "read", error) from None


class _Moved:
    """Blobs go to `place`; what was kept in a folder before there was another place is still read from there."""

    def __init__(self, place: Blobs, before: FileBlobs) -> None:
        self.place = place
        self._before = before
        self.scratch, self.adopt, self.put = place.scratch, place.adopt, place.put

    def read(self, ref: str, digest: str, size: int) -> bytes:
        return self._of(ref, size).read(ref, digest, size)

    def open(self, ref: str, digest: str, size: int) -> BinaryIO:
        return self._of(ref, size).open(ref, digest, size)

    def has(self, ref: str, size: int) -> bool:
        return self._before.has(ref, size) or self.place.has(ref, size)

    def _of(self, ref: str, size: int) -> Blobs:
        # A look at the local disk costs nothing beside a request.
        return self._before if self._before.has(ref, size) else self.place


def place_of(blobs: Blobs) -> Blobs:
    """Where new values go, of what `blobs_of` gave."""
    return blobs.place if isinstance(blobs, _Moved) else blobs


def said(error: Exception) -> str:
    """What an error of a storage says, in one line.

    >>> said(OSError("Generic S3 error: no such host\\n\\nDebug source:\\n..."))
    'Generic S3 error: no such host'
    """
    return str(error).partition("\n")[0].strip() or type(error).__name__


def is_missing(error: Exception) -> bool:
    """Whether an error of a storage says that there is no such object."""
    return isinstance(error, FileNotFoundError) or type(error).__name__ == "NotFoundError"


def is_there(error: Exception) -> bool:
    """Whether an error of a storage says that there is such an object already."""
    return isinstance(error, FileExistsError) or type(error).__name__ in ("AlreadyExistsError", "PreconditionError")


def _ref(digest: str) -> str:
    return f"{digest[:2]}/{digest}-{int(time.time()) // _DAY_S:x}"


def _prove(address: str, ref: str, digest: str, found: str) -> None:
    if found != digest:
        raise _damaged(address, ref, "its SHA-256 differs")


def _damaged(address: str, ref: str, what: str) -> ValueCodecError:
    return ValueCodecError(
        f"blob {ref} in {address} is damaged: {what}", hint="remove the object and run the step that made it again"
    )


def _missing(address: str, ref: str) -> ValueCodecError:
    return ValueCodecError(
        f"blob {ref} is not in {address}",
        hint="it may have been removed by retention or by hand; run the step that made it again",
    )


def _failed(address: str, done: str, error: Exception) -> PartitaError:
    if isinstance(error, PartitaError):
        return error
    refused = type(error).__name__ in ("PermissionDeniedError", "UnauthenticatedError") or isinstance(
        error, PermissionError
    )
    hint = (
        "are its credentials in the environment of this process?" if refused else "is it reachable from this machine?"
    )
    return ValueCodecError(f"a value cannot be {done}: {address}: {said(error)}", hint=hint)


@contextlib.contextmanager
def _at(address: str, verb: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ValueCodecError(
            f"a value of {address} cannot be {verb}: {error.strerror or error}", hint="free some space, then retry"
        ) from error
