"""What a small function prints while it is evaluated, kept with its answer.

Rule: several functions print at the same time, each into its own `Spoken`; what nobody evaluates goes where it went before.
"""

from __future__ import annotations

import io
import sys
from contextvars import ContextVar
from typing import Any

_MOST = 16 << 10

_speaking: ContextVar[Spoken | None] = ContextVar("partita_speaking", default=None)


class Spoken:
    """The beginning of what was printed, up to 16 KiB."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._left = _MOST
        self._cut = 0

    def write(self, text: str) -> None:
        """Take in some text."""
        self._parts.append(text[: self._left])
        self._cut += max(0, len(text) - self._left)
        self._left = max(0, self._left - len(text))

    def flush(self) -> None:
        """Nothing waits."""

    def text(self) -> str:
        """All of it, with a last line that says how much was cut off."""
        whole = "".join(self._parts)
        return f"{whole}\n... {self._cut} more characters were cut off" if self._cut else whole

    def here(self) -> None:
        """From now on, and in this context only, what is printed is taken in here."""
        _speaking.set(self)


class _Routed(io.TextIOBase):
    """A stream that writes to whoever is evaluated in this context."""

    encoding = "utf-8"

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        spoken = _speaking.get()
        if spoken is None:
            return int(self._stream.write(text))
        spoken.write(text)
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def fileno(self) -> int:
        return int(self._stream.fileno())

    def writable(self) -> bool:
        return True

    @property
    def buffer(self) -> Any:
        return self._stream.buffer


def listen() -> None:
    """Route `sys.stdout`, `sys.stderr` and what logging has of them."""
    import logging

    old = {sys.stdout: _Routed(sys.stdout), sys.stderr: _Routed(sys.stderr)}
    sys.stdout, sys.stderr = old[sys.stdout], old[sys.stderr]
    for reference in list(logging._handlerList):  # type: ignore[attr-defined]
        handler = reference()
        if isinstance(handler, logging.StreamHandler) and getattr(handler, "stream", None) in old:
            handler.setStream(old[handler.stream])
