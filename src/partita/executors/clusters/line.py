"""The line between this process and a child that speaks to an engine: frames of msgpack on two pipes.

The one who holds it here has one thread for both directions, so that news costs no second thread a wake-up. While an order does
not fit into its pipe, news is taken in, for the child may be unable to read before its own words are heard.

Rule: frames are carried whole and not understood.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from typing import Any, Final

import msgspec

_READ: Final = 1 << 18
_HEAD: Final = 4

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder()

Message = dict[str, Any]


def frame_of(message: Message) -> bytes:
    """A message as it travels: its length in four bytes, and itself."""
    body = _encoder.encode(message)
    return len(body).to_bytes(_HEAD, "big") + body


class Waker:
    """Lets a `Line.receive` return early, from any thread."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._theirs.setblocking(False)

    def wake(self) -> None:
        """Let it return now, or the next time at once."""
        # Full: it is awake. Closed: nobody waits.
        with contextlib.suppress(OSError):
            self._theirs.send(b"w")

    def fileno(self) -> int:
        """What is readable after a `wake`."""
        return self._ours.fileno()

    def settle(self) -> None:
        """Forget the wakes so far."""
        with contextlib.suppress(OSError):
            while self._ours.recv(4096):
                continue

    def close(self) -> None:
        """Wake nobody any more."""
        self._ours.close()
        self._theirs.close()


class Line:
    """Orders out and news in. `out` and `into` are descriptors that belong to it from now on."""

    def __init__(self, out: int, into: int, waker: Waker) -> None:
        self._out, self._into = out, into
        os.set_blocking(out, False)
        os.set_blocking(into, False)
        self._waker = waker
        self._taken = bytearray()
        # Whether the child has closed its end.
        self.is_over = False

    def send(self, message: Message) -> None:
        """Send one order. Raises `BrokenPipeError` if the child is gone."""
        frame = memoryview(frame_of(message))
        while frame:
            try:
                frame = frame[os.write(self._out, frame) :]
            except BlockingIOError:
                self._wait(None, writes=True)

    def receive(self, timeout_s: float) -> list[Message]:
        """The news that is there; waits for the first, or until somebody wakes."""
        if not (news := self._whole()) and not self.is_over:
            self._wait(timeout_s, writes=False)
            news = self._whole()
        return news

    def news(self, timeout_s: float) -> list[Message]:
        """The same, but nobody wakes it."""
        until = time.monotonic() + timeout_s
        while not (news := self.receive(max(0.0, until - time.monotonic()))):
            if self.is_over or time.monotonic() >= until:
                break
        return news

    def close(self) -> None:
        """Close both directions; the child hears that there are no more orders."""
        for end in (self._out, self._into):
            with contextlib.suppress(OSError):
                os.close(end)
        self._out = self._into = -1
        self.is_over = True

    def _wait(self, timeout_s: float | None, *, writes: bool) -> None:
        """Wait for what can go on, and take in what has come."""
        poll = select.poll()
        poll.register(self._into, select.POLLIN)
        if writes:
            poll.register(self._out, select.POLLOUT)
        else:
            poll.register(self._waker, select.POLLIN)
        ready = {number for number, _ in poll.poll(None if timeout_s is None else timeout_s * 1e3)}
        if self._waker.fileno() in ready:
            self._waker.settle()
        if self._into in ready:
            self._take()

    def _take(self) -> None:
        try:
            while data := os.read(self._into, _READ):
                self._taken += data
                if len(data) < _READ:
                    return
        except BlockingIOError:
            return
        self.is_over = True

    def _whole(self) -> list[Message]:
        found, at, taken = [], 0, self._taken
        while len(taken) - at >= _HEAD:
            end = at + _HEAD + int.from_bytes(taken[at : at + _HEAD], "big")
            if end > len(taken):
                break
            found.append(_decoder.decode(memoryview(taken)[at + _HEAD : end]))
            at = end
        del taken[:at]
        return found
