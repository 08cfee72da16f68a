"""Durations and sizes as people write them: "1h30m", "90s", "PT5M", 300, a timedelta; "512MiB", "2GB".

Rule: a number alone is seconds (or bytes); a string always has units. Raises `ValueError` with a text for people.
"""

from __future__ import annotations

import datetime as dt
import math
import re

Duration = str | int | float | dt.timedelta

_UNITS = {
    "ms": 0.001,
    "s": 1.0,
    "sec": 1.0,
    "secs": 1.0,
    "second": 1.0,
    "seconds": 1.0,
    "m": 60.0,
    "min": 60.0,
    "mins": 60.0,
    "minute": 60.0,
    "minutes": 60.0,
    "h": 3600.0,
    "hour": 3600.0,
    "hours": 3600.0,
    "d": 86400.0,
    "day": 86400.0,
    "days": 86400.0,
    "w": 604800.0,
    "week": 604800.0,
    "weeks": 604800.0,
}
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)", re.ASCII)
_ISO = re.compile(
    r"P(?:(\d+(?:\.\d+)?)W)?(?:(\d+(?:\.\d+)?)D)?"
    r"(?:T(?:(\d+(?:\.\d+)?)H)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)S)?)?",
    re.ASCII,
)
_ISO_SECONDS = (604800.0, 86400.0, 3600.0, 60.0, 1.0)
_FORMS = 'write "90s", "5m", "1h30m", "7d", "PT5M", a number of seconds or a timedelta'


def seconds(value: object) -> float:
    """The duration in seconds.

    >>> seconds("1h30m"), seconds("PT5M"), seconds(2)
    (5400.0, 300.0, 2.0)
    """
    if isinstance(value, dt.timedelta):
        found: float | None = value.total_seconds()
    elif isinstance(value, str):
        found = _from_text(value.strip())
    elif isinstance(value, int | float) and not isinstance(value, bool):
        found = float(value)
    else:
        found = None
    if found is None:
        raise ValueError(f"{value!r} is no duration: {_FORMS}")
    if not 0 <= found < math.inf:
        raise ValueError(f"a duration must be 0 or more, not {value!r}")
    return found


def _from_text(text: str) -> float | None:
    if text[:1] in ("P", "p"):
        return _from_iso(text.upper())
    total, at = 0.0, 0
    lowered = text.lower()
    while at < len(lowered):
        part = _PART.match(lowered, at)
        if part is None or part[2] not in _UNITS:
            return None
        total += float(part[1]) * _UNITS[part[2]]
        at = part.end()
    return total if text else None


def _from_iso(text: str) -> float | None:
    match = _ISO.fullmatch(text)
    if match is None or not any(match.groups()) or text.endswith("T"):
        return None
    return sum(float(n) * s for n, s in zip(match.groups(), _ISO_SECONDS, strict=True) if n)


_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)(b?)", re.ASCII)
_POWER = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def size(value: object) -> int:
    """The size in bytes; "MB" is 1000 x 1000, "MiB" (and "Mi", "M") is 1024 x 1024.

    >>> size("512MiB"), size("2kB"), size(10)
    (536870912, 2000, 10)
    """
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    match = _SIZE.fullmatch(value.strip().lower()) if isinstance(value, str) else None
    if match is None or (not match[2] and (match[3] or not match[4])):
        raise ValueError(f'{value!r} is no size: write "512MiB", "2GB" or a number of bytes')
    decimal = match[4] and not match[3]
    found = int(float(match[1]) * (1000 if decimal else 1024) ** _POWER[match[2]])
    if found <= 0:
        raise ValueError(f"a size must be more than 0, not {value!r}")
    return found
