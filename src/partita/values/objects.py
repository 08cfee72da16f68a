"""Objects by key, in a folder or in a bucket: what several machines see of each other.

A folder is also what a shared file system is. Buckets are those of S3, Google Cloud Storage and Azure, through obstore
(`pip install 'partita[objects]'`), with the credentials that it finds in the environment.

Rule: an object is there as a whole or not at all. What may fail: every call raises `WorldError` when the store cannot be reached,
and nothing else.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from partita.errors import DefinitionError, WorldError
from partita.values.blobs import temporary_name, write_small_file, write_then_rename

BUCKETS = ("s3", "gs", "az", "abfs", "abfss")
_HINT = "write file:///shared/folder, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix"


class Objects(Protocol):
    """A store of objects. Many processes and threads use it at the same time."""

    def get(self, key: str) -> bytes | None:
        """The object, or None if there is none."""
        ...

    def put(self, key: str, data: bytes) -> None:
        """Put an object in its place, whatever was there."""
        ...

    def create(self, key: str, data: bytes) -> bool:
        """Put an object where none is; False if one is there. Of several who try at once, one succeeds."""
        ...

    def names(self, prefix: str) -> list[str]:
        """The names of what lies right under `prefix`, sorted."""
        ...

    def older(self, prefix: str, before: float) -> list[str]:
        """The names of the objects right under `prefix` that were put before an instant by time.time(), sorted."""
        ...

    def remove(self, prefix: str) -> None:
        """Remove the object of this name, and all that lie under it. Nothing there: nothing happens."""
        ...


def objects_at(address: str) -> Objects:
    """The store at an address: file:///folder, s3://bucket/prefix, gs://..., az://...

    Raises `DefinitionError` for what is no address, `WorldError` if obstore is missing or the bucket's settings are wrong.

    >>> objects_at("ftp://x")
    Traceback (most recent call last):
    partita.errors.DefinitionError: 'ftp://x' is no address of an object store
    """
    parts = urlsplit(address)
    if parts.scheme == "file" and parts.path.startswith("/") and parts.netloc in ("", "localhost"):
        return Folder(Path(unquote(parts.path)))
    if parts.scheme in BUCKETS and parts.netloc:
        return Bucket(address)
    raise DefinitionError(f"{address!r} is no address of an object store", hint=_HINT)


class Folder:
    """Objects as files. Names are those of the keys; a file is complete before it has its name."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def get(self, key: str) -> bytes | None:
        try:
            return (self.root / key).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None
        except OSError as error:
            raise _trouble(str(self.root), error) from error

    def put(self, key: str, data: bytes) -> None:
        with self._doing():
            write_then_rename(f"{self.root}/{key}", data, sync=False)

    def create(self, key: str, data: bytes) -> bool:
        path = f"{self.root}/{key}"
        temporary = temporary_name(path)
        with self._doing():
            write_small_file(temporary, data, sync=False)
            try:
                # A link is made or refused as one act, also on network file systems, where an exclusive open is not.
                os.link(temporary, path)
            except FileExistsError:
                return False
            finally:
                os.unlink(temporary)
        return True

    def names(self, prefix: str) -> list[str]:
        with self._doing():
            try:
                return sorted(name for name in os.listdir(self.root / prefix) if not name.startswith("."))
            except (FileNotFoundError, NotADirectoryError):
                return []

    def older(self, prefix: str, before: float) -> list[str]:
        with self._doing():
            try:
                with os.scandir(self.root / prefix) as entries:
                    return sorted(e.name for e in entries if e.is_file() and e.stat().st_mtime < before)
            except (FileNotFoundError, NotADirectoryError):
                return []

    def remove(self, prefix: str) -> None:
        path = self.root / prefix
        with self._doing(), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            if not path.is_dir() or path.is_symlink():
                path.unlink()
                return
            for name in os.listdir(path):
                self.remove(f"{prefix}/{name}")
            path.rmdir()

    @contextlib.contextmanager
    def _doing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise _trouble(str(self.root), error) from error


class Bucket:
    """Objects in a bucket, under the prefix of its address."""

    def __init__(self, address: str) -> None:
        try:
            import obstore
        except ImportError:
            raise WorldError(
                f"object stores such as {address} need the package obstore", hint="pip install 'partita[objects]'"
            ) from None
        self.address = address
        self._api = obstore
        from partita.values.object_blobs import store_at

        try:
            # With patience for a network, and plain HTTP where an endpoint of one's own has no more.
            self._store: Any = store_at(address)
        except DefinitionError as error:
            raise WorldError(error.message, hint=error.hint) from None

    def get(self, key: str) -> bytes | None:
        with self._doing():
            try:
                return bytes(self._api.get(self._store, key).bytes())
            except FileNotFoundError:
                return None

    def put(self, key: str, data: bytes) -> None:
        with self._doing():
            self._api.put(self._store, key, data)

    def create(self, key: str, data: bytes) -> bool:
        from obstore.exceptions import AlreadyExistsError

        with self._doing():
            try:
                self._api.put(self._store, key, data, mode="create")
            except AlreadyExistsError:
                return False
        return True

    def names(self, prefix: str) -> list[str]:
        with self._doing():
            found = self._api.list_with_delimiter(self._store, prefix=prefix)
        keys = [*found["common_prefixes"], *(entry["path"] for entry in found["objects"])]
        return sorted(key.rstrip("/").rpartition("/")[2] for key in keys)

    def older(self, prefix: str, before: float) -> list[str]:
        with self._doing():
            found = self._api.list_with_delimiter(self._store, prefix=prefix)
        return sorted(
            entry["path"].rpartition("/")[2]
            for entry in found["objects"]
            if entry["last_modified"].timestamp() < before
        )

    def remove(self, prefix: str) -> None:
        with self._doing():
            keys = [entry["path"] for page in self._api.list(self._store, prefix=prefix) for entry in page]
            for key in dict.fromkeys([prefix, *keys]):
                # One by one: deleting in bulk is not what every store that speaks S3 can do.
                with contextlib.suppress(FileNotFoundError):
                    self._api.delete(self._store, key)

    @contextlib.contextmanager
    def _doing(self) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, OSError, ValueError) as error:
            if isinstance(error, FileNotFoundError):
                raise
            raise _trouble(self.address, error) from error


def _trouble(where: str, error: Exception) -> WorldError:
    text = str(getattr(error, "strerror", "") or error).strip().splitlines()
    return WorldError(
        f"{where} cannot be used: {text[0][:300] if text else type(error).__name__}",
        hint="check the address, what may be done there, and the credentials in the environment",
    )
