"""Business days: the days of the week on which people work, without the holidays of a place and days of their own.

    business 06:00,18:00 days=mon-fri holidays=US-NY closed=2026-12-24 open=2026-12-26 nth=1,-1

`nth` takes the first, second ... business day of each month only, negative ones from its end. Holidays come from the
package `holidays` (the extra `calendars`), computed by year.

Rule: a day is open or closed; times of it are found as those of a cron rule with restricted hours are.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from partita.core.cron import Cron
from partita.core.wording import listed
from partita.core.zones import LATEST, Zone
from partita.errors import ScheduleError

_EPOCH: Final = 719_163
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)", re.ASCII)
_PLACE = re.compile(r"[A-Za-z0-9_]{2,40}(?:-[A-Za-z0-9_ ]{1,40})?", re.ASCII)
# A year in which nothing is open has nothing to wait for; ten are enough for any calendar.
_MOST_EMPTY_MONTHS: Final = 120


class BusinessDays(NamedTuple):
    """Times of the clock on open days. `days` counts from Monday as 0."""

    times: tuple[int, ...]
    days: frozenset[int]
    days_text: str
    holidays: tuple[str, ...]
    closed: frozenset[int]
    opened: frozenset[int]
    nth: tuple[int, ...]

    def ticks(self, zone: Zone, after: int) -> Iterator[int]:
        """The instants after `after`, in order."""
        wall = after + zone.offset(after)
        date = dt.date.fromordinal(wall // 86_400 - 2 + _EPOCH)
        year, month, last, empty = date.year, date.month, after, 0
        while year < 9999 and empty < _MOST_EMPTY_MONTHS:
            days = self.days_of(year, month)
            empty = 0 if days else empty + 1
            for day in days:
                for time in self.times:
                    found = zone.instant((day - _EPOCH) * 86_400 + time)
                    if found is not None and last < found <= LATEST:
                        yield found
                        last = found
            year, month = (year, month + 1) if month < 12 else (year + 1, 1)

    def days_of(self, year: int, month: int) -> list[int]:
        """The days of a month (ordinals) that count."""
        first = dt.date(year, month, 1).toordinal()
        end = dt.date(year + month // 12, month % 12 + 1, 1).toordinal()
        opened = [day for day in range(first, end) if self.is_open(day)]
        if not self.nth:
            return opened
        picked = {
            opened[n - 1 if n > 0 else n] for n in self.nth if -len(opened) <= (n - 1 if n > 0 else n) < len(opened)
        }
        return sorted(picked)

    def is_open(self, day: int) -> bool:
        """Do people work on a day (an ordinal)?"""
        if day in self.opened:
            return True
        if (day - 1) % 7 not in self.days or day in self.closed:
            return False
        year = dt.date.fromordinal(day).year
        return not any(day in holidays_of(place, year) for place in self.holidays)

    def words(self) -> str:
        """When that is."""
        times = listed([f"{t // 3600:02}:{t // 60 % 60:02}" for t in self.times])
        days = (
            "business day" if not self.nth else f"{listed([_ordinal(n) for n in self.nth])} business day of the month"
        )
        text = f"at {times} on every {days} ({self.days_text}"
        if self.holidays:
            text += f", without the holidays of {listed(self.holidays)}"
        if self.closed:
            text += f", without {len(self.closed)} own closed days"
        return text + ")"


def business_days(text: str) -> BusinessDays:
    """Read a rule. Raises `ScheduleError`."""
    words = text.split()
    options = dict(word.partition("=")[::2] for word in words[1:])
    unknown = options.keys() - {"days", "holidays", "closed", "open", "nth"}
    if not words or unknown:
        raise ScheduleError(f"business days: {text!r} cannot be read")
    days = options.get("days", "mon-fri")
    places = tuple(place for place in options.get("holidays", "").split(",") if place)
    for place in places:
        check_place(place)
    return BusinessDays(
        times=tuple(sorted({_time(time) for time in words[0].split(",")})),
        days=_weekdays(days),
        days_text=days,
        holidays=places,
        closed=_dates(options.get("closed", "")),
        opened=_dates(options.get("open", "")),
        nth=tuple(_nth(n) for n in options.get("nth", "").split(",") if n),
    )


@lru_cache(maxsize=4096)
def holidays_of(place: str, year: int) -> frozenset[int]:
    """The holidays of a place ("US", "US-NY", or a market as "XNYS") in a year, as ordinals. Raises `ScheduleError`."""
    try:
        import holidays
    except ImportError:
        raise ScheduleError(
            f"the holidays of {place} need the package `holidays`", hint="pip install 'partita[calendars]'"
        ) from None
    country, _, part = place.partition("-")
    try:
        if country in holidays.list_supported_financial(include_aliases=True):
            found = holidays.financial_holidays(country, years=year)
        else:
            found = holidays.country_holidays(country, subdiv=part or None, years=year)
    except (NotImplementedError, KeyError, AttributeError) as error:
        raise ScheduleError(
            f"no holidays are known of {place!r}: {error}", hint='write "DE", "US-NY", or a market as "XNYS"'
        ) from None
    return frozenset(day.toordinal() for day in found)


def check_place(place: str) -> str:
    """The name of a place, if its holidays are known. Raises `ScheduleError`."""
    if not isinstance(place, str) or _PLACE.fullmatch(place) is None:
        raise ScheduleError(f"{place!r} is no place with holidays", hint='write "DE", "US-NY", or a market as "XNYS"')
    holidays_of(place, 2026)
    return place


def _weekdays(text: str) -> frozenset[int]:
    cron = Cron(f"0 0 * * {text}")
    return frozenset(day for day in range(7) if cron._is_day(1, day))


def _time(text: str) -> int:
    match = _TIME.fullmatch(text)
    if match is None:
        raise ScheduleError(f"{text!r} is no time of the day", hint='write "06:00"')
    return int(match[1]) * 3600 + int(match[2]) * 60


def _dates(text: str) -> frozenset[int]:
    try:
        return frozenset(dt.date.fromisoformat(date).toordinal() for date in text.split(",") if date)
    except ValueError as error:
        raise ScheduleError(f"business days: {error}", hint='write "2026-12-24"') from None


def _nth(text: str) -> int:
    if not text.lstrip("-").isdecimal() or len(text) > 3 or not 1 <= abs(int(text)) <= 23:
        raise ScheduleError(
            f"business days: {text!r} is no number of a business day", hint="1 is the first, -1 the last"
        )
    return int(text)


def _ordinal(n: int) -> str:
    names = {1: "first", 2: "second", 3: "third", -1: "last", -2: "last but one"}
    return names.get(n, f"{n}th" if n > 0 else f"{-n}th last")
