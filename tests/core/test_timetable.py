"""Timetables: cron and its rule for clocks that change, intervals, dates, business days, recurrences, own functions."""

from __future__ import annotations

import datetime as dt
import random
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
from croniter import croniter
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from partita.core import zones
from partita.core.cron import ALIASES, Cron
from partita.core.timetable import timetable
from partita.errors import ScheduleError

UTC = dt.UTC


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=UTC)


def ticks(rule: str, tz: str, after: str, count: int, **more: str) -> list[str]:
    found = islice(timetable(rule, tz, **more).after(utc(after)), count)
    return [t.strftime("%Y-%m-%dT%H:%M:%S").removesuffix(":00") for t in found]


# --- the rule for clocks that change ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "tz", "after", "expected"),
    [
        # A time that is skipped fires once, at the first instant after the gap.
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00", ["2026-03-29T01:00", "2026-03-30T00:30"]),
        # Several skipped ones are one tick, and so is what is due at that instant anyway.
        ("*/10 2 * * *", "Europe/Berlin", "2026-03-28T12:00", ["2026-03-29T01:00", "2026-03-30T00:00"]),
        ("0,30 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00", ["2026-03-29T01:00", "2026-03-29T01:30"]),
        # A time that comes twice fires at the first.
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00", ["2026-10-25T00:30", "2026-10-26T01:30"]),
        (
            "*/30 2 * * *",
            "Europe/Berlin",
            "2026-10-24T12:00",
            ["2026-10-25T00:00", "2026-10-25T00:30", "2026-10-26T01:00"],
        ),
        (
            "0 1-3 * * *",
            "Europe/Berlin",
            "2026-10-24T12:00",
            ["2026-10-24T23:00", "2026-10-25T00:00", "2026-10-25T02:00"],
        ),
        # Asked within the second showing: it was the first that counted.
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:45", ["2026-10-26T01:30"]),
        # All 24 hours is a cadence: nothing in the gap, both in the fold.
        ("0 * * * *", "Europe/Berlin", "2026-03-28T23:30", ["2026-03-29T00:00", "2026-03-29T01:00"]),
        ("30 0-23 * * *", "Europe/Berlin", "2026-03-29T00:00", ["2026-03-29T00:30", "2026-03-29T01:30"]),
        (
            "30 */1 * * *",
            "Europe/Berlin",
            "2026-10-24T23:45",
            ["2026-10-25T00:30", "2026-10-25T01:30", "2026-10-25T02:30"],
        ),
        # Half an hour.
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00", ["2026-10-03T15:30", "2026-10-04T15:15"]),
        ("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T00:00", ["2026-04-04T14:45", "2026-04-05T15:15"]),
        # Midnight that does not come.
        ("0 0 * * *", "America/Santiago", "2026-09-05T12:00", ["2026-09-06T04:00", "2026-09-07T03:00"]),
        # A change of more than three hours is one of the calendar: the day that Samoa left out has no tick.
        ("0 12 * * *", "Pacific/Apia", "2011-12-29T00:00", ["2011-12-29T22:00", "2011-12-30T22:00"]),
        # ... and a day that Kwajalein did not have neither.
        ("0 12 * * *", "Pacific/Kwajalein", "1993-08-20T00:00", ["1993-08-21T00:00", "1993-08-22T00:00"]),
    ],
)
def test_cron_where_clocks_change(expression: str, tz: str, after: str, expected: list[str]) -> None:
    assert ticks(f"cron {expression}", tz, after, len(expected)) == expected


def test_either_day_field_is_enough_if_both_are_restricted() -> None:
    assert ticks("cron 0 0 13 * fri", "UTC", "2026-03-01T00:00", 3) == [
        "2026-03-06T00:00",
        "2026-03-13T00:00",
        "2026-03-20T00:00",
    ]
    # A field that begins with * is not restricted, whatever follows: both must match.
    assert ticks("cron 0 0 */2 * sun", "UTC", "2026-03-01T00:00", 2) == ["2026-03-15T00:00", "2026-03-29T00:00"]


