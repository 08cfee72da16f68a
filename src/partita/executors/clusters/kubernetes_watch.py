"""A thread that watches pods and hands on every change.

Whatever breaks it (410 Gone, a closed connection), it begins anew with a list: what was deleted meanwhile is missing there, and no
watch would ever tell of it.

Rule: a hint, never the truth. What it misses (a server that says nothing more) is found by the list that everything relies on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from partita.executors.clusters.kubernetes_api import Api

LISTED: Final = "LISTED"
# The server ends a watch by itself after this time: a connection that died silently costs no more than it.
_SERVER_S: Final = 55
_PAUSES_S: Final = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0)


class Watch:
    """Watches until `close`."""

    def __init__(
        self,
        open: Callable[[], Api],
        put: Callable[[tuple[str, dict[str, Any]]], None],
    ) -> None:
        self._open = open
        self._put = put
        self._closed = threading.Event()
        self._failures = 0
        threading.Thread(target=self._run, name="partita-kubernetes-watch", daemon=True).start()

    @property
    def healthy(self) -> bool:
        """Whether the last try went well."""
        return self._failures == 0

    def close(self) -> None:
        """Let the thread end: with the next change, or when its connection breaks.

        Not waited for, and its connection not closed from here: a read in progress would go on, on a descriptor that may
        be somebody else's by then.
        """
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                api = self._open()
                try:
                    self._follow(api)
                finally:
                    api.close()
            except Exception:
                # Whatever it is, also an answer that cannot be read: said by `healthy`, and the list tells the truth.
                self._failures += 1
            self._closed.wait(_PAUSES_S[min(self._failures, len(_PAUSES_S) - 1)])

    def _follow(self, api: Api) -> None:
        pods, version = api.list()
        self._put((LISTED, pods))
        self._failures = 0
        for kind, pod in api.watch(version, _SERVER_S):
            if self._closed.is_set():
                return
            if kind in ("ADDED", "MODIFIED", "DELETED"):
                self._put((kind, pod))
