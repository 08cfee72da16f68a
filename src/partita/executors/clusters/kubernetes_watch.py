"""A thread that watches pods and puts every change into a queue.

Rule: a hint, never the truth. Whatever breaks it (410 Gone, a closed connection, a server that says nothing more), it begins
anew from "any" state, which tells of all pods that there are; what it missed is found by the list that everything relies on.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any, Final

import httpx2
from lightkube import ApiError

from partita.errors import ExecutorError
from partita.executors.clusters.kubernetes_api import Api

# The server ends a watch by itself after this time: a connection that died silently costs no more than it.
_SERVER_S: Final = 55
_PAUSES_S: Final = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0)


class Watch:
    """Watches until `close`."""

    def __init__(
        self,
        open: Callable[[], Api],
        into: queue.SimpleQueue[tuple[str, dict[str, Any]] | None],
    ) -> None:
        self._open = open
        self._into = into
        self._closed = threading.Event()
        self._failures = 0
        threading.Thread(target=self._run, name="partita-kubernetes-watch", daemon=True).start()

    @property
    def healthy(self) -> bool:
        """Whether the last try went well."""
        return self._failures == 0

    def close(self) -> None:
        """Let the thread end: with the next change, or when the server ends the watch.

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
            except (ApiError, httpx2.HTTPError, httpx2.StreamError, ExecutorError, OSError, RuntimeError, ValueError):
                # Said by `healthy`; the list goes on telling the truth.
                self._failures += 1
            self._closed.wait(_PAUSES_S[min(self._failures, len(_PAUSES_S) - 1)])

    def _follow(self, api: Api) -> None:
        for kind, pod in api.watch(_SERVER_S):
            self._failures = 0
            if self._closed.is_set():
                return
            if kind in ("ADDED", "MODIFIED", "DELETED"):
                self._into.put((kind, pod))
