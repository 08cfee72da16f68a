"""The two streams: data goes to `out()`, all else to `err()`. What each of them can show is asked here.

Rule: colour only on a terminal that wants it (NO_COLOR, TERM=dumb), width only where there is one: nothing that is piped
is cut.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any, TextIO

from partita.cli.styled import Span, cut, paint


class Out:
    """One stream, as it is now."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.is_terminal = stream.isatty()
        self.colour = _wants_colour(self.is_terminal)
        self.width = _width(stream, self.is_terminal)

    def line(self, *spans: Span | str) -> None:
        """Print one line; a bare string has no style."""
        self.stream.write(paint(_spans(spans), colour=self.colour) + "\n")

    def cut_line(self, line: list[Span]) -> None:
        """Print one line, shortened to the terminal's width if there is one."""
        self.line(*(line if self.width is None else cut(line, self.width)))

    def lines(self, lines: Iterable[list[Span]]) -> None:
        for line in lines:
            self.line(*line)

    def blank(self) -> None:
        self.stream.write("\n")

    def raw(self, text: str) -> None:
        """Text that is exact: files, JSON, logs that are piped."""
        self.stream.write(text)


def out() -> Out:
    """Where data goes."""
    return Out(sys.stdout)


def err() -> Out:
    """Where progress, notes and errors go."""
    return Out(sys.stderr)


def print_json(value: Any) -> None:
    """Print data exactly: ASCII only, so that no terminal and no encoding changes it."""
    import json

    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")


def hint(text: str) -> None:
    """Say on stderr what to do."""
    err().line(("hint: ", "accent"), text)


def note(*spans: Span | str) -> None:
    """Say something on stderr that is no error."""
    err().line(*spans)


def _spans(spans: Iterable[Span | str]) -> list[Span]:
    return [(span, "") if isinstance(span, str) else span for span in spans]


def _wants_colour(is_terminal: bool) -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return is_terminal and os.environ.get("TERM") != "dumb"


def _width(stream: TextIO, is_terminal: bool) -> int | None:
    if not is_terminal:
        return None
    columns = os.environ.get("COLUMNS", "")
    if columns.isdigit() and int(columns) > 0:
        return int(columns)
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        return 80
