"""Seeing that files of served projects were changed: one thread for all of them.

Only folders that may hold code are watched, each for itself: what steps write into `.partita` or an environment wakes
nobody.

Rule: it says which folders changed, at most a few times a second, and reads nothing.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from partita.executors.kept import folders_of, is_code

# Changes within so long are one; so often it is looked whether there are any.
_DEBOUNCE_MS = 200
_STEP_MS = 100
_TIMEOUT_MS = 5000
_BY_HAND_S = 3.0
_log = logging.getLogger("partita.changes")


class Changes:
    """Watches project folders; `told` is called from its thread with those in which something may have changed."""

    def __init__(self, folders: Sequence[Path], told: Callable[[set[Path]], None]) -> None:
        self._folders = list(folders)
        self._told = told
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="partita-changes", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def close(self) -> None:
        """Stop watching."""
        self._ending.set()
        self._thread.join(5.0)

    def _watch(self) -> None:
        while not self._ending.is_set():
            places = {place: folder for folder in self._folders for place in folders_of(folder)}
            try:
                self._watch_places(places)
            except Exception:  # a limit of the system, a folder that went: it is looked by hand until it can be watched
                _log.exception("files cannot be watched, looking at them every few seconds")
                self._told(set(self._folders))
                self._ending.wait(_BY_HAND_S)

    def _watch_places(self, places: dict[str, Path]) -> None:
        """Watch until the folders themselves change, or it is over."""
        # Imported here: it takes longer than the rest of the start, and nobody waits for it.
        from watchfiles._rust_notify import RustNotify

        with RustNotify(list(places), False, False, 0, False, True) as watcher:
            # What was changed before there was anybody to see it.
            self._told(set(self._folders))
            while not self._ending.is_set():
                found = watcher.watch(_DEBOUNCE_MS, _STEP_MS, _TIMEOUT_MS, self._ending)
                if not isinstance(found, set):
                    continue
                paths = [(path, os.path.dirname(path)) for _, path in found]
                moved = {places[p] for path, p in paths if p in places and _is_folder(path, places)}
                changed = {places[p] for path, p in paths if p in places and is_code(path)}
                if changed or moved:
                    self._told(changed | moved)
                if moved:
                    return


def _is_folder(path: str, places: dict[str, Path]) -> bool:
    name = os.path.basename(path)
    return not name.startswith(".") and name != "__pycache__" and (path in places or os.path.isdir(path))
