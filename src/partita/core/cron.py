"""Cron: five fields (minute, hour, day of month, month, day of week) and when they fire in a zone whose clocks change.

After Vixie cron. A rule whose hours are restricted means times of the clock: one that is skipped fires once, at the first
instant after the gap, together with all others that were skipped; one that comes twice fires at the first. A rule for
all 24 hours means a cadence in real time: nothing in the gap, both in the fold. A change of more than three hours is one of
the calendar: nothing in the gap, both in the fold. Both day fields restricted: either is enough; a field that begins with
`*` is not restricted.

Rule: instants are compared, never local times; a search for what cannot come is bounded.
"""

from __future__ import annotations

import calendar
import datetime as dt
import re
from bisect import bisect_left
from collections.abc import Iterator
from typing import Final, NamedTuple

from partita.core.zones import LATEST, MOST_SHIFT_S, Zone
from partita.errors import ScheduleError

ALIASES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_DAY: Final = 86_400
_EPOCH: Final = 719_163
_LONGEST: Final = 500
_ITEM = re.compile(r"(\*|\w+)(?:-(\w+))?(?:/(\d+))?", re.ASCII)


class _Field(NamedTuple):
    label: str
    low: int
    high: int
    names: tuple[str, ...] = ()


_MINUTE = _Field("minute", 0, 59)
_FIELDS: Final = (
    _MINUTE,
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, MONTHS),
    _Field("day of week", 0, 7, WEEKDAYS),
)
_SECOND = _Field("second", 0, 59)


