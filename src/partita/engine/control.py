"""How other processes ask the engine that owns a store: a Unix socket (0600) beside the database, msgpack, one request a connection.

Rule: a request is data and names one of few verbs; what it does is the engine's, in the engine's thread.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
from pathlib import Path
from typing import Any

import msgspec

from partita.core.explain import Explanation
from partita.engine.loop import Engine
from partita.errors import PartitaError, WorldError

_LENGTH = struct.Struct(">I")
_PATIENCE_S = 30.0
_LIMIT = 1 << 20


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """End a run."""

    run: str
    by: str
    reason: str = ""


class Pause(msgspec.Struct, frozen=True, tag="pause"):
    """Start nothing new in a run."""

    run: str
    by: str
    reason: str = ""


class Resume(msgspec.Struct, frozen=True, tag="resume"):
    """Undo a pause."""

    run: str
    by: str


class Why(msgspec.Struct, frozen=True, tag="why"):
    """Explain a step, with what the queue and the workers say."""

    run: str
    step: str
    index: str = ""


class Status(msgspec.Struct, frozen=True, tag="status"):
    """Who is there, and what the workers do."""


Request = Cancel | Pause | Resume | Why | Status


class Answer(msgspec.Struct, frozen=True):
    """What came of a request; `error` is empty when it was carried out. `found`: the run is active here."""

    found: bool = True
    explanation: Explanation | None = None
    lines: tuple[str, ...] = ()
    error: str = ""


class ControlServer:
    """Listens for requests in a thread of its own and hands them to the engine's loop."""

    def __init__(self, path: Path, engine: Engine) -> None:
        self._path = path
        self._engine = engine
        self._closing = False
        with contextlib.suppress(FileNotFoundError):
            path.unlink()  # of an engine that is gone: the store's lock says that there is no other
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        _bind(self._socket, path)
        self._socket.listen(16)
        self._thread = threading.Thread(target=self._serve, name="partita-control", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening and remove the socket."""
        if self._closing:
            return
        self._closing = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5.0)
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()

    def _serve(self) -> None:
        while not self._closing:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(_PATIENCE_S)
                # One bad client must not end the service for the others.
                with contextlib.suppress(OSError, msgspec.DecodeError):
                    request = msgspec.msgpack.decode(_receive(connection), type=Request)
                    _send(connection, msgspec.msgpack.encode(self._answer(request)))

    def _answer(self, request: Request) -> Answer:
        try:
            answer: Answer = self._engine.post(lambda: _carry_out(self._engine, request)).result(_PATIENCE_S)
            return answer
        except PartitaError as error:
            return Answer(error=str(error))
        except TimeoutError:
            return Answer(error="the engine does not answer; it may be busy or blocked, see `partita doctor`")


def ask(path: Path, request: Request) -> Answer | None:
    """Ask the engine that listens at `path`; None when there is none. Raises `WorldError` when it does not answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_PATIENCE_S)
        try:
            _connect(connection, path)
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        try:
            _send(connection, msgspec.msgpack.encode(request))
            return msgspec.msgpack.decode(_receive(connection), type=Answer)
        except (OSError, msgspec.DecodeError) as error:
            raise WorldError(f"the engine broke off: {error}", hint="is it being stopped? try again") from error


def _carry_out(engine: Engine, request: Request) -> Answer:
    match request:
        case Cancel(run=run, by=by, reason=reason):
            return Answer(found=engine.cancel(run, by=by, reason=reason))
        case Pause(run=run, by=by, reason=reason):
            return Answer(found=engine.pause(run, by=by, reason=reason))
        case Resume(run=run, by=by):
            return Answer(found=engine.resume(run, by=by))
        case Why(run=run, step=step, index=index):
            explanation = engine.why(run, step, index)
            return Answer(found=explanation is not None, explanation=explanation)
        case Status():
            blocked = (f"blocked: {engine.blocked}",) if engine.blocked else ()
            return Answer(lines=(f"engine of process {os.getpid()}", *blocked, *engine.executor.describe()))


def _bind(sock: socket.socket, path: Path) -> None:
    before = os.umask(0o177)
    try:
        sock.bind(_short(path))
    finally:
        os.umask(before)


def _connect(sock: socket.socket, path: Path) -> None:
    sock.connect(_short(path))


def _short(path: Path) -> str:
    """A name for the socket that fits into the 107 bytes that the kernel has for it."""
    if len(os.fsencode(path)) < 100:
        return str(path)
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY) if hasattr(os, "O_PATH") else -1
    # The descriptor lives as long as the process; there is one engine and few questions.
    return f"/proc/self/fd/{folder}/{path.name}" if folder >= 0 else os.path.relpath(path)


def _send(sock: socket.socket, body: bytes) -> None:
    sock.sendall(_LENGTH.pack(len(body)) + body)


def _receive(sock: socket.socket) -> bytes:
    size = _LENGTH.unpack(_exactly(sock, 4))[0]
    if size > _LIMIT:
        raise OSError("a request larger than 1 MiB")
    return _exactly(sock, size)


def _exactly(sock: socket.socket, size: int) -> bytes:
    parts: list[Any] = []
    while size:
        part = sock.recv(min(size, 65536))
        if not part:
            raise OSError("the other side has closed the connection")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
