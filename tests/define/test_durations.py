"""Durations and sizes as people write them."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partita.define.durations import seconds, size


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", 90),
        ("5m", 300),
        ("1h30m", 5400),
        ("1h 30 min", 5400),
        ("7d", 604800),
        ("2w", 1209600),
        ("500ms", 0.5),
        ("1.5h", 5400),
        ("2 hours 5 seconds", 7205),
        ("PT5M", 300),
        ("P1DT2H", 93600),
        ("P1W", 604800),
        ("PT0.5S", 0.5),
        (0, 0),
        (2.5, 2.5),
        (dt.timedelta(days=1), 86400),
    ],
)
def test_durations(text: object, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "5", "m", "5x", "5m-", "-5m", "P", "PT", "P1DT", "P5", "١s", -1, True, None, float("nan"), float("inf"), [5]],
)
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        seconds(text)


@given(st.integers(0, 400), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_every_way_to_write_a_duration_means_the_same(days: int, hours: int, minutes: int, secs: int) -> None:
    expected = dt.timedelta(days=days, hours=hours, minutes=minutes, seconds=secs).total_seconds()

    assert seconds(f"{days}d{hours}h{minutes}m{secs}s") == expected
    assert seconds(f"P{days}DT{hours}H{minutes}M{secs}S") == expected


@given(st.text(max_size=12))
def test_any_text_is_a_duration_or_an_error_with_a_reason(text: str) -> None:
    try:
        found = seconds(text)
    except ValueError as error:
        reason = str(error)
    else:
        reason = "" if found >= 0 else "negative"

    assert not reason or "duration" in reason


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("512MiB", 512 << 20),
        ("512Mi", 512 << 20),
        ("512M", 512 << 20),
        ("2GB", 2 * 10**9),
        ("1.5 GiB", 3 << 29),
        ("2kB", 2000),
        ("100B", 100),
        (7, 7),
    ],
)
def test_sizes(text: object, expected: int) -> None:
    assert size(text) == expected


@pytest.mark.parametrize("text", ["", "5", "5i", "MiB", "-5MB", "5PB", 0, -1, True, None, "0B"])
def test_what_is_no_size_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="size"):
        size(text)
