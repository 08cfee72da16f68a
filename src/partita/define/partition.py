"""Partition definitions as people write them: `pt.daily(start="2013-01-01", tz="America/New_York")`.

Rule: arithmetic of keys is `core.partitions`; here it is only checked that a definition makes sense.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from typing import Any, Literal

from partita.core.manifest import PartitionSpec
from partita.core.partitions import problem_of
from partita.define.names import name_problem
from partita.define.recording import forgiving
from partita.define.schedule import zone
from partita.define.where import wrong

Date = str | dt.date | dt.datetime


def hourly(start: Date, *, end: Date | None = None, tz: str = "UTC") -> PartitionSpec:
    """A partition for each hour of the clock in a time zone, from `start` to `end` (included; open without)."""
    return _forgiven(lambda: _timed("hourly", start, end, tz))


def daily(start: Date, *, end: Date | None = None, tz: str = "UTC") -> PartitionSpec:
    """A partition for each day in a time zone, from `start` to `end` (included; open without)."""
    return _forgiven(lambda: _timed("daily", start, end, tz))


def weekly(start: Date, *, end: Date | None = None, tz: str = "UTC") -> PartitionSpec:
    """A partition for every seven days from `start`, whose day of the week is that of all."""
    return _forgiven(lambda: _timed("weekly", start, end, tz))


def monthly(start: Date, *, end: Date | None = None, tz: str = "UTC") -> PartitionSpec:
    """A partition for each month; `start` is the first day of one, or "2013-01"."""
    return _forgiven(lambda: _timed("monthly", start, end, tz))


def static(keys: Iterable[str]) -> PartitionSpec:
    """A partition for each of these keys: `pt.static(["eu", "us"])`."""
    return _forgiven(lambda: _static(keys))


def _static(keys: Iterable[str]) -> PartitionSpec:
    found = tuple(keys)
    if isinstance(keys, str) or not all(isinstance(key, str) for key in found):
        raise wrong(f"pt.static: {keys!r} is no list of texts")
    return _checked(PartitionSpec("static", keys=found))


def dynamic(name: str) -> PartitionSpec:
    """Partitions whose keys are added while the service runs: `pt.dynamic("customers")`.

    `partita assets partitions customers --add acme`, the API, or a sensor adds them.
    """
    return _forgiven(lambda: _dynamic(name))


def _dynamic(name: str) -> PartitionSpec:
    if problem := name_problem(name):
        raise wrong(f"pt.dynamic: {problem}")
    return _checked(PartitionSpec("dynamic", name=name))


def product(**dimensions: PartitionSpec) -> PartitionSpec:
    """A partition for each combination: `pt.product(day=pt.daily("2013-01-01"), airport=pt.static(["JFK", "LGA"]))`."""
    return _forgiven(lambda: _product(dimensions))


def _product(dimensions: dict[str, PartitionSpec]) -> PartitionSpec:
    for name, spec in dimensions.items():
        if not isinstance(spec, PartitionSpec):
            raise wrong(f"pt.product: `{name}` is no partition definition but {spec!r}")
    return _checked(PartitionSpec("product", dimensions=tuple(dimensions.items())))


def _forgiven(build: Callable[[], PartitionSpec]) -> PartitionSpec:
    # Static partitions without a key stand for a definition that is wrong.
    return forgiving(build, lambda error: PartitionSpec("static"))


def _timed(
    kind: Literal["hourly", "daily", "weekly", "monthly"], start: Date, end: Date | None, tz: str
) -> PartitionSpec:
    return _checked(PartitionSpec(kind, _text(kind, start), "" if end is None else _text(kind, end), zone(tz)))


def _text(kind: str, moment: Any) -> str:
    if isinstance(moment, dt.datetime):
        if moment.tzinfo is not None:
            raise wrong(f"pt.{kind}: give the time without a zone ({moment!r}); the zone is `tz`")
        return moment.isoformat(timespec="minutes") if kind == "hourly" else moment.date().isoformat()
    if isinstance(moment, dt.date):
        return moment.isoformat()
    if isinstance(moment, str) and moment.strip():
        return moment.strip()
    raise wrong(f"pt.{kind}: {moment!r} is no date", hint='write "2013-01-01"')


def _checked(spec: PartitionSpec) -> PartitionSpec:
    if problem := problem_of(spec):
        raise wrong(f"pt.{spec.kind}: {problem}")
    return spec
