"""The judge of the service itself: what it took for a violation and was none, and that it still sees what is one."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from partita.core.events import RunCreated
from partita.core.facts import Fact
from partita.core.facts.house import Removed
from partita.core.facts.schedules import ScheduleChanged, TickDecided
from partita.core.facts.sensors import DeliveryTaken
from partita.core.invariants import Violation
from partita.core.manifest import ScheduleSpec
from partita.store.contract import RunCommit

from .service_judge import ServiceJudge

# A full hour, and five minutes after it.
HOUR = 1_772_953_200
NOW = HOUR + 300.0
HOURLY = ScheduleSpec("s", "cron 0 * * * *", catchup="none", overlap="queue")
HALF_PAST = ScheduleSpec("s", "cron 30 * * * *", catchup="none", overlap="queue")


@pytest.fixture
def judge() -> ServiceJudge:
    return ServiceJudge(HOUR - 50 * 3600, HOUR + 50 * 3600)


def declared(spec: ScheduleSpec, *, version: int = 1, at: float = NOW, since: float = NOW, next_at: int) -> Fact:
    packed = msgspec.msgpack.encode(spec)
    return ScheduleChanged(at, "default", "s", "shop", "p", version, packed, since, float(next_at))


def ticked(instant: int, *, at: float, version: int = 1, run: str = "", next_at: int) -> TickDecided:
    decision = "run" if run else "skipped"
    return TickDecided(at, "default", "s", float(instant), decision, "", run, version, "", float(next_at))


def made(run: str, origin: str, at: float = NOW) -> RunCommit:
    return RunCommit(run, 1, at, (RunCreated(at, run, "default", "p", "x", "g", "", origin),))


def feed(judge: ServiceJudge, *facts: Fact, commits: Sequence[RunCommit] = ()) -> None:
    judge.feed(commits, facts, {})


def test_two_edits_at_one_reading_of_the_clock_are_two(judge: ServiceJudge) -> None:
    feed(judge, declared(HOURLY, next_at=HOUR + 3600))
    feed(judge, declared(HALF_PAST, version=2, next_at=HOUR + 1800))
    assert judge.schedules["s"].next == HOUR + 1800


def test_one_that_is_declared_again_at_the_same_reading_begins_anew(judge: ServiceJudge) -> None:
    gone = msgspec.structs.replace(declared(HOURLY, next_at=HOUR + 3600), active=False, next_at=None)
    feed(judge, declared(HOURLY, next_at=HOUR + 3600), gone, declared(HOURLY, version=2, next_at=HOUR + 3600))
    assert judge.schedules["s"].next == HOUR + 3600


def test_an_edit_that_says_a_wrong_next_instant_is_found(judge: ServiceJudge) -> None:
    feed(judge, declared(HOURLY, next_at=HOUR + 3600))
    with pytest.raises(Violation, match="its next instant is"):
        feed(judge, declared(HALF_PAST, version=2, next_at=HOUR + 3600))


JITTERY = msgspec.structs.replace(HOURLY, jitter_s=3600.0)


def test_what_was_decided_before_an_edit_in_the_same_commit_is_judged_by_what_was_said_then(
    judge: ServiceJudge,
) -> None:
    # The disk was full: the tick was decided by a schedule with jitter, and committed with the edit that took it away.
    feed(judge, declared(JITTERY, next_at=HOUR + 3600))
    late = HOUR + 3600 + 3500.0
    tick = ticked(HOUR + 3600, at=late, run="r1", next_at=HOUR + 7200)
    edit = declared(HOURLY, version=2, at=late, next_at=HOUR + 7200)
    feed(judge, tick, edit, commits=[made("r1", "sched:s:2026-03-08T08:00:00Z", late)])
    assert judge.schedules["s"].runs == {HOUR + 3600: "r1"}


def test_a_tick_that_is_late_and_runs_against_its_catchup_is_found(judge: ServiceJudge) -> None:
    feed(judge, declared(HOURLY, next_at=HOUR + 3600))
    tick = ticked(HOUR + 3600, at=HOUR + 3600 + 3500.0, run="r1", next_at=HOUR + 7200)
    with pytest.raises(Violation, match=r"ran, and .* should have"):
        feed(judge, tick, commits=[made("r1", "sched:s:2026-03-08T08:00:00Z")])


def test_a_key_is_good_for_as_long_as_its_run_is_kept(judge: ServiceJudge) -> None:
    kept = {"r1"}
    judge.is_kept = kept.__contains__
    feed(judge, commits=[made("r1", "api:k6")])
    with pytest.raises(Violation, match="two runs of api:k6"):
        feed(judge, commits=[made("r2", "api:k6")])
    kept.clear()
    feed(judge, commits=[made("r3", "api:k6")])


def test_of_a_tick_there_is_one_run_also_when_the_first_was_removed(judge: ServiceJudge) -> None:
    judge.is_kept = lambda run: False
    feed(judge, declared(HOURLY, next_at=HOUR + 3600))
    tick = ticked(HOUR + 3600, at=HOUR + 3600.0, run="r1", next_at=HOUR + 7200)
    feed(judge, tick, commits=[made("r1", "sched:s:2026-03-08T08:00:00Z")])
    with pytest.raises(Violation, match="two runs of sched:s"):
        feed(judge, commits=[made("r2", "sched:s:2026-03-08T08:00:00Z")])


def test_a_delivery_is_taken_once_for_as_long_as_it_is_kept(judge: ServiceJudge) -> None:
    kept = {("d3", NOW)}
    judge.is_delivery_kept = lambda delivery, at: (delivery, at) in kept
    feed(judge, DeliveryTaken(NOW, "default", "hook", "d3"))
    with pytest.raises(Violation, match="d3 was taken a second time"):
        feed(judge, DeliveryTaken(NOW + 60.0, "default", "hook", "d3"))
    kept.clear()
    # Gone, but too young to be: retention has said nothing of what is that young.
    with pytest.raises(Violation, match="d3 was taken a second time"):
        feed(judge, DeliveryTaken(NOW + 60.0, "default", "hook", "d3"))
    feed(judge, Removed(NOW + 90.0, "deliveries", 1, 0, NOW + 30.0))
    feed(judge, DeliveryTaken(NOW + 120.0, "default", "hook", "d3"))
