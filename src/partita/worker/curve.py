"""How much memory and processor an attempt used over time: a small file beside its log, `<log>.use`.

The host looks once a second at the worker that an attempt runs in, with all processes below it, and appends a line
`<instant> <resident bytes> <processor seconds>`. When there are 240 the file is thinned to half of them, which keep the
highest memory of the two, and it is looked half as often: so it is bounded however long the attempt lasts.

Rule: an attempt that is over within a second has no file, and no failure to write one is a step's business.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, NamedTuple

from partita.settings import Home
from partita.worker.markers import log_name

MOST_POINTS: Final = 240
EVERY_S: Final = 1.0
_MOST_BYTES: Final = 64 << 10


class Point(NamedTuple):
    """One look: seconds since the epoch, resident bytes, processor seconds used so far."""

    at: float
    rss: int
    cpu_s: float


class Curve(NamedTuple):
    """What is known of an attempt. `base`: resident bytes that its worker had before, which no limit counts."""

    base: int
    points: list[Point]


class CurveFile:
    """The curve of one attempt while it runs."""

    def __init__(self, path: Path, name: str, base: int = 0) -> None:
        # The name of the attempt's log, by which the host knows which attempt runs.
        self.name = name
        self._path = path
        self._base = base
        self._every = EVERY_S
        self._points: list[Point] = []
        # Points that are in the file.
        self._written = 0

    def add(self, point: Point, *, last: bool = False) -> None:
        """Take in a point unless it comes too soon after the one before; `last` ones are always taken."""
        points = self._points
        if points and point.at - points[-1].at < self._every * 0.9 and not last:
            return
        points.append(point)
        if len(points) > MOST_POINTS:
            self._points = _thinned(points)
            self._every *= 2
            self._written = 0
        if len(self._points) > 1:
            self._write()

    def _write(self) -> None:
        fresh = self._written == 0
        lines = "".join(f"{p.at:.3f} {p.rss} {p.cpu_s:.3f}\n" for p in self._points[self._written :])
        text = f"#use 1 base={self._base}\n{lines}" if fresh else lines
        flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if fresh else os.O_APPEND) | getattr(os, "O_NOFOLLOW", 0)
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(self._path, flags, 0o600)
            try:
                os.write(fd, text.encode())
            finally:
                os.close(fd)
        except OSError:
            return
        self._written = len(self._points)


def curve_file(logs: Path, name: str, base: int = 0) -> CurveFile:
    """The curve beside the log of this name."""
    return CurveFile(logs / f"{name}.use", name, base)


def read_curve(home: Home, run_no: int, step: str, index: str, attempt: int) -> Curve | None:
    """The curve of an attempt; None if it has none (it was over within a second, or its logs are kept no more)."""
    path = home.logs / f"{log_name(run_no, step, index, attempt)}.use"
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES).decode("ascii", "replace")
    except OSError:
        return None
    base, points = 0, []
    for line in text.split("\n")[:-1]:
        if line.startswith("#use 1 base="):
            digits = line.rpartition("=")[2]
            base = int(digits) if digits.isdecimal() else 0
            continue
        try:
            at, rss, cpu_s = line.split(" ")
            points.append(Point(float(at), int(rss), float(cpu_s)))
        except ValueError:
            continue  # cut off by a disk that was full
    return Curve(base, points) if points else None


def _thinned(points: list[Point]) -> list[Point]:
    """Every second point, with the memory of the higher of the two; the first and the last instant stay."""
    found = [points[0]]
    for one, other in zip(points[1::2], [*points[2::2], points[-1]], strict=False):
        found.append(Point(other.at, max(one.rss, other.rss), other.cpu_s))
    return found
