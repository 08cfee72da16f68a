"""What becomes of due instants: decided once each, in order, and nothing that is not due."""

from __future__ import annotations

import datetime as dt
from itertools import takewhile
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partita.core.manifest import PartitionSpec, ScheduleSpec
from partita.core.scheduling import (
    GRACE_S,
    HICCUP_S,
    MOST_CAUGHT_UP,
    Instants,
    decide,
    due_at,
    origin,
    partition_of,
    skip_all,
    tick_of,
)
from partita.errors import ScheduleError

HOUR = 3600
HOURLY = ScheduleSpec("hourly", "cron 0 * * * *")


def decided(spec: ScheduleSpec, now: float, **more: Any) -> list[tuple[int, str, int]]:
    found = decide(spec, spec.name, Instants.of(spec), next_at=HOUR, now=now, **more)
    return [(d.instant // HOUR, d.decision, d.count) for d in found.decisions]


def with_(**changes: Any) -> ScheduleSpec:
    return msgspec.structs.replace(HOURLY, **changes)


def test_nothing_is_decided_before_it_is_due() -> None:
    found = decide(HOURLY, "x", Instants.of(HOURLY), next_at=HOUR, now=HOUR - 0.5)
    assert (found.decisions, found.next_at) == ((), HOUR)


@pytest.mark.parametrize(
    ("late", "expected"),
    [(0, "run"), (HICCUP_S, "run"), (GRACE_S, "run"), (GRACE_S + 1, "skipped")],
)
def test_without_catching_up_a_tick_is_run_only_shortly_after_its_instant(late: float, expected: str) -> None:
    assert decided(HOURLY, HOUR + late) == [(1, expected, 1)]


@pytest.mark.parametrize(
    ("catchup", "expected"),
    [
        ("none", [(1, "skipped", 6)]),
        ("latest", [(1, "skipped", 5), (6, "run", 1)]),
        ("last 0", [(1, "skipped", 6)]),
        ("last 2", [(1, "skipped", 4), (5, "run", 1), (6, "run", 1)]),
        ("last 99", [(h, "run", 1) for h in range(1, 7)]),
        ("all", [(h, "run", 1) for h in range(1, 7)]),
    ],
)
def test_what_is_caught_up_on(catchup: str, expected: list[Any]) -> None:
    assert decided(with_(catchup=catchup), 6.5 * HOUR) == expected


@pytest.mark.parametrize(
    ("overlap", "running", "expected", "cancel"),
    [
        ("queue", 1, [(1, "run", 1), (2, "run", 1)], False),
        ("allow", 1, [(1, "run", 1), (2, "run", 1)], False),
        ("skip", 1, [(1, "skipped", 2)], False),
        ("skip", 0, [(1, "skipped", 1), (2, "run", 1)], False),
        ("cancel_running", 1, [(1, "skipped", 1), (2, "run", 1)], True),
        ("cancel_running", 0, [(1, "skipped", 1), (2, "run", 1)], False),
    ],
)
def test_what_happens_while_a_run_is_still_going(overlap: Any, running: int, expected: list[Any], cancel: bool) -> None:
    spec = with_(catchup="all", overlap=overlap)
    assert decided(spec, 2.5 * HOUR, running=running) == expected
    assert decide(spec, "x", Instants.of(spec), next_at=HOUR, now=2.5 * HOUR, running=running).cancel == cancel


@given(
    st.sampled_from(["* * * * *", "0 * * * *", "*/7 3-9 * * *", "0 0 * * mon"]),
    st.sampled_from(["none", "latest", "all", "last 3"]),
    st.sampled_from(["queue", "skip", "cancel_running", "allow"]),
    st.integers(0, 2),
    st.floats(0, 900),
    st.lists(st.floats(0.1, 30_000), min_size=1, max_size=12),
)
@settings(max_examples=150, deadline=None)
def test_every_instant_gets_one_decision_however_time_passes(
    rule: str, catchup: str, overlap: Any, running: int, jitter: float, waits: list[float]
) -> None:
    spec = ScheduleSpec("s", f"cron {rule}", catchup=catchup, overlap=overlap, jitter_s=jitter)
    instants = Instants.of(spec)
    now, first = 1_770_000_000.0, next(instants.after(1_770_000_000))
    next_at: int | None = first
    seen: list[int] = []
    for wait in waits:
        now += wait
        assert next_at is not None
        found = decide(spec, "s", instants, next_at=next_at, now=now, running=running)
        for d in found.decisions:
            last = d.until or d.instant
            covered = list(takewhile(lambda i, last=last: i <= last, instants.after(d.instant - 1)))
            assert len(covered) == d.count
            assert d.count == 1 or d.decision == "skipped"
            assert bool(d.reason) == (d.decision == "skipped")
            seen += covered
        next_at = found.next_at
    expected = list(takewhile(lambda i: i < next_at, instants.after(first - 1)))  # type: ignore[operator]
    assert seen == expected
    assert all(due_at(spec, "s", i) <= now for i in seen)


def test_a_long_absence_is_bounded_and_says_so() -> None:
    spec = ScheduleSpec("s", "cron * * * * *", catchup="all")
    found = decide(spec, "s", Instants.of(spec), next_at=60, now=60.0 * 10_000_000)
    first, *others = found.decisions
    assert (first.instant, first.decision, first.until) == (60, "skipped", others[0].instant - 60)
    assert len(others) == MOST_CAUGHT_UP
    assert found.next_at == others[-1].instant + 60


def test_a_pause_is_one_range() -> None:
    found = skip_all(Instants.of(HOURLY), next_at=HOUR, now=4.5 * HOUR, reason="it was paused")
    assert [(d.instant, d.until, d.count, d.reason) for d in found.decisions] == [(HOUR, 4 * HOUR, 4, "it was paused")]
    assert found.next_at == 5 * HOUR
    spec = ScheduleSpec("s", "cron * * * * *")
    [long] = skip_all(Instants.of(spec), next_at=60, now=60.0 * 1_000_000, reason="x").decisions
    assert (long.until, long.count) == (60 * 1_000_000, 10_000)


def test_a_land_by_is_due_earlier_and_on_time_until_its_instant() -> None:
    spec = with_(land=True)
    early = decide(spec, "x", Instants.of(spec), next_at=HOUR, now=HOUR - 600, lead_s=600)
    assert [d.decision for d in early.decisions] == ["run"]
    late = decide(spec, "x", Instants.of(spec), next_at=HOUR, now=HOUR - 1, lead_s=600)
    assert [d.decision for d in late.decisions] == ["run"]


def test_an_origin_names_its_tick() -> None:
    assert tick_of(origin("a:b 2026-01-01T00:00:00Z", 1_770_000_000)) == ("a:b 2026-01-01T00:00:00Z", 1_770_000_000)
    for text in ("cli:1", "sched:", "sched:x", "sched:x:2026-99-01T00:00:00Z", "sched:2026-01-01T00:00:00Z"):
        assert tick_of(text) is None


@pytest.mark.parametrize(
    ("wanted", "spec", "expected"),
    [
        ("", PartitionSpec("daily", "2026-01-01"), "2026-03-09"),
        ("current", PartitionSpec("daily", "2026-01-01"), "2026-03-10"),
        ("", PartitionSpec("hourly", "2026-01-01T00:00"), "2026-03-10T02:00"),
        ("", PartitionSpec("monthly", "2026-01-01"), "2026-02-01"),
        ("", PartitionSpec("daily", "2026-01-01", "2026-03-09"), "2026-03-09"),
        ("eu", PartitionSpec("static", keys=("eu",)), "eu"),
        ("", None, ""),
        (
            "|eu",
            PartitionSpec("product", dimensions=(("day", PartitionSpec("daily", "2026-01-01")), ("r", PartitionSpec("static", keys=("eu",))))),
            "2026-03-09|eu",
        ),
    ],
)  # fmt: skip
def test_the_partition_of_a_tick(wanted: str, spec: PartitionSpec | None, expected: str) -> None:
    at = dt.datetime(2026, 3, 10, 3, tzinfo=dt.UTC)
    midnight = dt.datetime(2026, 3, 10, tzinfo=dt.UTC)
    instant = midnight if spec is not None and spec.end else at
    assert partition_of(wanted, spec, int(instant.timestamp())) == expected


@pytest.mark.parametrize(
    ("wanted", "spec"),
    [
        ("eu", None),
        ("", PartitionSpec("static", keys=("eu",))),
        ("", PartitionSpec("daily", "2027-01-01")),
        ("", PartitionSpec("daily", "2026-01-01", "2026-02-01")),
    ],
)
def test_a_tick_without_a_partition_is_said(wanted: str, spec: PartitionSpec | None) -> None:
    with pytest.raises(ScheduleError):
        partition_of(wanted, spec, int(dt.datetime(2026, 3, 10, 3, tzinfo=dt.UTC).timestamp()))
