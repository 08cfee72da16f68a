"""Opening the store of a home, whichever database it is in.

Rule: the one place that knows both. Neither is imported before it is needed.
"""

from __future__ import annotations

import atexit
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from partita.errors import StoreError
from partita.settings import Home
from partita.store import addresses

if TYPE_CHECKING:
    from partita.store.own_server import OwnServer
    from partita.store.reading import SqlReader
    from partita.store.writing import SqlStore

_NEEDS = "PostgreSQL needs psycopg"
_INSTALL = "pip install 'partita[postgres]'"


def open_store(home: Home, *, clock: Callable[[], float] = time.time) -> SqlStore:
    """The store of a home, to write to, made where there is none. Leases in a file go by `clock`, else by the database's.

    Raises `StoreLocked`, `StoreTooNew`, `StoreFull`, `StoreError`.
    """
    if is_shared(home):
        _reach(home)
        from partita.store import postgres

        return postgres.open_store(home.store)
    from partita.store import sqlite

    return sqlite.open_store(home.db, clock=clock)


def open_reader(home: Home) -> SqlReader:
    """The store of a home, to read, whether an engine runs on it or not. Raises `StoreTooNew`, `StoreError`."""
    if is_shared(home):
        _reach(home)
        from partita.store import postgres

        return postgres.open_reader(home.store)
    from partita.store import sqlite

    return sqlite.open_reader(home.db)


def exists(home: Home) -> bool:
    """Whether there is a store. Raises `StoreAway` when that cannot be known."""
    if not is_shared(home):
        return home.db.exists()
    _reach(home)
    from partita.store import postgres

    return postgres.exists(home.store)


def migrate(home: Home) -> list[str]:
    """Bring the store of a home up to date; the names of what was applied. Raises as `open_store`."""
    if is_shared(home):
        _reach(home)
        from partita.store import postgres

        return postgres.migrate(home.store)
    from partita.store import sqlite

    return sqlite.migrate(home.db)


def is_shared(home: Home) -> bool:
    """Whether the store is a database that others may write to as well, and not a file. Raises `DefinitionError`."""
    return addresses.is_postgres(addresses.checked(home.store))


def where(home: Home) -> str:
    """Where the store is, for people."""
    return addresses.shown(home.store) if is_shared(home) else str(home.db)


def file_of(home: Home, *, hint: str) -> Path:
    """The file of the store. Raises `StoreError` with `hint` where the store is none."""
    if is_shared(home):
        raise StoreError(f"the store is no file, it is in PostgreSQL: {where(home)}", hint=hint)
    return home.db


def own_server(home: Home) -> OwnServer | None:
    """The PostgreSQL that `partita up --postgres` has set up in this home, if the store is in it."""
    from partita.store.own_server import OwnServer

    server = OwnServer(home.root / "postgres")
    return server if server.is_made and home.store == server.address else None


def server_at(root: Path, *addresses_: str) -> OwnServer | None:
    """Start the PostgreSQL of a home, if one of these addresses is in it and it does not run: whoever asked stops it."""
    from partita.store.own_server import OwnServer

    server = OwnServer(root / "postgres")
    if server.address not in addresses_ or server.pid:
        return None
    server.start()
    return server


def _reach(home: Home) -> None:
    """See that the database can be asked: ours runs while somebody needs it."""
    _need_psycopg()
    if "/postgres" not in home.store:
        return
    server = own_server(home)
    if server is not None and not server.pid:
        server.start()
        atexit.register(server.stop, kindly=True)


def _need_psycopg() -> None:
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        raise StoreError(f"{_NEEDS}: {error}".splitlines()[0], hint=_INSTALL) from error
