"""One end of a stream socket that carries frames, and descriptors beside them.

Rule: neither reading nor writing blocks; what does not fit waits, in order.
"""

from __future__ import annotations

import os
import select
import socket
from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

import msgspec

from partita.worker import wire

M = TypeVar("M")
_READ = 1 << 18
_MAX_FDS = 64


class Channel(Generic[M]):
    """Frames of `M` come in, bytes go out. `gone` once the other side has closed."""

    def __init__(self, sock: socket.socket, decoder: msgspec.msgpack.Decoder[M]) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.gone = False
        self.fds: deque[int] = deque()
        self._decoder = decoder
        self._incoming = bytearray()
        self._outgoing: deque[tuple[bytes, Sequence[int]]] = deque()

    def fileno(self) -> int:
        return self.sock.fileno()

    def receive(self) -> list[M]:
        """All whole frames that have come. Their descriptors are in `fds`, in order."""
        while not self.gone:
            try:
                data, fds, _, _ = socket.recv_fds(self.sock, _READ, _MAX_FDS)
            except BlockingIOError:
                break
            except OSError:
                data, fds = b"", []
            self.fds.extend(fds)
            if not data:
                self.gone = True
            self._incoming += data
        return wire.frames(self._incoming, self._decoder)

    def wait(self) -> list[M]:
        """Wait for frames; none if the other side is gone."""
        while not (messages := self.receive()) and not self.gone:
            select.select([self], [], [])
        return messages

    def send(self, data: bytes, fds: Sequence[int] = ()) -> None:
        """Send now what goes, the rest with the next `flush`. `fds` become the channel's and are closed when sent."""
        if self.gone:
            _close_all(fds)
            return
        self._outgoing.append((data, fds))
        self.flush()

    @property
    def blocked(self) -> bool:
        """Whether something waits to be written."""
        return bool(self._outgoing)

    def flush(self) -> None:
        """Write what waits, as far as it goes."""
        while self._outgoing:
            data, fds = self._outgoing[0]
            try:
                sent = socket.send_fds(self.sock, [data], fds) if fds else self.sock.send(data)
            except BlockingIOError:
                return
            except OSError:
                # The reading side finds the end, with whatever was still sent before it.
                self._forget_outgoing()
                return
            _close_all(fds)
            if sent == len(data):
                self._outgoing.popleft()
            else:
                self._outgoing[0] = (data[sent:], ())

    def flush_all(self) -> None:
        """Write everything that waits, for as long as that takes. For the host; the engine never waits for a write."""
        while self._outgoing:
            select.select([], [self], [])
            self.flush()

    def close(self) -> None:
        """Close the socket and every descriptor that was not taken or sent."""
        self.gone = True
        self._forget_outgoing()
        _close_all(self.fds)
        self.fds.clear()
        self.sock.close()

    def _forget_outgoing(self) -> None:
        for _, fds in self._outgoing:
            _close_all(fds)
        self._outgoing.clear()


def _close_all(fds: Sequence[int] | deque[int]) -> None:
    for fd in fds:
        os.close(fd)
