"""How a Python value becomes bytes and a value again, by its type.

plain    data of the language itself (`core.plain`)          arrow   pyarrow tables and record batches
numpy    arrays and scalars without objects, as .npy         pandas  frames and series as an Arrow stream
polars   frames as an Arrow file                             pickle  everything else, by cloudpickle

Rule: a library is used only if the value came from it (it is looked up in `sys.modules`), so encoding an int imports
nothing. A codec that would not give the same value back declines, and the next one is asked; pickle is the last.
"""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Callable
from typing import Any, BinaryIO, Protocol

import msgspec

from partita.core import plain
from partita.errors import ValueCodecError

_encode = msgspec.msgpack.Encoder().encode
_JSON_ATOMS = frozenset({type(None), bool, int, float, str, bytes})


class Writable(Protocol):
    """What a codec writes to."""

    def write(self, data: bytes | memoryview, /) -> int: ...
    def flush(self) -> None: ...


Write = Callable[[Writable], None]


def writer_of(value: Any) -> tuple[str, Write]:
    """The codec for a value that is not plain, and the function that writes it."""
    offer = _OFFERS.get(type(value).__module__.partition(".")[0])
    if offer is not None:
        found = offer(value)
        if found is not None:
            return found
    return "pickle", lambda sink: _write_pickle(value, sink)


def pack_plain(value: Any) -> bytes | None:
    """The value as plain data, or None if it is not plain. Raises `RecursionError` if it contains itself."""
    try:
        if _is_json_like(value):
            return _encode(value)
    except (OverflowError, UnicodeEncodeError):
        pass  # a big integer is plain in its own way, the others are not; `pack` tells them apart
    try:
        return plain.pack(value)
    except (plain.NotPlain, UnicodeEncodeError):
        return None


def is_of_library(value: Any) -> bool:
    """Whether the value belongs to a library that has a codec of its own here."""
    return type(value).__module__.partition(".")[0] in _OFFERS


def read(codec: str, source: bytes | BinaryIO, resolve: plain.Resolve) -> Any:
    """The value of encoded bytes, decoded anew at each call."""
    try:
        if codec == "plain":
            return unpack_plain(source if isinstance(source, bytes) else source.read(), resolve)
        reader = _READERS.get(codec)
        if reader is None:
            raise ValueCodecError(
                f"a value was stored with codec {codec!r}, which this version does not know",
                hint="read it with the version of Partita that wrote it, or run the step again",
            )
        return reader(io.BytesIO(source) if isinstance(source, bytes) else source)
    except (ValueCodecError, MemoryError):
        raise
    except ModuleNotFoundError as error:
        raise ValueCodecError(
            f"a stored value (codec {codec}) needs module {error.name!r}, which cannot be imported here",
            hint=f"install {error.name!r} in the project's environment, or run the step that made it again",
        ) from error
    except Exception as error:
        raise ValueCodecError(
            f"a stored value (codec {codec}) cannot be read back: {type(error).__name__}: {_text(error)}",
            hint="if a class or library changed since it was made, run the step that made it again",
        ) from error


def unpack_plain(data: bytes, resolve: plain.Resolve) -> Any:
    """Plain data with classes found by `resolve`, which is asked only when there are some."""
    try:
        return plain.unpack(data)
    except LookupError:
        return plain.unpack(data, resolve)


def resolve_class(name: str) -> Any:
    """The class called `module:qualname`, imported. For user processes only."""
    import importlib

    module, _, qualname = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in qualname.split("."):
        found = getattr(found, part)
    return found


def _is_json_like(value: Any) -> bool:
    """Whether msgpack alone keeps the value and its types. The loops over elements run in C where they can."""
    kind = type(value)
    if kind in _JSON_ATOMS:
        return True
    if kind is dict:
        if any(type(key) is not str for key in value):
            return False
        items = value.values()
    elif kind is list:
        items = value
    else:
        return False
    kinds = set(map(type, items))
    if kinds <= _JSON_ATOMS:
        return True
    return kinds <= _JSON_LIKE and all(_is_json_like(item) for item in items)


_JSON_LIKE = _JSON_ATOMS | {list, dict}


