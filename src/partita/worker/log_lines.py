"""The lines of a log by their numbers, found again in a log of a million lines without reading it from the beginning.

An index is made by one pass over the files and goes on where it ended when the log has grown: where each 256th line begins,
which lines are tracebacks that can be folded, how many lines are of each level, and which line is the first error.

Rule: a line's number is its place among the lines that are kept, from 1; one that says what was left out counts as a line.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from partita.settings import Home
from partita.worker.logs import log_chunk, log_numbers, log_path

_EVERY: Final = 256
_MOST_FOLDS: Final = 2000
# A traceback of fewer lines is read as it is.
_WORTH_FOLDING: Final = 4
_MOST_KEPT: Final = 32

_LINE = re.compile(
    rb"\S+ (?:\x1b\[[0-9;]*m)*(?:(DEBUG|INFO|WARNING|ERROR|CRITICAL)\b[ :]"
    rb"|(Traceback \(most recent call last\):)|([\w.]+(?:Error|Exception|Interrupt|Exit): ))?"
)
_BODY = re.compile(rb"\S+ (?: |\t|$)")
_MORE = re.compile(rb"#more (\d+) bytes=(\d+) lines=(\d+)")
LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class Numbered(NamedTuple):
    """A line with its number, from 1."""

    no: int
    at: str
    level: str
    text: str


class Fold(NamedTuple):
    """Lines of a traceback that may be folded away, both ends included; the exception itself stands behind them."""

    first: int
    last: int


class _Place(NamedTuple):
    """Where a line begins: which file of the log, and where in it."""

    number: int
    at: int


class LogIndex:
    """The index of one log; `refresh` takes in what was written since."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self.total = 0
        self.has_ended = False
        self.first_error = 0
        self.levels = dict.fromkeys(LEVELS, 0)
        self.folds: list[Fold] = []
        # How far the log was read, as `read_log` counts it: to follow it from there on.
        self.offset = 0
        self._marks: list[_Place] = []
        self._next = _Place(-1, 0)
        self._trace = 0

    def refresh(self) -> LogIndex:
        """Read on to the end of what is written."""
        with self._lock:
            if not self.has_ended:
                for place, raw in self._raw(self._next):
                    self._take(place, raw)
        return self

    def lines(self, first: int, count: int) -> list[Numbered]:
        """So many lines from a number on."""
        if first > self.total or count < 1 or not self._marks:
            return []
        mark = (first - 1) // _EVERY
        found: list[Numbered] = []
        no = mark * _EVERY
        for _, raw in self._raw(self._marks[mark]):
            line = self._text(raw)
            if line is None:
                continue
            no += 1
            if no >= first:
                found.append(Numbered(no, *line))
            if len(found) >= count or no >= self.total:
                break
        return found

    def find(self, text: str, levels: frozenset[str], first: int, most: int) -> tuple[list[Numbered], int]:
        """Lines that have a text (in any case) and one of the levels, from a number on, and how many there are in all.

        A line without a level has that of the line above it: it belongs to its message.
        """
        found: list[Numbered] = []
        needle = text.casefold()
        no = count = 0
        level = ""
        for _, raw in self._raw(_Place(-1, 0)):
            line = self._text(raw)
            if line is None:
                continue
            no += 1
            if no > self.total:
                break
            level = line[1] or (level if _BODY.match(raw) else "")
            if (levels and level not in levels) or (needle and needle not in line[2].casefold()):
                continue
            count += 1
            if no >= first and len(found) < most:
                found.append(Numbered(no, line[0], level, line[2]))
        return found, count

    # --- reading ----------------------------------------------------------------------------------------------------

    def _raw(self, place: _Place) -> Iterator[tuple[_Place, bytes]]:
        """Whole lines from a place on, our own among them, each with its place."""
        for number in log_numbers(self._path):
            if number < place.number:
                continue
            at = place.at if number == place.number else 0
            try:
                with log_chunk(self._path, number).open("rb") as file:
                    file.seek(at)
                    for raw in file:
                        if not raw.endswith(b"\n"):
                            break
                        yield _Place(number, at), raw
                        at += len(raw)
            except FileNotFoundError:
                continue  # dropped from the tail while we read

    def _take(self, place: _Place, raw: bytes) -> None:
        if raw.startswith(b"#"):
            self.has_ended = self.has_ended or raw.startswith(b"#end ")
            line = self._text(raw)
            if line is None:
                self._next = _Place(place.number, place.at + len(raw))
                return
        if self.total % _EVERY == 0:
            self._marks.append(place)
        self.total += 1
        self._next = _Place(place.number, place.at + len(raw))
        if raw.startswith(b"#"):
            more = _MORE.match(raw)
            self.offset = int(more[2]) if more is not None else self.offset
            return
        self.offset += len(raw)
        match = _LINE.match(raw)
        if match is None:
            return
        level, trace, error = match.groups()
        if level is not None:
            self.levels[level.decode()] += 1
        if not self.first_error and (trace or error or level in (b"ERROR", b"CRITICAL")):
            self.first_error = self.total
        self._fold(raw, trace is not None)

    def _fold(self, raw: bytes, begins: bool) -> None:
        if begins:
            self._trace = self._trace or self.total
        elif self._trace and not _BODY.match(raw):
            last = self.total - 1
            if last - self._trace + 1 >= _WORTH_FOLDING and len(self.folds) < _MOST_FOLDS:
                self.folds.append(Fold(self._trace + 1, last))
            self._trace = 0

    def _text(self, raw: bytes) -> tuple[str, str, str] | None:
        """When, level and text of a line; None for one of ours that says nothing to people."""
        if raw.startswith(b"#"):
            more = _MORE.match(raw)
            left_out = more is not None and int(more[1]) > 1 and self._is_gap(int(more[1]))
            return ("", "", "... lines were left out here, the log is too long ...") if left_out else None
        at, _, text = raw[:-1].decode("utf-8", "replace").partition(" ")
        match = _LINE.match(raw)
        level = match[1].decode() if match is not None and match[1] is not None else ""
        return at, level, text

    def _is_gap(self, number: int) -> bool:
        """Whether the file before this one was dropped."""
        return not log_chunk(self._path, number - 1).exists()


_known: OrderedDict[Path, LogIndex] = OrderedDict()
_lock = threading.Lock()


def index_of_log(home: Home, run_no: int, step: str, index: str, attempt: int) -> LogIndex:
    """The index of an attempt's log as it is now; those that were asked for lately are kept."""
    path = log_path(home, run_no, step, index, attempt)
    with _lock:
        found = _known.get(path)
        if found is None or not path.exists():
            found = _known[path] = LogIndex(path)
        _known.move_to_end(path)
        while len(_known) > _MOST_KEPT:
            _known.popitem(last=False)
    return found.refresh()
