"""How other processes ask the engine that owns a store: a Unix socket (0600) beside the database, msgpack.

Rule: a request is data and names one of few verbs; what it does is its handler's, in the engine's thread.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from partita import errors
from partita.core.events import StepMarked
from partita.core.explain import Explanation
from partita.engine.loop import Engine
from partita.engine.pulse import AskPlaces, TakePulse, places, pulse
from partita.errors import PartitaError, WorldError

_LENGTH = struct.Struct(">I")
_PATIENCE_S = 30.0
# How soon whoever waits for an answer sees that the engine is ending.
_LOOK_S = 0.5
# Requests with parameters, answers with plans.
_LIMIT = 64 << 20
_THREADS = 16
_log = logging.getLogger("partita.control")


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


class Mark(msgspec.Struct, frozen=True, tag="mark"):
    """End a step by hand that does not run. The `lines` of the answer say why it cannot be, if it cannot."""

    run: str
    step: str
    state: Literal["succeeded", "failed", "skipped"]
    by: str
    index: str = ""
    reason: str = ""


class Why(msgspec.Struct, frozen=True, tag="why"):
    """Explain a step, with what the queue and the workers say."""

    run: str
    step: str
    index: str = ""


class Status(msgspec.Struct, frozen=True, tag="status"):
    """Who is there, and what the workers do."""


class Answer(msgspec.Struct, frozen=True):
    """What came of a request to a run. `found`: the run is active here."""

    found: bool = True
    explanation: Explanation | None = None
    lines: tuple[str, ...] = ()


class _Reply(msgspec.Struct, frozen=True):
    """`body` is the packed answer; or what was wrong, by the name of its class in `partita.errors`."""

    body: bytes = b""
    error: str = ""
    message: str = ""
    hint: str = ""


Handler = Callable[[Any], Any]
"""Carries out a request in the engine's thread, and answers with something that msgspec can pack, or with a `Future` of
it for what takes longer than a turn."""


def handlers_of(engine: Engine) -> dict[type, Handler]:
    """What every engine can be asked."""
    return {
        Cancel: lambda r: Answer(found=engine.cancel(r.run, by=r.by, reason=r.reason)),
        Pause: lambda r: Answer(found=engine.pause(r.run, by=r.by, reason=r.reason)),
        Resume: lambda r: Answer(found=engine.resume(r.run, by=r.by)),
        Mark: lambda r: _marked(engine, r),
        Why: lambda r: _explained(engine.why(r.run, r.step, r.index)),
        Status: lambda r: _status(engine),
        TakePulse: lambda r: pulse(engine),
        AskPlaces: lambda r: places(engine, r),
    }


class ControlServer:
    """Listens for requests in threads of its own and hands them to the engine's loop."""

    def __init__(self, path: Path, engine: Engine, handlers: Mapping[type, Handler] | None = None) -> None:
        self._path = path
        self._engine = engine
        both = {**handlers_of(engine), **(handlers or {})}
        self._handlers = {tag_of(kind): (kind, handler) for kind, handler in both.items()}
        self._closing = False
        self._connections: set[socket.socket] = set()
        with contextlib.suppress(FileNotFoundError):
            path.unlink()  # of an engine that is gone: the store's lock says that there is no other
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        _bind(self._socket, path)
        self._socket.listen(64)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="partita-control")
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
        for connection in list(self._connections):
            # Only reading: an answer that is on its way, perhaps to what ended the last run here, still gets out.
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RD)
        self._pool.shutdown(wait=False, cancel_futures=True)
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()

    def reply(self, tag: str, body: bytes) -> bytes:
        """The packed answer to a request, however it came here; any thread may ask."""
        return msgspec.msgpack.encode(self._reply(tag, body))

    def _serve(self) -> None:
        while not self._closing:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._pool.submit(self._converse, connection)

    def _converse(self, connection: socket.socket) -> None:
        """One client: its requests one after the other, until it goes."""
        self._connections.add(connection)
        with connection:
            connection.settimeout(_PATIENCE_S)
            # One bad client must not end the service for the others.
            with contextlib.suppress(OSError, msgspec.DecodeError):
                while not self._closing:
                    tag, body = msgspec.msgpack.decode(_receive(connection), type=tuple[str, bytes])
                    _send(connection, self.reply(tag, body))
        self._connections.discard(connection)

    def _reply(self, tag: str, body: bytes) -> _Reply:
        known = self._handlers.get(tag)
        if known is None:
            return _Reply(error="WorldError", message=f"this engine cannot {tag}", hint="is `partita up` running here?")
        kind, handler = known
        try:
            request: Any = msgspec.msgpack.decode(body, type=kind)
            answer = self._came(self._engine.post(lambda: handler(request)))
            if isinstance(answer, Future):
                answer = self._came(answer)
            return _Reply(msgspec.msgpack.encode(answer))
        except PartitaError as error:
            return _Reply(error=type(error).__name__, message=error.message, hint=error.hint or "")
        except TimeoutError:
            return _Reply(
                error="WorldError",
                message="the engine does not answer",
                hint="it may be busy or blocked, see `partita doctor`",
            )
        except Exception as error:  # a bug in a handler is its asker's to hear of, the service goes on
            _log.exception("request %s failed", tag)
            return _Reply(error="WorldError", message=f"the engine failed at {tag}: {type(error).__name__}: {error}")

    def _came(self, promised: Future[Any]) -> Any:
        """What an answer is when it comes. Of an engine that is ending none may come: that is not waited for."""
        deadline = time.monotonic() + _PATIENCE_S
        while not promised.done():
            if self._closing:
                raise WorldError("the engine is ending", hint="try again in a moment")
            wait([promised], timeout=min(_LOOK_S, max(0.0, deadline - time.monotonic())))
            if time.monotonic() > deadline and not promised.done():
                raise TimeoutError
        return promised.result()