def test_data_of_a_country_that_changed_its_rules_is_the_newest() -> None:
    # British Columbia stays on summer time since November 2026; data of 2025 does not know.
    assert zones.version() >= "2026b"
    assert ticks("cron 0 9 * * *", "America/Vancouver", "2026-12-01T00:00", 1) == ["2026-12-01T16:00"]


def test_the_rule_of_a_zone_begins_after_the_last_change_that_is_listed() -> None:
    # It stayed on summer time in 2010: a change of the name and not of the offset, before the rule holds.
    assert zones.zone("Antarctica/Macquarie").offset(1_286_035_199) == 39_600


# --- expressions ----------------------------------------------------------------------------------------------------------


def test_names_aliases_lists_and_steps() -> None:
    assert set(Cron("0 0 * jan,mar-apr mon-fri").months) == {1, 3, 4}
    assert Cron("5/20 * * * *").minutes == (5, 25, 45)
    assert Cron("0 0 * * 7")._weekdays == Cron("0 0 * * sun")._weekdays == frozenset({6})
    assert Cron("0 0 * * fri-sun")._weekdays == frozenset({4, 5, 6})
    for alias, text in ALIASES.items():
        assert Cron(alias).text == Cron(alias.upper()).text == text


def test_several_expressions_fire_once_where_they_meet() -> None:
    rule = "cron 0 3 * * *; 0 */3 * * *"
    assert ticks(rule, "UTC", "2026-03-01T00:00", 3) == ["2026-03-01T03:00", "2026-03-01T06:00", "2026-03-01T09:00"]


def test_seconds_are_a_field_of_their_own() -> None:
    rule = "cron 0 3 * * * seconds 10,40"
    assert ticks(rule, "UTC", "2026-03-01T03:00:10", 2) == ["2026-03-01T03:00:40", "2026-03-02T03:00:10"]


@pytest.mark.parametrize(
    "expression",
    ["", "* * * *", "* * * * * *", "60 * * * *", "*/0 * * * *", "5-1 * * * *", "* * 0 * *", "a * * * *", "@often", "*-5 * * * *",
     "1,,2 * * * *", "\x00 * * * *", "١ * * * *", "9" * 600, "* * * * " + "9" * 400, "1-2-3 * * * *", "/5 * * * *", "-1 * * * *"],
)  # fmt: skip
def test_what_is_no_expression_is_our_error(expression: str) -> None:
    with pytest.raises(ScheduleError):
        timetable(f"cron {expression}")


@pytest.mark.parametrize(
    "tz", ["Mars/Olympus", "", "../etc/passwd", "/etc/localtime", "Europe", "x" * 5000, "Europe/Berlin\x00"]
)
def test_what_is_no_zone_is_our_error(tz: str) -> None:
    with pytest.raises(ScheduleError, match="no time zone"):
        timetable("cron 0 3 * * *", tz)


def test_a_zone_that_was_misspelled_is_guessed() -> None:
    with pytest.raises(ScheduleError) as caught:
        timetable("cron 0 3 * * *", "Europe/Berlln")
    assert caught.value.hint == "did you mean `Europe/Berlin`?"


def test_times_without_a_zone_are_refused() -> None:
    with pytest.raises(ScheduleError, match="no instant"):
        timetable("cron 0 3 * * *").after(dt.datetime(2026, 1, 1))


# --- what cannot come, and what comes rarely -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 0 29 2 *", ["2096-02-29T00:00", "2104-02-29T00:00"]),
        ("0 0 30 2 *", []),
        ("0 0 31 4,6,9,11 *", []),
        ("0 0 */28 2 mon", ["2094-02-01T00:00"]),
    ],
)
def test_rare_and_impossible_days_are_found_out_at_once(expression: str, expected: list[str]) -> None:
    began = time.process_time()
    assert ticks(f"cron {expression}", "Europe/London", "2092-03-01T00:00", len(expected) or 1) == expected
    list(islice(timetable(f"cron {expression}", "Europe/London").before(utc("2092-03-01T00:00")), 2))
    assert time.process_time() - began < 0.25


