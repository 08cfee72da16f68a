"""Partitions: which keys a definition has, which time each key covers, and ranges of keys as people write them.

Keys of time partitions are local dates or times: "2013-06-13" (days; the first day of weeks and months),
"2013-06-13T05:00" (hours). An hour that comes twice because clocks go back has its second key with the offset:
"2013-11-03T01:00-05:00"; an hour that does not come has none. A product's key joins those of its dimensions by "|".

Rule: no clock. A definition without an end has no last key; whoever asks for all keys says until when.
"""

from __future__ import annotations

import calendar
import datetime as dt
import itertools
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from partita.core import zones
from partita.core.manifest import PartitionSpec
from partita.errors import ParamError

_DAYS: Final = {"daily": 1, "weekly": 7}
_FORMS: Final = {"hourly": "2013-06-13T05:00", "daily": "2013-06-13", "weekly": "2013-06-10", "monthly": "2013-06-01"}
_HOURS: Final = {"hourly": 1, "daily": 24, "weekly": 168, "monthly": 730}
_MOST_KEYS: Final = 1_000_000


def check(spec: PartitionSpec, key: str) -> None:
    """Raise `ParamError` if there is no such partition."""
    canonical(spec, key)


def contains(spec: PartitionSpec, key: str) -> bool:
    """Is it a key of this definition, written as keys are written?"""
    try:
        return canonical(spec, key) == key
    except ParamError:
        return False


def resolved(spec: PartitionSpec, keys_of: Callable[[str], Sequence[str]]) -> PartitionSpec:
    """The definition with dynamic ones made static: `keys_of` knows the keys that they have now."""
    if spec.kind == "dynamic":
        return PartitionSpec("static", keys=tuple(keys_of(spec.name)))
    if spec.kind == "product" and any(inner.kind == "dynamic" for _, inner in spec.dimensions):
        return msgspec.structs.replace(
            spec, dimensions=tuple((name, resolved(inner, keys_of)) for name, inner in spec.dimensions)
        )
    return spec


def is_timed(spec: PartitionSpec) -> bool:
    """Does each of its keys cover a time?"""
    return spec.kind in _HOURS


def key_at(spec: PartitionSpec, instant: dt.datetime) -> str | None:
    """The key of the partition of time that an instant lies in; None before the first and after the last."""
    first = _first(spec)
    local = instant.astimezone(first.tzinfo)
    if spec.kind == "hourly":
        moment = (_instant(local) - dt.timedelta(minutes=local.minute, seconds=local.second)).astimezone(first.tzinfo)
        moment = (_instant(moment) - dt.timedelta(microseconds=local.microsecond)).astimezone(first.tzinfo)
    else:
        clock = _clock(local).replace(hour=0, minute=0, second=0, microsecond=0)
        if spec.kind == "weekly":
            clock -= dt.timedelta(days=(clock - _clock(first)).days % 7)
        elif spec.kind == "monthly":
            clock = clock.replace(day=1)
        moment = clock.replace(tzinfo=first.tzinfo)
    last = _last(spec)
    if _instant(moment) < _instant(first) or (last is not None and _instant(moment) > last):
        return None
    return _key(spec, moment)


def canonical(spec: PartitionSpec, key: str) -> str:
    """The key as it is written everywhere ("2013-06" of months is "2013-06-01"). Raises `ParamError`.

    Of a dynamic definition only the form is checked: which keys it has, the store knows.
    """
    if spec.kind == "dynamic":
        if problem := key_problem(key):
            raise ParamError(problem)
        return key
    if spec.kind == "static":
        if key not in spec.keys:
            raise ParamError(f"there is no partition {key!r}", hint=_near(key, spec.keys))
        return key
    if spec.kind == "product":
        parts = key.split("|")
        if len(parts) != len(spec.dimensions):
            names = "|".join(name for name, _ in spec.dimensions)
            raise ParamError(f"{key!r} is no partition of {names}", hint=f"write for example {example(spec)}")
        return "|".join(canonical(inner, part) for (_, inner), part in zip(spec.dimensions, parts, strict=True))
    moment = _moment(spec, key)
    _check_bounds(spec, moment, key)
    return _key(spec, moment)


