"""Timetables in words: "at 03:00 every day", "every 15 minutes", "at 06:30 on Monday to Friday".

Rule: what has no short sentence is said by its fields; nothing is left out and nothing is rounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from partita.core.cron import Cron

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_UNITS = ((86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def cron_words(cron: Cron) -> str:
    """A cron expression as a sentence without an end."""
    if cron.never:
        return f"never: no month has such a day ({cron.text})"
    return " ".join(part for part in (_time(cron), _days(cron), _months(cron)) if part)


def every_words(period: int) -> str:
    """An interval.

    >>> every_words(900), every_words(86400)
    ('every 15 minutes', 'every day')
    """
    size, name = next((size, name) for size, name in _UNITS if period % size == 0)
    count = period // size
    return f"every {name}" if count == 1 else f"every {count} {name}s"


def listed(words: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _time(cron: Cron) -> str:
    minutes, hours, seconds = cron.minutes, cron.hours, cron.seconds
    exact = f"at second {_numbers(seconds)} of " if seconds != (0,) else ""
    if (step := _step(seconds, 60)) and len(seconds) > 1:
        exact = f"{every_words(step)} of "
    if len(hours) < 24 and len(hours) * len(minutes) <= 6:
        return f"{exact or 'at '}{listed([f'{h:02}:{m:02}' for h in hours for m in minutes])}"
    if (step := _step(minutes, 60)) and len(minutes) > 1:
        text = every_words(step * 60)
        if exact:
            text = f"{exact}{text}" if step > 1 else exact.removesuffix(" of ")
    elif minutes == (0,) and (step := _step(hours, 24)):
        return exact + every_words(step * 3600)
    elif minutes == (0,):
        text = exact + "on the hour"
    else:
        text = (
            f"{exact}at minute {_numbers(minutes)} of every hour" if not exact else f"{exact}minute {_numbers(minutes)}"
        )
    if len(hours) == 24:
        return text
    return f"{text}, in the hours {_numbers(hours)}"


def _days(cron: Cron) -> str:
    day_field, weekday_field = cron.fields[2], cron.fields[4]
    parts: list[str] = []
    if day_field != "*":
        parts.append(f"on day {_spelled(day_field)} of the month")
    if weekday_field != "*":
        parts.append(f"on {_weekday_words(weekday_field)}")
    if not parts:
        return "every day" if len(cron.hours) < 24 and not (_step(cron.hours, 24) and len(cron.hours) > 6) else ""
    is_either = not day_field.startswith("*") and not weekday_field.startswith("*")
    return (" or " if is_either else " that is also ").join(parts)


def _weekday_words(field: str) -> str:
    if not any(c in field for c in "*/"):
        return listed([" to ".join(_weekday(word) for word in item.split("-")) for item in field.split(",")])
    return f"weekdays {field}"


def _weekday(word: str) -> str:
    if word.isdigit():
        return _WEEKDAYS[(int(word) - 1) % 7]
    return next(name for name in _WEEKDAYS if name.lower().startswith(word.lower()))


def _months(cron: Cron) -> str:
    if len(cron.months) == 12:
        return ""
    return f"in {_runs([_MONTHS[m - 1] for m in sorted(cron.months)], sorted(cron.months))}"


def _spelled(field: str) -> str:
    return listed([item.replace("-", " to ") for item in field.split(",")])


def _step(values: Sequence[int], size: int) -> int:
    """How far apart they are, if they go round evenly from 0; 0 if not."""
    step = values[1] - values[0] if len(values) > 1 else size
    return step if size % step == 0 and tuple(values) == tuple(range(0, size, step)) else 0


def _numbers(values: Sequence[int]) -> str:
    return _runs([str(v) for v in values], list(values))


def _runs(names: Sequence[str], values: Sequence[int]) -> str:
    """Names of values, what follows on each other as "a to b"."""
    found: list[str] = []
    start = 0
    for i in range(len(values)):
        if i + 1 == len(values) or values[i + 1] != values[i] + 1:
            found += [f"{names[start]} to {names[i]}"] if i > start + 1 else list(names[start : i + 1])
            start = i + 1
    return listed(found)
