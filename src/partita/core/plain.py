"""Plain Python data as msgpack bytes and back, with its types kept.

JSON-like data goes straight through. What msgpack would blur (tuple, set, date, Decimal, Path, big integers,
dicts with keys of other types, enums, dataclasses, pydantic models, msgspec structs) travels in tagged
extensions. Classes are named by `module:qualname`; nothing is imported here: `unpack` asks the caller's
`resolve` for the class, so the scheduler can hold the bytes without ever importing user code.

Rule: equal values give equal bytes (sets are sorted by their bytes, dicts keep their order), for these bytes
are hashed into code versions and cache keys.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import uuid
from collections.abc import Callable
from decimal import Decimal
from pathlib import PurePath
from typing import Any

import msgspec

Resolve = Callable[[str], Any]

_TUPLE, _SET, _FROZENSET, _INT, _DATE, _TIME, _DATETIME, _DELTA = 1, 2, 3, 4, 5, 6, 7, 8
_DECIMAL, _UUID, _PATH, _COMPLEX, _PAIRS, _ENUM, _FIELDS, _NAMED_TUPLE = 9, 10, 11, 12, 13, 14, 15, 16

_ATOMS = frozenset({type(None), bool, float, str, bytes})
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder()


class NotPlain(TypeError):
    """A value that is not plain data; `path` says where in the value it stands."""

    def __init__(self, value: object, path: str) -> None:
        self.type_name = f"{type(value).__module__}.{type(value).__qualname__}"
        self.path = path
        super().__init__(f"{self.type_name}{f' at {path}' if path else ''} is not plain data")


def pack(value: Any) -> bytes:
    """Encode plain data. Raises `NotPlain` for anything else.

    >>> unpack(pack({"day": dt.date(2013, 1, 1), "pair": (1, 2)}))
    {'day': datetime.date(2013, 1, 1), 'pair': (1, 2)}
    """
    kind = type(value)
    if kind in _ATOMS:
        return _encode(value)
    return _encode(_lower(value, ""))


def unpack(data: bytes, resolve: Resolve | None = None) -> Any:
    """Decode what `pack` made. `resolve("module:qualname")` gives a class; without it classes raise `LookupError`."""
    if resolve is None:
        return _PLAIN_DECODER.decode(data)
    return msgspec.msgpack.decode(data, ext_hook=lambda code, body: _raise_ext(code, bytes(body), resolve))


def length(data: bytes) -> int | None:
    """How many elements the packed list, tuple or set has; None for anything else (nothing is decoded).

    >>> length(pack([1, 2, 3])), length(pack("abc"))
    (3, None)
    """
    items = _items_body(data)
    return None if items is None else len(_RAWS.decode(items))


def elements(data: bytes) -> list[bytes] | None:
    """The packed elements of a packed list, tuple or set; None for anything else."""
    items = _items_body(data)
    return None if items is None else [bytes(raw) for raw in _RAWS.decode(items)]


def joined(parts: list[bytes]) -> bytes:
    """The packed list whose elements are `parts`, each already packed; the inverse of `elements`."""
    return _encoder.encode([msgspec.Raw(part) for part in parts])


_RAWS = msgspec.msgpack.Decoder(list[msgspec.Raw])


def _items_body(data: bytes) -> bytes | None:
    first = data[0] if data else 0
    if 0x90 <= first <= 0x9F or first in (0xDC, 0xDD):
        return data
    if 0xD4 <= first <= 0xD8 or 0xC7 <= first <= 0xC9:
        ext = msgspec.msgpack.decode(data, type=msgspec.msgpack.Ext)
        if ext.code in (_TUPLE, _SET, _FROZENSET):
            return bytes(ext.data)
    return None


def _encode(value: Any) -> bytes:
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        raise NotPlain(value, "a string with lone surrogates") from None


def _lower(value: Any, path: str) -> Any:
    """The value as something that msgpack keeps as it is."""
    kind = type(value)
    if kind in _ATOMS:
        return value
    if kind is int:
        if -(2**63) <= value < 2**64:
            return value
        return msgspec.msgpack.Ext(_INT, str(value).encode())
    if kind is list:
        return [_lower(item, f"{path}[{i}]") for i, item in enumerate(value)]
    if kind is dict:
        if all(type(key) is str for key in value):
            return {key: _lower(item, f"{path}[{key!r}]") for key, item in value.items()}
        pairs = [[_lower(k, f"{path} key"), _lower(v, f"{path}[{k!r}]")] for k, v in value.items()]
        return msgspec.msgpack.Ext(_PAIRS, _encode(pairs))
    lower = _LOWER.get(kind)
    if lower is not None:
        code, body = lower(value, path)
        return msgspec.msgpack.Ext(code, body)
    return _lower_object(value, path)


def _lower_object(value: Any, path: str) -> Any:
    cls = type(value)
    name = f"{cls.__module__}:{cls.__qualname__}"
    if "<locals>" in name:
        raise NotPlain(value, path)
    if isinstance(value, enum.Enum):
        return msgspec.msgpack.Ext(_ENUM, _encode([name, value.name]))
    if isinstance(value, PurePath):
        return msgspec.msgpack.Ext(_PATH, str(value).encode())
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        fields = [_lower(item, f"{path}.{f}") for f, item in zip(value._fields, value, strict=True)]
        return msgspec.msgpack.Ext(_NAMED_TUPLE, _encode([name, fields]))
    if dataclasses.is_dataclass(value):
        fields_of = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.init}
    elif isinstance(value, msgspec.Struct):
        fields_of = {f: getattr(value, f) for f in value.__struct_fields__}
    elif hasattr(cls, "model_fields") and hasattr(cls, "model_validate"):  # pydantic, without importing it
        fields_of = {f: getattr(value, f) for f in cls.model_fields}
    else:
        raise NotPlain(value, path)
    lowered = {f: _lower(item, f"{path}.{f}") for f, item in fields_of.items()}
    return msgspec.msgpack.Ext(_FIELDS, _encode([name, lowered]))


def _sequence(value: Any, path: str) -> bytes:
    return _encode([_lower(item, f"{path}[{i}]") for i, item in enumerate(value)])


def _sorted_set(value: Any, path: str) -> bytes:
    parts = sorted(_encode(_lower(item, f"{path} element")) for item in value)
    return _encode([msgspec.Raw(part) for part in parts])


def _delta(value: dt.timedelta) -> bytes:
    return _encode([value.days, value.seconds, value.microseconds])


def _datetime(value: dt.datetime, path: str) -> bytes:
    # Zone names are kept (an offset alone would lose the DST rule); `fold` tells the two 01:30s apart.
    key = getattr(value.tzinfo, "key", None)
    if value.tzinfo is not None and key is None:
        offset = value.utcoffset()
        key = "" if offset is None else offset.total_seconds()
    return _encode([value.replace(tzinfo=None).isoformat(), key, value.fold])


_LOWER: dict[type, Callable[[Any, str], tuple[int, bytes]]] = {
    tuple: lambda v, p: (_TUPLE, _sequence(v, p)),
    set: lambda v, p: (_SET, _sorted_set(v, p)),
    frozenset: lambda v, p: (_FROZENSET, _sorted_set(v, p)),
    dt.date: lambda v, p: (_DATE, v.isoformat().encode()),
    dt.time: lambda v, p: (_TIME, v.isoformat().encode()),
    dt.datetime: lambda v, p: (_DATETIME, _datetime(v, p)),
    dt.timedelta: lambda v, p: (_DELTA, _delta(v)),
    Decimal: lambda v, p: (_DECIMAL, str(v).encode()),
    uuid.UUID: lambda v, p: (_UUID, v.bytes),
    complex: lambda v, p: (_COMPLEX, _encode([v.real, v.imag])),
}


def _raise_ext(code: int, body: bytes, resolve: Resolve | None) -> Any:
    if code in _SIMPLE:
        return _SIMPLE[code](body)
    inner = unpack(body, resolve)
    if code == _TUPLE:
        return tuple(inner)
    if code == _SET:
        return set(inner)
    if code == _FROZENSET:
        return frozenset(inner)
    if code == _PAIRS:
        return dict(inner)
    return _raise_object(code, inner[0], inner[1], resolve)


def _raise_object(code: int, name: str, content: Any, resolve: Resolve | None) -> Any:
    if resolve is None:
        raise LookupError(f"{name} is a class of the user's; it is decoded in workers only")
    cls = resolve(name)
    if code == _ENUM:
        return cls[content]
    if code == _NAMED_TUPLE:
        return cls(*content)
    if hasattr(cls, "model_validate"):
        return cls.model_construct(**content)
    return cls(**content)


def _raise_datetime(body: bytes) -> dt.datetime:
    from zoneinfo import ZoneInfo

    text, key, fold = _decoder.decode(body)
    value = dt.datetime.fromisoformat(text).replace(fold=fold)
    if key is None:
        return value
    if isinstance(key, str):
        return value.replace(tzinfo=ZoneInfo(key))
    return value.replace(tzinfo=dt.timezone(dt.timedelta(seconds=key)) if key else dt.UTC)


def _raise_delta(body: bytes) -> dt.timedelta:
    days, seconds, microseconds = _decoder.decode(body)
    return dt.timedelta(days, seconds, microseconds)


def _raise_path(body: bytes) -> Any:
    from pathlib import Path  # a Path is only a name until somebody opens it

    return Path(body.decode())


_SIMPLE: dict[int, Callable[[bytes], Any]] = {
    _INT: lambda b: int(b),
    _DATE: lambda b: dt.date.fromisoformat(b.decode()),
    _TIME: lambda b: dt.time.fromisoformat(b.decode()),
    _DATETIME: _raise_datetime,
    _DELTA: _raise_delta,
    _DECIMAL: lambda b: Decimal(b.decode()),
    _UUID: lambda b: uuid.UUID(bytes=b),
    _PATH: _raise_path,
    _COMPLEX: lambda b: complex(*_decoder.decode(b)),
}
_PLAIN_DECODER = msgspec.msgpack.Decoder(ext_hook=lambda code, body: _raise_ext(code, bytes(body), None))
