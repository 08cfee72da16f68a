"""How states, times and sizes are said: the same everywhere, by the glossary.

Rule: a state is a glyph and a word; a duration reads `1 m 32 s`; an instant is exact beside what is relative.
"""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

from partita.cli.styled import Line, Span, Style


class Look(NamedTuple):
    """How a state looks."""

    glyph: str
    style: Style
    word: str


LOOKS: dict[str, Look] = {
    "queued": Look("○", "grey", "queued"),
    "waiting": Look("○", "grey", "waiting"),
    "ready": Look("◌", "grey", "ready"),
    "dispatched": Look("◌", "blue", "dispatched"),
    "running": Look("◐", "blue", "running"),
    "started": Look("◐", "blue", "running"),
    "retrying": Look("↻", "amber", "retrying"),
    "succeeded": Look("●", "green", "succeeded"),
    "failed": Look("■", "red", "failed"),
    "timed_out": Look("■", "red", "timed out"),
    "lost": Look("■", "amber", "lost"),
    "refused": Look("■", "amber", "refused"),
    "skipped": Look("–", "grey", "skipped"),
    "upstream_failed": Look("▨", "red", "upstream failed"),
    "cancelled": Look("⊘", "grey", "cancelled"),
    "needs_attention": Look("✋", "violet", "needs attention"),
    "paused": Look("○", "violet", "paused"),
}
TURNING = "◐◓◑◒"

# In which order states are told: what is bad first.
ORDER = (
    "failed",
    "needs_attention",
    "upstream_failed",
    "retrying",
    "running",
    "ready",
    "waiting",
    "cancelled",
    "skipped",
    "succeeded",
)


def look(state: str) -> Look:
    """The look of a state."""
    return LOOKS.get(state) or Look("?", "", state.replace("_", " "))


def state(name: str, *, more: str = "") -> Span:
    """Glyph and word of a state."""
    found = look(name)
    return f"{found.glyph} {found.word}{f' {more}' if more else ''}", found.style


def glyph(name: str) -> Span:
    """The glyph of a state alone, where the word stands beside it."""
    found = look(name)
    return found.glyph, found.style


def counts(tally: dict[str, int]) -> Line:
    """`■ 1 failed   ● 48 succeeded`, what is bad first."""
    line: Line = []
    for name in (*ORDER, *(n for n in tally if n not in ORDER)):
        if tally.get(name):
            found = look(name)
            line.append(("   " if line else "", ""))
            line.append((f"{found.glyph} {number(tally[name])} {found.word}", found.style))
    return line


def duration(seconds: float) -> str:
    """A span of time.

    >>> duration(0.0123), duration(3.21), duration(92), duration(3900), duration(187_200)
    ('12 ms', '3.2 s', '1 m 32 s', '1 h 05 m', '2 d 4 h')
    """
    seconds = max(0.0, seconds)
    if seconds < 0.0005:
        return "<1 ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} m {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes:02} m"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"


def ago(then: float, now: float) -> str:
    """How long ago an instant was.

    >>> ago(100, 101), ago(100, 112), ago(100, 820), ago(100, 7300), ago(100, 90)
    ('just now', '12 s ago', '12 min ago', '2 h ago', 'in 10 s')
    """
    gone = now - then
    if gone < -1:
        return f"in {duration(-gone)}"
    if gone < 2:
        return "just now"
    if gone < 60:
        return f"{gone:.0f} s ago"
    if gone < 3600:
        return f"{gone // 60:.0f} min ago"
    if gone < 86_400:
        return f"{gone // 3600:.0f} h ago"
    return f"{gone // 86_400:.0f} d ago"


def exact(at: float) -> str:
    """An instant in the zone of whoever reads it: `2026-11-02 03:00:41 UTC`."""
    return dt.datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def when(at: float, now: float) -> str:
    """Relative and exact."""
    return f"{ago(at, now)} ({exact(at)})"


def clock(at: float) -> str:
    """The time of the day, in the zone of whoever reads it."""
    return dt.datetime.fromtimestamp(at).strftime("%H:%M:%S")


def iso(at: float | None) -> str | None:
    """An instant for programs: ISO 8601 in UTC."""
    if at is None:
        return None
    return dt.datetime.fromtimestamp(at, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def size(count: float) -> str:
    """Bytes.

    >>> size(512), size(4_187_593_114)
    ('512 B', '3.9 GiB')
    """
    if count < 1024:
        return f"{count:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        count /= 1024
        if count < 1024:
            return f"{count:.1f} {unit}"
    return f"{count / 1024:.1f} TiB"


def number(value: float) -> str:
    """A number with its thousands apart: `12,345`."""
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if abs(value) >= 1e5 and value == round(value) else f"{value:,.6g}"


def run_title(pipeline: str, partition: str, selection: tuple[str, ...] | list[str] = ()) -> str:
    """What a run is of: `nightly · 2013-06-13`; of assets, which ones.

    >>> run_title("nightly", "2013-06-13"), run_title("assets", "", ("raw", "clean", "mart"))
    ('nightly · 2013-06-13', 'assets raw, clean and 1 more')
    """
    if pipeline == "assets" and selection:
        pipeline = f"assets {listed(tuple(selection), 2)}"
    return f"{pipeline} · {partition}" if partition else pipeline


def many(count: int, word: str, plural: str = "") -> str:
    """`1 step`, `3 steps`."""
    return f"{number(count)} {word if count == 1 else plural or word + 's'}"


def listed(names: list[str] | tuple[str, ...], shown: int = 5) -> str:
    """The first names, and how many more there are."""
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "")
