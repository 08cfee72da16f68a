"""One connection to PostgreSQL by psycopg 3: what a synced transaction is, what is asked again, what errors mean.

All that a transaction does goes out in a pipeline, two round trips in all. A connection that is lost in the midst of one has rolled it
back. One that is lost during COMMIT leaves a doubt, and the server is asked about that very transaction, by its number, before
anything else is done (`settle`).

Rule: only what is PostgreSQL's. Statements are in `sql/` (`dialect.py` translates), their meaning in `reading.py` and `writing.py`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Final, NoReturn

import psycopg
from psycopg import errors
from psycopg.pq import TransactionStatus

from partita.errors import StoreAway, StoreError, StoreFull
from partita.store import addresses, dialect, months, postgres_values
from partita.store.database import Params, Row
from partita.store.fold import second_open_attempt

_CONNECT_S: Final = 5
# How long a database that went away during a commit is waited for before everything else goes on without it.
_PATIENCE_S: Final = 5.0
# A question that does not change anything is asked again for so long.
_MOMENT_S: Final = 2.0
_LOOK_EVERY_S: Final = 0.05
# From so many rows on a statement is sent once, with columns, and not once for each row.
_MANY: Final = 4
PAGE: Final = 8192
_MOST_STATEMENTS: Final = 500
# Nobody waits for a lock, a statement or a forgotten transaction for ever; synced means synced whatever the server's default.
_SESSION: Final = (
    "SET lock_timeout = '2s'",
    "SET statement_timeout = '15s'",
    # Of a process that stands still in the midst of a commit: whoever takes over waits for its lock no longer than that.
    "SET idle_in_transaction_session_timeout = '5s'",
    "SET jit = off",
    # Every statement finds its rows by an index (tests/store/test_plans.py), also before there are statistics that say so.
    "SET enable_seqscan = off",
    # Lists are read in the order of an index, not collected and sorted.
    "SET enable_bitmapscan = off",
    "SET enable_hashjoin = off",
    "SET enable_mergejoin = off",
    "SET plan_cache_mode = force_generic_plan",
    "SET timezone = 'UTC'",
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
)


class InDoubt(StoreAway):
    """`transaction` was sent to be committed, and the answer has not come."""

    def __init__(self, where: str, transaction: tuple[int, int]) -> None:
        super().__init__(
            f"{where} went away during a commit",
            hint="it is asked what became of it as soon as it is back; nothing is lost",
            in_doubt=True,
        )
        self.transaction = transaction


class PostgresDatabase:
    """`database.Database` over a psycopg connection, which is made again when it was lost."""

    def __init__(self, address: str, *, read_only: bool = False) -> None:
        self.where = addresses.shown(address)
        self._address = address
        self._read_only = read_only
        self._connection: psycopg.Connection[Row] | None = None
        self._inside = False
        # The connection on which somebody listens to a channel.
        self._listening: psycopg.Connection[Row] | None = None
        self._ready()

    @property
    def locking(self) -> str:
        """What makes a question lock its rows, where that means something."""
        return " FOR UPDATE" if self._inside else ""

    @property
    def server_version(self) -> int:
        """Of the server, as 150004."""
        return self._ready().info.server_version

    def fetch(self, sql: str, params: Params = ()) -> list[Row]:
        sql = dialect.translated(sql)
        connection = self._ready()
        try:
            return self._run(connection, sql, params)
        except psycopg.Error as error:
            # Outside of a transaction a question may be asked again, of a server that is back.
            if not self._inside and self._is_lost(error) and sql.startswith("SELECT"):
                self._drop()
                return self._asked_again(sql, params)
            self._fail(error)

    def _asked_again(self, sql: str, params: Params) -> list[Row]:
        """The answer of a server that is a moment away. Raises `StoreAway` when it takes longer."""
        deadline = time.monotonic() + _MOMENT_S
        while True:
            try:
                with self._translating():
                    return self._run(self._ready(), sql, params)
            except StoreAway:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_LOOK_EVERY_S)

    def write_many(self, sql: str, rows: Sequence[Params]) -> None:
        many = dialect.many(sql) if len(rows) >= _MANY else None
        connection = self._ready()
        if many is not None and (not many.key or len({tuple(row[i] for i in many.key) for row in rows}) == len(rows)):
            sent = postgres_values.columns(many.types, rows)
            with self._translating():
                self._cursor(connection).execute(many.sql, sent, prepare=True)
            return
        sql = dialect.translated(sql)
        with self._translating():
            cursor = self._cursor(connection)
            for row in rows:
                cursor.execute(sql, row, prepare=True)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        connection = self._ready()
        assert not self._inside, "transactions are not nested"
        lane = connection.pipeline()
        self._inside = True
        is_sent = False
        try:
            pipeline = lane.__enter__()
            cursor = self._cursor(connection)
            cursor.execute("BEGIN")
            number = self._cursor(connection).execute("SELECT pg_current_xact_id()::text::int8", prepare=True)
            yield
            transaction = (number.fetchone()[0], connection.info.backend_pid)  # type: ignore[index]
            # After a statement that failed the server skips all that is in the pipeline behind it, and so this.
            is_sent = True
            cursor.execute("COMMIT")
            pipeline.sync()
            lane.__exit__(None, None, None)
        except BaseException as error:
            if not isinstance(error, psycopg.Error):
                self._undo(connection, lane)
                raise
            is_lost = self._is_lost(error)
            self._undo(connection, lane)
            if not is_lost:
                self._mean(error)
            if not (is_sent and self._settled_in_time(transaction)):
                raise self._away(error) from error
        finally:
            self._inside = False

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        with self._translating():
            self._run(self._ready(), "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", ())
        self._inside = True
        try:
            yield
        finally:
            self._inside = False
            if self._connection is not None and not self._connection.closed:
                self._roll_back(self._connection)

    def settle(self, transaction: tuple[int, int]) -> bool:
        """Whether a transaction that was in doubt was committed. Raises `StoreAway` while the database cannot be asked."""
        number, backend = transaction
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            status = self.fetch("SELECT pg_xact_status(CAST(CAST(? AS TEXT) AS XID8))", (str(number),))[0][0]
            if status != "in progress":
                return bool(status == "committed")
            # Its server process has not noticed yet that we are gone; it holds the lock that all others need.
            self.fetch("SELECT pg_terminate_backend(CAST(? AS INTEGER))", (backend,))
            time.sleep(_LOOK_EVERY_S)
        raise InDoubt(self.where, transaction)

    def wait_for(self, channel: str, timeout_s: float) -> None:
        """Wait until somebody has notified a channel, or for so long. Raises `StoreAway`."""
        connection = self._ready()
        try:
            if connection is not self._listening:
                connection.execute(f'LISTEN "{channel}"')
                self._listening = connection
                return  # of what was told before we listened nobody tells
            for _ in connection.notifies(timeout=timeout_s, stop_after=1):
                pass
        except psycopg.Error as error:
            self._fail(error)

    def findings(self) -> list[str]:
        found = []
        for table, column, parent, key in _REFERENCES:
            rows = self.fetch(
                f"SELECT DISTINCT {column} FROM {table} AS t WHERE {column} IS NOT NULL AND NOT EXISTS"
                f" (SELECT 1 FROM {parent} AS p WHERE p.{key} = t.{column}) LIMIT 20"
            )
            found += [f"rows of {table} name {column} {row[0]} of {parent}, which is not there" for row in rows]
        return found

    def pages(self) -> tuple[int, int, int]:
        found = months.sizes(self)
        return found.size // PAGE, min(found.size, found.waiting) // PAGE, PAGE

    def about(self) -> list[tuple[str, str]]:
        told = [(f"PostgreSQL {self.fetch('SHOW server_version')[0][0].split()[0]}", "")]
        for setting, danger in _MUST_BE_ON.items():
            if self.fetch(f"SHOW {setting}")[0][0] == "off":
                told.append((f"{setting} is off: {danger}", f"set it on in postgresql.conf: {setting} = on"))
        return told

    def insert(self, table: str, columns: Sequence[str], types: Sequence[str], rows: Sequence[Params]) -> None:
        names = ", ".join(f'"{column}"' for column in columns)
        places = ", ".join(f"%s::{kind}[]" for kind in types)
        sent = postgres_values.columns(tuple(types), rows)
        with self._translating():
            self._cursor(self._ready()).execute(f"INSERT INTO {table} ({names}) SELECT * FROM unnest({places})", sent)

    def last_number(self, table: str) -> int:
        (highest,) = self.fetch(f"SELECT coalesce(max(no), 0) FROM {table}")[0]
        last, is_used = self.fetch(f"SELECT last_value, is_called FROM {table}_no_seq")[0]
        return max(int(highest), int(last) if is_used else int(last) - 1)

    def go_on_from(self, table: str, last: int) -> None:
        # Rows that were copied brought their numbers with them, and counted nothing.
        last = max(last, self.last_number(table))
        if last:
            self.fetch(f"SELECT setval('{table}_no_seq', ?)", (last,))

    def give_back(self, pages: int) -> None:
        """PostgreSQL does that by itself: autovacuum, and months that are dropped."""

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # --- one statement ------------------------------------------------------------------------------------------------

    def _cursor(self, connection: psycopg.Connection[Row]) -> psycopg.Cursor[Row]:
        return connection.cursor()

    def _run(self, connection: psycopg.Connection[Row], sql: str, params: Params) -> list[Row]:
        cursor = self._cursor(connection)
        if not dialect.returns_rows(sql):
            cursor.execute(sql, params or None, prepare=bool(params))
            return []
        return cursor.execute(sql, params or None, prepare=True).fetchall()

    # --- the connection -------------------------------------------------------------------------------------------------

    def _ready(self) -> psycopg.Connection[Row]:
        connection = self._connection
        if connection is not None and not connection.closed:
            return connection
        if self._inside and connection is not None:
            raise StoreAway(f"the connection to {self.where} was lost", hint="nothing is lost; it is tried again")
        return self._connect()

    def _connect(self) -> psycopg.Connection[Row]:
        try:
            connection: psycopg.Connection[Row] = psycopg.connect(
                self._address,
                autocommit=True,
                connect_timeout=_CONNECT_S,
                application_name="partita",
                keepalives_idle=10,
                keepalives_interval=5,
                keepalives_count=2,
                tcp_user_timeout=20_000,
                context=postgres_values.adapters(),
            )
            connection.prepared_max = _MOST_STATEMENTS
            for setting in _SESSION:
                connection.execute(setting)
            if self._read_only:
                connection.execute("SET default_transaction_read_only = on")
        except psycopg.Error as error:
            self._refuse_or_away(error)
        self._connection = connection
        return connection

    def _drop(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

    def _undo(self, connection: psycopg.Connection[Row], lane: AbstractContextManager[psycopg.Pipeline]) -> None:
        """Roll back what was begun; a connection on which that is not possible is given up."""
        # Leaving the pipeline tells the error once more.
        with suppress(psycopg.Error):
            lane.__exit__(None, None, None)
        # After an error psycopg may believe that it has prepared what the server has skipped: a new connection knows better.
        state = connection.info.transaction_status
        if connection.closed or state not in (TransactionStatus.IDLE, TransactionStatus.INTRANS):
            self._drop()
        elif state == TransactionStatus.INTRANS:
            self._roll_back(connection)

    def _roll_back(self, connection: psycopg.Connection[Row]) -> None:
        # Past psycopg, which would forget all prepared statements.
        try:
            connection.pgconn.exec_(b"ROLLBACK")
        except psycopg.Error:
            self._drop()

    def _settled_in_time(self, transaction: tuple[int, int]) -> bool:
        """What became of a transaction that was in doubt; the database may be a moment away."""
        self._drop()
        self._inside = False
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return self.settle(transaction)
            except StoreAway as error:
                if time.monotonic() > deadline:
                    raise InDoubt(self.where, transaction) from error
                time.sleep(_LOOK_EVERY_S)

    # --- errors ---------------------------------------------------------------------------------------------------------

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            self._fail(error)

    def _is_lost(self, error: psycopg.Error) -> bool:
        connection = self._connection
        return connection is None or bool(connection.closed) or isinstance(error, _GOING)

    def _away(self, error: psycopg.Error) -> StoreAway:
        return StoreAway(
            f"{self.where} cannot be reached: {_first_line(error)}", hint="nothing is lost; it is tried again"
        )

    def _refuse_or_away(self, error: psycopg.Error) -> NoReturn:
        """Raise what a refused connection means."""
        text = str(error)
        if "no password supplied" in text:
            raise StoreError(
                f"{self.where} wants a password, and there is none", hint="PGPASSWORD=..., or a line in ~/.pgpass"
            ) from error
        if "does not support SSL" in text:
            raise StoreError(
                f"{self.where} has no encryption, and the address asks for it: {_first_line(error)}",
                hint="switch it on there, or leave sslmode out of the address",
            ) from error
        if "password" in text or "authentication" in text or "no pg_hba.conf entry" in text:
            raise StoreError(f"{self.where} refuses us: {_first_line(error)}", hint="correct the address") from error
        if missing := re.search(r'(database|role) "([^"]*)" does not exist', text):
            how = "createdb" if missing[1] == "database" else "createuser"
            raise StoreError(
                f"{self.where} cannot be opened: {_first_line(error)}", hint=f"make it first: {how} {missing[2]}"
            ) from error
        if isinstance(error, psycopg.ProgrammingError):
            raise StoreError(f"{self.where} is no address: {_first_line(error)}", hint="correct the address") from error
        raise StoreAway(
            f"{self.where} cannot be reached: {_first_line(error)}",
            hint="is the server running, and the address right?",
        ) from error

    def _fail(self, error: psycopg.Error) -> NoReturn:
        """Raise what `error` means in our words, or that the connection was lost."""
        if self._is_lost(error):
            if not self._inside:
                self._drop()
            raise self._away(error) from error
        self._mean(error)

    def _mean(self, error: psycopg.Error) -> NoReturn:
        if isinstance(error, _OF_OTHERS):
            raise StoreError(
                f"{self.where} gives one connection to several of us: a pooler in transaction mode",
                hint="let the pooler keep a connection for each session (pool_mode = session), or leave it out",
            ) from error
        if isinstance(error, errors.NumericValueOutOfRange):
            raise OverflowError(_first_line(error)) from error
        if isinstance(error, errors.UniqueViolation) and _ONE_OPEN.fullmatch(error.diag.constraint_name or ""):
            raise second_open_attempt("an attempt") from error
        if isinstance(error, _NO_SPACE):
            raise StoreFull(
                f"{self.where} cannot be written: {_first_line(error)}", hint="make space on its disk; nothing was lost"
            ) from error
        if isinstance(error, _LATER):
            raise StoreFull(
                f"{self.where} cannot be written now: {_first_line(error)}", hint="nothing was lost; it is tried again"
            ) from error
        if isinstance(error, errors.InsufficientPrivilege):
            raise StoreError(
                f"{self.where} does not let us: {_first_line(error)}",
                hint="our role must own the tables, and may make new ones: ALTER DATABASE ... OWNER TO ...",
            ) from error
        raise StoreError(f"{self.where} failed: {_first_line(error)}") from error


_MUST_BE_ON: Final = {
    "fsync": "what is acknowledged may be gone after a power failure, and the database with it",
    "full_page_writes": "a power failure may damage the database",
}
# Partitions name their index themselves.
_ONE_OPEN = re.compile(r"one_open|attempts_.*_run_step_idx_idx\d*")
# Told by a server that ends or starts.
_GOING = (errors.AdminShutdown, errors.CrashShutdown, errors.CannotConnectNow, errors.IdleInTransactionSessionTimeout)
# What was prepared on our connection is not there, or somebody else's is.
_OF_OTHERS = (errors.DuplicatePreparedStatement, errors.InvalidSqlStatementName)
_NO_SPACE = (errors.DiskFull, errors.OutOfMemory, errors.InsufficientResources)
# Somebody is in the way, or this server may only read now (a replica that is to take over): later it works.
_LATER = (
    errors.LockNotAvailable,
    errors.QueryCanceled,
    errors.DeadlockDetected,
    errors.SerializationFailure,
    errors.ReadOnlySqlTransaction,
    errors.TooManyConnections,
)
# What schema.sql declares; looked at by the audit. Rows of runs that are gone wait for their month to be dropped.
_REFERENCES = (("run_tags", "run", "runs", "no"), ("gates", "run", "runs", "no"), ("votes", "run", "runs", "no"),
               ("parts", "backfill", "backfills", "no"))  # fmt: skip


def _first_line(error: psycopg.Error) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