# --- numpy ------------------------------------------------------------------------------------------------------


def _offer_numpy(value: Any) -> tuple[str, Write] | None:
    np = sys.modules["numpy"]
    if type(value) is np.ndarray:
        array = value
    elif isinstance(value, np.generic):
        array = np.asarray(value)
    else:
        return None
    if array.dtype.hasobject or (array.dtype.kind == "V" and array.dtype.names is None):
        return None
    scalar = array is not value

    def write(sink: Writable) -> None:
        sink.write(b"s" if scalar else b"a")
        np.lib.format.write_array(sink, array, version=None, allow_pickle=False)

    return "numpy", write


def _read_numpy(source: BinaryIO) -> Any:
    import numpy as np

    scalar = source.read(1) == b"s"
    array = np.lib.format.read_array(source, allow_pickle=False)
    return array[()] if scalar else array


# --- arrow, pandas, polars --------------------------------------------------------------------------------------


def _offer_arrow(value: Any) -> tuple[str, Write] | None:
    pa = sys.modules["pyarrow"]
    if isinstance(value, pa.Table):
        kind, table = b"t", value
    elif isinstance(value, pa.RecordBatch):
        kind, table = b"b", pa.Table.from_batches([value])
    else:
        return None
    return "arrow", lambda sink: _write_arrow(kind, table, sink)


def _write_arrow(kind: bytes, table: Any, sink: Writable) -> None:
    import pyarrow as pa

    sink.write(kind)
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)


def _read_table(source: BinaryIO) -> tuple[bytes, Any]:
    import pyarrow as pa

    kind = source.read(1)
    return kind, pa.ipc.open_stream(source).read_all()


def _read_arrow(source: BinaryIO) -> Any:
    kind, table = _read_table(source)
    if kind == b"t":
        return table
    batches = table.combine_chunks().to_batches()
    if batches:
        return batches[0]
    import pyarrow as pa

    return pa.RecordBatch.from_pylist([], schema=table.schema)


def _offer_pandas(value: Any) -> tuple[str, Write] | None:
    pd = sys.modules["pandas"]
    try:
        import pyarrow as pa
    except ImportError:
        return None
    if type(value) is pd.Series:
        name, frame, kind = value.name, value.to_frame("value"), b"s"
    elif type(value) is pd.DataFrame:
        name, frame, kind = None, value, b"d"
    else:
        return None
    packed_name = pack_plain(name)
    if packed_name is None or not _arrow_keeps(pd, frame):
        return None
    try:
        table = pa.Table.from_pandas(frame)
        empty = table.slice(0, 0).to_pandas()
    except (pa.ArrowException, TypeError, ValueError, NotImplementedError):
        return None
    objects = [str(c) for c, dtype in frame.dtypes.items() if str(dtype) == "object"]
    same = empty.astype(dict.fromkeys(objects, object))
    if not same.dtypes.equals(frame.dtypes) or _labels(empty) != _labels(frame):
        return None
    notes = _encode([packed_name, objects, getattr(frame.index, "freqstr", None)])
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), b"partita": notes})
    return "pandas", lambda sink: _write_arrow(kind, table, sink)


def _arrow_keeps(pd: Any, frame: Any) -> bool:
    """Whether the frame has only what Arrow gives back unchanged: no objects but strings, plain column names."""
    if (
        frame.columns.empty
        or frame.columns.nlevels > 1
        or not frame.columns.is_unique
        or frame.attrs
        or not frame.flags.allows_duplicate_labels
    ):
        return False
    if not all(type(c) is str for c in frame.columns) and any(str(d) == "object" for d in frame.dtypes):
        return False
    for level in range(frame.index.nlevels):
        values = frame.index.get_level_values(level)
        if str(values.dtype) == "object" and pd.api.types.infer_dtype(values, skipna=False) != "string":
            return False
    return all(
        pd.api.types.infer_dtype(frame[c], skipna=False) == "string"
        for c, d in frame.dtypes.items()
        if str(d) == "object"
    )


