"""SQLite by apsw: how the file is opened, what a synced transaction is, and what its errors mean.

One writer process and connection owns the file (`locking.py`); readers are read-only and never in its way. WAL with
synchronous=FULL: a commit that has returned is on the disk. Checkpoints come from the writer alone.

Rule: only what is SQLite's. Statements are in `sql/`, what they mean in `reading.py` and `writing.py`.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

import apsw

from partita.errors import StoreError, StoreFull
from partita.store import migrate as migrations
from partita.store.database import Params, Row
from partita.store.fold import second_open_attempt
from partita.store.leases import ENGINE
from partita.store.locking import OwnerLock, mounts, refuse_network
from partita.store.reading import SqlReader
from partita.store.writing import SqlStore

# "Part", so that `file` and we can tell the database from others.
_APPLICATION = 0x50617274
# WAL pages (of 4 KiB) after which the writer copies them into the database: rarely enough that pages written often
# are copied once, and early enough that the WAL stays at 16 MB.
_CHECKPOINT_PAGES = 4000
_WAL_LIMIT_BYTES = 64 << 20
# Against tools that people open the file with; none of ours blocks.
_BUSY_MS = 5000

SqliteReader = SqlReader


class SqliteStore(SqlStore):
    """The owner of a SQLite store."""

    def __init__(self, db: SqliteDatabase, lock: OwnerLock, *, clock: Callable[[], float]) -> None:
        super().__init__(db, clock=clock)
        self._lock = lock

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._lock.release()


def open_store(path: Path | str, *, clock: Callable[[], float] = time.time, vfs: str | None = None) -> SqliteStore:
    """Own the store at `path` until it is closed: made where there is none, brought up to date where it is older.

    Raises `StoreLocked`, `StoreTooNew`, `StoreFull`, `StoreError`. `vfs` names another way to the disk (tests).
    """
    path = Path(path).absolute()
    lock = _lock(path)
    try:
        db = _open_to_write(path, vfs)
        try:
            _prepare(db, path, clock())
        except BaseException:
            db.close()
            raise
    except BaseException:
        lock.release()
        raise
    store = SqliteStore(db, lock, clock=clock)
    left = store.lease(ENGINE)
    if left is not None and left.holder:
        # Whoever held it has died: the lock on the file was theirs, and now it is ours. No need to wait for its end.
        store.release(left)
    return store


def open_in_memory(*, clock: Callable[[], float] = time.time) -> SqlStore:
    """A store that lives as long as the object: all of the contract, nothing on disk. For tests and simulations."""
    db = SqliteDatabase(apsw.Connection(":memory:", statementcachesize=100), Path(":memory:"))
    db.fetch("PRAGMA foreign_keys = ON")
    migrations.create(db, now=clock())
    return SqlStore(db, clock=clock)


def open_reader(path: Path | str) -> SqliteReader:
    """Read the store at `path`, whether an engine runs on it or not. Raises `StoreTooNew`, `StoreError`."""
    path = Path(path).absolute()
    db = _open_to_read(path)
    try:
        if migrations.pending(db, str(path)):
            raise StoreError(f"{path} is of an older Partita", hint="bring it up to date: partita db migrate")
    except BaseException:
        db.close()
        raise
    return SqliteReader(db)


def migrate(path: Path | str, *, clock: Callable[[], float] = time.time) -> list[str]:
    """Bring the store at `path` up to date; the names of what was applied. Raises as `open_store`."""
    path = Path(path).absolute()
    _must_exist(path)
    lock = _lock(path)
    try:
        db = _open_to_write(path, None)
        try:
            _refuse_foreign(db, path)
            return migrations.upgrade(db, str(path), now=clock())
        finally:
            db.close()
    finally:
        lock.release()


def backup(path: Path | str, target: Path | str) -> int:
    """Copy the store at `path` to the file `target`, whether an engine runs on it or not; the bytes of the copy.

    The copy is one state of the store, proven by SQLite's own check, and has its name only when it is whole and on the
    disk. Raises `StoreError`, `StoreFull`.
    """
    path, target = Path(path).absolute(), Path(target).absolute()
    if target.exists():
        raise StoreError(f"{target} exists already", hint="a backup does not overwrite: name another file")
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    source = _open_to_read(path)
    try:
        _copy(source._connection, unfinished, path)
        os.replace(unfinished, target)
        sync_folder(target.parent)
    except OSError as error:
        raise StoreFull(
            f"{target} cannot be written: {error.strerror}", hint="name a file where there is space"
        ) from error
    finally:
        source.close()
        for left in (unfinished, Path(f"{unfinished}-journal")):
            left.unlink(missing_ok=True)
    return target.stat().st_size


def _copy(source: apsw.Connection, target: Path, path: Path) -> None:
    try:
        os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        copy = apsw.Connection(str(target), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            with copy.backup("main", source, "main") as pages:
                # All at once is one state: the copy is made within one reading transaction, in nobody's way.
                pages.step(-1)
            copy.execute("PRAGMA journal_mode = DELETE").fetchall()
            found = copy.execute("PRAGMA quick_check(1)").fetchall()
        finally:
            copy.close()
    except apsw.FullError as error:
        raise StoreFull(f"there is no space for a copy of {path}", hint="name a file on another disk") from error
    except apsw.Error as error:
        raise StoreError(
            f"{path} cannot be copied: {error}", hint="partita db audit says whether it is whole"
        ) from error
    if found != [("ok",)]:
        raise StoreError(f"the copy of {path} is not whole: {found[0][0]}", hint="partita db audit")


def compact(path: Path | str) -> tuple[int, int]:
    """Write the store anew without its free space: bytes before and after. No engine may be at work on it.

    Raises as `open_store`.
    """
    path = Path(path).absolute()
    _must_exist(path)
    lock = _lock(path)
    try:
        before = path.stat().st_size
        db = _open_to_write(path, None)
        try:
            _refuse_foreign(db, path)
            db.fetch("VACUUM")
        finally:
            db.close()
        return before, path.stat().st_size
    finally:
        lock.release()


def sync_folder(folder: Path) -> None:
    """Make the names in a folder as durable as the files."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class SqliteDatabase:
    """`database.Database` over one apsw connection."""

    def __init__(self, connection: apsw.Connection, path: Path) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._path = path
        self._wal_pages = 0
        self._checkpoint_at = _CHECKPOINT_PAGES
        # Why nothing can be written any more: after a failed sync nobody knows what is on the disk.
        self._broken: str | None = None

    def fetch(self, sql: str, params: Params = ()) -> list[Row]:
        try:
            return self._cursor.execute(sql, params).fetchall()
        except apsw.Error as error:
            self._fail(error)

    def write_many(self, sql: str, rows: Sequence[Params]) -> None:
        try:
            self._cursor.executemany(sql, rows)
        except apsw.Error as error:
            self._fail(error)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        if self._broken:
            raise StoreError(self._broken, hint="start Partita again; what was acknowledged is safe")
        self.fetch("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._rollback()
            raise
        try:
            self._cursor.execute("COMMIT")
        except apsw.Error as error:
            self._rollback()
            self._break_if_io(error)
            self._fail(error)
        if self._wal_pages >= self._checkpoint_at:
            self._checkpoint()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        self.fetch("BEGIN")
        try:
            yield
        finally:
            self._rollback()

    def findings(self) -> list[str]:
        try:
            found = [str(row[0]) for row in self.fetch("PRAGMA integrity_check") if row[0] != "ok"]
            for table, rowid, parent, _ in self.fetch("PRAGMA foreign_key_check"):
                place = "" if rowid is None else f" {rowid}"
                found.append(f"row{place} of {table} names a row of {parent} that is not there")
        except StoreError as error:
            return [error.message]
        return found

    def pages(self) -> tuple[int, int, int]:
        total, free, size = (
            int(self.fetch(f"PRAGMA {name}")[0][0]) for name in ("page_count", "freelist_count", "page_size")
        )
        return total, free, size

    def about(self) -> list[tuple[str, str]]:
        return []

    def insert(self, table: str, columns: Sequence[str], types: Sequence[str], rows: Sequence[Params]) -> None:
        names = ", ".join(f'"{column}"' for column in columns)
        self.write_many(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(columns))})", rows)

    def last_number(self, table: str) -> int:
        (highest,) = self.fetch(f"SELECT coalesce(max(no), 0) FROM {table}")[0]
        rows = self.fetch("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,))
        return max(int(highest), int(rows[0][0]) if rows else 0)

    def go_on_from(self, table: str, last: int) -> None:
        # Tables that may use a number again have no row there.
        self.fetch("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?", (last, table))
        if last and "AUTOINCREMENT" in self.fetch("SELECT sql FROM sqlite_schema WHERE name = ?", (table,))[0][0]:
            self.fetch(
                "INSERT INTO sqlite_sequence (name, seq) SELECT ?, ?"
                " WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = ?)",
                (table, last, table),
            )

    def give_back(self, pages: int) -> None:
        self.fetch(f"PRAGMA incremental_vacuum({pages:d})")

    def close(self) -> None:
        # Closing copies the WAL into the database. Where that fails nothing is lost: the next owner does it.
        with suppress(apsw.Error):
            self._connection.close(True)

    def count_wal(self) -> None:
        """Take over from SQLite when the WAL is copied into the database."""
        self._connection.set_wal_hook(self._committed)

    def _committed(self, connection: apsw.Connection, name: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _checkpoint(self) -> None:
        """Copy the WAL into the database as far as readers allow; what is left comes with a later one."""
        try:
            pages, copied = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except (apsw.FullError, apsw.BusyError):
            # The commit is safe in the WAL; the copy is tried again.
            pages, copied = self._wal_pages, 0
        except apsw.Error as error:
            self._break_if_io(error)
            self._fail(error)
        self._checkpoint_at = _CHECKPOINT_PAGES if copied >= pages else pages + _CHECKPOINT_PAGES

    def _rollback(self) -> None:
        # SQLite has already rolled back after some errors.
        if self._connection.in_transaction:
            try:
                self._cursor.execute("ROLLBACK")
            except apsw.Error as error:
                self._broken = self._broken or f"{self._path} cannot be rolled back: {error}"

    def _break_if_io(self, error: apsw.Error) -> None:
        if isinstance(error, apsw.IOError) and not self._no_space(error):
            self._broken = f"the disk failed under {self._path} ({error}): whether the last commit is there is unknown"

    def _no_space(self, error: apsw.Error) -> bool:
        if isinstance(error, (apsw.FullError, apsw.ReadOnlyError)):
            return True
        return isinstance(error, apsw.IOError) and self._connection.system_errno in (errno.ENOSPC, errno.EDQUOT)

    def _fail(self, error: apsw.Error) -> NoReturn:
        """Raise what `error` means in our words."""
        if self._no_space(error):
            raise StoreFull(
                f"{self._path} cannot be written: {error}",
                hint="make space on its disk (and see that the folder is writable); nothing was lost",
            ) from error
        if isinstance(error, apsw.ConstraintError) and str(error).endswith("attempts.run, attempts.step, attempts.idx"):
            raise second_open_attempt("an attempt") from error
        if isinstance(error, apsw.BusyError):
            raise StoreError(
                f"another program writes to {self._path}", hint="close the tool that has it open, and try again"
            ) from error
        if isinstance(error, (apsw.NotADBError, apsw.CorruptError)):
            raise StoreError(
                f"{self._path} is not a database of Partita, or it is damaged: {error}",
                hint="restore a backup, or move the file away and start afresh",
            ) from error
        raise StoreError(self._broken or f"{self._path} failed: {error}") from error


# --- opening ------------------------------------------------------------------------------------------------------


def _lock(path: Path) -> OwnerLock:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreFull(
            f"{path.parent} cannot be made: {error.strerror}", hint="set PARTITA_HOME to a folder that can be written"
        ) from error
    refuse_network(path.parent.resolve(), mounts())
    return OwnerLock(path)


def _open_to_write(path: Path, vfs: str | None) -> SqliteDatabase:
    try:
        # Before SQLite does, to have it private whatever the umask is; the WAL takes over its mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreFull(
            f"{path} cannot be written: {error.strerror}", hint="the file and its folder must be writable"
        ) from error
    db = SqliteDatabase(_connect(path, apsw.SQLITE_OPEN_READWRITE, vfs), path)
    try:
        # First of all: after a crash the first reader that comes repairs the WAL, and everybody else waits for that.
        db.fetch(f"PRAGMA busy_timeout = {_BUSY_MS}")
        # Before the first table: later it would be ignored.
        db.fetch("PRAGMA auto_vacuum = INCREMENTAL")
        for setting in (
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
            "mmap_size = 0",
            "wal_autocheckpoint = 0",
            f"journal_size_limit = {_WAL_LIMIT_BYTES}",
        ):
            db.fetch(f"PRAGMA {setting}")
    except BaseException:
        db.close()
        raise
    db.count_wal()
    return db


def _prepare(db: SqliteDatabase, path: Path, now: float) -> None:
    """Tables for an empty file, migrations for an older one."""
    if db.fetch("SELECT count(*) FROM sqlite_master")[0][0]:
        _refuse_foreign(db, path)
        migrations.upgrade(db, str(path), now=now)
        return
    db.fetch(f"PRAGMA application_id = {_APPLICATION}")
    migrations.create(db, now=now)
    # The file's name must be as durable as what is in it.
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _refuse_foreign(db: SqliteDatabase, path: Path) -> None:
    """Raise unless the file has Partita's tables."""
    tables = {row[0] for row in db.fetch("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        raise _nothing_at(path)
    if "migrations" not in tables:
        raise StoreError(
            f"{path} is a SQLite database, but not one of Partita",
            hint="move it away, or set PARTITA_HOME to another folder",
        )


def _open_to_read(path: Path) -> SqliteDatabase:
    _must_exist(path)
    db = SqliteDatabase(_connect(path, apsw.SQLITE_OPEN_READONLY, None), path)
    try:
        db.fetch(f"PRAGMA busy_timeout = {_BUSY_MS}")
        _refuse_foreign(db, path)
        return db
    except StoreError as error:
        db.close()
        if not isinstance(error.__cause__, (apsw.CantOpenError, apsw.ReadOnlyError)):
            raise
        # WAL needs a file beside the database, and this folder takes none.
        return _open_where_nothing_can_be_written(path)


def _open_where_nothing_can_be_written(path: Path) -> SqliteDatabase:
    wal = path.with_name(path.name + "-wal")
    if wal.exists() and wal.stat().st_size:
        raise StoreError(
            f"{path} was not closed, and what is in its WAL cannot be read from a folder that is read-only",
            hint="make the folder writable, or copy it elsewhere",
        )
    # Nobody can write here, so nothing will change under us.
    uri = f"file:{quote(str(path))}?immutable=1"
    db = SqliteDatabase(_connect(uri, apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI, None), path)
    try:
        _refuse_foreign(db, path)
    except BaseException:
        db.close()
        raise
    return db


def _connect(name: Path | str, flags: int, vfs: str | None) -> apsw.Connection:
    try:
        connection = apsw.Connection(str(name), flags=flags, vfs=vfs, statementcachesize=100)
    except apsw.Error as error:
        raise StoreError(f"{name} cannot be opened: {error}", hint="is it a file that you may read?") from error
    # Checkpoints are the writer's; a reader that closes last must not make one.
    if flags & apsw.SQLITE_OPEN_READONLY:
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    return connection


def _must_exist(path: Path) -> None:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise _nothing_at(path) from None
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}", hint="ask its owner, or be its owner") from error


def _nothing_at(path: Path) -> StoreError:
    return StoreError(f"there is no store at {path}", hint="`partita run` makes it")
