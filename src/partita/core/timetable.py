"""Timetables: from the text of a rule to instants, forward and backward, whatever kind of rule it is.

`timetable("cron 0 3 * * *", "Europe/Berlin").after(instant)` answers with an iterator of the next instants, `before` with
one of the earlier ones; neither includes the instant itself. The rules:

    cron 0 3 * * *; 30 4 * * mon          several expressions; `seconds */15` at the end
    every 900 from 2026-01-01T06:00:00    so many seconds of real time
    dates 2026-01-01T06:00:00 ...         the listed ones
    business 06:00 ...                    `core.calendars`
    rrule 2026-01-01T00:00:00 FREQ=...    `core.recurrence`
    own module:function                   the user's; asked in a process of the user's, never here

Rule: pure. A rule is text, so that it can be stored, compared and shown; the same text is read once.
"""

from __future__ import annotations

import datetime as dt
import heapq
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import takewhile
from typing import Any, Final, Protocol

from partita.core.cron import Cron
from partita.core.wording import cron_words, every_words
from partita.core.zones import EARLIEST, LATEST, Zone, version, zone
from partita.errors import ScheduleError

UTC = dt.UTC
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST: Final = 100_000


class Rule(Protocol):
    """What a kind of timetable knows: its instants as seconds since the epoch."""

    def ticks(self, zone: Zone, after: int) -> Iterator[int]:
        """The instants after `after`, in order, without end or until there are no more."""
        ...

    def words(self) -> str:
        """When that is, in words."""
        ...


