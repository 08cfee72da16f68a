"""How values travel to PostgreSQL and back: numbers and texts of types that the server finds out, columns of many rows packed.

Rule: hot. One prepared statement for whatever is sent, so nothing here says a type that depends on a value.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import psycopg
from psycopg.adapt import Dumper, Loader
from psycopg.pq import Format
from psycopg.types.string import BytesBinaryDumper

from partita.store import arrays


@cache
def adapters() -> Context:
    """For all connections."""
    found = psycopg.adapt.AdaptersMap(psycopg.adapters)
    for kind, dumper in ((int, _Plain), (float, _Plain), (bool, _Flag), (str, _Text)):
        found.register_dumper(kind, dumper)
    found.register_dumper(bytes, BytesBinaryDumper)
    for name, column in _COLUMN.items():
        found.register_dumper(column, type(f"_Dumped{name}", (_ColumnDumper,), {"oid": arrays.ARRAY_OID[name]}))
    found.register_loader("text", _LoadedText)
    found.register_loader("numeric", _LoadedNumber)
    return Context(found)


def columns(types: tuple[str, ...], rows: Any) -> list[bytes]:
    """Rows as columns, each packed as an array of its type."""
    return [
        _COLUMN[kind](arrays.packed(kind, column)) for kind, column in zip(types, zip(*rows, strict=True), strict=True)
    ]


class Context:
    """What psycopg wants to be given adapters in."""

    connection = None

    def __init__(self, adapters: psycopg.adapt.AdaptersMap) -> None:
        self.adapters = adapters


class _Plain(Dumper):
    """Numbers, of a type that the server finds out from where they stand: one prepared statement for all of them."""

    oid = 0

    def dump(self, obj: Any) -> bytes:
        return repr(obj).encode()


class _Flag(Dumper):
    """True and false are 1 and 0, as in SQLite."""

    oid = 0

    def dump(self, obj: Any) -> bytes:
        return b"1" if obj else b"0"


class _Text(Dumper):
    oid = 0

    def dump(self, obj: str) -> bytes:
        return arrays.escaped(obj).encode()


class _LoadedText(Loader):
    def load(self, data: Any) -> str:
        text = bytes(data).decode()
        return arrays.unescaped(text) if "\1" in text else text


class _LoadedNumber(Loader):
    """Sums."""

    def load(self, data: Any) -> float:
        text = bytes(data)
        return float(text) if b"." in text else int(text)


class _Column(bytes):
    """A packed array."""


class _ColumnDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: bytes) -> bytes:
        return obj


_COLUMN: Final[dict[str, type[_Column]]] = {kind: type(f"_{kind}", (_Column,), {}) for kind in arrays.ARRAY_OID}
