"""A worker's output on its way from the pipe into the log files of its attempts.

Rule: a read never waits, and what a worker wrote before it died is read before its death is told.
"""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING

from partita.worker.logs import PipeLog
from partita.worker.masking import Masker

if TYPE_CHECKING:
    from partita.settings import Settings
    from partita.worker.setup import Setup

_READ = 1 << 20
_OUR_FRAME = re.compile(r'  File "(<frozen runpy>|.*/partita/(worker|executors)/\w+\.py)", line \d+ in ')
# At one go, so that one flood does not keep the host from everybody else.
_AT_ONCE = 4 << 20


class Pump:
    """The output of one worker."""

    def __init__(self, fd: int, setup: Setup, settings: Settings, mask: Masker | None = None) -> None:
        self.fd = fd
        self.ended = False
        self._log = PipeLog(
            settings.home.logs,
            setup.nonce,
            mask or Masker(setup.secrets),
            head_bytes=settings.log_head_bytes,
            tail_bytes=settings.log_tail_bytes,
        )

    def drain(self) -> bool:
        """Take what the pipe holds, within reason; whether there was anything."""
        taken = 0
        while taken < _AT_ONCE and not self.ended:
            try:
                data = os.read(self.fd, _READ)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            if not data:
                self.ended = True
                break
            taken += len(data)
            self._log.feed(data, time.time())
        return taken > 0

    def rest(self) -> None:
        """Nothing came for a moment: what has no line end yet is written too."""
        self._log.idle(time.time())

    def sync(self, limit: int | None) -> int:
        """Bring some of what was written to the disk; how many files are left."""
        return self._log.sync(limit)

    @property
    def attempt(self) -> str:
        """The name of the log of the attempt that runs; "" between two."""
        return self._log.attempt

    def last_lines(self) -> str:
        """The last output of the attempt that wrote last; of a stack that a crash left, the user's part."""
        return "\n".join(line for line in self._log.last_lines() if not _OUR_FRAME.match(line))

    def finish(self) -> None:
        """The worker is gone: take the rest."""
        while self.drain():
            pass
        self.rest()

    def close(self) -> None:
        """Close the logs and the pipe."""
        self._log.close(time.time())
        self.leave()

    def leave(self) -> None:
        """Close the pipe and nothing else (in a forked child these are not our logs)."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