def window(spec: PartitionSpec, key: str) -> tuple[dt.datetime, dt.datetime]:
    """The instants (UTC) at which a partition begins and ends; of a product those of its time dimension.

    A day on which clocks change has 23 or 25 hours. Raises `ParamError` if the partition covers no time.
    """
    if spec.kind == "product":
        parts = canonical(spec, key).split("|")
        for (_, inner), part in zip(spec.dimensions, parts, strict=True):
            if is_timed(inner):
                return window(inner, part)
    if not is_timed(spec):
        raise ParamError(f"partition {key!r} covers no time")
    moment = _moment(spec, key)
    return _instant(moment), _instant(_after(spec, moment))


def previous_key(spec: PartitionSpec, key: str) -> str | None:
    """The key before, or None at the first."""
    if spec.kind in ("static", "product"):
        return _beside(keys(spec), canonical(spec, key), -1)
    moment = _before(spec, _moment(spec, key))
    return None if _instant(moment) < _instant(_first(spec)) else _key(spec, moment)


def next_key(spec: PartitionSpec, key: str) -> str | None:
    """The key after, or None at the last of a definition that has an end."""
    if spec.kind in ("static", "product"):
        return _beside(keys(spec), canonical(spec, key), 1)
    moment = _after(spec, _moment(spec, key))
    last = _last(spec)
    return None if last is not None and _instant(moment) > last else _key(spec, moment)


def keys(spec: PartitionSpec, start: str = "", end: str = "", *, until: dt.datetime | None = None) -> list[str]:
    """The keys from `start` to `end`, both included; all of them without.

    `until` (an instant) leaves out partitions that have not ended by then; a definition without an end needs it, or `end`.
    """
    if spec.kind == "static":
        return _between(list(spec.keys), start, end, spec)
    if spec.kind == "dynamic":
        raise ParamError(f"the keys of {spec.name} are added while the service runs", hint="name those that you mean")
    if spec.kind == "product":
        dimensions = [keys(inner, until=until) for _, inner in spec.dimensions]
        return _between(["|".join(parts) for parts in itertools.product(*dimensions)], start, end, spec)
    moment = _moment(spec, start) if start else _first(spec)
    last = _instant(_moment(spec, end)) if end else _last(spec)
    if last is None and until is None:
        raise ParamError(
            "these partitions have no last one", hint='say until when: "2013-01-01..2013-01-31", or give them an end'
        )
    bound = min(moment for moment in (last, until) if moment is not None)
    if (bound - _instant(moment)).total_seconds() / 3600 > _MOST_KEYS * _HOURS[spec.kind]:
        raise ParamError(f"more than {_MOST_KEYS:,} partitions at once", hint="take a shorter range")
    found: list[str] = []
    while last is None or _instant(moment) <= last:
        following = _after(spec, moment)
        if until is not None and _instant(following) > until:
            break
        found.append(_key(spec, moment))
        moment = following
    return found


def count(spec: PartitionSpec, start: str = "", end: str = "", *, until: dt.datetime | None = None) -> int:
    """How many keys `keys` gives."""
    if spec.kind == "product" and not start and not end:
        total = 1
        for _, inner in spec.dimensions:
            total *= count(inner, until=until)
        return total
    return len(keys(spec, start, end, until=until))


def parse_range(spec: PartitionSpec, text: str, *, until: dt.datetime | None = None) -> list[str]:
    """The keys that a text names: "2013-01-01", "2013-01-01..2013-01-07", "a,b", "*"; of a product "1..3|JFK,LGA".

    >>> parse_range(PartitionSpec("daily", start="2013-01-01"), "2013-01-01..2013-01-03")
    ['2013-01-01', '2013-01-02', '2013-01-03']
    """
    if spec.kind == "product":
        parts = text.split("|")
        if len(parts) != len(spec.dimensions):
            names = "|".join(name for name, _ in spec.dimensions)
            raise ParamError(f"{text!r} is no partition of {names}", hint=f"write for example {example(spec)}")
        named = [parse_range(inner, part, until=until) for (_, inner), part in zip(spec.dimensions, parts, strict=True)]
        return ["|".join(combined) for combined in itertools.product(*named)]
    found: list[str] = []
    for item in text.split(","):
        found.extend(_range(spec, item.strip(), until))
    return list(dict.fromkeys(found))


def example(spec: PartitionSpec) -> str:
    """A key that this definition has, for hints."""
    if spec.kind == "static":
        return spec.keys[0] if spec.keys else "none"
    if spec.kind == "dynamic":
        return "KEY"
    if spec.kind == "product":
        return "|".join(example(inner) for _, inner in spec.dimensions)
    return _key(spec, _first(spec))