A = TypeVar("A")


def ask(path: Path, request: msgspec.Struct, returns: type[A] = Answer) -> A | None:  # type: ignore[assignment]
    """Ask the engine that listens at `path`; None when there is none.

    Raises what the engine answered with (`DefinitionError`, `StoreFull` ...), `WorldError` when it does not answer.
    """
    connection = connect(path)
    if connection is None:
        return None
    with connection:
        return asked(connection, request, returns)


def connect(path: Path) -> socket.socket | None:
    """A connection to the engine that listens at `path`, for several questions; None when there is none."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(_PATIENCE_S)
    try:
        _connect(connection, path)
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    except BaseException:
        connection.close()
        raise
    return connection


def asked(connection: socket.socket, request: msgspec.Struct, returns: type[A]) -> A:
    """Ask over a connection that is open. Raises as `ask`."""
    try:
        _send(connection, msgspec.msgpack.encode((tag_of(type(request)), msgspec.msgpack.encode(request))))
        return told(_receive(connection), returns)
    except (OSError, msgspec.DecodeError) as error:
        raise WorldError(f"the engine broke off: {error}", hint="is it being stopped? try again") from error


def told(packed: bytes, returns: type[A]) -> A:
    """What a packed answer says. Raises what the engine answered with, `msgspec.DecodeError` for what is none."""
    reply = msgspec.msgpack.decode(packed, type=_Reply)
    if reply.error:
        raise _error(reply)
    return msgspec.msgpack.decode(reply.body, type=returns)


def tag_of(kind: type) -> str:
    """The name by which a request travels: the tag of its struct."""
    tag = kind.__struct_config__.tag  # type: ignore[attr-defined]
    assert isinstance(tag, str), f"{kind.__name__} needs a tag"
    return tag


def _error(reply: _Reply) -> PartitaError:
    kind = getattr(errors, reply.error, None)
    if not (isinstance(kind, type) and issubclass(kind, PartitaError)):
        kind = WorldError
    return kind(reply.message, hint=reply.hint or None)


def _explained(explanation: Explanation | None) -> Answer:
    return Answer(found=explanation is not None, explanation=explanation)


def _marked(engine: Engine, asked: Mark) -> Answer:
    mark = StepMarked(engine.clock.now(), asked.step, asked.index, asked.state, asked.by, asked.reason)
    refusal = engine.mark(asked.run, mark)
    return Answer(found=refusal is not None, lines=(refusal,) if refusal else ())


def _status(engine: Engine) -> Answer:
    blocked = (f"blocked: {engine.blocked}",) if engine.blocked else ()
    troubles = tuple(f"{chore}: {trouble}" for chore, trouble in engine.troubles.items())
    return Answer(lines=(f"engine of process {os.getpid()}", *blocked, *troubles, *engine.executor.describe()))


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
        raise OSError("a message larger than 64 MiB")
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