def _labels(frame: Any) -> tuple[Any, ...]:
    """What is to be the same of index and columns."""
    index = frame.index
    kinds = [str(index.get_level_values(level).dtype) for level in range(index.nlevels)]
    return list(index.names), kinds, list(frame.columns), list(frame.columns.names)


def _read_pandas(source: BinaryIO) -> Any:
    kind, table = _read_table(source)
    packed_name, objects, freq = msgspec.msgpack.decode(table.schema.metadata[b"partita"])
    frame = table.to_pandas()
    if objects:
        frame = frame.astype(dict.fromkeys(objects, object))
    if freq is not None and getattr(frame.index, "freqstr", freq) != freq:
        frame.index.freq = freq
    if kind == b"d":
        return frame
    return frame["value"].rename(plain.unpack(packed_name))


def _offer_polars(value: Any) -> tuple[str, Write] | None:
    pl = sys.modules["polars"]
    if type(value) is pl.Series:
        kind, frame, name = b"s", value.to_frame("value"), value.name
    elif type(value) is pl.DataFrame:
        kind, frame, name = b"d", value, ""
    else:
        return None

    def write(sink: Writable) -> None:
        head = _encode([kind, name])
        sink.write(len(head).to_bytes(4, "big") + head)
        frame.write_ipc_stream(sink)

    return None if "object" in str(frame.dtypes).lower() else ("polars", write)


def _read_polars(source: BinaryIO) -> Any:
    import polars as pl

    kind, name = msgspec.msgpack.decode(source.read(int.from_bytes(source.read(4), "big")))
    frame = pl.read_ipc_stream(source)
    return frame if kind == b"d" else frame["value"].rename(name)


# --- pickle -----------------------------------------------------------------------------------------------------


def _write_pickle(value: Any, sink: Writable) -> None:
    import cloudpickle

    try:
        cloudpickle.dump(value, sink, protocol=5)
    except (ValueCodecError, MemoryError):
        raise
    except Exception as error:
        where, culprit = _culprit(value)
        raise ValueCodecError(
            f"a value of type {_type_name(culprit)}{f' (at {where} of a {_type_name(value)})' if where else ''} "
            f"cannot be stored: {_text(error)}",
            hint="return plain data, a frame, or what is needed to make it again (a path, a connection string)",
        ) from error


def _read_pickle(source: BinaryIO) -> Any:
    return pickle.load(source)


def _culprit(value: Any) -> tuple[str, Any]:
    """Where in the value the part stands that cannot be pickled; a search of limited depth and width."""
    where, budget = "", 200
    for _ in range(4):
        for step, child in _children(value):
            budget -= 1
            if budget < 0:
                return where, value
            if not _can_pickle(child):
                where, value = where + step, child
                break
        else:
            break
    return where, value


def _children(value: Any) -> list[tuple[str, Any]]:
    if type(value) is dict:
        return [(f"[{_short(key)}]", item) for key, item in list(value.items())[:100]]
    if type(value) in (list, tuple):
        return [(f"[{i}]", item) for i, item in enumerate(value[:100])]
    attributes = getattr(value, "__dict__", None)
    if type(attributes) is dict:
        return [(f".{name}", item) for name, item in list(attributes.items())[:100]]
    return []


def _can_pickle(value: Any) -> bool:
    import cloudpickle

    try:
        cloudpickle.dumps(value, protocol=5)
    except Exception:
        return False
    return True


def _short(key: Any) -> str:
    return repr(key)[:60] if type(key) in _JSON_ATOMS else f"<{type(key).__qualname__}>"


def _type_name(value: Any) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _text(error: BaseException) -> str:
    try:
        return str(error)[:500]
    except Exception:
        return f"<{type(error).__name__}, whose text cannot be made>"


_OFFERS: dict[str, Callable[[Any], tuple[str, Write] | None]] = {
    "numpy": _offer_numpy,
    "pyarrow": _offer_arrow,
    "pandas": _offer_pandas,
    "polars": _offer_polars,
}
_READERS: dict[str, Callable[[BinaryIO], Any]] = {
    "numpy": _read_numpy,
    "arrow": _read_arrow,
    "pandas": _read_pandas,
    "polars": _read_polars,
    "pickle": _read_pickle,
}
