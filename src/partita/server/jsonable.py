"""Values of ours, and what users' code has left as packed plain data, as JSON.

Rule: what is packed and not known to be plain is left out, for only its owner can read it.
"""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import msgspec

from partita.core import events
from partita.core.plain import unpack


def fields_of(value: msgspec.Struct, *without: str) -> dict[str, Any]:
    """A frozen value of ours as JSON, by its fields; packed bytes are left out, for only their owner can read them."""
    return {name: field(found) for name, found in _items(value) if name not in without and not _is_packed(found)}


def _items(value: msgspec.Struct) -> list[tuple[str, Any]]:
    return [(f.encode_name, getattr(value, f.name)) for f in msgspec.structs.fields(value)]


def _is_packed(value: Any) -> bool:
    return isinstance(value, bytes) or (isinstance(value, dict) and any(isinstance(v, bytes) for v in value.values()))


def field(value: Any) -> Any:
    """A field of a value of ours as JSON."""
    if isinstance(value, events.Meta):
        return {"name": value.name, "kind": value.kind, "value": plain(value.data)}
    if isinstance(value, msgspec.Struct):
        return fields_of(value)
    if isinstance(value, list | tuple):
        return [field(v) for v in value]
    if isinstance(value, dict):
        return {str(k): field(v) for k, v in value.items()}
    return as_json(value)


def iso(at: float | None) -> str | None:
    """An instant for programs: ISO 8601 in UTC."""
    if at is None:
        return None
    return dt.datetime.fromtimestamp(at, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def plain(data: bytes) -> Any:
    """Packed plain data as JSON; classes of the user's are their fields."""
    return as_json(unpack(data, stand_in))


def stand_in(name: str) -> Any:
    """What stands for a class of the user's while plain data is decoded: nothing of theirs is imported."""
    return _Foreign


class _Foreign:
    """Stands for any class of the user's: its fields, or the name of an enum's member."""

    def __class_getitem__(cls, name: str) -> Any:
        return name

    def __new__(cls, *args: Any, **fields: Any) -> Any:
        return fields or list(args)


def as_json(value: Any) -> Any:
    """A decoded value as JSON."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            # JSON has no NaN and no infinity.
            return value if math.isfinite(value) else str(value)
        case dict():
            return {k if isinstance(k, str) else str(as_json(k)): as_json(v) for k, v in value.items()}
        case list() | tuple():
            return [as_json(v) for v in value]
        case set() | frozenset():
            return sorted((as_json(v) for v in value), key=str)
        case bytes():
            return value.hex()
        case dt.timedelta():
            return value.total_seconds()
        case dt.datetime() | dt.date() | dt.time():
            return value.isoformat()
        case _:
            return str(value)
