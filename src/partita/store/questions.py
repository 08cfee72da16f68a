"""Questions to a scheduler that is on another machine, and its answers: through the database that both use.

Both sides have a connection of their own here, never the reader's (it only reads) nor the engine's (its transactions are
fenced). Each call is one short transaction of one statement, beside the commits and in nobody's way. `NOTIFY` is a hint;
who listens looks once a second all the same.

Rule: a question is taken once, by who has the lease. What it means is not known here.
"""

from __future__ import annotations

import threading
import time
from typing import Final

import msgspec

from partita.store import queries
from partita.store.postgres_connection import PostgresDatabase

_PAGE: Final = 20
# Whoever asked has given up long before.
_KEPT_S: Final = 3600.0


class Question(msgspec.Struct, frozen=True):
    """Something that is asked: the tag of a request, and its bytes."""

    no: int
    tag: str
    body: bytes


class Questions:
    """The questions of a store in PostgreSQL. Threads take turns. Every call raises `StoreFull` and its kind."""

    def __init__(self, address: str) -> None:
        self._db = PostgresDatabase(address)
        self._sql = queries.statements()
        self._lock = threading.Lock()
        self._listens = ""

    # --- who asks -----------------------------------------------------------------------------------------------------

    def ask(self, resource: str, tag: str, body: bytes) -> int:
        """Put a question to who has the lease of `resource`; its number."""
        with self._lock:
            no = int(self._db.fetch(self._sql["ask_question"], (resource, tag, body, time.time()))[0][0])
            self._db.fetch("SELECT pg_notify(?, '')", (_channel(resource),))
        return no

    def reply(self, no: int) -> tuple[bool, bytes | None]:
        """Whether a question was taken, and the answer if it is there."""
        with self._lock:
            rows = self._db.fetch(self._sql["question"], (no,))
        return (rows[0][0] is not None, rows[0][1]) if rows else (True, None)

    def take_back(self, no: int) -> bool:
        """Remove a question that nobody has taken; False if somebody has."""
        with self._lock:
            return bool(self._db.fetch(self._sql["take_back_question"], (no,)))

    def remove(self, no: int) -> None:
        """Remove a question that was answered."""
        with self._lock:
            self._db.fetch(self._sql["remove_question"], (no,))

    # --- who answers --------------------------------------------------------------------------------------------------

    def taken(self, resource: str, holder: str) -> list[Question]:
        """Take what is asked of `resource`, if `holder` has its lease."""
        with self._lock:
            found = [Question(*row) for row in self._db.fetch(self._sql["open_questions"], (resource, _PAGE))]
            now = time.time()
            return [q for q in found if self._db.fetch(self._sql["take_question"], (now, q.no, holder))]

    def answer(self, no: int, reply: bytes) -> None:
        """Answer a question."""
        with self._lock:
            self._db.fetch(self._sql["answer_question"], (reply, no))

    def sweep(self) -> None:
        """Remove what nobody waits for any more."""
        with self._lock:
            self._db.fetch(self._sql["sweep_questions"], (time.time() - _KEPT_S,))

    def wait(self, resource: str, timeout_s: float) -> None:
        """Wait until something may have been asked of `resource`."""
        # Not under the lock: this end has a thread and a connection for it alone.
        self._db.wait_for(_channel(resource), timeout_s)

    def close(self) -> None:
        """Let the connection go."""
        with self._lock:
            self._db.close()


def _channel(resource: str) -> str:
    """The name of a channel, which has 63 bytes at most."""
    return "partita_" + resource.encode().hex()[-48:]
