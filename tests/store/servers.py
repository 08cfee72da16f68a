"""PostgreSQL servers for tests: of the package (18) and, where it is installed, Debian's 15. One of each for a session."""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psycopg

from partita.store import postgres
from partita.store.own_server import OwnServer

DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")
VERSIONS = ("18", "15") if (DEBIAN_15 / "initdb").exists() else ("18",)
# What a sync costs is not tested here, that it is asked for is.
_FAST = {"fsync": "off", "full_page_writes": "off", "max_connections": "40", "shared_buffers": "32MB"}
_names = itertools.count(1)


@cache
def server(version: str = "18") -> OwnServer:
    """The session's server, with a database `template` that has an empty store."""
    memory = "/dev/shm"
    folder = Path(tempfile.mkdtemp(prefix="partita-pg-", dir=memory if os.access(memory, os.W_OK) else None))
    folder.chmod(0o755)
    own = OwnServer(folder / "data", programs=DEBIAN_15 if version == "15" else None, settings=_FAST)
    own.start()
    atexit.register(shutil.rmtree, folder, True)
    atexit.register(own.stop)
    _execute(own, "CREATE DATABASE template")
    postgres.open_store(own.address_of("template"), clock=lambda: 1000.0).close()
    return own


@contextmanager
def database(version: str = "18", *, empty: bool = False) -> Iterator[str]:
    """The address of a database of one's own, with an empty store unless it is to be `empty`."""
    own = server(version)
    name = f"t{os.getpid()}_{next(_names)}"
    _execute(own, f"CREATE DATABASE {name}" + ("" if empty else " TEMPLATE template"))
    try:
        yield own.address_of(name)
    finally:
        _execute(own, f"DROP DATABASE {name} WITH (FORCE)")


def _execute(own: OwnServer, statement: str) -> None:
    with psycopg.connect(own.address_of("postgres"), autocommit=True) as connection:
        connection.execute(statement)  # type: ignore[call-overload]
