"""The worker's side of the claim pipe: a ticket is ours once we have read its number.

Rule: a read of eight bytes is whole or nothing, so engine and worker never both have a number.
"""

from __future__ import annotations

import os
from collections import deque

from partita.worker.wire import Ticket


class Claims:
    """The tickets that came, and which of them are ours to begin."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self.queue: deque[Ticket] = deque()
        # The writing end is closed: the engine is gone.
        self.closed = False
        # A number that was claimed before its frame had come.
        self._number: int | None = None

    def next(self) -> Ticket | None:
        """The next ticket to run, or None; those that the engine took back are forgotten on the way."""
        queue = self.queue
        number = self._number
        if number is None:
            try:
                data = os.read(self._fd, 8)
            except BlockingIOError:
                # Numbers are there before their frames: what is queued was taken back.
                return None
            if len(data) < 8:
                self.closed = True
                return None
            number = int.from_bytes(data, "big")
        while queue:
            ticket = queue.popleft()
            if ticket.no == number:
                self._number = None
                return ticket
        self._number = number
        return None

    def never_begun(self) -> list[Ticket]:
        """The engine is gone: the queued tickets that it had not taken back. Nobody else can begin them now."""
        numbers = set()
        while True:
            try:
                data = os.read(self._fd, 8)
            except OSError:
                break
            if len(data) < 8:
                break
            numbers.add(int.from_bytes(data, "big"))
        return [ticket for ticket in self.queue if ticket.no in numbers]
