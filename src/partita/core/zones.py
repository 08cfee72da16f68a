"""Time zones: when the clocks of a place change, from the newest tz data that is here.

The data is the system's or the `tzdata` package's, whichever is newer: an old copy fires a job an hour off after a country
has changed its rules. A zone is a row of stretches of time, each with one offset; what lies beyond the listed changes
follows from the rule at the end of the file (RFC 9636).

Rule: this is the one file of the core that reads files, as the standard library's `zoneinfo` would.
"""

from __future__ import annotations

import datetime as dt
import re
import struct
import zoneinfo
from bisect import bisect_right
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from partita.errors import ScheduleError

EARLIEST: Final = -62_135_424_000
LATEST: Final = 253_402_128_000
"""Seconds since the epoch, two days within the years 1 to 9999: beyond, there are no dates."""

_DAY: Final = 86_400
_NAME = re.compile(r"[A-Za-z0-9_+\-]+(?:/[A-Za-z0-9_+\-]+)*", re.ASCII)
_VERSION = re.compile(r"(20\d\d)([a-z])")
_RULE = re.compile(
    r"(?:<[^>]+>|[A-Za-z]+)(?P<std>[+\-\d:]+)"
    r"(?:(?:<[^>]+>|[A-Za-z]+)(?P<dst>[+\-\d:]+)?,(?P<begin>[^,/]+)(?:/(?P<begin_at>[+\-\d:]+))?"
    r",(?P<end>[^,/]+)(?:/(?P<end_at>[+\-\d:]+))?)?"
)


class Stretch(NamedTuple):
    """From `start` (included) to `end` (not), in seconds since the epoch, clocks show UTC + `offset`.

    `before` is the offset of the stretch before; None = there is none.
    """

    start: int
    end: int
    offset: int
    before: int | None


class Zone:
    """A time zone as stretches of one offset each, numbered from 0."""

    def __init__(
        self, name: str, changes: list[int], offsets: list[int], rule: _Rule | None, ruled_from: int = EARLIEST
    ) -> None:
        # `offsets[i]` holds up to `changes[i]`; the last one for ever, or until `rule` adds more, after `ruled_from`.
        self.name = name
        self._changes = changes
        self._offsets = offsets
        self._rule = rule
        self._ruled_from = ruled_from
        self._until_year = _year(ruled_from) - 1 if ruled_from > EARLIEST else 1900

    def number(self, instant: int) -> int:
        """The number of the stretch that an instant lies in."""
        self._list_until(instant)
        return bisect_right(self._changes, instant)

    def stretch(self, number: int) -> Stretch:
        """A stretch by its number; the last one ends at `LATEST`."""
        while self._rule is not None and number >= len(self._changes) and self._until_year < 10_000:
            self._list_year(self._until_year + 1)
        changes, offsets = self._changes, self._offsets
        return Stretch(
            changes[number - 1] if number else EARLIEST,
            changes[number] if number < len(changes) else LATEST,
            offsets[number],
            offsets[number - 1] if number else None,
        )

    def offset(self, instant: int) -> int:
        """What clocks show beyond UTC at an instant, seconds."""
        return self._offsets[self.number(instant)]

    def instant(self, wall: int) -> int | None:
        """The instant at which clocks show `wall` (seconds since 1970 as if the place were at UTC).

        Shown twice: the first. Skipped: the first instant after the gap, and None if that is longer than three hours.
        """
        number = self.number(wall - 2 * _DAY)
        while True:
            start, end, offset, before = self.stretch(number)
            if wall < end + offset or end >= LATEST:
                skipped = start - (wall - offset)
                is_change_of_calendar = before is not None and offset - before > MOST_SHIFT_S
                return None if skipped > 0 and is_change_of_calendar else max(start, wall - offset)
            number += 1

    def _list_until(self, instant: int) -> None:
        if self._rule is not None:
            year = _year(instant) + 1
            while self._until_year < min(year, 10_000):
                self._list_year(self._until_year + 1)

    def _list_year(self, year: int) -> None:
        assert self._rule is not None
        for at, offset in self._rule.changes(year):
            if at > self._ruled_from and offset != self._offsets[-1]:
                self._changes.append(at)
                self._offsets.append(offset)
        self._until_year = year


