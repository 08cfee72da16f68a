"""Results of earlier attempts by key: what was asked (call, code, inputs) gives what was answered.

Rule: the index is a hint, proven when it is used. An entry that is damaged, too old, or whose blob is gone is a miss,
never an error.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from partita.core.events import AssetReport, CheckReport, Meta
from partita.core.policies import Cache
from partita.core.values import Input, Many, Missing, Named, Of, Part, Value, Whole
from partita.errors import ValueCodecError
from partita.values import codecs
from partita.values.blobs import Blobs, write_then_rename
from partita.values.storing import elements_of, items_in


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One remembered result with what was reported beside it.

    `origin` is "run/step/index/attempt" of the attempt that made it.
    """

    value: Value
    made_at: float
    origin: str
    metadata: tuple[Meta, ...] = ()
    assets: tuple[AssetReport, ...] = ()
    checks: tuple[CheckReport, ...] = ()
    version: int = 1


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Entry)


def key_by_inputs(call: str, code_version: str, salt: str, inputs: Mapping[str, Input], blobs: Blobs) -> str:
    """The key of a call with these inputs: equal content gives an equal key, wherever its bytes lie."""
    digests = sorted((name, _digest(source, blobs)) for name, source in inputs.items())
    return _key(["inputs", call, code_version, salt, digests])


def key_by_function(call: str, salt: str, function: Callable[..., Any], arguments: Mapping[str, Any]) -> str:
    """The key that the user's own function makes of the arguments. Code is not part of it: the user said what is."""
    answer = function(**arguments)
    packed = codecs.pack_plain(answer)
    if packed is None:
        raise ValueCodecError(
            f"the cache key function of {call} returned a {type(answer).__qualname__}, which is not plain data",
            hint="return text, numbers, or tuples and dicts of them",
        )
    return _key(["own", call, salt, packed])


def look_up(folder: Path, key: str, policy: Cache, blobs: Blobs, *, now: float) -> Entry | None:
    """The entry of a key, if there is one that may be used now."""
    try:
        entry = _decoder.decode((folder / key[:2] / key).read_bytes())
    except (OSError, msgspec.DecodeError, msgspec.ValidationError):
        return None
    if policy.ttl_s is not None and not 0 <= now - entry.made_at <= policy.ttl_s:
        return None
    return entry if _is_there(entry.value, blobs) else None


def remember(folder: Path, key: str, entry: Entry) -> None:
    """Put an entry in its place. A folder that cannot be written is no reason for a step to fail: nothing is kept."""
    try:
        write_then_rename(folder / key[:2] / key, _encoder.encode(entry), sync=False)
    except OSError:
        return


def _key(parts: list[Any]) -> str:
    return hashlib.sha256(_encoder.encode(parts)).hexdigest()


def _digest(source: Input, blobs: Blobs) -> bytes:
    match source:
        case Whole(value=value, path=path):
            return _encoder.encode(["w", _content(value), path])
        case Part(value=value, at=at, path=path):
            # The element counts, not where it stands: a list that grew keeps the keys of its old elements.
            element = _element_bytes(value, at, blobs)
            return _encoder.encode(["w", element, path] if element is not None else ["p", _content(value), at, path])
        case Many(items=items):
            return _encoder.encode(["m", [_digest(item, blobs) for item in items]])
        case Named(items=pairs):
            return _encoder.encode(["n", [(name, _digest(item, blobs)) for name, item in pairs]])
        case Of(partition=partition, item=item):
            return _encoder.encode(["o", partition, _digest(item, blobs)])
        case Missing():
            return b"-"


def _content(value: Value) -> bytes:
    digest = value.digest or hashlib.sha256(value.data or b"").hexdigest()
    return _encoder.encode([value.codec, digest])


def _element_bytes(value: Value, at: int, blobs: Blobs) -> bytes | None:
    if value.codec != "plain" or value.length is None:
        return None
    parts = elements_of(value, blobs)
    if parts is None or at >= len(parts):
        return None
    return _encoder.encode(["plain", hashlib.sha256(parts[at]).hexdigest()])


def _is_there(value: Value, blobs: Blobs) -> bool:
    if value.ref is None:
        return value.data is not None and (value.codec != "items" or _items_are_there(value, blobs))
    if not blobs.has(value.ref, value.size):
        return False
    return value.codec != "items" or _items_are_there(value, blobs)


def _items_are_there(value: Value, blobs: Blobs) -> bool:
    try:
        return all(_is_there(item, blobs) for item in items_in(value, blobs))
    except (ValueCodecError, msgspec.DecodeError):
        return False
