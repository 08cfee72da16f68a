"""What engine and worker say to each other. msgpack, typed, versioned; data, never pickles.

A frame is a 4-byte big-endian length and that many bytes of one message. The engine sends a `Brief` once per worker
and step of a run (what all instances share), then `Tickets`; the worker answers with `Outcomes`, as many at a time as
it has, and in between with `Progress` and `Reports`.

The claim pipe. Beside the socket each worker has a pipe into which the engine puts 8 bytes (ticket number,
big-endian) per ticket. The worker takes a ticket by reading its number from the pipe just before user code runs, and
the engine takes tickets back by reading them itself: a read of a pipe is atomic, so each ticket is begun or taken back,
never both, and after a worker's death the engine knows to the ticket what had begun.
"""

from __future__ import annotations

import struct
from typing import Final, TypeVar

import msgspec

from partita.core.events import AssetReport, CheckReport, Detail
from partita.core.policies import Cache
from partita.core.states import AttemptState
from partita.core.values import Input, Value

VERSION: Final = 1


class Brief(msgspec.Struct, frozen=True, array_like=True, tag="b"):
    """What all instances of a step of a run share. `id` is the engine's number for it."""

    id: int
    run: str
    run_no: int
    namespace: str
    pipeline: str
    step: str
    call: str
    # Arguments that are the same for all instances.
    inputs: dict[str, Input] = {}
    # "task" | "asset" | "check" | "bundle" | "shell" | "script" | "container"
    kind: str = "task"
    partition: str = ""
    asset: str = ""
    check: str = ""
    blocking: bool = False
    code_version: str = ""
    reports_choice: bool = False
    reports_again: bool = False
    max_attempts: int = 1
    timeout_s: float | None = None
    memory_bytes: int | None = None
    cache: Cache | None = None
    asynchronous: bool = False
    # "YYYY-mm-ddTHH:MM:SSZ" bounds of the partition or schedule interval; "" = none.
    interval: tuple[str, str] = ("", "")
    run_created_at: float = 0.0
    # Of a run over several partitions: all of them; `partition` is then how they are called.
    partitions: tuple[str, ...] = ()


class Past(msgspec.Struct, frozen=True, array_like=True):
    """An earlier attempt of the same step instance, for the context."""

    attempt: int
    state: AttemptState
    reason: str


class Ticket(msgspec.Struct, frozen=True, array_like=True):
    """One attempt for a worker. `no` is unique within the engine process and is what outcomes answer to."""

    no: int
    brief: int
    index: str
    attempt: int
    epoch: int
    inputs: dict[str, Input] = {}
    past: tuple[Past, ...] = ()
    # Of a bundle: the members that this attempt is to perform.
    members: tuple[str, ...] = ()
    # The indexes of the GPUs that are its own.
    gpus: tuple[str, ...] = ()


class Tickets(msgspec.Struct, frozen=True, array_like=True, tag="t"):
    items: list[Ticket]


class CancelTicket(msgspec.Struct, frozen=True, array_like=True, tag="c"):
    """To an async worker: cancel this one coroutine (`reason` "timeout" or "cancelled")."""

    no: int
    reason: str


class Exit(msgspec.Struct, frozen=True, array_like=True, tag="x"):
    """Finish what has begun, then exit."""


class Outcome(msgspec.Struct, frozen=True, array_like=True):
    """What became of a ticket. `state` is succeeded, failed, timed_out or cancelled; times are time.time()."""

    no: int
    state: AttemptState
    began_at: float
    ended_at: float
    value: Value | None = None
    detail: Detail | None = None


class Outcomes(msgspec.Struct, frozen=True, array_like=True, tag="o"):
    items: list[Outcome]


class Progress(msgspec.Struct, frozen=True, array_like=True, tag="p"):
    """User code says how far it is (`ctx.progress(3, 10, "loading")`) or only that it lives (`ctx.heartbeat()`).

    `secret`: it is about to use the secret of this name.
    """

    no: int
    done: float = 0.0
    total: float = 0.0
    text: str = ""
    secret: str = ""


class MemberBegan(msgspec.Struct, frozen=True, array_like=True, tag="mb"):
    """A bundle's attempt began to perform a member."""

    no: int
    member: str
    at: float


class MemberEnded(msgspec.Struct, frozen=True, array_like=True, tag="me"):
    """A bundle's attempt has performed a member. `state`: succeeded, failed, skipped or upstream_failed."""

    no: int
    member: str
    state: str
    began_at: float
    ended_at: float
    value: Value | None = None
    assets: tuple[AssetReport, ...] = ()
    checks: tuple[CheckReport, ...] = ()
    detail: Detail | None = None


class Hello(msgspec.Struct, frozen=True, array_like=True, tag="h"):
    """The first frame of a worker."""

    pid: int
    version: int = VERSION


class Spooled(msgspec.Struct, frozen=True):
    """An outcome kept in a file because no scheduler was there to take it.

    The file is `spool/<run>~<n>.msgpack`, written to a temporary name, synced and renamed.
    """

    run: str
    step: str
    index: str
    attempt: int
    epoch: int
    outcome: Outcome
    version: int = VERSION
    # Of a bundle: what it reported of its members, for nobody may have heard it.
    members: tuple[MemberEnded, ...] = ()


ToWorker = Brief | Tickets | CancelTicket | Exit
FromWorker = Hello | Outcomes | Progress | MemberBegan | MemberEnded

_encoder = msgspec.msgpack.Encoder()
M = TypeVar("M")
_LENGTH = struct.Struct(">I")


def frame(message: ToWorker | FromWorker) -> bytes:
    """The bytes of one frame.

    >>> frames(bytearray(frame(Exit())), Decoder(ToWorker))
    [Exit()]
    """
    body = _encoder.encode(message)
    return _LENGTH.pack(len(body)) + body


Decoder = msgspec.msgpack.Decoder


def frames(buffer: bytearray, decoder: Decoder[M]) -> list[M]:
    """Take every whole frame out of the buffer; what is left in it is the beginning of the next one."""
    found: list[M] = []
    start, size = 0, len(buffer)
    view = memoryview(buffer)
    while size - start >= 4:
        end = start + 4 + int.from_bytes(view[start : start + 4], "big")
        if end > size:
            break
        found.append(decoder.decode(view[start + 4 : end]))
        start = end
    view.release()
    del buffer[:start]
    return found
