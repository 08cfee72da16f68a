"""A short plain text about a value, for people who look at a run.

Rule: it never raises and never takes long, whatever the value's own `__repr__` does, and it is text only: who shows it
escapes it.
"""

from __future__ import annotations

import reprlib
from typing import Any

MAX_CHARS = 500
_ROWS, _COLUMNS = 5, 12


def preview(value: Any) -> str:
    """At most `MAX_CHARS` characters: shape, columns and first rows of a frame, shape of an array, else a short repr."""
    try:
        describe = _BY_LIBRARY.get(type(value).__module__.partition(".")[0], _plain)
        text = describe(value)
    except Exception as error:
        text = f"<{type(value).__qualname__}, whose preview raised {type(error).__name__}>"
    text = text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
    return text if len(text) <= MAX_CHARS else text[: MAX_CHARS - 1] + "…"


class _Short(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = 6
        self.maxdict = 10
        self.maxstring = self.maxother = 120
        self.maxlevel = 4

    def repr_bytes(self, x: bytes, level: int) -> str:
        # Without this the whole of it would be made into text first.
        return repr(x[:60]) + ("..." if len(x) > 60 else "")


_short = _Short()


def _plain(value: Any) -> str:
    text = _short.repr(value)
    count = len(value) if type(value) in (list, tuple, set, frozenset, dict, str, bytes) else 0
    return f"{type(value).__name__} of {count:,}: {text}" if count > 10 else text


def _array(value: Any) -> str:
    shape = getattr(value, "shape", ())
    if not shape:
        return _short.repr(value)
    first = value.reshape(-1)[:6].tolist()
    return f"array {' x '.join(map(str, shape))} of {value.dtype}: {_short.repr(first)}"


def _pandas(value: Any) -> str:
    if not hasattr(value, "columns"):
        return f"Series of {len(value):,} {value.dtype}\n{value.head(_ROWS).to_string()[:MAX_CHARS]}"
    rows, columns = value.shape
    head = value.iloc[:_ROWS, :_COLUMNS].to_string(max_colwidth=24)
    return f"{rows:,} rows x {columns} columns\n{head}"


def _arrow(value: Any) -> str:
    names = ", ".join(f"{field.name}: {field.type}" for field in list(value.schema)[:_COLUMNS])
    return f"{value.num_rows:,} rows x {value.num_columns} columns\n{names}"


def _polars(value: Any) -> str:
    if not hasattr(value, "columns"):
        return f"Series of {len(value):,} {value.dtype}"
    names = ", ".join(f"{name}: {dtype}" for name, dtype in list(value.schema.items())[:_COLUMNS])
    return f"{value.height:,} rows x {value.width} columns\n{names}"


_BY_LIBRARY = {"numpy": _array, "pandas": _pandas, "pyarrow": _arrow, "polars": _polars}