class Timetable:
    """A rule in a time zone, from a start to an end."""

    def __init__(self, rule: Rule, zone: Zone, start: int = EARLIEST, end: int = LATEST) -> None:
        self.rule = rule
        self.zone = zone
        self.start = start
        self.end = end

    def after(self, instant: dt.datetime) -> Iterator[dt.datetime]:
        """The next instants after `instant`, in order, in UTC.

        >>> table = timetable("cron 0 3 * * *", "Europe/Berlin")
        >>> next(table.after(dt.datetime(2026, 3, 29, tzinfo=dt.UTC))).isoformat()
        '2026-03-29T01:00:00+00:00'
        """
        return map(at, self.ticks(seconds(instant)))

    def before(self, instant: dt.datetime) -> Iterator[dt.datetime]:
        """The instants before `instant`, newest first, in UTC."""
        return map(at, self.ticks_before(seconds(instant, up=True)))

    def ticks(self, after: int) -> Iterator[int]:
        """The same as seconds since the epoch."""
        first = max(after, self.start - 1, EARLIEST)
        if first >= min(self.end, LATEST):
            return iter(())
        return takewhile(lambda tick: tick <= self.end, self.rule.ticks(self.zone, first))

    def ticks_before(self, before: int, *, width: int = 3600) -> Iterator[int]:
        """The same as seconds since the epoch, newest first. `width` is how far back to look at first."""
        stop = min(before, self.end + 1, LATEST)
        least = max(self.start, EARLIEST)
        while stop > least:
            start = max(least, stop - width)
            found = list(_until(self.rule.ticks(self.zone, start - 1), stop))
            yield from reversed(found)
            stop = start
            # Wider where there is nothing, narrower where there is much: each window costs about the same.
            width = width * 4 if len(found) < 2 else max(60, width // 2) if len(found) > 64 else width

    def words(self) -> str:
        """When that is: "at 03:00 every day (Europe/Berlin)"."""
        text = f"{self.rule.words()} ({self.zone.name})"
        if self.start > EARLIEST:
            text += f", from {at(self.start).isoformat()} on"
        return text + (f", until {at(self.end).isoformat()}" if self.end < LATEST else "")


def timetable(rule: str, tz: str = "UTC", *, start: str = "", end: str = "") -> Timetable:
    """The timetable of a rule. `start` and `end` are included; a date alone means all of its day.

    Raises `ScheduleError` for a rule, a zone or a date that cannot be.
    """
    for text in (rule, tz, start, end):
        if not isinstance(text, str):
            raise ScheduleError(f"{text!r} is no text", hint='write timetable("cron 0 3 * * *", "UTC")')
    return _timetable(rule, tz, start, end, version())


@lru_cache(maxsize=50_000)
def _timetable(rule: str, tz: str, start: str, end: str, _version: str) -> Timetable:
    found = zone(tz)
    first = moment(start, found) if start else EARLIEST
    last = moment(end, found, is_end=True) if end else LATEST
    if first > last:
        raise ScheduleError(f"it ends ({end}) before it starts ({start})", hint="exchange start and end")
    return Timetable(_rule(rule), found, first, last)


_own: dict[str, Callable[[dt.datetime], Any]] = {}


def declare_own(function: Callable[[dt.datetime], Any]) -> str:
    """Remember a function of the user's, in the process that imported it; the name by which rules call it."""
    name = f"{function.__module__}:{function.__qualname__}"
    _own[name] = function
    return name


def own_function(name: str) -> Callable[[dt.datetime], Any] | None:
    """The function of a name, in the process that imported it."""
    return _own.get(name)


def is_own(rule: str) -> bool:
    """Is it a function of the user's, which is asked in a process of the user's?"""
    return rule.startswith("own ")


@lru_cache(maxsize=50_000)
def _rule(text: str) -> Rule:
    """Parsed once, also for many zones."""
    kind, _, rest = text.partition(" ")
    read = _KINDS.get(kind)
    if read is None or len(text) > _LONGEST:
        shown = text if len(text) <= 100 else f"{text[:100]}..."
        raise ScheduleError(f"{shown!r} is no rule of a schedule", hint=f"it begins with {', '.join(_KINDS)}")
    return read(rest)


# --- instants -------------------------------------------------------------------------------------------------------


def at(instant: float) -> dt.datetime:
    """The datetime of seconds since the epoch."""
    return _EPOCH + dt.timedelta(seconds=instant)


def seconds(instant: dt.datetime, *, up: bool = False) -> int:
    """Whole seconds since the epoch, rounded down (or `up`). Raises `ScheduleError` for a time without a zone."""
    if not isinstance(instant, dt.datetime) or instant.tzinfo is None:
        raise ScheduleError(
            f"{instant!r} is no instant", hint="give a datetime with its zone: datetime(2026, 1, 1, tzinfo=UTC)"
        )
    whole, rest = divmod(instant - _EPOCH, dt.timedelta(seconds=1))
    return whole + (1 if up and rest else 0)


def moment(text: str, zone: Zone, *, is_end: bool = False) -> int:
    """The instant that "2026-01-01", "2026-01-01T06:00" (in the zone) or "2026-01-01T06:00Z" names."""
    try:
        read = dt.datetime.fromisoformat(text)
    except ValueError:
        raise ScheduleError(f"{text!r} is no date or time", hint='write "2026-01-01" or "2026-01-01T06:00"') from None
    if read.tzinfo is not None:
        return seconds(read)
    is_date = len(text) <= 10
    if is_date and is_end:
        read += dt.timedelta(days=1)
    wall = (read - dt.datetime(1970, 1, 1)) // dt.timedelta(seconds=1)
    found = zone.instant(wall)
    if found is None:
        raise ScheduleError(f"{text!r} does not exist in {zone.name}: its calendar was changed then")
    return found - 1 if is_date and is_end else found


# --- the kinds ------------------------------------------------------------------------------------------------------


class Crons:
    """Several expressions; an instant that several name is one."""

    def __init__(self, expressions: list[Cron]) -> None:
        self.expressions = expressions

    def ticks(self, zone: Zone, after: int) -> Iterator[int]:
        if len(self.expressions) == 1:
            return self.expressions[0].ticks(zone, after)
        return unique(heapq.merge(*(cron.ticks(zone, after) for cron in self.expressions)))

    def words(self) -> str:
        return ", and ".join(cron_words(cron) for cron in self.expressions)


class Every:
    """An interval of real time, counted from an anchor; clocks that change do not matter to it."""

    def __init__(self, period: int, anchor: str) -> None:
        self.period = period
        self.anchor = anchor

    def ticks(self, zone: Zone, after: int) -> Iterator[int]:
        anchor = moment(self.anchor, zone) if self.anchor else 0
        tick = anchor + ((after - anchor) // self.period + 1) * self.period
        while tick <= LATEST:
            yield tick
            tick += self.period

    def words(self) -> str:
        return every_words(self.period) + (f", counted from {self.anchor}" if self.anchor else "")


class Dates:
    """The listed ones."""

    def __init__(self, texts: list[str]) -> None:
        self.texts = texts

    def ticks(self, zone: Zone, after: int) -> Iterator[int]:
        return (tick for tick in sorted({moment(text, zone) for text in self.texts}) if tick > after)

    def words(self) -> str:
        shown = ", ".join(text.replace("T", " ") for text in self.texts[:3])
        return shown if len(self.texts) <= 3 else f"{shown} and {len(self.texts) - 3} more dates"


class Own:
    """A function of the user's. It answers where it was declared, which is in the user's processes and never in ours."""

    def __init__(self, call: str) -> None:
        self.call = call

    def ticks(self, zone: Zone, after: int) -> Iterator[int]:
        function = own_function(self.call)
        if function is None:
            raise ScheduleError(
                f"the timetable {self.call} is a function of the project's: only its own processes can ask it"
            )
        instant = after
        while True:
            given = function(at(instant))
            for found in [given] if isinstance(given, dt.datetime) else given or ():
                tick = seconds(found, up=True)
                if tick <= instant:
                    raise ScheduleError(
                        f"the timetable {self.call} must go forward: after {at(instant).isoformat()} it gave {found}"
                    )
                yield tick
                instant = tick
            if not isinstance(given, dt.datetime):
                return

    def words(self) -> str:
        return f"as the function {self.call.partition('~')[0]} says"


def _until(ticks: Iterator[int], stop: int) -> Iterator[int]:
    return takewhile(lambda tick: tick < stop, ticks)


def unique(ticks: Iterator[int]) -> Iterator[int]:
    """The same in order, each once."""
    last: int | None = None
    for tick in ticks:
        if tick != last:
            yield tick
            last = tick


def _crons(text: str) -> Rule:
    expressions, _, seconds = text.partition(" seconds ")
    return Crons([Cron(expression, seconds.strip()) for expression in expressions.split(";")])


def _every(text: str) -> Rule:
    period, _, anchor = text.partition(" from ")
    if not period.isdecimal() or not 1 <= int(period[:12]) < 10**11 or len(period) > 11:
        raise ScheduleError(f"every {text!r}: an interval is a whole number of seconds from 1 on")
    if anchor:
        moment(anchor, zone("UTC"))
    return Every(int(period), anchor)


def _dates(text: str) -> Rule:
    texts = text.split()
    if not texts:
        raise ScheduleError("dates: there is none")
    for date in texts:
        moment(date, zone("UTC"))
    return Dates(texts)


def _business(text: str) -> Rule:
    from partita.core.calendars import business_days

    return business_days(text)


def _rrule(text: str) -> Rule:
    from partita.core.recurrence import recurrence

    return recurrence(text)


_KINDS: Final[dict[str, Callable[[str], Rule]]] = {
    "cron": _crons,
    "every": _every,
    "dates": _dates,
    "business": _business,
    "rrule": _rrule,
    "own": Own,
}
