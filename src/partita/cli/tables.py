"""Tables of a terminal: columns side by side, numbers to the right, no frames.

Rule: a table that is piped is complete; one on a terminal fits it, and only its widest flexible column is cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from partita.cli.styled import Line, Span, cut, width_of
from partita.cli.terminal import Out

_GAP = 2


@dataclass(frozen=True)
class Column:
    """A column; `right` for numbers, `flexible` if it may be cut when the terminal is narrow."""

    name: str
    right: bool = False
    flexible: bool = False


Cell = str | Span | Line


def print_table(out: Out, columns: Sequence[Column], rows: Sequence[Sequence[Cell]], *, indent: int = 0) -> None:
    """Print a table with its heading; columns that are empty everywhere are left out."""
    body = [[_line(cell) for cell in row] for row in rows]
    used = [i for i, _ in enumerate(columns) if any(width_of(row[i]) for row in body)]
    columns = [columns[i] for i in used]
    body = [[row[i] for i in used] for row in body]
    head: list[Line] = [[(column.name, "dim")] for column in columns]
    widths = [max(width_of(cell) for cell in cells) for cells in zip(head, *body, strict=True)] if columns else []
    _fit(widths, columns, None if out.width is None else out.width - indent)
    for row in (head, *body):
        out.line(" " * indent, *_joined(row, columns, widths))


def _line(cell: Cell) -> Line:
    if isinstance(cell, str):
        return [(cell, "")]
    return [cell] if isinstance(cell, tuple) else cell


def _fit(widths: list[int], columns: Sequence[Column], room: int | None) -> None:
    if room is None:
        return
    over = sum(widths) + _GAP * (len(widths) - 1) - room
    while over > 0:
        flexible = [i for i, c in enumerate(columns) if c.flexible and widths[i] > 12]
        if not flexible:
            return
        widest = max(flexible, key=lambda i: widths[i])
        smaller = max(12, widths[widest] - over)
        over -= widths[widest] - smaller
        widths[widest] = smaller


def _joined(row: Sequence[Line], columns: Sequence[Column], widths: Sequence[int]) -> Line:
    line: Line = []
    for at, (cell, column, width) in enumerate(zip(row, columns, widths, strict=True)):
        cell = cut(cell, width)
        padding = " " * (width - width_of(cell))
        if at:
            line.append((" " * _GAP, ""))
        if column.right:
            line += [(padding, ""), *cell]
        else:
            line += [*cell, (padding if at < len(row) - 1 else "", "")]
    return line
