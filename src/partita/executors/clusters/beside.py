"""Beside a container step in its own pod: what it asks for in a folder goes to the scheduler by the exchange, and comes back.

The step's process knows a folder and nothing of exchanges (define/container_beside.py); the scheduler knows the exchange and makes
the container (kubernetes_containers.py). This is a thread of the job's process (job.py) that carries files between the two.

Rule: files are carried and never read; what cannot be carried now is carried later, and a step waits as long as that takes.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Final

import msgspec

from partita.define.container_beside import FOLDER_VARIABLE, Asked, Ended, leave
from partita.errors import PartitaError
from partita.executors.clusters.cluster import Job
from partita.executors.clusters.container_parts import Parts
from partita.executors.clusters.exchange import Exchange

_LOOK_S: Final = 0.1
# Between two looks into the exchange, while there is something and while there is nothing.
_SOON_S, _LATER_S = 0.2, 2.0


class Beside:
    """Serves the step of one job. Make it before the job's worker is started; `close` it at the end."""

    def __init__(self, job: Job) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="partita-container-"))
        self._parts = Parts(Exchange.at(job.exchange), job.name)
        self._closed = threading.Event()
        self._is_asked = False
        self._has_ended = False
        self._is_stopped = False
        self._taken = 0
        self._pause_s = _SOON_S
        # How it ended, while its outputs are still to be fetched.
        self._ended: Ended | None = None
        os.environ[FOLDER_VARIABLE] = str(self._folder)
        self._thread = threading.Thread(target=self._serve, name="partita-beside", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """The step has ended, whatever became of its container."""
        self._closed.set()
        self._thread.join()
        os.environ.pop(FOLDER_VARIABLE, None)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _serve(self) -> None:
        pause_s = _LOOK_S
        while not self._closed.wait(pause_s) and not self._has_ended:
            try:
                pause_s = self._look()
            except PartitaError:
                pause_s = _LATER_S
            except OSError as error:
                # A disk that is full, a file that is gone: no later try mends it.
                self._ended, pause_s = Ended(note=f"cannot be had: {error}"), _LOOK_S

    def _look(self) -> float:
        """Carry what there is; how long there is nothing to do."""
        if self._ended is not None:
            self._end(self._ended)
            return 0.0
        if not self._is_asked:
            if (self._folder / "asked").exists():
                self._ask()
            return _LOOK_S
        if not self._is_stopped and (self._folder / "stop").exists():
            self._parts.stop()
            self._is_stopped = True
            self._pause_s = _SOON_S
        piece = self._parts.piece(self._taken + 1)
        if piece is None:
            self._pause_s = min(self._pause_s * 1.2, _SOON_S if self._is_stopped else _LATER_S)
            return self._pause_s
        with (self._folder / "log").open("ab") as log:
            log.write(piece.data)
        self._taken += 1
        self._pause_s = _SOON_S
        self._ended = piece.ended
        return 0.0

    def _ask(self) -> None:
        data = (self._folder / "asked").read_bytes()
        asked = msgspec.msgpack.decode(data, type=Asked)
        for number in range(len(asked.inputs)):
            self._parts.put_file("in", number, (self._folder / "in" / str(number)).read_bytes())
        self._parts.ask(data)
        self._is_asked = True

    def _end(self, ended: Ended) -> None:
        for number, state in enumerate(ended.outputs):
            if state == "there":
                data = self._parts.file("out", number)
                if data is None:
                    ended = Ended(note="has ended, and its outputs are not in the exchange any more")
                    break
                (self._folder / "out" / str(number)).write_bytes(data)
        leave(self._folder / "ended", msgspec.msgpack.encode(ended))
        self._has_ended = True
