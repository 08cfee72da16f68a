"""Columns of many rows as PostgreSQL's binary arrays: what a commit of hundreds of steps is sent as.

Rule: hot. A whole column is packed at once; what is odd in it (NULL, characters that PostgreSQL does not keep) is looked
for once, and only then each value by itself.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

# The types' numbers in every PostgreSQL: of an element, and of an array of them.
_ELEMENT: Final = {"int8": 20, "float8": 701, "text": 25, "bytea": 17}
ARRAY_OID: Final = {"int8": 1016, "float8": 1022, "text": 1009, "bytea": 1001}
_HEADER = struct.Struct("!iiIii")
_LENGTH = struct.Struct("!i").pack
_NULL = _LENGTH(-1)
_MARK: Final = "\1"


def packed(kind: str, column: Sequence[Any]) -> bytes:
    """A column as an array of `kind`, in PostgreSQL's binary form."""
    has_null = None in column
    header = _HEADER.pack(1, int(has_null), _ELEMENT[kind], len(column), 1)
    if has_null:
        return header + b"".join(_NULL if value is None else _EACH[kind]([value]) for value in column)
    return header + _EACH[kind](column)


def escaped(text: str) -> str:
    """Text without the one character that PostgreSQL does not keep; `unescaped` undoes it.

    >>> escaped("a\\0b")
    'a\\x010b'
    """
    if "\0" in text or "\1" in text:
        return text.replace(_MARK, _MARK + "1").replace("\0", _MARK + "0")
    return text


def unescaped(text: str) -> str:
    """What `escaped` was given."""
    return text.replace(_MARK + "0", "\0").replace(_MARK + "1", _MARK)


def _numbers(column: Sequence[int]) -> bytes:
    flat: list[int] = [8] * (2 * len(column))
    flat[1::2] = column
    try:
        return struct.pack("!" + "iq" * len(column), *flat)
    except struct.error as error:
        raise OverflowError(str(error)) from error


def _floats(column: Sequence[float]) -> bytes:
    flat: list[float] = [8] * (2 * len(column))
    flat[1::2] = column
    return struct.pack("!" + "id" * len(column), *flat)


def _texts(column: Sequence[str]) -> bytes:
    joined = "".join(column)
    if "\0" in joined or "\1" in joined:
        column = [escaped(text) for text in column]
    return _bytes([text.encode() for text in column])


def _bytes(column: Sequence[bytes]) -> bytes:
    return b"".join([part for data in column for part in (_LENGTH(len(data)), data)])


_EACH: Final[dict[str, Callable[[Any], bytes]]] = {
    "int8": _numbers,
    "float8": _floats,
    "text": _texts,
    "bytea": _bytes,
}
