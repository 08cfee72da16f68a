"""Which partitions of an upstream a partition is made from."""

from __future__ import annotations

import datetime as dt
import random
from zoneinfo import ZoneInfo

import pytest

from partita.core import partitions
from partita.core.manifest import DepSpec, PartitionSpec
from partita.core.mappings import Mapping, decode, encode, problem_of

HOURS = PartitionSpec("hourly", start="2024-01-01")
DAYS = PartitionSpec("daily", start="2024-01-01")
WEEKS = PartitionSpec("weekly", start="2024-01-01")
MONTHS = PartitionSpec("monthly", start="2024-01-01")
NEW_YORK = PartitionSpec("daily", start="2024-01-01", tz="America/New_York")
REGIONS = PartitionSpec("static", keys=("eu", "us"))
BOTH = PartitionSpec("product", dimensions=(("day", DAYS), ("region", REGIONS)))


def reads(
    mine: PartitionSpec | None, theirs: PartitionSpec | None, key: str, *made: str, **dep: object
) -> tuple[str, ...]:
    return Mapping(DepSpec("up", **dep), mine, theirs).upstream(key, lambda: made)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("mine", "theirs", "key", "above"),
    [
        (DAYS, DAYS, "2024-02-01", ("2024-02-01",)),
        (DAYS, None, "2024-02-01", ("",)),
        (None, None, "", ("",)),
        (HOURS, DAYS, "2024-02-01T05:00", ("2024-02-01",)),
        (DAYS, MONTHS, "2024-02-29", ("2024-02-01",)),
        (WEEKS, DAYS, "2024-01-08", tuple(f"2024-01-{d:02}" for d in range(8, 15))),
        (REGIONS, PartitionSpec("static", keys=("us", "jp")), "us", ("us",)),
        (REGIONS, PartitionSpec("static", keys=("us", "jp")), "eu", ()),
        (BOTH, DAYS, "2024-02-01|eu", ("2024-02-01",)),
        (BOTH, REGIONS, "2024-02-01|eu", ("eu",)),
        # Days of another zone overlap two of ours.
        (DAYS, NEW_YORK, "2024-02-02", ("2024-02-01", "2024-02-02")),
    ],
)
def test_two_definitions_say_how_they_map(
    mine: PartitionSpec | None, theirs: PartitionSpec | None, key: str, above: tuple[str, ...]
) -> None:
    assert reads(mine, theirs, key) == above


def test_a_day_is_rolled_up_from_its_hours_23_and_25_when_clocks_change() -> None:
    counts = [len(reads(NEW_YORK, HOURS, key)) for key in ("2024-03-09", "2024-03-10", "2024-11-03")]
    assert counts == [24, 23, 25]


def test_the_hours_of_all_days_are_all_hours_each_once() -> None:
    """Whatever the zone: nothing is lost between two days and nothing is counted twice."""
    rng = random.Random(11)
    for name in rng.sample(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Tokyo", "UTC"], 3):
        days = PartitionSpec("daily", start="2024-01-01", tz=name)
        hours = PartitionSpec("hourly", start="2024-01-01", tz=name)
        until = dt.datetime(2025, 1, 1, tzinfo=ZoneInfo(name)).astimezone(dt.UTC)
        found = [key for day in partitions.keys(days, until=until) for key in reads(days, hours, day)]
        assert found == partitions.keys(hours, until=until)


def test_a_window_stops_at_the_first_partition() -> None:
    window = {"kind": "window", "start": -2, "end": 0}
    assert reads(DAYS, DAYS, "2024-01-05", **window) == ("2024-01-03", "2024-01-04", "2024-01-05")
    assert reads(DAYS, DAYS, "2024-01-02", **window) == ("2024-01-01", "2024-01-02")
    assert reads(DAYS, DAYS, "2024-01-01", kind="window", start=-2, end=-1) == ()


def test_last_and_all_are_of_what_was_made() -> None:
    made = ("2024-01-02", "2024-01-09", "2024-01-03")
    assert reads(None, DAYS, "", *made) == ("2024-01-02", "2024-01-03", "2024-01-09")
    assert reads(None, DAYS, "", *made, kind="last") == ("2024-01-09",)
    assert reads(None, DAYS, "", kind="last") == ()
    assert reads(None, REGIONS, "", "eu", "us", kind="last") == ("us",)


def test_a_free_dimension_takes_what_was_made() -> None:
    made = ("2024-01-02|eu", "2024-01-02|us", "2024-01-03|eu")
    assert reads(DAYS, BOTH, "2024-01-02", *made) == ("2024-01-02|eu", "2024-01-02|us")


def test_a_table_maps_as_it_says() -> None:
    table = (("eu", ("2024-01-01", "1999-01-01")), ("us", ()))
    assert reads(REGIONS, DAYS, "eu", kind="static", table=table) == ("2024-01-01",)
    assert reads(REGIONS, DAYS, "us", kind="static", table=table) == ()


@pytest.mark.parametrize(
    ("mine", "theirs", "dep", "many"),
    [
        (DAYS, HOURS, {}, True),
        (HOURS, DAYS, {}, False),
        (DAYS, DAYS, {}, False),
        (DAYS, DAYS, {"kind": "window", "start": -1}, True),
        (None, DAYS, {}, True),
        (None, DAYS, {"kind": "last"}, False),
        (DAYS, BOTH, {}, True),
        (BOTH, DAYS, {}, False),
    ],
)
def test_who_reads_several_partitions_gets_a_dict(
    mine: PartitionSpec | None, theirs: PartitionSpec, dep: dict[str, object], many: bool
) -> None:
    assert Mapping(DepSpec("up", **dep), mine, theirs).is_many is many  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("mine", "theirs", "dep", "said"),
    [
        (HOURS, DAYS, {"kind": "rollup"}, "from shorter to longer"),
        (REGIONS, DAYS, {"kind": "rollup"}, "partitions of time"),
        (DAYS, None, {"kind": "window"}, "has no partitions"),
        (None, DAYS, {"kind": "window"}, 'can take "last" or "all"'),
        (REGIONS, DAYS, {"kind": "window"}, "over partitions of time"),
    ],
)
def test_what_cannot_be_mapped_is_said(
    mine: PartitionSpec | None, theirs: PartitionSpec | None, dep: dict[str, object], said: str
) -> None:
    problem = problem_of(Mapping(DepSpec("up", **dep), mine, theirs))  # type: ignore[arg-type]
    assert problem is not None
    assert said in problem


def test_a_mapping_survives_its_bytes() -> None:
    mapping = Mapping(DepSpec("up", "window", -2), DAYS, BOTH)
    assert decode(encode(mapping)) == mapping
