"""What engine and host say to each other over their socket pair: msgpack frames, typed. File descriptors travel beside.

The host is the process that has imported the project and starts its workers. The engine sends requests at any time,
also before the project is loaded: they wait in the socket. A `Start` brings three descriptors with it (the worker's
end of its socket, the read end of its claim pipe, nothing else of the engine's), so the engine has its own ends at once.

Rule: messages are data; nothing here reads or writes.
"""

from __future__ import annotations

import struct
from typing import Final, Literal

import msgspec

from partita.core.manifest import Problem
from partita.settings import Home, Settings

WorkerKind = Literal["warm", "fresh", "async", "evaluator"]
"""warm: forked, many steps; fresh: an interpreter of its own for one step; async: a loop with many coroutines.
evaluator: no worker, but a process for small functions (`executors.evaluator`)."""

FDS_PER_START: Final = {"warm": 2, "fresh": 2, "async": 2, "evaluator": 1}


class Begin(msgspec.Struct, frozen=True, array_like=True, tag="begin"):
    """The first frame: what the host is to load, and where everything lies."""

    project: str
    home: str
    workers: int
    async_slots: int
    inline_bytes: int
    log_head_bytes: int
    log_tail_bytes: int
    load_timeout_s: float
    namespace: str
    # "" = the project's folder.
    source: str = ""
    # The address of the values; "" = the home's own folder.
    values: str = ""
    # Nothing of it outlives the process that started it.
    ends_with_engine: bool = False


class Start(msgspec.Struct, frozen=True, array_like=True, tag="start"):
    """Start a worker; its descriptors come with this frame. `worker` is the engine's number for it."""

    worker: int
    kind: WorkerKind


class Kill(msgspec.Struct, frozen=True, array_like=True, tag="kill"):
    """SIGTERM to the worker's process group; SIGKILL after the grace period to all that is left of its session."""

    worker: int
    grace_s: float


class Watch(msgspec.Struct, frozen=True, array_like=True, tag="watch"):
    """From now on this worker's process tree may grow by so much memory; 0 = the watch is over."""

    worker: int
    memory_bytes: int


class Bind(msgspec.Struct, frozen=True, array_like=True, tag="bind"):
    """Check parameters of a run against the pipeline's signature. `raw`: the dict as the user gave it, packed."""

    id: int
    pipeline: str
    raw: bytes


class Source(msgspec.Struct, frozen=True, array_like=True, tag="source"):
    """The project's folder has other files than those that were imported: interpreters started from now on import these."""

    folder: str


class AskFigures(msgspec.Struct, frozen=True, array_like=True, tag="ask_figures"):
    """How much memory and processor time each worker has used."""


class Flush(msgspec.Struct, frozen=True, array_like=True, tag="flush"):
    """Bring everything that the pipes hold into the log files, synced, then say so."""

    id: int


ToHost = Begin | Start | Kill | Watch | Bind | Source | AskFigures | Flush


class Importing(msgspec.Struct, frozen=True, array_like=True, tag="importing"):
    """The import of one of the user's modules begins: whom to name if it never ends."""

    module: str


class Loaded(msgspec.Struct, frozen=True, array_like=True, tag="loaded"):
    """The project is loaded; `manifest` as `core.manifest.encode` made it."""

    manifest: bytes


class LoadFailed(msgspec.Struct, frozen=True, array_like=True, tag="load_failed"):
    """The project could not be loaded at all."""

    message: str
    hint: str = ""
    traceback: str = ""


class Started(msgspec.Struct, frozen=True, array_like=True, tag="started"):
    """A worker lives. `name` is "<host>:<pid>:<start time>"."""

    worker: int
    pid: int
    name: str


class Died(msgspec.Struct, frozen=True, array_like=True, tag="died"):
    """A worker is gone, and so is all that was left of its process group.

    `exit_code` or `signal` as the kernel told; `over_memory` is what the memory watch measured when it killed.
    `pid` 0: it could not even be started, `note` says why.
    """

    worker: int
    pid: int
    exit_code: int | None = None
    signal: int | None = None
    peak_rss_bytes: int = 0
    over_memory: int = 0
    # The last output of the attempt that ran.
    last_lines: str = ""
    note: str = ""


class Bound(msgspec.Struct, frozen=True, array_like=True, tag="bound"):
    """The answer to `Bind`: packed parameters, or what is wrong with them."""

    id: int
    params: dict[str, bytes] = {}
    problems: tuple[Problem, ...] = ()


class Figure(msgspec.Struct, frozen=True, array_like=True):
    """One worker's use of memory and processor."""

    worker: int
    rss_bytes: int
    cpu_s: float


class Figures(msgspec.Struct, frozen=True, array_like=True, tag="figures"):
    items: tuple[Figure, ...]


class Flushed(msgspec.Struct, frozen=True, array_like=True, tag="flushed"):
    id: int


FromHost = Importing | Loaded | LoadFailed | Started | Died | Bound | Figures | Flushed

_encoder = msgspec.msgpack.Encoder()
_LENGTH = struct.Struct(">I")
to_host: Final[msgspec.msgpack.Decoder[ToHost]] = msgspec.msgpack.Decoder(ToHost)
from_host: Final[msgspec.msgpack.Decoder[FromHost]] = msgspec.msgpack.Decoder(FromHost)


def frame(message: ToHost | FromHost) -> bytes:
    """The bytes of one frame; `worker.wire.frames` takes them apart again."""
    body = _encoder.encode(message)
    return _LENGTH.pack(len(body)) + body


def begin(settings: Settings) -> Begin:
    """The settings as a frame."""
    return Begin(
        project=str(settings.project),
        home=str(settings.home.root),
        workers=settings.workers,
        async_slots=settings.async_slots,
        inline_bytes=settings.inline_bytes,
        log_head_bytes=settings.log_head_bytes,
        log_tail_bytes=settings.log_tail_bytes,
        load_timeout_s=settings.load_timeout_s,
        namespace=settings.namespace,
        source=str(settings.source or ""),
        values=settings.home.values,
        ends_with_engine=settings.ends_with_engine,
    )


def settings_of(begin: Begin) -> Settings:
    """The settings out of the frame."""
    from pathlib import Path

    return Settings(
        project=Path(begin.project),
        home=Home(Path(begin.home), values=begin.values),
        workers=begin.workers,
        async_slots=begin.async_slots,
        inline_bytes=begin.inline_bytes,
        ends_with_engine=begin.ends_with_engine,
        log_head_bytes=begin.log_head_bytes,
        log_tail_bytes=begin.log_tail_bytes,
        load_timeout_s=begin.load_timeout_s,
        namespace=begin.namespace,
        source=Path(begin.source) if begin.source else None,
    )
