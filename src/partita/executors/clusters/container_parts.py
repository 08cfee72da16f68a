"""A container that an engine runs for a job, as three parties see it by the exchange.

    in/<n>     an input                           the job's own process -> the container's pod
    asked      what is to be run (`Asked`)        the job's own process -> the scheduler
    made       it was, and never is again         the scheduler
    log/<n>    what it wrote (`Piece`); the last one says how it ended
                                                  the scheduler -> the job's own process
    out/<n>, left    the outputs                  the container's pod -> the job's own process
    stop       it is to end                       the job's own process -> the scheduler

Rule: a container is made at most once for a job: who put `made` makes it, and whoever finds it does not.
"""

from __future__ import annotations

from typing import Final

import msgspec

from partita.define.container_beside import Asked, Ended, Output
from partita.executors.clusters.exchange import Exchange

ASKED: Final = "asked"
MADE: Final = "made"
STOP: Final = "stop"

_encoder = msgspec.msgpack.Encoder()
_asked = msgspec.msgpack.Decoder(Asked)


class Piece(msgspec.Struct, frozen=True):
    """Lines of the container's log. `until`: the instant of the last one, as the engine writes it."""

    data: bytes = b""
    until: str = ""
    ended: Ended | None = None


_piece = msgspec.msgpack.Decoder(Piece)
_left = msgspec.msgpack.Decoder(list[Output])


class Parts:
    """What the parties leave for each other for one job. Raises `WorldError` when the exchange cannot be reached."""

    def __init__(self, exchange: Exchange, name: str) -> None:
        self._exchange = exchange
        self._name = name

    def ask(self, asked: bytes) -> None:
        """The container is wanted; its inputs are there."""
        self._exchange.put_part(self._name, ASKED, asked)

    def asked(self) -> Asked | None:
        """What is to be run; None: nothing yet."""
        data = self._exchange.part(self._name, ASKED)
        return _asked.decode(data) if data is not None else None

    def may_make(self) -> bool:
        """Whether the caller is the one who makes the container, once and for all."""
        return self._exchange.create_part(self._name, MADE, b"")

    def is_made(self) -> bool:
        """Whether somebody makes it, or has made it."""
        return self._exchange.part(self._name, MADE) is not None

    def stop(self) -> None:
        """It is to end."""
        self._exchange.put_part(self._name, STOP, b"")

    def is_stopped(self) -> bool:
        """Whether it is to end."""
        return self._exchange.part(self._name, STOP) is not None

    def put_piece(self, number: int, piece: Piece) -> None:
        """Leave a piece of its log; numbers go up by one from 1."""
        self._exchange.put_part(self._name, f"log/{number:08d}", _encoder.encode(piece))

    def piece(self, number: int) -> Piece | None:
        """A piece of its log; None if it is not there yet."""
        data = self._exchange.part(self._name, f"log/{number:08d}")
        return _piece.decode(data) if data is not None else None

    def put_file(self, way: str, number: int, data: bytes) -> None:
        """Leave an input ("in") or an output ("out")."""
        self._exchange.put_part(self._name, f"{way}/{number}", data)

    def file(self, way: str, number: int) -> bytes | None:
        """An input or an output."""
        return self._exchange.part(self._name, f"{way}/{number}")

    def put_left(self, states: list[Output]) -> None:
        """What became of each output, when those that are there were left."""
        self._exchange.put_part(self._name, "left", _encoder.encode(states))

    def left(self) -> list[Output] | None:
        """What became of the outputs; None: nobody has looked."""
        data = self._exchange.part(self._name, "left")
        return _left.decode(data) if data is not None else None
