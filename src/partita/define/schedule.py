"""When a pipeline is to start, as declared: `pt.cron("0 3 * * *", tz="UTC")`.

Rule: only the form is checked here; instants are computed by `core.timetable`.
"""

from __future__ import annotations

import re
from typing import Any

from partita.core.manifest import ScheduleSpec
from partita.define.recording import Follows, forgiving
from partita.define.where import wrong

_FIELDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")),
    ("day of week", 0, 7, ("sun", "mon", "tue", "wed", "thu", "fri", "sat")),
)
_ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_ITEM = re.compile(r"(\*|\w+)(?:-(\w+))?(?:/(\d+))?", re.ASCII)


def cron(rule: str, *, tz: str = "UTC", name: str = "") -> ScheduleSpec:
    """A schedule by five cron fields (minute, hour, day of month, month, day of week), or "@daily" and the like.

    >>> cron("0 3 * * *").rule
    'cron 0 3 * * *'
    """
    return forgiving(lambda: _cron(rule, tz, name), lambda error: ScheduleSpec(name="", rule=""))


def _cron(rule: Any, tz: str, name: str) -> ScheduleSpec:
    if not isinstance(rule, str):
        raise wrong(f"cron: {rule!r} is no text")
    text = _ALIASES.get(rule.strip().lower(), rule)
    fields = text.split()
    if len(fields) != len(_FIELDS):
        raise wrong(
            f"cron: {rule!r} has {len(fields)} fields instead of five",
            hint='minute, hour, day of month, month, day of week: "0 3 * * *" is every day at 03:00',
        )
    for field, (label, low, high, names) in zip(fields, _FIELDS, strict=True):
        for item in field.split(","):
            _check_item(rule, item, label, low, high, names)
    return ScheduleSpec(name=name, rule=f"cron {' '.join(fields)}", tz=zone(tz))


def _check_item(rule: str, item: str, label: str, low: int, high: int, names: tuple[str, ...]) -> None:
    match = _ITEM.fullmatch(item)
    if match is None or (match[1] == "*" and match[2]):
        raise wrong(f"cron: {item!r} in {rule!r} is no {label}")
    first = low if match[1] == "*" else _number(rule, match[1], label, low, high, names)
    last = high if not match[2] else _number(rule, match[2], label, low, high, names)
    if first > last:
        raise wrong(f"cron: {item!r} in {rule!r} runs backwards", hint=f"write {match[1]}-{high},{low}-{match[2]}")
    if match[3] is not None and int(match[3]) == 0:
        raise wrong(f"cron: the step of {item!r} in {rule!r} must be 1 or more")


def _number(rule: str, word: str, label: str, low: int, high: int, names: tuple[str, ...]) -> int:
    if word.lower() in names:
        return names.index(word.lower()) + low
    if not word.isdigit() or not low <= int(word) <= high:
        raise wrong(f"cron: {word!r} in {rule!r} is no {label}", hint=f"it is a number from {low} to {high}")
    return int(word)


def zone(tz: str) -> str:
    """The name of a time zone, if there is such a zone."""
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(tz)
    except (KeyError, ValueError, OSError, TypeError):
        raise wrong(f"there is no time zone {tz!r}", hint=_near_zone(tz)) from None
    return tz


def _near_zone(tz: object) -> str:
    from zoneinfo import available_timezones

    from partita.define.guess import did_you_mean

    return did_you_mean(str(tz), available_timezones()) or 'write a name like "Europe/Berlin" or "UTC"'


def schedules(value: Any, pipeline: str, catchup: str) -> tuple[ScheduleSpec, ...]:
    """The schedules of a pipeline, each with a stable name."""
    import msgspec

    items = value if isinstance(value, list | tuple) else () if value is None else (value,)
    found: list[ScheduleSpec] = []
    for i, item in enumerate(items):
        spec = cron(item) if isinstance(item, str) else item
        if not isinstance(spec, ScheduleSpec):
            raise ValueError(f'{item!r} is no schedule: write pt.cron("0 3 * * *", tz="UTC")')
        if not spec.rule:
            raise Follows(f"a schedule of pipeline `{pipeline}` is wrong itself")
        name = spec.name or (pipeline if i == 0 else f"{pipeline}-{i + 1}")
        found.append(msgspec.structs.replace(spec, name=name, catchup=catchup))
    return tuple(found)
