"""The worker's side of its log: marks in the pipe, the standard streams on top of it, and a logging handler.

Rule: a mark is one write of ready bytes. A log that nobody reads any more (the host is gone) is no reason for user
code to fail: writing then goes nowhere.
"""

from __future__ import annotations

import contextvars
import io
import logging
import os
import sys
import threading
from typing import Any

from partita.worker.markers import mark, secret_marks

# The log that output of this context goes to; used where coroutines share the streams.
log_of_context: contextvars.ContextVar[str] = contextvars.ContextVar("partita_log", default="")


_replaced: list[tuple[object, object]] = []


class Capture:
    """Marks for the steps of a worker that performs one after the other. Without a nonce nothing is marked."""

    def __init__(self, nonce: str = "") -> None:
        self._nonce = nonce
        self._open = ""
        # A descriptor of our own: user code may close or replace 1 and 2.
        self._fd = _private_copy(1) if nonce else -1
        self._begin = f"\x1e{nonce} B "

    def begin(self, name: str) -> None:
        """What is written from now on belongs to this log; the one before is closed."""
        if self._fd < 0:
            return
        _flush_streams()
        self._write(f"{self._begin}{name}\n".encode())
        self._open = name

    def switch(self, name: str) -> None:
        """What is written from now on belongs to this log; the others stay open."""
        if self._fd >= 0:
            _flush_streams()
            self._write(mark(self._nonce, "S", name))

    def end(self, name: str = "") -> None:
        """This log (or the one that `begin` opened) is complete."""
        name = name or self._open
        if self._fd < 0 or not name:
            return
        _flush_streams()
        self._write(mark(self._nonce, "E", name))
        if name == self._open:
            self._open = ""

    def secret(self, value: bytes) -> None:
        """Have this masked in all that is written from now on, before anybody can write it."""
        if self._fd >= 0:
            for piece in secret_marks(self._nonce, value):
                self._write(piece)

    def _write(self, data: bytes) -> None:
        try:
            os.write(self._fd, data)
        except OSError:
            self._fd = -1


class SharedCapture(Capture):
    """Marks where many coroutines write in turn: each write is attributed by its context."""

    def __init__(self, nonce: str) -> None:
        super().__init__(nonce)
        self._lock = threading.Lock()
        self._last = ""
        self._written: set[str] = set()

    def begin(self, name: str) -> None:
        log_of_context.set(name)

    def switch(self, name: str) -> None:
        log_of_context.set(name)

    def end(self, name: str = "") -> None:
        with self._lock:
            if name in self._written:
                self._written.discard(name)
                self._last = "" if self._last == name else self._last
                self._write(mark(self._nonce, "E", name))

    def write(self, data: bytes) -> None:
        """Write output of the current context, behind a mark if another context wrote last."""
        name = log_of_context.get()
        with self._lock:
            if name and name != self._last:
                self._written.add(name)
                data = mark(self._nonce, "S", name) + data
            self._last = name or self._last
            view = memoryview(data)
            while view and self._fd >= 0:
                try:
                    view = view[os.write(self._fd, view) :]
                except OSError:
                    self._fd = -1


def take_streams(capture: Capture) -> None:
    """Put `sys.stdout` and `sys.stderr` on the worker's pipe, and logging on stderr."""
    old = (sys.stdout, sys.stderr)
    # Kept: a stream that is collected closes its descriptor, which is ours now.
    _replaced.append(old)
    for name, fd in (("stdout", 1), ("stderr", 2)):
        # Lines leave at once: a killed process loses nothing, and output of child processes stays in order.
        # Coroutines write through, for what waits in a buffer would be attributed to whoever flushes it.
        shared = isinstance(capture, SharedCapture)
        raw: Any = _SharedStream(capture, fd) if isinstance(capture, SharedCapture) else io.BufferedWriter(_pipe(fd))
        text = io.TextIOWrapper(
            raw, encoding="utf-8", errors="backslashreplace", line_buffering=True, write_through=shared
        )
        setattr(sys, name, text)
    _take_logging(old)


class _PipeStream(io.FileIO):
    """The pipe as a raw stream; when nobody reads it any more, what is written is dropped."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd, "w", closefd=False)

    def write(self, data: bytes) -> int:  # type: ignore[override]
        try:
            return super().write(data)
        except BrokenPipeError:
            return len(data)


def _pipe(fd: int) -> Any:
    return _PipeStream(fd)


class _SharedStream(io.RawIOBase):
    """A raw stream whose writes are attributed to the context that makes them."""

    def __init__(self, capture: SharedCapture, fd: int) -> None:
        super().__init__()
        self._capture = capture
        self._fd = fd

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._capture.write(bytes(data))
        return len(data)


class _StderrHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to what `sys.stderr` is at the time, so that a redirect in user code is followed."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    @property
    def stream(self) -> object:
        return sys.stderr


def _take_logging(old: tuple[object, object]) -> None:
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(_StderrHandler())
        if root.level == logging.WARNING:
            root.setLevel(logging.INFO)
        return
    # Handlers of the user stay as they are; those bound to the streams of the host are bound to ours.
    for handler in root.handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream in old:
            handler.setStream(sys.stdout if handler.stream is old[0] else sys.stderr)


def _private_copy(fd: int) -> int:
    import fcntl

    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 100)
    except OSError:
        return -1


def _flush_streams() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue  # the user closed or replaced it; there is nothing of ours in it
