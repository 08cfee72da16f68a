"""Freshness: late by lag and by cron, and when the answer can change."""

from __future__ import annotations

import datetime as dt

import pytest

from partita.core.freshness import duration, look
from partita.core.manifest import Freshness

HOUR = 3600.0
LAG = Freshness(fail_s=26 * HOUR, warn_s=20 * HOUR)


def instant(text: str) -> float:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC).timestamp()


@pytest.mark.parametrize(
    ("age", "state", "due"),
    [(0, "fresh", 20), (19.9, "fresh", 20), (20, "warn", 26), (25.9, "warn", 26), (26, "fail", None)],
)
def test_by_lag_it_is_late_so_long_after_it_was_made(age: float, state: str, due: float | None) -> None:
    found = look(LAG, 0.0, since=0.0, now=age * HOUR)
    assert (found.state, found.due_at) == (state, None if due is None else due * HOUR)


def test_what_was_never_made_is_late_so_long_after_it_was_declared() -> None:
    assert look(LAG, None, since=0.0, now=HOUR).state == "unknown"
    found = look(LAG, None, since=0.0, now=26 * HOUR)
    assert (found.state, found.reason) == ("fail", "it was never made; at most 26 h are allowed")


@pytest.mark.parametrize(
    ("made", "now", "state", "due"),
    [
        ("2026-03-10T02:00", "2026-03-10T05:00", "fresh", "2026-03-10T06:00"),
        ("2026-03-10T02:00", "2026-03-10T06:00", "fresh", "2026-03-11T05:30"),
        ("2026-03-09T02:00", "2026-03-10T05:29", "fresh", "2026-03-10T05:30"),
        ("2026-03-09T02:00", "2026-03-10T05:30", "warn", "2026-03-10T06:00"),
        ("2026-03-09T02:00", "2026-03-10T06:00", "fail", "2026-03-11T06:00"),
        # Late, but there.
        ("2026-03-10T07:00", "2026-03-10T08:00", "fresh", "2026-03-11T06:00"),
    ],
)
def test_by_cron_it_is_to_be_made_between_two_ticks(made: str, now: str, state: str, due: str) -> None:
    policy = Freshness(cron="0 6 * * *", warn_s=0.5 * HOUR)
    found = look(policy, instant(made), since=0.0, now=instant(now))
    assert found.state == state
    assert found.due_at is not None
    # Never later than the answer changes; sooner costs a look and no more.
    assert found.due_at <= instant(due)


def test_within_asks_for_it_shortly_before_the_tick() -> None:
    policy = Freshness(cron="0 6 * * *", within_s=2 * HOUR)
    at_six = instant("2026-03-10T06:00")
    assert look(policy, instant("2026-03-10T03:59"), since=0.0, now=at_six).state == "fail"
    assert look(policy, instant("2026-03-10T04:00"), since=0.0, now=at_six).state == "fresh"


def test_a_tick_before_it_was_declared_does_not_count() -> None:
    policy = Freshness(cron="0 6 * * *")
    declared = instant("2026-03-10T06:30")
    assert look(policy, 0.0, since=declared, now=instant("2026-03-10T07:00")).state == "fresh"
    assert look(policy, None, since=declared, now=instant("2026-03-10T07:00")).state == "unknown"
    assert look(policy, None, since=declared, now=instant("2026-03-11T06:00")).state == "unknown"
    assert look(policy, None, since=declared, now=instant("2026-03-12T06:00")).state == "fail"


def test_the_due_time_is_never_past_a_change_of_the_answer() -> None:
    """By stepping a minute at a time: the state changes at due times only."""
    for policy in (LAG, Freshness(cron="0 6,18 * * *", warn_s=HOUR), Freshness(cron="30 2 * * *", within_s=3 * HOUR)):
        made = instant("2026-03-10T01:00")
        before = look(policy, made, since=0.0, now=made)
        for minute in range(1, 60 * 50):
            now = made + minute * 60
            found = look(policy, made, since=0.0, now=now)
            assert found.state == before.state or (before.due_at is not None and now >= before.due_at)
            before = found


def test_durations_are_words() -> None:
    assert [duration(s) for s in (0, 59, 3600, 26 * 3600, 3 * 86400 + 60)] == [
        "0 s",
        "59 s",
        "1 h",
        "26 h",
        "3 d 1 min",
    ]
