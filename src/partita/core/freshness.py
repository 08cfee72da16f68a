"""Freshness: how old an asset may be, and what that makes it now.

By lag: it is late when it was made too long ago. By cron: at each tick it is to have been made since the tick before.

Rule: pure; `due_at` is the next instant at which the answer can change by itself, so nobody has to poll.
"""

from __future__ import annotations

import datetime as dt
from typing import Literal

import msgspec

from partita.core.manifest import Freshness
from partita.core.timetable import timetable

FreshnessState = Literal["fresh", "warn", "fail", "unknown"]


class Look(msgspec.Struct, frozen=True):
    """How fresh an asset is now, why, and when that can change by itself (None: only by making it)."""

    state: FreshnessState
    reason: str = ""
    due_at: float | None = None


def look(policy: Freshness, made_at: float | None, *, since: float, now: float) -> Look:
    """What the policy says of an asset that was made at `made_at`; of one that never was, since it was declared.

    >>> look(Freshness(fail_s=3600.0), 0.0, since=0.0, now=3601.0).state
    'fail'
    """
    if policy.cron:
        return _by_cron(policy, made_at, since, now)
    if policy.fail_s is None and policy.warn_s is None:
        return Look("unknown", "its policy says nothing")
    return _by_lag(policy, made_at, since, now)


def _by_lag(policy: Freshness, made_at: float | None, since: float, now: float) -> Look:
    base = since if made_at is None else made_at
    age = now - base
    said = f"it was made {duration(age)} ago" if made_at is not None else "it was never made"
    if policy.fail_s is not None and age >= policy.fail_s:
        return Look("fail", f"{said}; at most {duration(policy.fail_s)} are allowed")
    fail_at = None if policy.fail_s is None else base + policy.fail_s
    if policy.warn_s is not None and age >= policy.warn_s:
        then = "" if fail_at is None else f"; it is too late from {instant(fail_at)} on"
        return Look("warn", said + then, fail_at)
    due_at = min(at for at in (fail_at, None if policy.warn_s is None else base + policy.warn_s) if at is not None)
    return Look("fresh" if made_at is not None else "unknown", said, due_at)


def _by_cron(policy: Freshness, made_at: float | None, since: float, now: float) -> Look:
    table = timetable(f"cron {policy.cron}", policy.tz)
    base = since if made_at is None else made_at
    coming = next(table.ticks(int(now)), None)
    past = next(table.ticks_before(int(now) + 1), None)

    def from_when(tick: int) -> float:
        if policy.within_s is not None:
            return tick - policy.within_s
        before = next(table.ticks_before(tick), None)
        return float("-inf") if before is None else before

    if past is not None and past > since and base < from_when(past):
        return Look("fail", f"it was not made by {instant(past)}", coming)
    if coming is None:
        return Look("fresh" if made_at is not None else "unknown", "there is no tick to come")
    if policy.warn_s is not None and base < from_when(coming):
        if now >= coming - policy.warn_s:
            return Look("warn", f"it is to be made by {instant(coming)}", coming)
        return Look(_calm(made_at), f"it is to be made by {instant(coming)}", coming - policy.warn_s)
    said = "it is there" if base >= from_when(coming) and made_at is not None else "it is to be made"
    return Look(_calm(made_at), f"{said} for {instant(coming)}", coming)


def _calm(made_at: float | None) -> FreshnessState:
    return "unknown" if made_at is None else "fresh"


def instant(at: float) -> str:
    """An instant in a sentence, in UTC."""
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%d %H:%M UTC")


def duration(seconds: float) -> str:
    """A duration in a sentence: "26 h", "1 d 2 h", "40 s"."""
    whole = max(0, int(seconds))
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    if 86400 <= whole < 172800 and not whole % 3600:
        return f"{whole // 3600} h"
    parts: list[str] = []
    for name, size in units:
        count, whole = divmod(whole, size)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts[:2]) or "0 s"