class Cron:
    """One expression. `text` is it with its aliases written out."""

    def __init__(self, expression: str, seconds: str = "") -> None:
        """Raises `ScheduleError` for what is no expression."""
        fields = _fields(expression)
        self.text = " ".join(fields)
        self.fields = tuple(fields)
        self.seconds_text = seconds
        values = [_values(expression, text, field) for text, field in zip(fields, _FIELDS, strict=True)]
        self.minutes, self.hours, days, months, weekdays = (tuple(sorted(found)) for found in values)
        self.seconds = tuple(sorted(_values(seconds, seconds, _SECOND))) if seconds else (0,)
        self.months = frozenset(months)
        # Monday is 0, as calendars count; both 0 and 7 are Sunday.
        self._weekdays = frozenset((day - 1) % 7 for day in weekdays)
        self._days = frozenset(days)
        self._either = not fields[2].startswith("*") and not fields[4].startswith("*")
        self._restricted = len(self.hours) < 24
        # Days of a month by its first weekday and its length: there are 28 kinds of months.
        self._of_month: dict[tuple[int, int], tuple[int, ...]] = {}
        self.never = not any(
            self._days_of(first, length) for month in months for length in _LENGTHS[month] for first in range(7)
        )

    def ticks(self, zone: Zone, after: int) -> Iterator[int]:
        """The instants after `after`, in order."""
        if self.never:
            return
        number = zone.number(after)
        while True:
            start, end, offset, before = zone.stretch(number)
            first = max(start, after + 1)
            wall = first + offset
            if before is not None and self._restricted:
                shift = offset - before
                if 0 < shift <= MOST_SHIFT_S and first == start:
                    # What was skipped fires now, and what is due now is the same tick.
                    if next(self._walls(start + before, start + offset), None) is not None:
                        yield start
                        wall += 1
                elif -MOST_SHIFT_S <= shift < 0:
                    # Clocks show again what they have shown: that was the tick.
                    wall = max(wall, start + before)
            for found in self._walls(wall, end + offset):
                yield found - offset
            if end >= LATEST:
                return
            number += 1

    def _walls(self, start: int, stop: int) -> Iterator[int]:
        """The matching readings of the clock from `start` to `stop` (not included), as seconds since 1970."""
        day, left = divmod(start, _DAY)
        while day * _DAY < stop:
            found = self._next_day(day, (stop - 1) // _DAY)
            if found is None:
                return
            for second in self._seconds_of_day(left if found == day else 0):
                wall = found * _DAY + second
                if wall >= stop:
                    return
                yield wall
            day = found + 1
            left = 0

    def _seconds_of_day(self, start: int) -> Iterator[int]:
        hour, rest = divmod(start, 3600)
        for h in self.hours[bisect_left(self.hours, hour) :]:
            minute, second = divmod(rest, 60) if h == hour else (0, 0)
            for m in self.minutes[bisect_left(self.minutes, minute) :]:
                least = second if h == hour and m == minute else 0
                for s in self.seconds[bisect_left(self.seconds, least) :]:
                    yield h * 3600 + m * 60 + s

    def _next_day(self, day: int, last: int) -> int | None:
        """The first matching day from `day` to `last`, days since 1970."""
        date = dt.date.fromordinal(day + _EPOCH)
        year, month, least = date.year, date.month, date.day
        first = day - least + 1
        while first <= last and year < 10_000:
            weekday, length = calendar.monthrange(year, month)
            if month in self.months:
                days = self._days_of(weekday, length)
                at = bisect_left(days, least)
                if at < len(days):
                    found = first + days[at] - 1
                    return found if found <= last else None
            first += length
            least = 1
            year, month = (year, month + 1) if month < 12 else (year + 1, 1)
        return None

    def _days_of(self, weekday: int, length: int) -> tuple[int, ...]:
        known = self._of_month.get((weekday, length))
        if known is None:
            days = range(1, length + 1)
            known = tuple(day for day in days if self._is_day(day, (weekday + day - 1) % 7))
            self._of_month[weekday, length] = known
        return known

    def _is_day(self, day: int, weekday: int) -> bool:
        if self._either:
            return day in self._days or weekday in self._weekdays
        return day in self._days and weekday in self._weekdays


_LENGTHS: Final = {
    month: (28, 29) if month == 2 else (30,) if month in (4, 6, 9, 11) else (31,) for month in range(1, 13)
}


def _fields(expression: object) -> list[str]:
    if not isinstance(expression, str):
        raise ScheduleError(f"cron: {expression!r} is no text")
    text = expression.strip()
    if len(text) > _LONGEST:
        raise ScheduleError(f"cron: an expression of {len(text)} characters", hint=f"the longest has {_LONGEST}")
    if text.startswith("@") and text.lower() not in ALIASES:
        raise ScheduleError(f"cron: there is no {text!r}", hint=f"there are {', '.join(ALIASES)}")
    fields = ALIASES.get(text.lower(), text).split()
    if len(fields) != len(_FIELDS):
        hint = 'minute, hour, day of month, month, day of week: "0 3 * * *" is every day at 03:00'
        if len(fields) == 6:
            hint = 'seconds have an option of their own: pt.cron("* * * * *", seconds="*/15")'
        raise ScheduleError(f"cron: {expression!r} has {len(fields)} fields instead of five", hint=hint)
    return fields


def _values(rule: str, text: str, field: _Field) -> set[int]:
    found: set[int] = set()
    for item in text.split(","):
        match = _ITEM.fullmatch(item)
        if match is None or (match[1] == "*" and match[2]):
            raise ScheduleError(f"cron: {item!r} in {rule!r} is no {field.label}")
        found.update(_range(rule, item, match, field))
    return found


def _range(rule: str, item: str, match: re.Match[str], field: _Field) -> range:
    top = 6 if field.high == 7 else field.high
    if match[1] == "*":
        first, last = field.low, top
    else:
        first = _number(rule, match[1], field)
        # "10/5" goes on to the end; "10" is alone.
        last = _number(rule, match[2], field) if match[2] else top if match[3] else first
    if first > last and field.high == 7 and last == 0:
        last = 7
    if first > last:
        raise ScheduleError(
            f"cron: {item!r} in {rule!r} runs backwards", hint=f"write {match[1]}-{field.high},{field.low}-{match[2]}"
        )
    if match[3] is not None and int(match[3][:9]) == 0:
        raise ScheduleError(f"cron: the step of {item!r} in {rule!r} must be 1 or more")
    return range(first, last + 1, int(match[3][:9]) if match[3] else 1)


def _number(rule: str, word: str, field: _Field) -> int:
    if word.lower() in field.names:
        return field.names.index(word.lower()) + field.low
    if not word.isdigit() or len(word) > 4 or not field.low <= int(word) <= field.high:
        raise ScheduleError(
            f"cron: {word!r} in {rule!r} is no {field.label}",
            hint=f"it is a number from {field.low} to {field.high}",
        )
    return int(word)
