"""Typed metadata that user code reports: numbers, texts, Markdown, tables, paths, addresses, JSON.

Rule: everything becomes plain data when it is reported, so that nothing that reads it ever imports user code.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Literal

from partita.core.events import Meta
from partita.core.plain import NotPlain, pack

Kind = Literal["number", "text", "markdown", "table", "path", "url", "json"]
_MAX_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Typed:
    """A value of metadata with its kind; made by `pt.md.text(...)` and its sisters."""

    kind: Kind
    value: Any


class md:
    """Makers of typed metadata: `ctx.add_metadata(report=pt.md.markdown("# Delays"))`."""

    @staticmethod
    def number(value: float) -> Typed:
        """A number, drawn as a line over runs."""
        number = _plain_number(value)
        return Typed("json", value) if number is None else Typed("number", number)

    @staticmethod
    def text(value: str) -> Typed:
        return Typed("text", str(value))

    @staticmethod
    def markdown(value: str) -> Typed:
        return Typed("markdown", str(value))

    @staticmethod
    def path(value: object) -> Typed:
        """A file or folder."""
        return Typed("path", str(value))

    @staticmethod
    def url(value: str) -> Typed:
        return Typed("url", str(value))

    @staticmethod
    def json(value: Any) -> Typed:
        return Typed("json", value)

    @staticmethod
    def table(rows: Any, columns: Sequence[str] | None = None) -> Typed:
        """A table from a list of dicts, a list of rows with `columns`, or a data frame (its first 1,000 rows)."""
        return Typed("table", _table(rows, columns))


def meta(name: str, value: object) -> Meta:
    """One entry of metadata from a typed or a bare value."""
    typed = value if isinstance(value, Typed) else _inferred(value)
    try:
        return Meta(name, typed.kind, pack(typed.value))
    except NotPlain:
        return Meta(name, "text", pack(_safe_text(typed.value)))


def _inferred(value: object) -> Typed:
    number = _plain_number(value)
    if number is not None:
        return Typed("number", number)
    if isinstance(value, str):
        return Typed("url" if value.startswith(("http://", "https://")) else "text", value)
    if isinstance(value, PurePath):
        return Typed("path", str(value))
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        return Typed("table", _table(value, None))
    return Typed("json", value)


def _plain_number(value: object) -> int | float | None:
    """A Python number from a number, NumPy's included."""
    if isinstance(value, bool):
        return None
    if not isinstance(value, int | float):
        if type(value).__module__ != "numpy" or not hasattr(value, "item") or getattr(value, "ndim", 1) != 0:
            return None
        value = getattr(value, "item")()  # noqa: B009 - looked for above, and no type says so
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
    # Subclasses (numpy.float64 is one of float) are no plain data.
    if isinstance(value, int):
        return int(value)
    return float(value) if math.isfinite(value) else None


def _table(rows: Any, columns: Sequence[str] | None) -> dict[str, Any]:
    if hasattr(rows, "columns") and hasattr(rows, "itertuples"):
        names = [str(column) for column in rows.columns]
        body = [[_cell(cell) for cell in row] for row in rows.head(_MAX_ROWS).itertuples(index=False, name=None)]
        return {"columns": names, "rows": body}
    rows = list(rows)[:_MAX_ROWS]
    if columns is None and rows and isinstance(rows[0], Mapping):
        columns = list(dict.fromkeys(key for row in rows for key in row))
        rows = [[row.get(column) for column in columns] for row in rows]
    return {"columns": [str(c) for c in columns or ()], "rows": [[_cell(cell) for cell in row] for row in rows]}


def _cell(value: Any) -> Any:
    if value is None or type(value) in (bool, int, float):
        return value
    number = _plain_number(value)
    return number if number is not None else _safe_text(value)


def _safe_text(value: object) -> str:
    # A user's __str__ may raise or give lone surrogates; metadata must never be what fails a step.
    try:
        text = str(value)
    except Exception as error:
        text = f"<{type(value).__name__}: its __str__ raised {type(error).__name__}>"
    return text.encode("utf-8", "backslashreplace").decode()
