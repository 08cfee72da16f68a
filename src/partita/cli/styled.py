"""Lines of text with styles, and what a terminal may be given of them.

Rule: this is the one place where text becomes terminal output, so nothing that a user named or logged can reach a
terminal as a control sequence. Colour is never alone: what a colour says, a glyph and a word say too.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Literal

Style = Literal["", "bold", "dim", "green", "red", "blue", "amber", "violet", "grey", "accent"]
Span = tuple[str, Style]
Line = list[Span]

_CODES: dict[str, str] = {
    "bold": "1",
    "dim": "2",
    "green": "32",
    "red": "31",
    "blue": "34",
    "amber": "33",
    "violet": "35",
    "grey": "90",
    "accent": "36",
}
# Invisible, but scripts and emoji need them.
_JOINERS = "\u200c\u200d"
_COLOURS = re.compile("\x1b\\[[0-9;:]*m")


def clean(text: str) -> str:
    r"""The text with everything escaped that would act on a terminal instead of being seen.

    >>> clean("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    if text.isprintable():
        return text
    return "".join(char if _is_seen(char) else _escaped(char) for char in text)


def clean_log(text: str) -> str:
    r"""A line of a log: its colours are dropped, tabs become spaces, the rest is escaped.

    >>> clean_log("\x1b[31mred\x1b[0m\tx\x07")
    'red     x\\x07'
    """
    return clean(_COLOURS.sub("", text).expandtabs(8))


def paint(line: Iterable[Span], *, colour: bool) -> str:
    """The line as a terminal takes it."""
    return "".join(
        f"\x1b[{_CODES[style]}m{clean(text)}\x1b[0m" if colour and style and text else clean(text)
        for text, style in line
    )


def width_of(line: Iterable[Span]) -> int:
    """How many cells of a terminal the line takes."""
    return sum(cells(clean(text)) for text, _ in line)


def cells(text: str) -> int:
    """How many cells of a terminal the text takes."""
    return len(text) if text.isascii() else sum(map(_cells_of, text))


def cut(line: Line, width: int) -> Line:
    """The line, shortened to `width` cells with an ellipsis if it is longer."""
    if width_of(line) <= width:
        return line
    kept: Line = []
    left = max(width - 1, 0)
    for text, style in line:
        text = clean(text)
        fitting = _beginning(text, left)
        kept.append((fitting, style))
        left -= cells(fitting)
        if len(fitting) < len(text):
            break
    return [*kept, ("…", "dim")] if width > 0 else []


def short(text: str, width: int) -> str:
    """One line of the text, shortened to `width` cells."""
    text = clean(text.replace("\n", " ").replace("\t", " "))
    return text if cells(text) <= width else _beginning(text, width - 1) + "…"


def _beginning(text: str, width: int) -> str:
    taken = 0
    for at, char in enumerate(text):
        taken += _cells_of(char)
        if taken > width:
            return text[:at]
    return text


def _cells_of(char: str) -> int:
    if unicodedata.combining(char) or char in "\u200c\u200d\ufe0e\ufe0f":
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _is_seen(char: str) -> bool:
    """Spaces of any width are; controls, direction overrides, invisible marks and lone surrogates are not."""
    return char.isprintable() or char in _JOINERS or unicodedata.category(char) == "Zs"


def _escaped(char: str) -> str:
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
