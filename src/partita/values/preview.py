"""A short plain text about a value, and the first rows of a frame, for people who look at a run.

Rule: it never raises and never takes long, whatever the value's own `__repr__` does, and it is text and numbers only: who
shows it escapes it.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable
from typing import Any

from partita.core.plain import pack

MAX_CHARS = 500
MAX_TABLE_BYTES = 4096
_ROWS, _COLUMNS = 5, 12
_TABLE_ROWS, _TABLE_COLUMNS, _CELL_CHARS = 20, 30, 80


def preview(value: Any) -> str:
    """At most `MAX_CHARS` characters: shape, columns and first rows of a frame, shape of an array, else a short repr."""
    try:
        describe = _BY_LIBRARY.get(type(value).__module__.partition(".")[0], _plain)
        text = describe(value)
    except Exception as error:
        text = f"<{type(value).__qualname__}, whose preview raised {type(error).__name__}>"
    text = text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
    return text if len(text) <= MAX_CHARS else text[: MAX_CHARS - 1] + "…"


def table(value: Any) -> bytes | None:
    """The first rows of a frame with the names and types of its columns, packed; None for what is no frame.

    At most `MAX_TABLE_BYTES`: of a wide frame fewer rows and columns.
    """
    read = _TABLES.get(type(value).__module__.partition(".")[0])
    if read is None:
        return None
    try:
        found = read(value)
        if found is None:
            return None
        columns, rows, count, width = found
        while True:
            packed = pack({"columns": columns, "rows": rows, "count": count, "width": width})
            if len(packed) <= MAX_TABLE_BYTES:
                return packed
            if len(rows) > 2:
                rows = rows[: len(rows) // 2]
            elif len(columns) > 1:
                keep = len(columns) // 2
                columns, rows = columns[:keep], [row[:keep] for row in rows]
            else:
                return None
    except Exception:  # whatever a frame of the user's own kind does
        return None


_Table = tuple[list[list[str]], list[list[Any]], int, int]


def _cell(value: Any) -> Any:
    """A cell as plain data: numbers and truth stay, everything else is a short text."""
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        value = value.item()
    if value is None or type(value) in (bool, int):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else None
    text = value if type(value) is str else _short.repr(value) if isinstance(value, _CONTAINERS) else str(value)
    text = text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
    return text if len(text) <= _CELL_CHARS else text[: _CELL_CHARS - 1] + "…"


_CONTAINERS = (list, tuple, dict, set, bytes)


def _name(name: Any) -> str:
    return str(_cell(str(name)))


def _pandas_table(value: Any) -> _Table | None:
    if not hasattr(value, "columns"):
        if not hasattr(value, "to_frame"):
            return None
        value = value.to_frame()
    count, width = value.shape
    head = value.iloc[:_TABLE_ROWS, :_TABLE_COLUMNS]
    columns = [[_name(name), str(kind)] for name, kind in zip(head.columns, head.dtypes, strict=True)]
    cells = [[_cell(cell) for cell in head.iloc[:, at].tolist()] for at in range(len(columns))]
    return columns, [list(row) for row in zip(*cells, strict=True)], count, width


def _polars_table(value: Any) -> _Table | None:
    if not hasattr(value, "columns"):
        value = value.to_frame()
    if not hasattr(value, "height"):
        return None
    head = value.head(_TABLE_ROWS)[:, :_TABLE_COLUMNS]
    columns = [[_name(name), str(kind)] for name, kind in head.schema.items()]
    return columns, [[_cell(cell) for cell in row] for row in head.rows()], value.height, value.width


def _arrow_table(value: Any) -> _Table | None:
    if not hasattr(value, "num_rows") or not hasattr(value, "schema"):
        return None
    fields = list(value.schema)[:_TABLE_COLUMNS]
    head = value.slice(0, _TABLE_ROWS)
    cells = [[_cell(cell) for cell in head.column(at).to_pylist()] for at in range(len(fields))]
    columns = [[_name(field.name), str(field.type)] for field in fields]
    return columns, [list(row) for row in zip(*cells, strict=True)], value.num_rows, value.num_columns


_TABLES: dict[str, Callable[[Any], _Table | None]] = {
    "pandas": _pandas_table,
    "polars": _polars_table,
    "pyarrow": _arrow_table,
}


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