def problem_of(spec: PartitionSpec) -> str | None:
    """What is wrong with a definition, or None."""
    if spec.kind == "product":
        timed = [name for name, inner in spec.dimensions if is_timed(inner)]
        if any(inner.kind == "product" for _, inner in spec.dimensions) or len(spec.dimensions) < 2:
            return "a product has two or more dimensions, none of which is a product itself"
        return "a product has at most one dimension of time" if len(timed) > 1 else None
    if spec.kind == "static":
        return _static_problem(spec.keys)
    if spec.kind == "dynamic":
        return None if spec.name else "dynamic partitions need a name"
    try:
        first, last = _first(spec), _last(spec)
    except ParamError as error:
        return error.message
    if spec.kind == "monthly" and first.day != 1:
        return f"months begin on the first day, not on {spec.start!r}"
    if last is not None and last < _instant(first):
        return f"the end {spec.end!r} is before the start {spec.start!r}"
    return None


def key_problem(key: str) -> str | None:
    """Why a text cannot be the key of a static or dynamic partition, or None."""
    if (
        not key
        or any(mark in key for mark in ("|", ",", "..", "*", "/", "\0"))
        or not key.isprintable()
        or key != key.strip()
    ):
        return f"{key!r} cannot be a key: `|`, `,`, `..`, `*` and `/` have a meaning of their own"
    return None


def _static_problem(given: tuple[str, ...]) -> str | None:
    if not given:
        return "static partitions need at least one key"
    for key in given:
        if problem := key_problem(key):
            return problem
    twice = next((key for i, key in enumerate(given) if key in given[:i]), None)
    return None if twice is None else f"the key {twice!r} is there twice"


# --- ranges and neighbours ------------------------------------------------------------------------------------------


def _range(spec: PartitionSpec, item: str, until: dt.datetime | None) -> list[str]:
    if item == "*":
        return keys(spec, until=until)
    first, dots, last = item.partition("..")
    if not dots:
        return [canonical(spec, item)]
    if not first or (not last and until is None and not spec.end and spec.kind != "static"):
        raise ParamError(f"{item!r} is no range", hint=f"write {example(spec)}..{example(spec)}, both included")
    found = keys(spec, canonical(spec, first), canonical(spec, last) if last else "", until=until)
    if not found:
        raise ParamError(f"the range {item!r} has no partition: {last} is before {first}")
    return found


def _between(found: list[str], start: str, end: str, spec: PartitionSpec) -> list[str]:
    first = found.index(canonical(spec, start)) if start else 0
    last = found.index(canonical(spec, end)) if end else len(found) - 1
    return found[first : last + 1]


def _beside(found: list[str], key: str, by: int) -> str | None:
    at = found.index(key) + by
    return found[at] if 0 <= at < len(found) else None


