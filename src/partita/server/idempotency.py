"""The same request sent twice with one `Idempotency-Key` is done once: the second gets the answer of the first.

Rule: keys belong to their principal; the same key with another request is refused. What failed is not kept, so that it can
be tried again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import msgspec

from partita.core.permissions import Principal
from partita.engine.access import Done, KeepAnswer
from partita.server.links import Links
from partita.server.problems import Refused
from partita.store import access

_MAX_KEY = 200
# A larger answer is that of a question, not of a change.
_MAX_BODY = 256 << 10


class Kept(msgspec.Struct, frozen=True):
    """An answer as its bytes."""

    status: int
    body: bytes
    media: str
    headers: tuple[tuple[str, str], ...] = ()


class Repeats:
    """Answers that were given, and requests that are being answered."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._lock = threading.Lock()
        self._busy: set[tuple[str, str]] = set()

    def once(self, principal: Principal, key: str, digest: bytes, do: Callable[[], Kept]) -> Kept:
        """Do it, or give the answer that was given before. Raises `Refused`."""
        if not 0 < len(key) <= _MAX_KEY or not all("!" <= c <= "~" for c in key):
            raise Refused(422, f"an Idempotency-Key has 1 to {_MAX_KEY} printable ASCII characters, and no space")
        mine = (principal.name, key)
        with self._lock:
            if mine in self._busy:
                raise Refused(409, "a request with this Idempotency-Key is being answered", hint="try again")
            self._busy.add(mine)
        try:
            before = access.answer(self._links.readers.get(), principal.name, key)
            if before is not None:
                if before.digest != digest:
                    raise Refused(422, "this Idempotency-Key was used for another request", hint="take a new one")
                return Kept(before.status, before.body, "application/json", (("idempotent-replayed", "true"),))
            answer = do()
            if 200 <= answer.status < 300 and len(answer.body) <= _MAX_BODY:
                request = KeepAnswer(principal.name, key, digest, answer.status, answer.body)
                self._links.engine.ask(request, Done)
            return answer
        finally:
            with self._lock:
                self._busy.discard(mine)
