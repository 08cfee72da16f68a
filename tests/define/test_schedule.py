"""Schedules and partition definitions as declared."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

import partita as pt
from partita.core.manifest import PartitionSpec, ScheduleSpec
from partita.errors import DefinitionError


@pytest.mark.parametrize(
    "rule",
    [
        "0 3 * * *",
        "*/5 0-6,22 1,15 jan-mar mon-fri",
        "@daily",
        "0 0 29 2 *",
        "5 4 * * sun",
        "0 0 * * 7",
        "1-59/2 * * * *",
    ],
)
def test_rules_are_taken(rule: str) -> None:
    assert pt.cron(rule).rule.startswith("cron ")


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("0 3 * *", "4 fields instead of five"),
        ("0 3 * * * *", "6 fields"),
        ("60 3 * * *", "'60' in '60 3 * * *' is no minute"),
        ("0 24 * * *", "no hour"),
        ("0 0 0 * *", "no day of month"),
        ("0 0 * 13 *", "no month"),
        ("0 0 * * 8", "no day of week"),
        ("0 0 * * funday", "no day of week"),
        ("*/0 * * * *", "must be 1 or more"),
        ("9-5 * * * *", "runs backwards"),
        ("*-5 * * * *", "no minute"),
        ("", "0 fields"),
        (3, "is no text"),
    ],
)
def test_what_is_no_rule_is_refused(rule: Any, says: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        pt.cron(rule)
    assert says in caught.value.message


def test_a_zone_that_does_not_exist_is_answered_with_the_nearest() -> None:
    with pytest.raises(DefinitionError, match="no time zone 'Europe/Berlln'") as caught:
        pt.cron("0 3 * * *", tz="Europe/Berlln")
    assert caught.value.hint == "did you mean `Europe/Berlin`?"


def test_a_pipeline_names_its_schedules() -> None:
    @pt.pipeline(schedule=[pt.cron("0 3 * * *", tz="Europe/Berlin"), "@hourly"], catchup="latest")
    def flow() -> None: ...

    assert flow.schedules == (
        ScheduleSpec("flow", "cron 0 3 * * *", "Europe/Berlin", "latest"),
        ScheduleSpec("flow-2", "cron 0 * * * *", "UTC", "latest"),
    )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"schedule": 3}, "is no schedule"),
        ({"catchup": "some"}, "no catchup"),
        ({"catchup": "last few"}, "no catchup"),
        ({"timeout": "x"}, "no duration"),
        ({"max_runs": 0}, "1 or more"),
        ({"shedule": "@daily"}, "no option `shedule`"),
        ({"defaults": {"retires": 1}}, "no option of tasks"),
        ({"partitions": 3}, "has partitions 3"),
        ({"name": "a b"}, "no name may have"),
    ],
)
def test_wrong_options_of_pipelines_are_said(options: dict[str, Any], says: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        pt.pipeline(**{"name": "flow", **options})(lambda: None)
    assert says in caught.value.message


@pytest.mark.parametrize("catchup", ["none", "latest", "all", "last 3"])
def test_ways_to_catch_up(catchup: str) -> None:
    @pt.pipeline(schedule="@daily", catchup=catchup)
    def flow() -> None: ...

    assert flow.schedules[0].catchup == catchup


def test_partition_definitions() -> None:
    assert pt.daily("2013-01-01", end=dt.date(2013, 12, 31)) == PartitionSpec(
        "daily", "2013-01-01", "2013-12-31", "UTC"
    )
    assert pt.hourly(dt.datetime(2013, 1, 1, 5)).start == "2013-01-01T05:00"
    assert pt.monthly("2013-01").kind == "monthly"
    assert pt.static(["eu", "us"]).keys == ("eu", "us")
    both = pt.product(day=pt.daily("2013-01-01"), airport=pt.static(["JFK"]))
    assert [name for name, _ in both.dimensions] == ["day", "airport"]


@pytest.mark.parametrize(
    "make",
    [
        lambda: pt.daily("yesterday"),
        lambda: pt.daily("2013-02-30"),
        lambda: pt.daily("2013-01-02", end="2013-01-01"),
        lambda: pt.monthly("2013-01-15"),
        lambda: pt.daily("2013-01-01", tz="Mars/Olympus"),
        lambda: pt.daily(3),
        lambda: pt.static("eu"),
        lambda: pt.static([]),
        lambda: pt.static(["a|b"]),
        lambda: pt.static(["a", "a"]),
        lambda: pt.product(a=pt.static(["x"])),
        lambda: pt.product(a=pt.daily("2013-01-01"), b=pt.hourly("2013-01-01")),
        lambda: pt.product(a="x", b=pt.static(["x"])),
        lambda: pt.hourly(dt.datetime(2013, 1, 1, tzinfo=dt.UTC)),
    ],
)
def test_wrong_partition_definitions_are_refused(make: Any) -> None:
    with pytest.raises(DefinitionError) as caught:
        make()
    assert caught.value.file == "test_schedule.py"
