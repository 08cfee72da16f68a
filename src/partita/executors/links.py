"""The descriptors between the engine and one worker: a socket for tickets and outcomes, a pipe for claims.

The claim pipe is read by both sides (see `worker.wire`): a number that the worker has read is begun, a number that the
engine has read is taken back, and a read of eight bytes is atomic.

Rule: numbers first, then the frame: whoever has the ticket finds its number unless it was taken back.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Sequence

import msgspec

from partita.executors.control import WorkerKind
from partita.worker import wire

_NUMBER = 8
_WARM_CLAIMS = 512
_READ = 1 << 20
# What was read from a page of a pipe is free only when all of the page was.
_PAGE = 4096
_decoder: msgspec.msgpack.Decoder[wire.FromWorker] = msgspec.msgpack.Decoder(wire.FromWorker)


class Link:
    """The engine's ends for one worker. `room` is how many numbers the claim pipe holds for sure."""

    __slots__ = (
        "_claims_in",
        "_claims_out",
        "_incoming",
        "_outgoing",
        "closed",
        "gone",
        "kind",
        "number",
        "room",
        "sock",
    )

    def __init__(self, number: int, kind: WorkerKind, sock: socket.socket, claims: tuple[int, int], room: int) -> None:
        self.number = number
        self.kind = kind
        self.sock = sock
        self.room = room
        self.gone = False
        self.closed = False
        self._claims_out, self._claims_in = claims
        self._incoming = bytearray()
        self._outgoing = bytearray()

    def fileno(self) -> int:
        return self.sock.fileno()

    def claim(self, numbers: Sequence[int]) -> None:
        """Offer tickets by number. The caller keeps within `room`, so the pipe always has space."""
        # PIPE_BUF: only so much is written whole or not at all.
        for start in range(0, len(numbers), _WARM_CLAIMS):
            part = numbers[start : start + _WARM_CLAIMS]
            os.write(self._claims_in, b"".join([n.to_bytes(_NUMBER, "big") for n in part]))

    def take_back(self) -> list[int]:
        """The numbers of all tickets that the worker has not begun; it never will."""
        taken: list[int] = []
        while not self.closed:
            try:
                data = os.read(self._claims_out, _NUMBER * _WARM_CLAIMS)
            except BlockingIOError:
                break
            if not data:
                break
            taken += [int.from_bytes(data[i : i + _NUMBER], "big") for i in range(0, len(data), _NUMBER)]
        return taken

    def send(self, data: bytes) -> None:
        """Send what goes now; the rest waits for `flush`."""
        if not self._outgoing and not self.gone:
            try:
                sent = self.sock.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.gone = True
                return
            if sent == len(data):
                return
            data = data[sent:]
        self._outgoing += data

    @property
    def blocked(self) -> bool:
        """Whether bytes wait to be written."""
        return bool(self._outgoing) and not self.gone

    def flush(self) -> None:
        """Write what waits, as far as it goes."""
        if self._outgoing and not self.gone:
            data, self._outgoing = bytes(self._outgoing), bytearray()
            self.send(data)

    def receive(self) -> list[wire.FromWorker]:
        """All whole frames that have come."""
        try:
            data = self.sock.recv(_READ)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            self.gone = True
            return []
        self._incoming += data
        return wire.frames(self._incoming, _decoder)

    def receive_rest(self) -> list[wire.FromWorker]:
        """Everything that a dead worker had still sent."""
        while not self.gone:
            try:
                data = self.sock.recv(_READ)
            except OSError:
                # Would block: a process that the worker started holds the other end still. All of the worker's is here.
                break
            if not data:
                break
            self._incoming += data
        self.gone = True
        return wire.frames(self._incoming, _decoder)

    def close(self) -> None:
        """Close our ends: the worker ends when it has finished what it has begun."""
        if not self.closed:
            self.closed = self.gone = True
            self.sock.close()
            os.close(self._claims_out)
            os.close(self._claims_in)


def open_link(number: int, kind: WorkerKind, slots: int) -> tuple[Link, tuple[int, int]]:
    """A link, and the worker's ends: its socket, and the claim pipe to read from."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 18)
    out, into = os.pipe()
    os.set_blocking(out, False)
    os.set_blocking(into, False)
    room = _WARM_CLAIMS
    if kind == "async":
        room = (_widened(into, slots * _NUMBER + 2 * _PAGE) - _PAGE) // _NUMBER
    link = Link(number, kind, ours, (out, into), room)
    return link, (theirs.detach(), os.dup(out))


def _widened(fd: int, size: int) -> int:
    """Make a pipe hold `size` bytes; how many it does."""
    if not hasattr(fcntl, "F_SETPIPE_SZ"):
        return 4 * _PAGE
    try:
        return fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, max(size, 16 * _PAGE))
    except OSError:
        return fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ)