def test_the_end_of_all_dates_is_an_end() -> None:
    assert len(list(timetable("cron 0 0 1 1 *", "Europe/Berlin").after(utc("9990-01-01T12:00")))) < 10
    assert list(timetable("every 86400").after(utc("9999-12-31T00:00"))) == []
    assert list(timetable("cron 0 0 1 1 *").before(utc("0001-06-01T00:00"))) == []


# --- forward and backward agree ----------------------------------------------------------------------------------------------

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca",
         "Asia/Kathmandu", "America/Santiago", "Europe/Dublin", "Antarctica/Troll", "America/St_Johns"]  # fmt: skip


def fields() -> st.SearchStrategy[str]:
    def field(low: int, high: int) -> st.SearchStrategy[str]:
        number = st.integers(low, high)
        return st.one_of(
            st.just("*"),
            number.map(str),
            st.integers(2, 12).map(lambda n: f"*/{n}"),
            st.lists(number, min_size=2, max_size=3, unique=True).map(lambda n: ",".join(map(str, n))),
            st.tuples(number, number).filter(lambda p: p[0] < p[1]).map(lambda p: f"{p[0]}-{p[1]}"),
        )

    return st.tuples(field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 6)).map(" ".join)


@given(fields(), st.sampled_from(ZONES), st.integers(0, 2_500_000_000))
@settings(max_examples=300, deadline=None)
def test_next_goes_forward_and_before_is_its_mirror(expression: str, tz: str, start: int) -> None:
    table = timetable(f"cron {expression}", tz)
    found = list(islice(table.ticks(start), 4))
    assert all(a < b for a, b in zip([start, *found], found, strict=False))
    for one in found:
        before = next(table.ticks_before(one), None)
        if before is not None:
            assert next(table.ticks(before)) == one
    if len(found) > 1:
        assert list(islice(table.ticks_before(found[-1]), len(found) - 1)) == found[-2::-1]


@pytest.mark.parametrize("name", ["Antarctica/Macquarie", *sorted(zones._names())[::10]])
def test_a_zone_keeps_the_rule_at_its_changes(name: str) -> None:
    keeps_the_rule(name, 2)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_zone_keeps_the_rule_at_its_changes() -> None:
    for name in sorted(zones._names()):
        keeps_the_rule(name, 40)


