"""Whose output is this? Marks in the stream that a worker's stdout and stderr share, and how they are taken out again.

A worker writes a mark between the output of two attempts: `\\x1e`, the worker's nonce, a letter, the name of a log, a
newline. B: what follows belongs to this log, and whatever was open is closed. S: what follows belongs to this log,
nothing is closed (coroutines take turns; a bundle's member begins). E: this log is closed.
K: a piece of a secret that is to be masked from here on, in base64 (`K+`: another piece follows, `K.`: the last one).
The nonce is drawn per worker, so text that happens to look like a mark is only text.

The name of a log is the relative path of its file without the suffix, made of our own numbers and a hash of the step's
key, never of the key itself: it is safe in a mark, in a path and in a URL.

Rule: pure bytes; nothing here reads or writes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import NamedTuple

_RS = b"\x1e"
_NAME = rb"[0-9]{1,19}/[0-9a-f]{16}\.(?:_|[0-9.]{1,200})\.[0-9]{1,10}"
# Longer than any mark: an unfinished mark of this length is text.
_MAX_MARK = 300
# So many bytes of a secret are in one mark, so that each is one write that no other output can cut.
_PIECE = 150


def log_name(run_no: int, step: str, index: str, attempt: int) -> str:
    """The name of an attempt's log.

    >>> log_name(12, "load", "3", 1)
    '12/d5495bdbac6f6fd5.3.1'
    """
    return f"{log_stem(run_no, step)}{index or '_'}.{attempt}"


def log_stem(run_no: int, step: str) -> str:
    """What the names of all logs of a step in a run begin with."""
    slug = hashlib.sha256(step.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{run_no}/{slug}."


def mark(nonce: str, letter: str, name: str) -> bytes:
    """The bytes of one mark; `letter` is B, S or E."""
    return f"\x1e{nonce} {letter} {name}\n".encode()


def secret_marks(nonce: str, secret: bytes) -> list[bytes]:
    """The marks that say what is to be masked from here on."""
    pieces = [secret[at : at + _PIECE] for at in range(0, len(secret), _PIECE)]
    last = len(pieces) - 1
    return [
        f"\x1e{nonce} K{'.' if n == last else '+'} {base64.b64encode(piece).decode()}\n".encode()
        for n, piece in enumerate(pieces)
    ]


class Text(NamedTuple):
    """Output that belongs to a log ("" = to no attempt: between steps, or before the first)."""

    name: str
    data: bytes


class Closed(NamedTuple):
    """Nothing more comes for a log that had output."""

    name: str


class Known(NamedTuple):
    """A secret that the worker is about to use."""

    secret: bytes


class Splitter:
    """Takes a worker's stream apart, chunk by chunk, wherever the chunks are cut."""

    def __init__(self, nonce: str) -> None:
        self._head = _RS + nonce.encode() + b" "
        self._mark = re.compile(
            re.escape(self._head) + rb"(?:([BSE]) (" + _NAME + rb")|(K[+.]) ([A-Za-z0-9+/]{1,250}={0,2}))\n"
        )
        self._secret = b""
        self._held = b""
        # The log that what comes next belongs to; "" = none.
        self.current = ""
        # The attempt that runs, whatever log its members write to; "" = none.
        self.attempt = ""
        self._open: dict[str, None] = {}

    def feed(self, data: bytes) -> list[Text | Closed | Known]:
        """What the next bytes of the stream say, in order."""
        if self._held:
            data = self._held + data
            self._held = b""
        found: list[Text | Closed | Known] = []
        start = 0
        for match in self._mark.finditer(data):
            if match.start() > start:
                self._text(data[start : match.start()], found)
            start = match.end()
            if match[3]:
                self._piece(match[3], match[4], found)
            else:
                self._turn(match[1], match[2].decode(), found)
        rest = data[start:]
        cut = self._unfinished(rest)
        if cut:
            self._text(rest[:cut], found)
        self._held = rest[cut:]
        return found

    def close(self) -> list[Text | Closed | Known]:
        """The stream has ended: what was held back is text, and all logs are closed."""
        found: list[Text | Closed | Known] = []
        if self._held:
            self._text(self._held, found)
            self._held = b""
        found += map(Closed, self._open)
        self._open.clear()
        self.current = self.attempt = ""
        return found

    def _piece(self, letter: bytes, encoded: bytes, found: list[Text | Closed | Known]) -> None:
        try:
            self._secret += base64.b64decode(encoded, validate=True)
        except binascii.Error:
            self._secret = b""
            return
        if letter == b"K.":
            found.append(Known(self._secret))
            self._secret = b""

    def _text(self, data: bytes, found: list[Text | Closed | Known]) -> None:
        if self.current:
            self._open[self.current] = None
        found.append(Text(self.current, data))

    def _turn(self, letter: bytes, name: str, found: list[Text | Closed | Known]) -> None:
        if letter == b"S":
            self.current = name
            return
        if letter == b"E":
            if name in self._open:
                del self._open[name]
                found.append(Closed(name))
            if self.current == name:
                self.current = ""
            if self.attempt == name:
                self.attempt = ""
            return
        if self._open:
            found += map(Closed, self._open)
            self._open.clear()
        self.current = self.attempt = name

    def _unfinished(self, rest: bytes) -> int:
        """Where a mark begins that is not there as a whole yet; the length of `rest` if none does."""
        at = rest.rfind(_RS)
        if at < 0 or len(rest) - at > _MAX_MARK:
            return len(rest)
        tail = rest[at:]
        if b"\n" not in tail and (self._head.startswith(tail) or tail.startswith(self._head)):
            return at
        return len(rest)
