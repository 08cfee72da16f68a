"""The live view: the picture of the watched runs, drawn on a terminal a few times a second.

Rule: drawing happens between two turns of the engine, at most 8 times a second, and is gone when the runs have ended.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from partita.cli.picture import picture
from partita.cli.styled import Line, Span, clean
from partita.cli.telling import log_tail
from partita.cli.terminal import Out
from partita.cli.watching import RunWatch, Watch
from partita.settings import Home

if TYPE_CHECKING:
    from rich.text import Text

_FRAME_S = 0.125
_STYLES = {"amber": "yellow", "grey": "bright_black", "violet": "magenta", "accent": "cyan"}


class Live:
    """The view on a terminal. `draw` is called after each turn of the engine."""

    def __init__(self, watch: Watch, out: Out, now: Callable[[], float], home: Home) -> None:
        # Here and not above: the project's host is importing the project meanwhile.
        from rich.console import Console
        from rich.live import Live as RichLive

        self._watch = watch
        self._out = out
        self._now = now
        self._home = home
        self._drawn_at = 0.0
        self._tails: dict[tuple[int, str, str, int], list[Line]] = {}
        self._console = Console(file=out.stream, no_color=not out.colour, highlight=False, width=out.width)
        self._live = RichLive(console=self._console, auto_refresh=False, transient=True, vertical_overflow="crop")

    def __enter__(self) -> Live:
        self._live.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        # A terminal that is gone needs no cursor back.
        with suppress(OSError):
            self._live.__exit__(None, None, None)

    def say(self, *spans: Span | str) -> None:
        """A line above the picture, which stays."""
        self._console.print(self._text([[(s, "") if isinstance(s, str) else s for s in spans]]), soft_wrap=True)

    def draw(self) -> None:
        """Draw, unless that was done a moment ago."""
        now = self._now()
        if 0.0 <= now - self._drawn_at < _FRAME_S or not self._watch.runs:
            return
        self._drawn_at = now
        width, height = self._size()
        lines = picture(self._watch, now, width - 1, height - 1, self._tail)
        self._live.update(self._text(lines), refresh=True)

    def _size(self) -> tuple[int, int]:
        try:
            size = os.get_terminal_size(self._out.stream.fileno())
        except OSError:
            return 80, 24
        return (size.columns or 80), (size.lines or 24)

    def _tail(self, run: RunWatch, step: str, index: str, attempt: int, lines: int) -> list[Line]:
        key = (run.no, step, index, attempt)
        found = self._tails.get(key)
        if not found:
            found = self._tails[key] = log_tail(self._home, run.no, step, index, attempt, lines)
        return found

    def _text(self, lines: list[Line]) -> Text:
        from rich.text import Text

        parts: list[str | tuple[str, str]] = []
        for at, line in enumerate(lines):
            if at:
                parts.append("\n")
            parts += [(clean(text), _STYLES.get(style, style) if self._out.colour else "") for text, style in line]
        return Text.assemble(*parts, no_wrap=True, overflow="crop", end="")
