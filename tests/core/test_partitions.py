"""Keys of partitions: which there are, what time they cover, ranges; over changes of clocks."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partita.core import partitions
from partita.core.manifest import PartitionSpec
from partita.errors import ParamError

NEW_YORK = "America/New_York"
DAYS = PartitionSpec("daily", start="2013-01-01", tz=NEW_YORK)
YEAR = PartitionSpec("daily", start="2013-01-01", end="2013-12-31", tz=NEW_YORK)
HOURS = PartitionSpec("hourly", start="2013-01-01", end="2013-12-31", tz=NEW_YORK)
WEEKS = PartitionSpec("weekly", start="2013-01-07", end="2013-12-31")
MONTHS = PartitionSpec("monthly", start="2013-01", end="2013-12")
AIRPORTS = PartitionSpec("static", keys=("EWR", "JFK", "LGA"))
BOTH = PartitionSpec("product", dimensions=(("day", YEAR), ("airport", AIRPORTS)))


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def test_days() -> None:
    assert partitions.keys(YEAR)[:2] == ["2013-01-01", "2013-01-02"]
    assert partitions.count(YEAR) == 365
    assert partitions.keys(DAYS, "2013-02-27", "2013-03-02") == ["2013-02-27", "2013-02-28", "2013-03-01", "2013-03-02"]
    assert partitions.window(DAYS, "2013-06-13") == (utc("2013-06-13T04:00"), utc("2013-06-14T04:00"))


def test_weeks_begin_on_the_day_of_the_week_of_the_start() -> None:
    assert partitions.keys(WEEKS)[:2] == ["2013-01-07", "2013-01-14"]
    assert partitions.keys(WEEKS)[-1] == "2013-12-30"
    with pytest.raises(ParamError, match="its week begins on 2013-01-07"):
        partitions.check(WEEKS, "2013-01-09")


def test_months() -> None:
    assert partitions.keys(MONTHS) == [f"2013-{month:02}-01" for month in range(1, 13)]
    assert partitions.canonical(MONTHS, "2013-06") == "2013-06-01"
    assert partitions.window(MONTHS, "2013-02-01") == (utc("2013-02-01T00:00"), utc("2013-03-01T00:00"))
    with pytest.raises(ParamError, match="its month begins on 2013-06-01"):
        partitions.check(MONTHS, "2013-06-13")


def test_a_day_on_which_clocks_change_has_23_or_25_hours() -> None:
    for key, hours in (("2013-03-10", 23), ("2013-11-03", 25), ("2013-06-13", 24)):
        start, end = partitions.window(DAYS, key)
        assert (end - start).total_seconds() == hours * 3600


def test_an_hour_that_does_not_come_has_no_key() -> None:
    assert [k for k in partitions.keys(HOURS) if k.startswith("2013-03-10T0")][:4] == [
        "2013-03-10T00:00",
        "2013-03-10T01:00",
        "2013-03-10T03:00",
        "2013-03-10T04:00",
    ]
    with pytest.raises(ParamError, match="clocks in America/New_York go forward over this hour"):
        partitions.check(HOURS, "2013-03-10T02:00")


def test_an_hour_that_comes_twice_has_two_keys() -> None:
    keys = [k for k in partitions.keys(HOURS) if k.startswith("2013-11-03T0")]

    assert keys[:4] == ["2013-11-03T00:00", "2013-11-03T01:00", "2013-11-03T01:00-05:00", "2013-11-03T02:00"]
    assert partitions.window(HOURS, "2013-11-03T01:00") == (utc("2013-11-03T05:00"), utc("2013-11-03T06:00"))
    assert partitions.window(HOURS, "2013-11-03T01:00-05:00") == (utc("2013-11-03T06:00"), utc("2013-11-03T07:00"))
    assert partitions.canonical(HOURS, "2013-11-03T01:00-04:00") == "2013-11-03T01:00"
    with pytest.raises(ParamError, match="another offset"):
        partitions.check(HOURS, "2013-06-13T05:00+02:00")


def test_the_first_of_two_equal_hours_may_end_a_range() -> None:
    found = partitions.parse_range(HOURS, "2013-11-03T00:00..2013-11-03T01:00")

    assert found == ["2013-11-03T00:00", "2013-11-03T01:00"]


@pytest.mark.parametrize(
    "spec",
    [
        HOURS,
        PartitionSpec("hourly", start="2013-01-01", end="2013-12-31", tz="Australia/Lord_Howe"),
        PartitionSpec("hourly", start="2013-01-01", end="2013-12-31", tz="Asia/Kolkata"),
        PartitionSpec("daily", start="2012-01-01", end="2013-12-31", tz="America/Sao_Paulo"),
        PartitionSpec("daily", start="2011-12-01", end="2012-01-31", tz="Pacific/Apia"),
        WEEKS,
        MONTHS,
    ],
    ids=lambda spec: f"{spec.kind} {spec.tz}",
)
def test_windows_follow_each_other_without_a_hole(spec: PartitionSpec) -> None:
    keys = partitions.keys(spec)
    windows = [partitions.window(spec, key) for key in keys]

    assert len(set(keys)) == len(keys)
    assert all(earlier[1] == later[0] for earlier, later in pairwise(windows))
    assert all(partitions.contains(spec, key) for key in keys)
    assert [partitions.next_key(spec, key) for key in keys] == [*keys[1:], None]
    assert [partitions.previous_key(spec, key) for key in keys] == [None, *keys[:-1]]


@given(st.dates(dt.date(2013, 1, 1), dt.date(2013, 12, 31)), st.integers(0, 40))
def test_a_range_of_days_has_as_many_keys_as_days(first: dt.date, length: int) -> None:
    last = min(first + dt.timedelta(days=length), dt.date(2013, 12, 31))
    found = partitions.parse_range(YEAR, f"{first}..{last}")

    assert len(found) == (last - first).days + 1
    assert (found[0], found[-1]) == (str(first), str(last))


def test_partitions_that_have_not_ended_are_left_out() -> None:
    until = utc("2013-01-03T05:00")

    assert partitions.keys(DAYS, until=until) == ["2013-01-01", "2013-01-02"]
    assert partitions.keys(DAYS, until=until - dt.timedelta(seconds=1)) == ["2013-01-01"]
    assert partitions.parse_range(DAYS, "2013-01-02..", until=until) == ["2013-01-02"]
    assert partitions.parse_range(DAYS, "*", until=until) == ["2013-01-01", "2013-01-02"]


def test_partitions_without_an_end_have_no_last_key() -> None:
    with pytest.raises(ParamError, match="no last one"):
        partitions.keys(DAYS)
    assert partitions.next_key(DAYS, "2099-12-31") == "2100-01-01"


def test_static_keys() -> None:
    assert partitions.keys(AIRPORTS) == ["EWR", "JFK", "LGA"]
    assert partitions.parse_range(AIRPORTS, "JFK,EWR,JFK") == ["JFK", "EWR"]
    assert partitions.parse_range(AIRPORTS, "JFK..LGA") == ["JFK", "LGA"]
    assert (partitions.previous_key(AIRPORTS, "EWR"), partitions.next_key(AIRPORTS, "EWR")) == (None, "JFK")
    with pytest.raises(ParamError, match="no partition 'JKF'") as caught:
        partitions.check(AIRPORTS, "JKF")
    assert caught.value.hint == "did you mean 'JFK'?"
    with pytest.raises(ParamError, match="covers no time"):
        partitions.window(AIRPORTS, "JFK")


def test_products() -> None:
    assert partitions.count(BOTH) == 365 * 3
    assert partitions.parse_range(BOTH, "2013-01-01..2013-01-02|JFK,LGA") == [
        "2013-01-01|JFK",
        "2013-01-01|LGA",
        "2013-01-02|JFK",
        "2013-01-02|LGA",
    ]
    assert partitions.parse_range(BOTH, "2013-01-01|*") == ["2013-01-01|EWR", "2013-01-01|JFK", "2013-01-01|LGA"]
    assert partitions.window(BOTH, "2013-06-13|JFK") == partitions.window(YEAR, "2013-06-13")
    assert partitions.next_key(BOTH, "2013-01-01|LGA") == "2013-01-02|EWR"
    assert partitions.example(BOTH) == "2013-01-01|EWR"
    with pytest.raises(ParamError, match=r"no partition of day\|airport"):
        partitions.check(BOTH, "2013-01-01")
    with pytest.raises(ParamError, match="no partition 'X'"):
        partitions.check(BOTH, "2013-01-01|X")


@pytest.mark.parametrize(
    ("spec", "key", "says"),
    [
        (DAYS, "2012-12-31", "before the first"),
        (YEAR, "2014-01-01", "after the last"),
        (HOURS, "2014-01-01T00:00", "after the last"),
        (DAYS, "13.6.2013", "no date"),
        (DAYS, "2013-02-30", "no date"),
        (DAYS, "2013-06-13T05:00", "time of day"),
        (HOURS, "2013-06-13T05:30", "minute 0"),
        (DAYS, "", "no date"),
    ],
)
def test_what_is_no_key_is_said(spec: PartitionSpec, key: str, says: str) -> None:
    assert not partitions.contains(spec, key)
    with pytest.raises(ParamError) as caught:
        partitions.check(spec, key)
    assert says in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("text", ["2013-01-07..2013-01-01", "..2013-01-01", "2013-01-01..", "2013-01-01...2013-01-03"])
def test_what_is_no_range_is_said(text: str) -> None:
    with pytest.raises(ParamError):
        partitions.parse_range(DAYS, text)


def test_a_range_of_too_many_is_refused() -> None:
    endless = PartitionSpec("hourly", start="1900-01-01")

    with pytest.raises(ParamError, match="more than 1,000,000 partitions"):
        partitions.parse_range(endless, "1900-01-01T00:00..2100-01-01T00:00")


def test_hours_of_a_last_day_are_all_of_its_hours() -> None:
    spec = PartitionSpec("hourly", start="2013-01-01T05:30", end="2013-01-01")

    assert partitions.keys(spec)[0] == "2013-01-01T06:00"
    assert partitions.keys(spec)[-1] == "2013-01-01T23:00"
