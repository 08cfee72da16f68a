"""A user's value to a `core.values.Value` and back: inline when small, else a blob; whole, or one element of it.

Rule: a value is decoded anew for each step that reads it, so no two steps share a list. What is remembered between
steps is bytes.

Codec "items" is made here: a list, tuple or dict whose elements are not plain, as msgpack `[kind, keys, [Value, ...]]`,
so that one element can be read without the others.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import msgspec

from partita.core import plain
from partita.core.values import Input, Many, Missing, Named, Of, Part, Value, Whole
from partita.errors import ValueCodecError
from partita.values import codecs
from partita.values.blobs import SPILL_BYTES, Blobs, Sink, too_large
from partita.values.preview import preview, table

MAX_BYTES = 2 << 30
# Lists in lists in lists of values that are not plain; what lies deeper is pickled as one.
_MAX_NESTING = 3

_encode = msgspec.msgpack.Encoder().encode
_SCALARS = frozenset({bool, int, float})
_MAPPABLE = frozenset({list, tuple, set, frozenset, range})
_NONE = Value("plain", 1, b"\xc0")


class _Items(msgspec.Struct, frozen=True, array_like=True):
    kind: str
    keys: list[str]
    values: list[Value]


_items_decoder = msgspec.msgpack.Decoder(_Items)


def store(value: Any, blobs: Blobs, *, inline_bytes: int = 4096, max_bytes: int = MAX_BYTES) -> Value:
    """Encode a value; its bytes come back inside the `Value` up to `inline_bytes`, else they lie in `blobs`.

    Raises `ValueCodecError` for what cannot be encoded or is too large.
    """
    if value is None:
        return _NONE
    kind = type(value)
    if kind in _SCALARS or (kind is str and len(value) <= 64):
        try:
            data = _encode(value)
        except (OverflowError, UnicodeEncodeError):
            pass
        else:
            return Value("plain", len(data), data)
    return _store(value, blobs, inline_bytes, max_bytes, 0)


def load(source: Input, blobs: Blobs, resolve: plain.Resolve = codecs.resolve_class) -> Any:
    """The value that a step is to see for an input. Raises `ValueCodecError`."""
    kind = type(source)
    if kind is Whole:
        value: Value = source.value  # type: ignore[union-attr]
        if value.codec == "plain" and value.data is not None:
            found = codecs.unpack_plain(value.data, resolve)
        else:
            return decode(value, blobs, resolve, source.path)  # type: ignore[union-attr]
        return _follow(found, source.path) if source.path else found  # type: ignore[union-attr]
    match source:
        case Part(value=value, at=at, path=path):
            return _follow(_element(value, at, blobs, resolve), path)
        case Many(items=items):
            return [load(item, blobs, resolve) for item in items]
        case Named(items=pairs):
            return {name: load(item, blobs, resolve) for name, item in pairs}
        case Of(item=item):
            return load(item, blobs, resolve)
        case Missing():
            return None
    raise ValueCodecError(f"an input of unknown kind {kind.__qualname__}", hint="engine and worker differ in version")


def decode(
    value: Value,
    blobs: Blobs,
    resolve: plain.Resolve = codecs.resolve_class,
    path: tuple[str | int, ...] = (),
) -> Any:
    """The Python value, or what `path` finds in it. Raises `ValueCodecError`."""
    if value.codec == "items":
        items = _items_of(value, blobs)
        if path:
            return decode(_pick(items, path[0]), blobs, resolve, path[1:])
        found = [decode(item, blobs, resolve) for item in items.values]
        return _KINDS[items.kind](items.keys, found)
    if value.ref is not None and value.size > SPILL_BYTES and value.codec != "plain":
        with blobs.open(value.ref, value.digest, value.size) as file:
            return _follow(codecs.read(value.codec, file, resolve), path)
    return _follow(codecs.read(value.codec, data_of(value, blobs), resolve), path)


def data_of(value: Value, blobs: Blobs) -> bytes:
    """The encoded bytes of a value, proven against its digest where they lie in a blob."""
    if value.data is not None:
        return value.data
    if value.ref is None:
        raise ValueCodecError("a stored value has neither bytes nor a place where they lie")
    ref, digest, size = value.ref, value.digest, value.size
    data: bytes = _bytes.get(digest, lambda: blobs.read(ref, digest, size), len)
    return data


# --- what a value is, without keeping it ----------------------------------------------------------------------------


def plain_bytes(value: Any) -> bytes | None:
    """The value as plain data; None if it is not plain."""
    if codecs.is_of_library(value):
        return None
    try:
        return codecs.pack_plain(value)
    except RecursionError:
        return None


def content_digest(value: Any) -> str | None:
    """A digest of what the value is; None for what cannot be encoded."""
    packed = plain_bytes(value)
    if packed is not None:
        return hashlib.sha256(b"plain\0" + packed).hexdigest()
    sink = _Hashed()
    try:
        codec, write = codecs.writer_of(value)
        write(sink)
    except Exception:  # whatever pickle meets in it; it is not kept, only not recognized
        return None
    return hashlib.sha256(f"{codec}\0{sink.hash.hexdigest()}".encode()).hexdigest()


class _Hashed:
    """What a codec writes to when only the digest is wanted."""

    def __init__(self) -> None:
        self.hash = hashlib.sha256()

    def write(self, data: bytes | memoryview, /) -> int:
        self.hash.update(data)
        return memoryview(data).nbytes

    def flush(self) -> None:
        """Nothing is held back."""


# --- encoding ---------------------------------------------------------------------------------------------------


def _store(value: Any, blobs: Blobs, inline_bytes: int, max_bytes: int, depth: int) -> Value:
    kind = type(value)
    length = len(value) if kind in _MAPPABLE else None
    if kind in (str, bytes) and len(value) > max_bytes:
        raise too_large(len(value), max_bytes)
    if not codecs.is_of_library(value):
        try:
            packed = codecs.pack_plain(value)
        except RecursionError:
            # It contains itself: pickle alone keeps that.
            packed, depth = None, _MAX_NESTING
        if packed is not None:
            return _placed("plain", packed, value, length, blobs, inline_bytes, max_bytes)
        if depth < _MAX_NESTING and _has_items(value):
            return _store_items(value, length, blobs, inline_bytes, max_bytes, depth)
    codec, write = codecs.writer_of(value)
    sink = Sink(blobs, max_bytes)
    try:
        write(sink)
        data = sink.memory
        if data is not None and len(data) <= inline_bytes:
            return Value(codec, len(data), data, length=length, preview=preview(value), table=table(value))
        ref = sink.finish()
    except BaseException:
        sink.discard()
        raise
    return Value(codec, sink.size, None, ref, sink.digest, length, preview(value), table(value))


def _placed(
    codec: str, data: bytes, value: Any, length: int | None, blobs: Blobs, inline_bytes: int, max_bytes: int
) -> Value:
    size = len(data)
    if size <= inline_bytes:
        return Value(codec, size, data, length=length, preview="" if codec == "plain" else preview(value))
    if size > max_bytes:
        raise too_large(size, max_bytes)
    digest = hashlib.sha256(data).hexdigest()
    return Value(codec, size, None, blobs.put(data, digest), digest, length, preview(value))


def _has_items(value: Any) -> bool:
    """A list or tuple always; a dict only where an element is a frame or array, for pickle keeps what elements share."""
    kind = type(value)
    if kind is list or kind is tuple:
        return True
    return kind is dict and all(type(k) is str for k in value) and any(map(codecs.is_of_library, value.values()))


def _store_items(value: Any, length: int | None, blobs: Blobs, inline_bytes: int, max_bytes: int, depth: int) -> Value:
    kind = type(value).__name__
    keys, elements = (list(value), value.values()) if kind == "dict" else ([], value)
    stored: list[Value] = []
    total = 0
    for step, element in zip(keys or range(len(value)), elements, strict=True):
        try:
            item = _store(element, blobs, inline_bytes, max_bytes, depth + 1)
        except ValueCodecError as error:
            raise ValueCodecError(f"[{step!r}] of a {kind}: {error.message}", hint=error.hint) from error
        total += item.size
        if total > max_bytes:
            raise too_large(total, max_bytes)
        # A preview of each element would outweigh the index; the whole has one.
        stored.append(Value(item.codec, item.size, item.data, item.ref, item.digest, item.length))
    try:
        data = _encode(_Items(kind, keys, stored))
    except UnicodeEncodeError:
        raise ValueCodecError(
            f"a {kind} has a key with lone surrogates", hint="encode the key, e.g. with errors='backslashreplace'"
        ) from None
    return _placed("items", data, value, length, blobs, inline_bytes, max_bytes)


_KINDS: dict[str, Callable[[list[str], list[Any]], Any]] = {
    "list": lambda keys, found: found,
    "tuple": lambda keys, found: tuple(found),
    "dict": lambda keys, found: dict(zip(keys, found, strict=True)),
}


# --- decoding ---------------------------------------------------------------------------------------------------


def _element(value: Value, at: int, blobs: Blobs, resolve: plain.Resolve) -> Any:
    if value.codec == "plain":
        parts = elements_of(value, blobs)
        if parts is not None:
            if not 0 <= at < len(parts):
                raise _no_element(at, len(parts))
            return codecs.unpack_plain(parts[at], resolve)
    elif value.codec == "items":
        return decode(_pick(_items_of(value, blobs), at), blobs, resolve)
    whole = decode(value, blobs, resolve)
    try:
        return whole[at]
    except (IndexError, KeyError, TypeError):
        raise ValueCodecError(
            f"element {at} of a {type(whole).__qualname__} cannot be taken",
            hint="map over a list or tuple: `list(...)` around the result makes one",
        ) from None


def elements_of(value: Value, blobs: Blobs) -> list[bytes] | None:
    """The packed elements of a plain list, tuple or set; None for any other plain value."""
    # Inline bytes are their own key: hashing 4 KB is far cheaper than splitting them for each of 1,000 instances.
    key = value.data if value.data is not None else value.digest
    parts: list[bytes] | None = _elements.get(key, lambda: plain.elements(data_of(value, blobs)), lambda _: value.size)
    return parts


def items_in(value: Value, blobs: Blobs) -> list[Value]:
    """The stored elements of a value of codec "items"."""
    return _items_of(value, blobs).values


def _items_of(value: Value, blobs: Blobs) -> _Items:
    try:
        return _items_decoder.decode(data_of(value, blobs))
    except msgspec.DecodeError as error:
        raise ValueCodecError(f"a stored list of values cannot be read back: {error}") from None


def _pick(items: _Items, step: str | int) -> Value:
    try:
        return items.values[items.keys.index(step) if isinstance(step, str) else step]
    except (ValueError, IndexError):
        known = f"keys {', '.join(items.keys[:10])}" if items.kind == "dict" else f"{len(items.values)} elements"
        raise ValueCodecError(f"no {step!r} in a {items.kind} with {known}") from None


def _follow(value: Any, path: tuple[str | int, ...]) -> Any:
    for depth, step in enumerate(path):
        try:
            value = value[step]
        except (LookupError, TypeError):
            where = "".join(f"[{s!r}]" for s in path[:depth])
            raise ValueCodecError(
                f"an upstream result has no [{step!r}]: result{where} is a {type(value).__qualname__}",
                hint="compare what the upstream step returns with how its result is used in the pipeline",
            ) from None
    return value


def _no_element(at: int, count: int) -> ValueCodecError:
    return ValueCodecError(f"element {at} is asked of a list with {count} elements")


class _Recent:
    """What was used last, by key, up to so many bytes. One per process; never holds decoded values."""

    def __init__(self, max_bytes: int) -> None:
        self._max = max_bytes
        self._held: OrderedDict[Any, tuple[Any, int]] = OrderedDict()
        self._bytes = 0

    def get(self, key: Any, make: Callable[[], Any], size_of: Callable[[Any], int]) -> Any:
        held = self._held.get(key)
        if held is not None:
            return held[0]
        made = make()
        size = size_of(made)
        if size <= self._max // 4:
            self._held[key] = (made, size)
            self._bytes += size
            while self._bytes > self._max:
                self._bytes -= self._held.popitem(last=False)[1][1]
        return made


_bytes = _Recent(64 << 20)
_elements = _Recent(32 << 20)