def keeps_the_rule(name: str, count: int) -> None:
    """Against a reader of the clock that goes through the minutes around each change, one by one."""
    zone, info = zones.zone(name), zones.tzinfo(name)
    stretches = [zone.stretch(n) for n in range(zone.number(0) + 1, zone.number(2_500_000_000) + 1)]
    # The reader looks each minute: offsets with seconds (Monrovia until 1972) are not for it.
    whole = [s for s in stretches if s.start % 60 == 0 and s.offset % 60 == 0 and (s.before or 0) % 60 == 0]
    for start, _, offset, before in random.Random(name).sample(whole, min(count, len(whole))):
        for at in (start - 1, start):
            shown = dt.datetime.fromtimestamp(at, info).utcoffset()
            assert shown == dt.timedelta(seconds=zone.offset(at)), (name, at)
        assert before is not None
        hour, minute = divmod((start + max(before, offset)) // 60 % 1440 - 30, 60)
        for expression in (f"{minute % 60} {hour % 24} * * *", f"{minute % 60} * * * *"):
            begin, stop = start - 7 * 3600, start + 7 * 3600
            ours = [t for t in islice(timetable(f"cron {expression}", name).ticks(begin), 80) if t < stop]
            assert ours == list(slowly(Cron(expression), info, begin, stop)), (name, expression, start)


def slowly(cron: Cron, info: Any, begin: int, stop: int) -> Iterator[int]:
    """The rule by reading the clock each minute: it knows of changes only by what the clock showed the minute before."""
    found: set[int] = set()
    wall_before = None
    step = 60
    shown: dict[int, int] = {}
    first_change = None
    for at in range(begin - 4 * 3600, stop, step):
        local = dt.datetime.fromtimestamp(at, info)
        offset = int(local.utcoffset().total_seconds())  # type: ignore[union-attr]
        wall = at + offset
        jump = 0 if wall_before is None else wall - wall_before - step
        if jump:
            first_change = (at, jump)
        if jump and 0 < jump <= 10_800 and len(cron.hours) < 24:
            if any(matches(cron, w) for w in range(wall_before + step, wall + 1, step)):  # type: ignore[operator]
                found.add(at)
        elif matches(cron, wall):
            is_again = wall in shown and first_change is not None and -10_800 <= first_change[1] < 0
            if not (is_again and len(cron.hours) < 24):
                found.add(at)
        shown[wall] = at
        wall_before = wall
    yield from sorted(t for t in found if begin < t < stop)


def matches(cron: Cron, wall: int) -> bool:
    read = dt.datetime(1970, 1, 1) + dt.timedelta(seconds=wall)
    return read.second == 0 and read.minute in cron.minutes and read.hour in cron.hours


# --- against others, where the rules agree -------------------------------------------------------------------------------


@given(fields(), st.integers(946_684_800, 2_000_000_000))
@settings(max_examples=300, deadline=None)
def test_in_utc_two_other_programs_say_the_same(expression: str, start: int) -> None:
    begin = dt.datetime.fromtimestamp(start // 60 * 60, UTC)
    ours = list(islice(timetable(f"cron {expression}").after(begin), 3))
    if not ours:
        return
    assert [t.replace(tzinfo=None) for t in ours] == list(islice(CronSim(expression, begin.replace(tzinfo=None)), 3))
    day, weekday = expression.split()[2], expression.split()[4]
    if "*/" not in day and "*/" not in weekday:
        # It takes `*/2` of a day field as restricted, which Vixie's does not.
        theirs = croniter(expression, begin)
        assert ours == [theirs.get_next(dt.datetime) for _ in ours]


@given(st.integers(0, 59), st.integers(4, 20), st.sampled_from(ZONES[:3]), st.integers(946_684_800, 2_000_000_000))
@settings(max_examples=100, deadline=None)
def test_in_zones_a_time_of_the_day_is_where_others_see_it(minute: int, hour: int, tz: str, start: int) -> None:
    begin = dt.datetime.fromtimestamp(start, zones.tzinfo(tz))
    ours = list(islice(timetable(f"cron {minute} {hour} * * *", tz).after(begin), 3))
    assert ours == [t.astimezone(UTC) for t in islice(CronSim(f"{minute} {hour} * * *", begin), 3)]


# --- whatever text comes ---------------------------------------------------------------------------------------------------

_PIECES = ["*", "*/", "-", ",", "/", " ", "0", "1", "5", "7", "29", "31", "59", "60", "99999", "jan", "FRI", "@daily", "@", "L", "#", "\t",
           "\x00", "é", "cron ", "every ", "dates ", "business ", "06:00", "rrule ", "own ", "FREQ=DAILY", ";", "seconds ", "from ",
           "2026-01-01", "T00:00", "Z", "nth=1", "days=", "closed="]  # fmt: skip


def hostile(count: int, seed: int) -> None:
    generator = random.Random(seed)
    slowest = 0.0
    for _ in range(count):
        size = generator.randint(1, 12)
        text = "".join(generator.choice(_PIECES) for _ in range(size))
        if generator.random() < 0.6:
            words = ("".join(generator.choice(_PIECES[:20]) for _ in range(generator.randint(1, 3))) for _ in range(5))
            text = "cron " + " ".join(words)
        began = time.process_time()
        try:
            last = 0
            for tick in islice(timetable(text, generator.choice(ZONES)).ticks(1_770_000_000), 3):
                assert tick > last, text
                last = tick
        except ScheduleError:
            pass
        slowest = max(slowest, time.process_time() - began)
        # Rules are read once; here each comes once.
    assert slowest < 0.05, slowest


def test_random_texts_are_read_or_refused_at_once() -> None:
    list(timetable("rrule 2026-01-01 FREQ=DAILY;COUNT=1").ticks(0))  # imports what it needs
    for tz in ZONES:
        zones.zone(tz)
    hostile(5_000, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_million_random_texts_are_read_or_refused_at_once() -> None:
    list(timetable("rrule 2026-01-01 FREQ=DAILY;COUNT=1").ticks(0))
    hostile(1_000_000, seed=2)


# --- the other kinds -------------------------------------------------------------------------------------------------------


def test_an_interval_is_real_time_from_its_anchor() -> None:
    assert ticks("every 86400 from 2026-03-28T06:00", "Europe/Berlin", "2026-03-28T05:00", 2) == [
        "2026-03-29T05:00",
        "2026-03-30T05:00",
    ]
    assert ticks("every 900", "UTC", "2026-03-28T05:01", 1) == ["2026-03-28T05:15"]
    assert ticks("every 3600 from 2030-01-01T00:30", "UTC", "2026-01-01T00:00", 1) == ["2026-01-01T00:30"]


def test_dates_are_read_in_the_zone_and_skipped_times_are_moved() -> None:
    rule = "dates 2026-12-24 2026-03-29T02:30 2026-01-01T00:00Z 2026-12-24"
    assert ticks(rule, "Europe/Berlin", "2025-01-01T00:00", 9) == [
        "2026-01-01T00:00",
        "2026-03-29T01:00",
        "2026-12-23T23:00",
    ]


def test_business_days_leave_out_weekends_holidays_and_own_days() -> None:
    rule = "business 09:00 holidays=DE closed=2026-05-15 open=2026-05-16"
    days = [t[:10] for t in ticks(rule, "Europe/Berlin", "2026-04-30T12:00", 9)]
    assert days[0] == "2026-05-04"  # 1 May is a Friday and a holiday
    assert "2026-05-14" not in days  # Ascension Day
    assert "2026-05-15" not in days
    assert days[-1] == "2026-05-16"  # a Saturday that is worked on


def test_the_nth_business_day_of_each_month() -> None:
    rule = "business 18:00 nth=1,-1 days=mon-fri"
    assert [t[:10] for t in ticks(rule, "UTC", "2026-01-20T00:00", 3)] == ["2026-01-30", "2026-02-02", "2026-02-27"]


def test_days_of_a_market() -> None:
    days = [t[:10] for t in ticks("business 16:00 holidays=XNYS", "America/New_York", "2026-11-25T00:00", 3)]
    assert days == ["2026-11-25", "2026-11-27", "2026-11-30"]


@pytest.mark.parametrize(
    "rule",
    ["business 6", "business 25:00", "business", "business 06:00 holidays=XX", "business 06:00 nth=0", "business 06:00 closed=soon",
     "business 06:00 x=1", "every 0", "every x", "every -5", "every 1.5", "dates", "dates soon", "rrule FREQ=DAILY", "rrule 2026-01-01",
     "rrule 2026-01-01 FREQ=SECONDLY", "rrule 2026-01-01 FREQ=DAILY;COUNT=0", "rrule 2026-01-01 FREQ=DAILY;BYDAY=XX",
     "rrule 2026-01-01 FREQ=DAILY;FREQ=DAILY", "rrule 2026-01-01T00:00Z FREQ=DAILY", "moon full", ""],
)  # fmt: skip
def test_what_is_no_rule_is_our_error(rule: str) -> None:
    with pytest.raises(ScheduleError):
        timetable(rule)


@pytest.mark.parametrize(
    ("rule", "after", "expected"),
    [
        ("2020-01-31T06:00 FREQ=MONTHLY;BYDAY=-1FR", "2026-03-01T00:00", ["2026-03-27T05:00", "2026-04-24T04:00"]),
        ("2020-01-31T06:00 FREQ=MONTHLY", "2026-02-01T00:00", ["2026-03-31T04:00", "2026-05-31T04:00"]),
        ("2020-01-01T06:00 FREQ=WEEKLY;INTERVAL=2;BYDAY=WE", "2026-03-27T00:00", ["2026-04-01T04:00", "2026-04-15T04:00"]),
        ("2026-01-01T02:30 FREQ=DAILY", "2026-03-28T12:00", ["2026-03-29T01:00", "2026-03-30T00:30"]),
        ("2026-01-01T06:00 FREQ=DAILY;COUNT=2", "2025-01-01T00:00", ["2026-01-01T05:00", "2026-01-02T05:00"]),
        ("2026-01-01T06:00 FREQ=DAILY;UNTIL=20260102T235959", "2026-01-01T12:00", ["2026-01-02T05:00"]),
        ("1990-01-31T06:00 FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "2026-01-01T00:00", []),
    ],
)  # fmt: skip
def test_recurrence_rules(rule: str, after: str, expected: list[str]) -> None:
    assert ticks(f"rrule {rule}", "Europe/Berlin", after, len(expected) or 1)[: len(expected) or 1] == expected


@given(st.sampled_from(["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY"]), st.integers(1, 9), st.integers(0, 8000))
@settings(max_examples=80, deadline=None)
def test_a_recurrence_that_begins_anew_near_the_instant_goes_on_as_from_its_start(
    freq: str, interval: int, days: int
) -> None:
    from dateutil.rrule import rrulestr

    text = f"FREQ={freq};INTERVAL={interval}"
    start = dt.datetime(2004, 2, 29, 6, 30)
    after = start + dt.timedelta(days=days, hours=5)
    if freq == "HOURLY":
        after = start + dt.timedelta(days=days // 10, hours=5)
    rule = rrulestr(text, dtstart=start)
    theirs = list(islice(rule.xafter(after), 3))
    table = timetable(f"rrule {start.isoformat()} {text}")
    assert [t.replace(tzinfo=None) for t in islice(table.after(after.replace(tzinfo=UTC)), 3)] == theirs


def test_start_and_end_are_included_and_a_date_means_its_day() -> None:
    assert ticks("cron 0 9 * * *", "Europe/Berlin", "2020-01-01T00:00", 9, start="2026-04-01", end="2026-04-02") == [
        "2026-04-01T07:00", "2026-04-02T07:00",
    ]  # fmt: skip
    with pytest.raises(ScheduleError, match="before it starts"):
        timetable("cron 0 9 * * *", start="2026-04-02", end="2026-04-01")


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("cron 0 3 * * *", "at 03:00 every day (UTC)"),
        ("cron */15 * * * *", "every 15 minutes (UTC)"),
        ("cron 0 * * * *", "every hour (UTC)"),
        ("cron 30 6 * * mon-fri", "at 06:30 on Monday to Friday (UTC)"),
        ("cron 0 0 1 jan,jul *", "at 00:00 on day 1 of the month in January and July (UTC)"),
        ("cron 0 0 13 * fri", "at 00:00 on day 13 of the month or on Friday (UTC)"),
        ("cron 0 0 30 2 *", "never: no month has such a day (0 0 30 2 *) (UTC)"),
        ("cron * * * * * seconds */15", "every 15 seconds (UTC)"),
        ("every 5400", "every 90 minutes (UTC)"),
        ("own pipelines:moons", "as the function pipelines:moons says (UTC)"),
    ],
)
def test_timetables_in_words(rule: str, words: str) -> None:
    assert timetable(rule).words() == words