def _near(key: str, known: tuple[str, ...]) -> str:
    near = get_close_matches(key, known, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return "there is " + ", ".join(map(repr, known[:12])) + (", ..." if len(known) > 12 else "")


# --- time -----------------------------------------------------------------------------------------------------------

# A moment is a local time with its zone; `fold` tells apart the two 01:00 of a night in which clocks go back. Moments are
# compared as instants only: Python compares local times of one zone without looking at `fold`.


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    # By the newest tz data, as schedules are.
    return zones.tzinfo(name)


def _instant(moment: dt.datetime) -> dt.datetime:
    return moment.astimezone(dt.UTC)


def _clock(moment: dt.datetime) -> dt.datetime:
    """What the clock shows, without zone."""
    return moment.replace(tzinfo=None, fold=0)


def _moment(spec: PartitionSpec, key: str) -> dt.datetime:
    """The begin of the partition of that key. Raises `ParamError`."""
    moment = _read(spec, key)
    if spec.kind == "hourly":
        if moment.minute or moment.second or moment.microsecond:
            raise _no_key(spec, key, "hours begin at minute 0")
        if not _exists(moment):
            raise _no_key(spec, key, f"clocks in {spec.tz} go forward over this hour")
    elif spec.kind == "weekly" and (days := (_clock(moment) - _clock(_first(spec))).days % 7):
        begin = _clock(moment) - dt.timedelta(days=days)
        raise _no_key(spec, key, f"its week begins on {begin.date().isoformat()}")
    elif spec.kind == "monthly" and moment.day != 1:
        raise _no_key(spec, key, f"its month begins on {moment.date().replace(day=1).isoformat()}")
    return moment


def _read(spec: PartitionSpec, key: str) -> dt.datetime:
    text = key.strip()
    if spec.kind == "monthly" and len(text) == 7:
        text += "-01"
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        raise _no_key(spec, key, "it is no date") from None
    if spec.kind != "hourly" and (len(text) > 10 or found.tzinfo is not None):
        raise _no_key(spec, key, "it has a time of day")
    zone = _zone(spec.tz)
    if found.tzinfo is None:
        return found.replace(tzinfo=zone)
    local = found.astimezone(zone)
    if _clock(local) != _clock(found):
        raise _no_key(spec, key, f"{spec.tz} has another offset then")
    return local


def _no_key(spec: PartitionSpec, key: str, why: str) -> ParamError:
    return ParamError(f"{key!r} is no {spec.kind} partition: {why}", hint=f"write it like {_FORMS[spec.kind]}")


def _check_bounds(spec: PartitionSpec, moment: dt.datetime, key: str) -> None:
    first, last = _first(spec), _last(spec)
    if _instant(moment) < _instant(first):
        raise ParamError(f"partition {key!r} is before the first one", hint=f"the first is {_key(spec, first)}")
    if last is not None and _instant(moment) > last:
        raise ParamError(f"partition {key!r} is after the last one", hint=f"the end is {spec.end}")


@lru_cache(maxsize=256)
def _first(spec: PartitionSpec) -> dt.datetime:
    if not spec.start:
        raise ParamError("partitions of time need a start")
    moment = _read(spec, spec.start)
    if spec.kind != "hourly":
        return moment
    # An hour over which clocks go forward begins when they do.
    return _full_hour(_instant(moment).astimezone(moment.tzinfo))


@lru_cache(maxsize=256)
def _last(spec: PartitionSpec) -> dt.datetime | None:
    """The instant after which no partition begins; None for ever."""
    if not spec.end:
        return None
    end = _read(spec, spec.end)
    if spec.kind == "hourly" and len(spec.end.strip()) == 10:
        # A day as the end of hours means all of that day.
        end = end.replace(hour=23, fold=1)
    return _instant(end)


def _key(spec: PartitionSpec, moment: dt.datetime) -> str:
    if spec.kind != "hourly":
        return moment.date().isoformat()
    text = _clock(moment).isoformat(timespec="minutes")
    if moment.fold and moment.utcoffset() != moment.replace(fold=0).utcoffset():
        return text + moment.isoformat(timespec="minutes")[len(text) :]
    return text


def _exists(moment: dt.datetime) -> bool:
    return _clock(_instant(moment).astimezone(moment.tzinfo)) == _clock(moment)


def _full_hour(moment: dt.datetime) -> dt.datetime:
    """The moment, or the next full hour on the clock (some clocks are changed by half an hour)."""
    if not moment.minute:
        return moment
    return (_instant(moment) + dt.timedelta(minutes=60 - moment.minute)).astimezone(moment.tzinfo)


def _after(spec: PartitionSpec, moment: dt.datetime) -> dt.datetime:
    clock = _clock(moment)
    if spec.kind == "hourly":
        return _full_hour((_instant(moment) + dt.timedelta(hours=1)).astimezone(moment.tzinfo))
    if spec.kind == "monthly":
        days = calendar.monthrange(clock.year, clock.month)[1]
    else:
        days = _DAYS[spec.kind]
    return (clock + dt.timedelta(days=days)).replace(tzinfo=moment.tzinfo)


def _before(spec: PartitionSpec, moment: dt.datetime) -> dt.datetime:
    clock = _clock(moment)
    if spec.kind == "hourly":
        earlier = (_instant(moment) - dt.timedelta(hours=1)).astimezone(moment.tzinfo)
        return (_instant(earlier) - dt.timedelta(minutes=earlier.minute)).astimezone(moment.tzinfo)
    if spec.kind == "monthly":
        return (clock - dt.timedelta(days=1)).replace(day=1, tzinfo=moment.tzinfo)
    return (clock - dt.timedelta(days=_DAYS[spec.kind])).replace(tzinfo=moment.tzinfo)
