"""The server's ways to what it serves: the store to read, the engine to ask.

Rule: a reader belongs to one thread, a connection to one question at a time. Nothing is written here.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import msgspec

from partita.engine import whom
from partita.engine.breakages import Breakages
from partita.engine.control import Answer, asked, connect
from partita.engine.postbox import ask_by_post
from partita.errors import PartitaError, WorldError
from partita.server.definitions import Definitions
from partita.server.healths import Healths
from partita.server.measuring import Measurements
from partita.settings import Home, Settings
from partita.store.leases import shard_of
from partita.store.opening import is_shared, open_reader
from partita.store.reading import SqlReader

if TYPE_CHECKING:
    from partita.store.questions import Questions

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

    def __init__(self, home: Home, reader: Callable[[], SqlReader] | None = None) -> None:
        self._home = home
        # Where namespaces may have schedulers of their own, it says which; without, there is one for all.
        self._reader = reader
        self._idle: defaultdict[str, deque[tuple[socket.socket, float]]] = defaultdict(deque)
        # To a scheduler on another machine.
        self._post: Questions | None = None
        self._post_lock = threading.Lock()

    def ask(self, request: msgspec.Struct, returns: type[A] = Answer) -> A:  # type: ignore[assignment]
        """Ask, and wait for the answer. Raises `WorldError` when no engine is there, and what the engine answered with."""
        if self._reader is None or not is_shared(self._home):
            return self._ask("", request, returns)
        namespaces = whom.whom(self._reader(), request)
        if len(namespaces) == 1:
            return self._ask(namespaces[0], request, returns)
        answers, failure = [], None
        for namespace in namespaces:
            try:
                answers.append(self._ask(namespace, request, returns))
            except WorldError as error:
                failure = error  # what one does not answer the others do
        if failure is not None and not answers:
            raise failure
        found: A = whom.together(answers)
        return found

    def _ask(self, namespace: str, request: msgspec.Struct, returns: type[A]) -> A:
        connection = self._connection(namespace)
        if connection is None:
            return self._by_post(namespace, request, returns)
        try:
            answer = asked(connection, request, returns)
        except BaseException as error:
            # After an answer that is an error the connection is as good as before; after anything else it is not.
            if isinstance(error, PartitaError) and not isinstance(error, WorldError):
                self._keep(namespace, connection)
            else:
                connection.close()
            raise
        self._keep(namespace, connection)
        return answer

    def close(self) -> None:
        """Let all connections go."""
        for idle in self._idle.values():
            while idle:
                idle.pop()[0].close()
        if self._post is not None:
            self._post.close()

    def _by_post(self, namespace: str, request: msgspec.Struct, returns: type[A]) -> A:
        """Ask through the store: the scheduler that leads may be on another machine."""
        if not is_shared(self._home):
            raise WorldError("the engine is not there", hint="it may be starting again: try in a second")
        from partita.store.questions import Questions

        with self._post_lock:
            if self._post is None:
                self._post = Questions(self._home.store)
        return ask_by_post(self._home, request, returns, resource=shard_of(namespace), post=self._post)

    def _connection(self, namespace: str) -> socket.socket | None:
        """One that is kept, or a new one; None when no such engine listens on this machine."""
        while True:
            try:
                connection, since = self._idle[namespace].pop()
            except IndexError:
                break
            # Something to read, with nothing asked: the engine has closed it.
            if time.monotonic() - since < _FRESH_S and not select.select([connection], [], [], 0)[0]:
                return connection
            connection.close()
        return connect(self._home.of_namespace(namespace).socket)

    def _keep(self, namespace: str, connection: socket.socket) -> None:
        if len(self._idle[namespace]) < _KEPT:
            self._idle[namespace].append((connection, time.monotonic()))
        else:
            connection.close()


class Links:
    """All of them, for one service."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.readers = Readers(settings.home)
        self.engine = EngineLink(settings.home, self.readers.get)
        self.definitions = Definitions()
        self.healths = Healths()
        self.breakages = Breakages()
        self.measurements = Measurements()

    def close(self) -> None:
        """Let everything go."""
        self.engine.close()
        self.readers.close()