MOST_SHIFT_S: Final = 3 * 3600
"""A gap or fold that is longer than this is a change of the calendar, not of the clocks."""


def zone(name: str) -> Zone:
    """The zone of a name. Raises `ScheduleError` if there is none."""
    if not isinstance(name, str):
        raise ScheduleError(f"{name!r} is no name of a time zone", hint='write a name like "Europe/Berlin" or "UTC"')
    return _zone(name, version())


def tzinfo(name: str) -> zoneinfo.ZoneInfo:
    """The same zone for the standard library's datetimes. Raises `ScheduleError` if there is none."""
    return _tzinfo(name, version())


def check(name: str) -> str:
    """The name, if there is such a zone. Raises `ScheduleError` with the nearest."""
    zone(name)
    return name


def version() -> str:
    """Which edition of the tz data is used, "2026b"; "" if it does not say."""
    return _chosen().version


def reread() -> str:
    """Look again which tz data is newest: it may have been updated since. The version."""
    _chosen.cache_clear()
    return version()


def source() -> str:
    """Where the tz data is from: "system" or "package"."""
    return _chosen().source


def is_old(now: float) -> bool:
    """Is the tz data older than six months? Judged by its name: there are about seven editions a year."""
    match = _VERSION.fullmatch(version())
    if match is None:
        return False
    published = (int(match[1]) - 1970 + (ord(match[2]) - ord("a") + 1) / 7) * 31_556_952
    return now - published > 183 * _DAY


class _Data(NamedTuple):
    version: str
    source: str
    folder: Path | None


@lru_cache(maxsize=1)
def _chosen() -> _Data:
    """The newer of the two copies; the package's if they are equal, for it is there for everybody."""
    found = [data for data in (_package(), _system()) if data is not None]
    return max(found, key=lambda data: data.version, default=_Data("", "system", None))


def _package() -> _Data | None:
    try:
        import tzdata
    except ImportError:
        return None
    return _Data(str(tzdata.IANA_VERSION), "package", Path(next(iter(tzdata.__path__))) / "zoneinfo")


def _system() -> _Data | None:
    for text in zoneinfo.TZPATH:
        folder = Path(text)
        for name in ("tzdata.zi", "+VERSION"):
            try:
                with (folder / name).open(encoding="utf-8", errors="replace") as file:
                    match = _VERSION.search(file.readline())
            except OSError:
                continue  # no such copy, or one that does not say how old it is
            if match is not None:
                return _Data(match[0], "system", folder)
    return None


@lru_cache(maxsize=2048)
def _zone(name: str, _version: str) -> Zone:
    return _parsed(name, _bytes(name))


@lru_cache(maxsize=2048)
def _tzinfo(name: str, _version: str) -> zoneinfo.ZoneInfo:
    file = _file(name)
    if file is None:
        return zoneinfo.ZoneInfo(name)
    with file.open("rb") as opened:
        return zoneinfo.ZoneInfo.from_file(opened, key=name)


def _bytes(name: str) -> bytes:
    file = _file(name)
    if file is None:
        raise _unknown(name)
    return file.read_bytes()


def _file(name: str) -> Path | None:
    """The file of a zone in the chosen copy. Raises `ScheduleError`."""
    folder = _chosen().folder
    if len(name) > 100 or _NAME.fullmatch(name) is None:
        raise _unknown(name)
    if folder is None:
        return None
    file = folder / name
    try:
        with file.open("rb") as opened:
            if opened.read(4) == b"TZif":
                return file
    except OSError:
        pass  # no such file, or a folder: no such zone
    raise _unknown(name)


def _unknown(name: str) -> ScheduleError:
    near = get_close_matches(name[:100], _names(), 1)
    hint = f"did you mean `{near[0]}`?" if near else 'write a name like "Europe/Berlin" or "UTC"'
    shown = name if len(name) <= 100 else f"{name[:100]}..."
    return ScheduleError(f"there is no time zone {shown!r}", hint=hint)


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    """Names of zones, to guess what was meant."""
    data = _package()
    try:
        if data is not None and data.folder is not None:
            with (data.folder.parent / "zones").open(encoding="ascii") as file:
                return frozenset(file.read().split())
    except OSError:
        pass  # it has no list: the folders are looked through
    return frozenset(zoneinfo.available_timezones())


