"""Automation as people write it: `@pt.asset(automation=pt.auto.on_upstream() | pt.auto.on_cron("0 6 * * *"))`.

Rule: a condition here is a thin face of `core.automation`, which says what it means.
"""

from __future__ import annotations

from typing import Any

from partita.core import automation as core
from partita.core.manifest import Freshness
from partita.define.durations import Duration, seconds
from partita.define.where import wrong
from partita.errors import ScheduleError


class Auto:
    """A condition; `&`, `|` and `~` make new ones of it."""

    def __init__(self, condition: core.Condition) -> None:
        self.core = condition

    def __and__(self, other: Auto) -> Auto:
        return Auto(core.Both((*_items(self, core.Both), *_items(other, core.Both))))

    def __or__(self, other: Auto) -> Auto:
        return Auto(core.Either((*_items(self, core.Either), *_items(other, core.Either))))

    def __invert__(self) -> Auto:
        return Auto(core.Not(self.core))

    def __bool__(self) -> bool:
        raise wrong(
            "a condition is true or false of each partition, not by itself", hint="write & | ~ for and, or, not"
        )

    def newly(self) -> Auto:
        """It holds now, and did not at the last look."""
        return Auto(core.Newly(self.core))

    def since(self, reset: Auto) -> Auto:
        """It has held once since `reset` held last: `auto.updated().since(auto.on_cron("0 6 * * *"))`."""
        return Auto(core.Since(self.core, _condition(reset)))

    def __repr__(self) -> str:
        return f"<condition {self.core}>"


class auto:
    """Conditions for `automation=`: they say of each partition of an asset whether it is to be made now.

    >>> condition = auto.on_upstream() | (auto.on_cron("0 6 * * *") & ~auto.in_progress())
    """

    @staticmethod
    def on_upstream() -> Auto:
        """The last partition whenever it is missing or an upstream has newer data, and nothing above is missing or under
        way. An upstream that made the same data again wakes nobody."""
        return Auto(core.on_upstream())

    @staticmethod
    def on_missing() -> Auto:
        """The last partition once all that it reads is there."""
        return Auto(core.on_missing())

    @staticmethod
    def on_cron(rule: str, tz: str = "UTC") -> Auto:
        """The last partition at each tick, once all that it reads is there."""
        from partita.core.timetable import timetable

        try:
            timetable(f"cron {rule}", tz)
        except ScheduleError as error:
            raise wrong(f"auto.on_cron: {error.message}", hint=error.hint) from None
        return Auto(core.on_cron(rule, tz))

    @staticmethod
    def missing() -> Auto:
        """It was never made."""
        return Auto(core.State("missing"))

    @staticmethod
    def code_changed() -> Auto:
        """Its code is not the code that made it."""
        return Auto(core.State("code_changed"))

    @staticmethod
    def upstream_newer() -> Auto:
        """An upstream has newer data than it was made from."""
        return Auto(core.State("upstream_newer"))

    @staticmethod
    def updated() -> Auto:
        """Its data has just changed: for upstreams, and with `since`."""
        return Auto(core.State("updated"))

    @staticmethod
    def in_progress() -> Auto:
        """A run is making it."""
        return Auto(core.State("in_progress"))

    @staticmethod
    def freshness() -> Auto:
        """Its freshness policy says that it is late, or soon will be."""
        return Auto(core.State("late"))

    @staticmethod
    def check_passed(name: str = "") -> Auto:
        """This check (all of its checks) passed last."""
        return Auto(core.State("check_passed", name))

    @staticmethod
    def check_failed(name: str = "") -> Auto:
        """This check (any of its checks) failed last."""
        return Auto(core.State("check_failed", name))

    @staticmethod
    def in_latest_window(partitions: int = 1, *, within: Duration | None = None) -> Auto:
        """It is one of the last partitions that have ended, or ended `within` so long. Always holds of what has no time."""
        if isinstance(partitions, bool) or not isinstance(partitions, int) or partitions < 1:
            raise wrong(f"auto.in_latest_window: {partitions!r} is no number of partitions")
        try:
            return Auto(core.Latest(partitions, None if within is None else seconds(within)))
        except ValueError as error:
            raise wrong(f"auto.in_latest_window: {error}") from None

    @staticmethod
    def any_upstream(condition: Auto, *assets: Any) -> Auto:
        """It holds of any of the upstream partitions that it reads (of these assets only, if some are named)."""
        return Auto(core.Upstream("any", _condition(condition), _names(assets)))

    @staticmethod
    def all_upstreams(condition: Auto, *assets: Any) -> Auto:
        """It holds of all upstream partitions that it reads."""
        return Auto(core.Upstream("all", _condition(condition), _names(assets)))


def freshness(
    lag: Duration | None = None,
    *,
    warn: Duration | None = None,
    cron: str | None = None,
    tz: str = "UTC",
    within: Duration | None = None,
) -> Freshness:
    """How old an asset may be: `pt.freshness("26h", warn="20h")`, or by when it is to be there: `pt.freshness(cron="0 6 * * *")`.

    By cron it is to have been made between two ticks, or `within` so long before a tick; `warn` is then how long before the
    tick to warn.
    """
    from partita.core.timetable import timetable

    if (lag is not None and cron is not None) or (lag is None and warn is None and cron is None):
        raise wrong("pt.freshness: say how old it may be, or by which cron rule it is to be there, one of both")
    if cron is None and within is not None:
        raise wrong("pt.freshness: `within` goes with `cron`")
    try:
        if cron is not None:
            timetable(f"cron {cron}", tz)
        policy = Freshness(
            None if lag is None else seconds(lag),
            None if warn is None else seconds(warn),
            cron or "",
            tz,
            None if within is None else seconds(within),
        )
    except ScheduleError as error:
        raise wrong(f"pt.freshness: {error.message}", hint=error.hint) from None
    except ValueError as error:
        raise wrong(f"pt.freshness: {error}") from None
    if policy.fail_s is not None and policy.warn_s is not None and policy.warn_s >= policy.fail_s:
        raise wrong("pt.freshness: it is to warn before it is too late", hint='pt.freshness("26h", warn="20h")')
    return policy


def read_condition(value: Any) -> bytes | None:
    """The packed condition that a user wrote. Raises `ValueError`."""
    if value is None:
        return None
    if not isinstance(value, Auto):
        raise ValueError(f"{value!r} is no condition: write pt.auto.on_upstream()")
    return core.encode(value.core)


def _condition(value: Any) -> core.Condition:
    if not isinstance(value, Auto):
        raise wrong(f"{value!r} is no condition", hint="write pt.auto.missing()")
    return value.core


def _items(value: Any, kind: type[core.Both] | type[core.Either]) -> tuple[core.Condition, ...]:
    condition = _condition(value)
    if isinstance(condition, core.Both | core.Either) and type(condition) is kind:
        return condition.items
    return (condition,)


def _names(assets: tuple[Any, ...]) -> tuple[str, ...]:
    return tuple(asset if isinstance(asset, str) else str(asset.name) for asset in assets)
