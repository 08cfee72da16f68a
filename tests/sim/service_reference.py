"""The instants of a rule, found the slow and plain way: every minute of the clock is looked at.

Rule: nothing of `core.cron` or `core.timetable` is used here, or a bug there would judge itself.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from functools import lru_cache

from partita.core.zones import tzinfo

_HOUR = 3600
_LONGEST_SHIFT = 3 * _HOUR


@lru_cache(maxsize=512)
def instants(rule: str, tz: str, first: int, last: int) -> tuple[int, ...]:
    """All instants of a rule from `first` until `last`: of "cron ...", "every ...", "dates ..." and "own ticks:...".

    Cron without seconds: `first` must be the beginning of an hour.
    """
    kind, _, text = rule.partition(" ")
    if kind == "cron":
        return tuple(sorted({i for expression in text.split(";") for i in _cron(expression.split(), tz, first, last)}))
    if kind == "every":
        period, _, anchor = text.partition(" from ")
        start = int(dt.datetime.fromisoformat(anchor).replace(tzinfo=tzinfo(tz)).timestamp()) if anchor else 0
        step = int(period)
        return tuple(range(first + (start - first) % step, last + 1, step))
    if kind == "own":
        step = int(text.partition(":")[2])
        return tuple(range(first + -first % step, last + 1, step))
    found = sorted(int(dt.datetime.fromisoformat(t).replace(tzinfo=tzinfo(tz)).timestamp()) for t in text.split())
    return tuple(i for i in found if first <= i <= last)


def _cron(fields: list[str], tz: str, first: int, last: int) -> Iterator[int]:
    zone = tzinfo(tz)
    matches = _Fields(fields)
    before = _offset(zone, first - 60)
    for hour in range(first, last + 1, _HOUR):
        offset = _offset(zone, hour)
        if offset == before == _offset(zone, hour + _HOUR - 60):
            steady = [hour + 60 * m for m in range(60)]
            yield from (i for i in steady if matches.wall(i + offset) and (matches.all_hours or not _again(zone, i)))
            continue
        for instant in range(hour, hour + _HOUR, 60):
            offset = _offset(zone, instant)
            if _fires(matches, zone, instant, before, offset):
                yield instant
            before = offset


def _fires(matches: _Fields, zone: dt.tzinfo, instant: int, before: int, offset: int) -> bool:
    gap = offset - before
    if 0 < gap <= _LONGEST_SHIFT and not matches.all_hours:
        # What the clock leaves out fires once, here.
        left_out = range(instant + before, instant + offset, 60)
        if any(matches.wall(wall) for wall in left_out):
            return True
    return matches.wall(instant + offset) and (matches.all_hours or not _again(zone, instant))


def _again(zone: dt.tzinfo, instant: int) -> bool:
    """Has the clock shown this before?"""
    return dt.datetime.fromtimestamp(instant, zone).fold == 1


def _offset(zone: dt.tzinfo, instant: int) -> int:
    offset = dt.datetime.fromtimestamp(instant, zone).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


class _Fields:
    """Five fields of numbers, lists, ranges and steps."""

    def __init__(self, fields: list[str]) -> None:
        minute, hour, day, month, weekday = fields
        self.minutes = _set(minute, 0, 59)
        self.hours = _set(hour, 0, 23)
        self.days = _set(day, 1, 31)
        self.months = _set(month, 1, 12)
        self.weekdays = {d % 7 for d in _set(weekday, 0, 7)}
        self.either = not day.startswith("*") and not weekday.startswith("*")
        self.all_hours = len(self.hours) == 24

    def wall(self, seconds: int) -> bool:
        """Does a reading of the clock (as seconds since 1970, as if it were UTC) match?"""
        if seconds // 60 % 60 not in self.minutes or seconds // _HOUR % 24 not in self.hours:
            return False
        day = dt.date(1970, 1, 1) + dt.timedelta(days=seconds // 86400)
        of_month, of_week = day.day in self.days, (day.weekday() + 1) % 7 in self.weekdays
        return day.month in self.months and (of_month or of_week if self.either else of_month and of_week)


def _set(field: str, least: int, most: int) -> set[int]:
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        if span == "*":
            first, last = str(least), str(most)
        found |= set(range(int(first), int(last or (most if step else first)) + 1, int(step or 1)))
    return found
