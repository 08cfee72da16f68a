"""RRULE (RFC 5545): `rrule 2026-01-01T06:00:00 FREQ=MONTHLY;BYDAY=-1FR`, computed by `python-dateutil` (the extra
`calendars`) in local time, and brought to instants as cron rules with restricted hours are.

Rule: bounded. A rule without COUNT begins anew near the instant that is asked for, so an old one costs as much as a young
one; one that names no day at all is known to, and a search ends after fifty years.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from importlib import import_module
from typing import Any, Final

from partita.core.zones import LATEST, Zone
from partita.errors import ScheduleError

_EPOCH = dt.datetime(1970, 1, 1)
_YEARS: Final = 50
_MOST_COUNT: Final = 10_000
_KEYS: Final = frozenset(
    [
        "FREQ",
        "INTERVAL",
        "COUNT",
        "UNTIL",
        "WKST",
        "BYSETPOS",
        "BYMONTH",
        "BYMONTHDAY",
        "BYYEARDAY",
        "BYWEEKNO",
        "BYDAY",
        "BYHOUR",
        "BYMINUTE",
        "BYSECOND",
        "BYEASTER",
    ]
)
_DAYS: Final = ("bymonth", "bymonthday", "byyearday", "byweekno", "byeaster")
_STEPS: Final = {"WEEKLY": 7 * 86_400, "DAILY": 86_400, "HOURLY": 3600, "MINUTELY": 60}


class Recurrence:
    """A recurrence rule from a local start."""

    def __init__(self, start: dt.datetime, text: str, rule: Any, parts: dict[str, str]) -> None:
        self.start = start
        self.text = text
        self._rule = rule
        self._freq = parts["FREQ"]
        self._interval = int(parts.get("INTERVAL", "1"))
        self._counts = "COUNT" in parts
        self._never = not _names_a_day(rule) or not self._ever()

    def ticks(self, zone: Zone, after: int) -> Iterator[int]:
        """The instants after `after`, in order."""
        if self._never:
            return
        last = after
        begin = (self.start - _EPOCH) // dt.timedelta(seconds=1)
        wall = _EPOCH + dt.timedelta(seconds=max(after - 2 * 86_400, begin))
        for local in self._locals(wall):
            found = zone.instant((local - _EPOCH) // dt.timedelta(seconds=1))
            if found is not None and last < found <= LATEST:
                yield found
                last = found

    def words(self) -> str:
        """When that is."""
        return f"as {self.text} says, from {self.start.isoformat(sep=' ')} on"

    def _locals(self, least: dt.datetime) -> Iterator[dt.datetime]:
        """Local times from `least` on; ends after fifty years without one."""
        if self._counts:
            yield from (local for local in self._rule if local >= least)
            return
        begin = self._near(least)
        while begin.year + _YEARS < 9999:
            end = begin.replace(year=begin.year + _YEARS, day=1)
            until = self._rule._until
            rule = self._rule.replace(dtstart=begin, until=min(end, until) if until else end)
            any_found = False
            for local in rule:
                any_found = True
                if local >= least:
                    yield local
            if not any_found or (until and until <= end):
                return
            least = max(least, end + dt.timedelta(seconds=1))
            begin = self._near(end)

    def _ever(self) -> bool:
        """Does an interval of days ever meet the days that are named?"""
        if self._freq not in ("DAILY", "WEEKLY") or self._interval == 1:
            return True
        until = self.start.replace(year=min(9998, self.start.year + 12), day=1)
        return self._counts or next(iter(self._rule.replace(until=until)), None) is not None

    def _near(self, wall: dt.datetime) -> dt.datetime:
        """The beginning of a period of the rule that is not after `wall`: whole intervals from the start."""
        gone = wall - dt.timedelta(days=8) - self.start
        if gone <= dt.timedelta(0):
            return self.start
        if self._freq in _STEPS:
            step = dt.timedelta(seconds=_STEPS[self._freq] * self._interval)
            return self.start + gone // step * step
        months = (wall.year - self.start.year) * 12 + wall.month - self.start.month - 1
        period = self._interval * (12 if self._freq == "YEARLY" else 1)
        periods = max(0, months // period)
        if periods == 0:
            return self.start
        # The first day: days of the month are in the rule itself, and not every month has the start's.
        count = self.start.month - 1 + periods * period
        month = 1 if self._freq == "YEARLY" else count % 12 + 1
        return self.start.replace(year=self.start.year + count // 12, month=month, day=1, hour=0, minute=0, second=0)


def recurrence(text: str) -> Recurrence:
    """Read a rule. Raises `ScheduleError`."""
    begin, _, rest = text.partition(" ")
    try:
        start = dt.datetime.fromisoformat(begin).replace(microsecond=0)
    except ValueError:
        raise ScheduleError(f"rrule: {begin!r} is no start", hint='write "2026-01-01" or "2026-01-01T06:00"') from None
    if start.tzinfo is not None:
        raise ScheduleError("rrule: the start is a local time", hint="leave its zone out and give tz=...")
    body = rest.strip().removeprefix("RRULE:").upper()
    parts = _parts(body)
    try:
        rrulestr: Any = import_module("dateutil.rrule").rrulestr
    except ImportError:
        raise ScheduleError(
            "rrule needs the package `python-dateutil`", hint="pip install 'partita[calendars]'"
        ) from None
    try:
        rule = rrulestr(body, dtstart=start)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise ScheduleError(f"rrule: {body!r} cannot be read: {error}", hint="see RFC 5545, section 3.3.10") from None
    # What dateutil takes from the start is said outright: the rule begins anew elsewhere.
    return Recurrence(start, body, _by_day(rule.replace(**_implied(rule)), parts), parts)


def _by_day(rule: Any, parts: dict[str, str]) -> Any:
    """Hours and minutes of certain days as times of days: dateutil would look at every hour between them."""
    if parts["FREQ"] not in ("HOURLY", "MINUTELY") or not any(name in parts for name in _OF_DAYS):
        return rule
    if parts.get("INTERVAL", "1") != "1" or "BYSETPOS" in parts:
        raise ScheduleError(
            f"rrule: FREQ={parts['FREQ']} on certain days has no INTERVAL and no BYSETPOS here",
            hint="name the times: FREQ=DAILY;BYHOUR=0,6,12,18;BYMINUTE=0",
        )
    rrules: Any = import_module("dateutil.rrule")

    parts["FREQ"] = "DAILY"
    minutes = rule._byminute or range(60)
    return rule.replace(freq=rrules.DAILY, byhour=tuple(rule._byhour or range(24)), byminute=tuple(minutes))


_OF_DAYS: Final = ("BYMONTH", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYDAY", "BYEASTER")


def _names_a_day(rule: Any) -> bool:
    """Is there any day in 28 years that has the month and the day which the rule asks for?"""
    rrules: Any = import_module("dateutil.rrule")

    wanted = {name: getattr(rule, f"_{name}") for name in _DAYS if getattr(rule, f"_{name}", None)}
    if rule._bynmonthday:
        wanted["bymonthday"] = (*wanted.get("bymonthday", ()), *rule._bynmonthday)
    if not wanted:
        return True
    start = rule._dtstart.replace(month=1, day=1)
    return (
        next(
            iter(rrules.rrule(rrules.YEARLY, dtstart=start, until=start.replace(year=start.year + 28), **wanted)), None
        )
        is not None
    )


def _parts(body: str) -> dict[str, str]:
    if len(body) > 500 or not body.isascii():
        raise ScheduleError("rrule: it has more than 500 characters, or others than ASCII")
    pairs = [part.partition("=") for part in body.split(";")]
    parts = {name: value for name, _, value in pairs}
    unknown = [name for name in parts if name not in _KEYS]
    if unknown or len(parts) != len(pairs) or "FREQ" not in parts:
        what = f"there is no {unknown[0]!r}" if unknown else "FREQ is missing, or a part comes twice"
        raise ScheduleError(f"rrule: {what} in {body!r}", hint='write for example "FREQ=MONTHLY;BYDAY=-1FR"')
    if parts["FREQ"] not in ("YEARLY", "MONTHLY", *_STEPS):
        raise ScheduleError(
            f"rrule: FREQ={parts['FREQ']}",
            hint="there are YEARLY, MONTHLY, WEEKLY, DAILY, HOURLY, MINUTELY",
        )
    for name, most in (("INTERVAL", 100_000), ("COUNT", _MOST_COUNT)):
        if name in parts and not (parts[name].isdecimal() and len(parts[name]) < 9 and 1 <= int(parts[name]) <= most):
            raise ScheduleError(f"rrule: {name}={parts[name]} is no number from 1 to {most:,}")
    return parts


def _implied(rule: Any) -> dict[str, Any]:
    """By hour, minute, day ... as dateutil has taken them from the start."""
    original = rule._original_rule
    names = ("bymonth", "bymonthday", "byweekday", "byhour", "byminute", "bysecond")
    implied = {}
    for name in names:
        if original.get(name):
            continue
        value = getattr(rule, f"_{name}", None)
        if value:
            implied[name] = tuple(value)
    return implied