# --- the files ------------------------------------------------------------------------------------------------------


def _parsed(name: str, data: bytes) -> Zone:
    """A zone of the bytes of its file: the second block, whose times have 64 bits, and the rule at its end."""
    at = 44 + _block(data, 0, 4)
    _, _, _, count, kinds, _ = struct.unpack_from(">6l", data, at + 20)
    start = at + 44
    changes = struct.unpack_from(f">{count}q", data, start)
    which = data[start + 8 * count : start + 9 * count]
    offsets = [struct.unpack_from(">l", data, start + 9 * count + 6 * kind)[0] for kind in range(kinds)]
    footer = data[at + 44 + _block(data, at, 8) :].strip(b"\n").decode("ascii")
    rule = _rule(footer)
    listed: list[int] = []
    values = [offsets[0]]
    for change, kind in zip(changes, which, strict=True):
        # Some files begin with a change at the Big Bang.
        if offsets[kind] != values[-1]:
            if change <= EARLIEST:
                values[-1] = offsets[kind]
                continue
            listed.append(change)
            values.append(offsets[kind])
    if rule is not None and rule.begin is None:
        if rule.std != values[-1] and not listed:
            values[-1] = rule.std
        rule = None
    # Changes of other things than the offset count too: the rule holds after the last of them.
    return Zone(name, listed, values, rule, max(changes[-1], EARLIEST) if changes else EARLIEST)


def _block(data: bytes, at: int, width: int) -> int:
    """How long the block of a header is, whose times have `width` bytes."""
    utc, standard, leaps, count, kinds, chars = struct.unpack_from(">6l", data, at + 20)
    return int(count * width + count + kinds * 6 + chars + leaps * (width + 4) + standard + utc)


class _Rule(NamedTuple):
    """When clocks change in years to come: offsets, and the days and times (of the old clock) of the two changes."""

    std: int
    dst: int = 0
    begin: str | None = None
    begin_at: int = 0
    end: str = ""
    end_at: int = 0

    def changes(self, year: int) -> list[tuple[int, int]]:
        """The changes of a year: instant and new offset."""
        if self.begin is None:
            return []
        begin = _day_of(self.begin, year) * _DAY + self.begin_at - self.std
        end = _day_of(self.end, year) * _DAY + self.end_at - self.dst
        return sorted([(begin, self.dst), (end, self.std)])


def _rule(footer: str) -> _Rule | None:
    match = _RULE.fullmatch(footer)
    if match is None:
        return None
    # POSIX counts offsets to the west.
    std = -_clock(match["std"])
    if match["begin"] is None:
        return _Rule(std)
    dst = -_clock(match["dst"]) if match["dst"] else std + 3600
    return _Rule(
        std, dst, match["begin"], _clock(match["begin_at"] or "2"), match["end"], _clock(match["end_at"] or "2")
    )


def _clock(text: str) -> int:
    """Seconds of "-3:30" or "2:00:00"."""
    parts = [int(part) for part in text.lstrip("+-").split(":")]
    seconds = sum(part * unit for part, unit in zip(parts, (3600, 60, 1), strict=False))
    return -seconds if text.startswith("-") else seconds


def _day_of(text: str, year: int) -> int:
    """The day (since 1970) of "M3.5.0" (the fifth, that is last, Sunday of March), "J60" or "59" in a year."""
    first = _days(year, 1)
    if text.startswith("J"):
        is_leap = _days(year, 3) - _days(year, 2) == 29
        day = int(text[1:])
        return first + day - 1 + (1 if is_leap and day >= 60 else 0)
    if not text.startswith("M"):
        return first + int(text)
    month, week, weekday = (int(part) for part in text[1:].split("."))
    start = _days(year, month)
    # 1970-01-01 was a Thursday; Sunday is 0.
    day = start + (weekday - (start + 4)) % 7 + (week - 1) * 7
    end = _days(year + month // 12, month % 12 + 1)
    return day - 7 if day >= end else day


def _days(year: int, month: int) -> int:
    if year > 9999:
        return _days(9999, month) + 366
    return dt.date(year, month, 1).toordinal() - 719_163


def _year(instant: int) -> int:
    return 1970 + instant // 31_556_952
