"""The server's ways to what it serves: the store to read, the engine to ask.

Rule: a reader belongs to one thread, a connection to one question at a time. Nothing is written here.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from collections import deque
from pathlib import Path
from typing import TypeVar

import msgspec

from partita.engine.breakages import Breakages
from partita.engine.control import Answer, asked, connect
from partita.errors import PartitaError, WorldError
from partita.server.definitions import Definitions
from partita.server.healths import Healths
from partita.server.measuring import Measurements
from partita.settings import Home, Settings
from partita.store.opening import open_reader
from partita.store.reading import SqlReader

A = TypeVar("A")

# The engine gives each connection a thread of its few, and closes one that asks nothing for half a minute.
_KEPT = 6
_FRESH_S = 20.0


class Readers:
    """A reader for each thread that asks for one."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._own = threading.local()
        self._all: list[SqlReader] = []
        self._lock = threading.Lock()

    def get(self) -> SqlReader:
        """The reader of this thread. Raises `StoreError` if there is no store yet."""
        reader: SqlReader | None = getattr(self._own, "reader", None)
        if reader is None:
            reader = self._own.reader = open_reader(self._home)
            with self._lock:
                self._all.append(reader)
        return reader

    def close(self) -> None:
        """Close all of them; nobody reads any more."""
        with self._lock:
            for reader in self._all:
                reader.close()
            self._all.clear()


class EngineLink:
    """Questions to the engine, over connections that are kept."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: deque[tuple[socket.socket, float]] = deque()

    def ask(self, request: msgspec.Struct, returns: type[A] = Answer) -> A:  # type: ignore[assignment]
        """Ask, and wait for the answer. Raises `WorldError` when no engine is there, and what the engine answered with."""
        connection = self._connection()
        try:
            answer = asked(connection, request, returns)
        except BaseException as error:
            # After an answer that is an error the connection is as good as before; after anything else it is not.
            if isinstance(error, PartitaError) and not isinstance(error, WorldError):
                self._keep(connection)
            else:
                connection.close()
            raise
        self._keep(connection)
        return answer

    def close(self) -> None:
        """Let all connections go."""
        while self._idle:
            self._idle.pop()[0].close()

    def _connection(self) -> socket.socket:
        while True:
            try:
                connection, since = self._idle.pop()
            except IndexError:
                break
            # Something to read, with nothing asked: the engine has closed it.
            if time.monotonic() - since < _FRESH_S and not select.select([connection], [], [], 0)[0]:
                return connection
            connection.close()
        made = connect(self._path)
        if made is None:
            raise WorldError("the engine is not there", hint="it may be starting again: try in a second")
        return made

    def _keep(self, connection: socket.socket) -> None:
        if len(self._idle) < _KEPT:
            self._idle.append((connection, time.monotonic()))
        else:
            connection.close()


class Links:
    """All of them, for one service."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.readers = Readers(settings.home)
        self.engine = EngineLink(settings.home.socket)
        self.definitions = Definitions()
        self.healths = Healths()
        self.breakages = Breakages()
        self.measurements = Measurements()

    def close(self) -> None:
        """Let everything go."""
        self.engine.close()
        self.readers.close()
