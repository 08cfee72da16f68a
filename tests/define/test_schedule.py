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


# --- every kind of schedule, and its options --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda: pt.cron(["0 3 * * *", "@hourly"]), "cron 0 3 * * *; 0 * * * *"),
        (lambda: pt.cron("* * * * *", seconds="*/15"), "cron * * * * * seconds */15"),
        (lambda: pt.cron("* * * * *", seconds=30), "cron * * * * * seconds 30"),
        (lambda: pt.every("15m"), "every 900"),
        (lambda: pt.every(dt.timedelta(hours=2), anchor="2026-01-01 06:00"), "every 7200 from 2026-01-01T06:00"),
        (lambda: pt.dates(["2026-12-24", dt.date(2026, 12, 31)]), "dates 2026-12-24 2026-12-31"),
        (lambda: pt.dates([dt.datetime(2026, 1, 1, tzinfo=dt.UTC)]), "dates 2026-01-01T00:00:00Z"),
        (
            lambda: pt.business_days("06:00", holidays=["DE", "US-NY"], nth=-1, closed=[dt.date(2026, 12, 24)]),
            "business 06:00 days=mon-fri holidays=DE,US-NY closed=2026-12-24 nth=-1",
        ),
        (
            lambda: pt.rrule("FREQ=MONTHLY;BYDAY=-1FR", begin="2026-01-01T06:00"),
            "rrule 2026-01-01T06:00 FREQ=MONTHLY;BYDAY=-1FR",
        ),
        (lambda: pt.timetable(moons), f"own {__name__}:moons"),
        (lambda: pt.land_by("06:30", days="mon-fri"), "cron 30 6 * * mon-fri"),
        (lambda: pt.land_by(pt.every("6h"), margin="5m"), "every 21600"),
    ],
)
def test_each_kind_of_schedule_is_a_rule(make: Any, rule: str) -> None:
    assert make().rule == rule


def moons(after: dt.datetime) -> dt.datetime | None:
    """Every ten days."""
    return after.replace(hour=0, minute=0, second=0) + dt.timedelta(days=10)


def test_every_schedule_answers_what_comes_after_and_before() -> None:
    spec = pt.cron("30 2 * * *", tz="Europe/Berlin")
    noon = dt.datetime(2026, 3, 28, 12, tzinfo=dt.UTC)
    assert next(spec.after(noon)) == dt.datetime(2026, 3, 29, 1, tzinfo=dt.UTC)
    assert next(spec.before(noon)) == dt.datetime(2026, 3, 28, 1, 30, tzinfo=dt.UTC)
    assert next(pt.timetable(moons).after(noon)) == dt.datetime(2026, 4, 7, tzinfo=dt.UTC)
    assert spec.words() == "at 02:30 every day (Europe/Berlin)"


def test_options_of_a_schedule() -> None:
    spec = pt.cron(
        "0 3 * * *", name="n", tz="UTC", catchup="last 2", overlap="skip", jitter="5m", start="2026-01-01",
        end=dt.date(2026, 12, 31), paused=True, pause_after=3, params={"n": 1}, partition="current", description="d",
    )  # fmt: skip
    assert (spec.catchup, spec.overlap, spec.jitter_s, spec.start, spec.end) == (
        "last 2",
        "skip",
        300,
        "2026-01-01",
        "2026-12-31",
    )
    assert (spec.paused, spec.pause_after, spec.partition, spec.description) == (True, 3, "current", "d")
    assert spec.given() == {"n": b"\x01"}
    assert pt.land_by("06:00", margin="10m").land_margin_s == 600


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: pt.cron([]), "no expression"),
        (lambda: pt.cron("0 3 * * *", seconds="61"), "no second"),
        (lambda: pt.cron("0 3 * * *", seconds=True), "seconds are True"),
        (lambda: pt.cron("0 3 * * *", jitter="soon"), "jitter"),
        (lambda: pt.cron("0 3 * * *", overlap="maybe"), "no overlap"),
        (lambda: pt.cron("0 3 * * *", catchup="some"), "no catchup"),
        (lambda: pt.cron("0 3 * * *", start="2027-01-01", end="2026-01-01"), "before it starts"),
        (lambda: pt.cron("0 3 * * *", end="soon"), "no date or time"),
        (lambda: pt.cron("0 3 * * *", pause_after=-1), "pause_after"),
        (lambda: pt.cron("0 3 * * *", params=3), "params are 3"),
        (lambda: pt.cron("0 3 * * *", params={"f": object()}), "cannot be stored"),
        (lambda: pt.cron("0 3 * * *", name="a b"), "schedule 'a b'"),
        (lambda: pt.cron("0 3 * * *", pased=True), "no option `pased`"),
        (lambda: pt.every("0s"), "no whole number of seconds"),
        (lambda: pt.every("fortnight"), "no duration"),
        (lambda: pt.dates("2026-01-01"), "no list of dates"),
        (lambda: pt.business_days("6"), "no time of the day"),
        (lambda: pt.business_days("06:00", holidays="Mars"), "no holidays are known"),
        (lambda: pt.rrule("FREQ=OFTEN", begin="2026-01-01"), "FREQ=OFTEN"),
        (lambda: pt.timetable(lambda i: None), "by its own name"),
        (lambda: pt.timetable(3), "no function"),
        (lambda: pt.land_by("six"), "no time of the day"),
        (lambda: pt.land_by(pt.every("1h"), tz="UTC"), "belongs to the schedule"),
    ],
)
def test_wrong_schedules_are_schedule_errors_that_say_where(make: Any, says: str) -> None:
    with pytest.raises(pt.ScheduleError, match=says) as caught:
        make()
    assert caught.value.file == "test_schedule.py"


def test_two_schedules_of_a_pipeline_need_two_names() -> None:
    with pytest.raises(DefinitionError, match="two of its schedules"):
        pt.pipeline(name="p", schedule=[pt.every("1h", name="x"), pt.every("2h", name="x")])(lambda: None)


def test_parameters_of_a_schedule_are_checked_against_the_pipeline(tmp_path: Any) -> None:
    from partita.define.project import load

    (tmp_path / "pipelines.py").write_text(
        "import datetime as dt, partita as pt\n"
        "def moons(after): return None\n"
        "@pt.task\ndef work(n: int): ...\n"
        "@pt.pipeline(schedule=[pt.every('1h', params={'n': '7'}), pt.timetable(moons, name='m', params={'n': 1})])\n"
        "def good(n: int): work(n)\n"
        "@pt.pipeline(schedule=pt.every('1h', params={'m': 7}))\ndef bad(n: int = 1): work(n)\n"
        "@pt.pipeline(schedule=pt.every('1h'))\ndef missing(n: int): work(n)\n"
    )
    project = load(tmp_path)
    [good] = project.manifest.pipelines
    assert [s.given() for s in good.schedules] == [{"n": b"\x07"}, {"n": b"\x01"}]
    assert project.calls["pipelines:moons"].function.__name__ == "moons"
    told = [p.message for p in project.manifest.problems]
    assert len(told) == 2
    assert told[0].startswith(
        "schedule `bad`: pipeline `bad` cannot run with these parameters: there is no parameter `m`"
    )
    assert "`n` is missing" in told[1]
