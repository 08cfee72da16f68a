"""Schedules as a service carries them out: one decision for each tick, whatever happens to engine, clock and definitions."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec
import pytest

from partita.core import zones
from partita.core.facts.schedules import ScheduleMoved
from partita.core.manifest import ParamSpec, PartitionSpec, ScheduleSpec
from partita.core.plain import pack
from partita.engine.schedules import NextTicks, PauseSchedule, ResumeSchedule, TriggerSchedule
from partita.errors import ScheduleError
from partita.worker.questions import Answered, Instants

from .ticking import NOON, Bench, hourly, instant, pipeline, project

DAYS = PartitionSpec("daily", "2026-03-01")


def test_a_tick_makes_its_run_at_its_instant_and_not_before(tmp_path: Path) -> None:
    bench = Bench(tmp_path, project(pipeline("sales", hourly())))
    bench.at("2026-03-10T12:59:59")
    assert bench.runs() == []
    bench.at("2026-03-10T13:00")
    [run] = bench.runs()
    assert (run.pipeline, run.origin, run.by) == ("sales", "sched:hourly:2026-03-10T13:00:00Z", "schedule hourly")
    [tick] = bench.ticks()
    assert (tick.decision, tick.run, tick.tzdata) == ("run", run.id, zones.version())
    assert bench.row().next_at == instant("2026-03-10T14:00")
    assert bench.is_sound()


def test_a_new_schedule_does_not_fire_for_the_past(tmp_path: Path) -> None:
    bench = Bench(tmp_path, project(pipeline("sales", hourly(catchup="all", start="2026-01-01"))))
    bench.turns()
    assert bench.ticks() == []
    assert bench.row().effective_from == NOON


@pytest.mark.parametrize(
    ("catchup", "told", "runs"),
    [
        ("none", ["13:00..18:00 skipped 6"], 0),
        ("latest", ["13:00..17:00 skipped 5", "18:00 run"], 1),
        ("last 2", ["13:00..16:00 skipped 4", "17:00 run", "18:00 run"], 2),
        ("all", [f"{h}:00 run" for h in range(13, 19)], 6),
    ],
)
def test_what_was_missed_while_no_engine_was_there(tmp_path: Path, catchup: str, told: list[str], runs: int) -> None:
    bench = Bench(tmp_path, project(pipeline("sales", hourly(catchup=catchup))))
    later = bench.again(after=6.5 * 3600)
    assert later.told() == told
    assert len(later.runs()) == runs
    assert later.row().next_at == instant("2026-03-10T19:00")
    assert later.is_sound()


def test_a_restart_around_the_tick_is_no_miss(tmp_path: Path) -> None:
    bench = Bench(tmp_path, project(pipeline("sales", hourly())))
    assert bench.again(after=3600 + 200).told() == ["13:00 run"]


def test_an_engine_that_is_killed_after_each_tick_does_none_twice(tmp_path: Path) -> None:
    bench = Bench(tmp_path, project(pipeline("sales", hourly(catchup="all"))))
    for _ in range(30):
        bench = bench.again(after=1800)
    assert [t.instant for t in bench.ticks()] == [NOON + 3600 * i for i in range(1, 16)]
    assert len({r.origin for r in bench.runs()}) == len(bench.runs()) == 15
    assert bench.is_sound()


def test_a_clock_that_jumps_forward_and_back_fires_nothing_twice(tmp_path: Path) -> None:
    bench = Bench(tmp_path, project(pipeline("sales", hourly())))
    bench.at("2026-03-10T13:00")
    bench.at("2026-03-11T13:00")
    bench.at("2026-03-10T13:30")
    bench.through(3 * 3600)
    bench.at("2026-03-11T14:00")
    assert bench.told() == ["13:00 run", "14:00..12:00 skipped 23", "13:00 run", "14:00 run"]
    assert bench.is_sound()


def test_a_jump_over_years_is_bounded_and_recorded(tmp_path: Path) -> None:
    bench = Bench(tmp_path, project(pipeline("sales", ScheduleSpec("hourly", "cron * * * * *", catchup="all"))))
    bench.at("2031-03-10T12:00")
    first, *others = bench.ticks()
    assert (first.decision, first.count) == ("skipped", 10_000)
    assert "more than 10,000" in first.reason
    assert len(others) == len(bench.runs()) == 1000
    assert others[-1].instant == instant("2031-03-10T12:00")


def test_a_schedule_in_a_zone_fires_once_in_the_gap_and_once_in_the_fold(tmp_path: Path) -> None:
    spec = ScheduleSpec("hourly", "cron 30 2 * * *", "Europe/Berlin", catchup="all")
    bench = Bench(tmp_path, project(pipeline("sales", spec)))
    bench.at("2026-03-30T12:00")
    gap = [t.instant for t in bench.ticks()][-3:]
    assert gap == [instant("2026-03-28T01:30"), instant("2026-03-29T01:00"), instant("2026-03-30T00:30")]
    bench.at("2026-10-26T12:00")
    assert [t.instant for t in bench.ticks()][-2:] == [instant("2026-10-25T00:30"), instant("2026-10-26T01:30")]
    assert bench.is_sound()


@pytest.mark.parametrize(
    ("overlap", "told", "states"),
    [
        ("skip", ["13:00 run", "14:00 skipped"], ["running"]),
        ("queue", ["13:00 run", "14:00 run"], ["running", "queued"]),
        ("allow", ["13:00 run", "14:00 run"], ["running", "running"]),
    ],
)
def test_a_tick_while_the_last_run_is_still_going(
    tmp_path: Path, overlap: Any, told: list[str], states: list[str]
) -> None:
    bench = Bench(tmp_path, project(pipeline("sales", hourly(overlap=overlap))))
    bench.at("2026-03-10T13:00")
    bench = bench.again()
    bench.at("2026-03-10T14:00")
    assert bench.told() == told
    assert [run.state for run in bench.runs()] == states
    assert bench.is_sound()


def test_the_last_run_is_cancelled_for_the_next_if_that_is_wanted(tmp_path: Path) -> None:
    bench = Bench(tmp_path, project(pipeline("sales", hourly(overlap="cancel_running"))))
    bench.at("2026-03-10T13:00")
    bench.at("2026-03-10T14:00")
    first, second = bench.runs()
    assert (first.cancel_requested, first.state, second.state) == (True, "cancelled", "running")
    bench.do()
    assert bench.runs()[1].state == "succeeded"


def test_the_run_has_the_parameters_of_its_schedule_over_those_of_its_pipeline(tmp_path: Path) -> None:
    given = msgspec.msgpack.encode({"region": pack("us")})
    specs = (hourly(), ScheduleSpec("us", "cron 0 * * * *", params=given))
    params = (ParamSpec("region", "{}", required=False, default=pack("eu")), ParamSpec("n", "{}", False, pack(1)))
    bench = Bench(tmp_path, project(pipeline("sales", *specs, params=params)))
    bench.at("2026-03-10T13:00")
    assert [run.params for run in bench.runs()] == [
        {"region": pack("eu"), "n": pack(1)},
        {"region": pack("us"), "n": pack(1)},
    ]


@pytest.mark.parametrize(
    ("wanted", "partition"), [("", "2026-03-10"), ("current", "2026-03-11"), ("2026-03-02", "2026-03-02")]
)
def test_the_run_has_the_partition_that_ended_at_its_tick(tmp_path: Path, wanted: str, partition: str) -> None:
    spec = ScheduleSpec("hourly", "cron 0 0 * * *", partition=wanted)
    bench = Bench(tmp_path, project(pipeline("sales", spec, partitions=DAYS)))
    bench.at("2026-03-11T00:00")
    assert [run.partition for run in bench.runs()] == [partition]


def test_the_data_interval_goes_from_the_tick_before_to_the_tick(tmp_path: Path) -> None:
    bench = Bench(tmp_path, project(pipeline("sales", hourly(catchup="all"))))
    bench.at("2026-03-10T14:30")
    intervals = [bench.service.ticker.interval(a.run) for a in bench.service.engine.active.values()]
    assert intervals == [
        ("2026-03-10T12:00:00Z", "2026-03-10T13:00:00Z"),
        ("2026-03-10T13:00:00Z", "2026-03-10T14:00:00Z"),
    ]


# --- edits, pauses, failures ---------------------------------------------------------------------------------------------


def test_an_edit_holds_from_now_on_and_never_fires_for_the_past(tmp_path: Path) -> None:
    bench = Bench(tmp_path, project(pipeline("sales", hourly(catchup="all"))))
    bench.at("2026-03-10T13:00")
    edited = ScheduleSpec("hourly", "cron 30 * * * *", catchup="all")
    later = bench.again(project(pipeline("sales", edited)), after=2 * 3600 + 2400)
    assert later.told() == ["13:00 run", "14:00..15:00 skipped 2"]
    assert "edited" in later.ticks()[-1].reason
    assert (later.row().version, later.row().next_at) == (2, instant("2026-03-10T16:30"))
    assert later.row().effective_from == later.clock.now()
    later.at("2026-03-10T16:30")
    assert later.told()[-1] == "16:30 run"
    assert later.is_sound()


def test_an_edit_of_something_else_keeps_what_is_still_to_be_caught_up(tmp_path: Path) -> None:
    bench = Bench(tmp_path, project(pipeline("sales", hourly(catchup="all"))))
    edited = hourly(catchup="all", description="every hour")
    later = bench.again(project(pipeline("sales", edited)), after=2 * 3600)
    assert later.told() == ["13:00 run", "14:00 run"]
    assert later.row().version == 2


def test_the_same_definition_again_changes_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, project(pipeline("sales", hourly())))
    before = bench.store.end_of_stream()
    bench.load(*bench.manifests)
    assert bench.store.end_of_stream() == before
    assert bench.row().version == 1


def test_a_schedule_that_is_declared_no_more_rests_and_comes_back_with_its_history(tmp_path: Path) -> None:
    bench = Bench(tmp_path, project(pipeline("sales", hourly(catchup="all"))))
    bench.at("2026-03-10T13:00")
    bench.load(project(pipeline("sales")))
    bench.at("2026-03-10T15:30")
    assert not bench.row().active
    bench.load(project(pipeline("sales", hourly(catchup="all"))))
    bench.at("2026-03-10T16:00")
    assert bench.row().active
    assert bench.told() == ["13:00 run", "16:00 run"]
    assert bench.is_sound()


def test_ticks_of_a_pause_are_one_skipped_range(tmp_path: Path) -> None:
    bench = Bench(tmp_path, project(pipeline("sales", hourly(catchup="all"))))
    assert bench.ask(PauseSchedule("hourly", "ann", "holidays")).paused
    bench = bench.again(after=3.5 * 3600)
    assert bench.told() == []
    assert (bench.row().paused, bench.row().reason) == (True, "holidays")
    said = bench.ask(ResumeSchedule("hourly", "ann"))
    assert said.next_at == instant("2026-03-10T16:00")
    assert bench.told() == ["13:00..15:00 skipped 3"]
    assert bench.ticks()[0].reason == "it was paused: holidays"
    bench.at("2026-03-10T16:00")
    assert bench.told()[-1] == "16:00 run"
    assert bench.is_sound()


def test_a_schedule_can_be_declared_paused(tmp_path: Path) -> None:
    bench = Bench(tmp_path, project(pipeline("sales", hourly(paused=True))))
    bench.at("2026-03-10T13:00")
    assert bench.told() == []
    bench.ask(ResumeSchedule("hourly", "ann"))
    bench = bench.again()
    bench.at("2026-03-10T14:00")
    assert bench.told() == ["13:00 skipped", "14:00 run"]


def test_it_pauses_itself_after_failures_in_a_row_even_over_a_crash(tmp_path: Path) -> None:
    bench = Bench(tmp_path, project(pipeline("sales", hourly(pause_after=2))))
    bench.at("2026-03-10T13:00")
    bench.do(fails=True)
    assert bench.row().failures == 1
    bench = bench.again()
    bench.at("2026-03-10T14:00")
    bench.do(fails=True)
    row = bench.row()
    assert (row.paused, row.automatic, row.reason) == (True, True, "2 runs in a row have failed")
    bench.at("2026-03-10T15:00")
    assert len(bench.runs()) == 2
    bench.ask(ResumeSchedule("hourly", "ann"))
    assert (bench.row().paused, bench.row().failures) == (False, 0)


def test_a_success_between_failures_begins_the_count_anew(tmp_path: Path) -> None:
    bench = Bench(tmp_path, project(pipeline("sales", hourly(pause_after=2))))
    for hour, fails in ((13, True), (14, False), (15, True)):
        bench.at(f"2026-03-10T{hour}:00")
        bench.do(fails=fails)
    assert (bench.row().failures, bench.row().paused) == (1, False)


def test_a_trigger_makes_a_run_and_no_tick(tmp_path: Path) -> None:
    bench = Bench(tmp_path, project(pipeline("sales", hourly())))
    said = bench.ask(TriggerSchedule("hourly", "ann"))
    [run] = bench.runs()
    assert (run.id, run.by) == (said.run, "ann")
    assert bench.told() == []
    assert bench.is_sound()


def test_an_unknown_schedule_is_said(tmp_path: Path) -> None:
    bench = Bench(tmp_path, project(pipeline("sales", hourly())))
    with pytest.raises(ScheduleError, match="no schedule 'nightly'"):
        bench.ask(PauseSchedule("nightly", "ann"))


# --- poison ----------------------------------------------------------------------------------------------------------------


def test_a_schedule_that_cannot_start_its_run_harms_itself_only_and_is_quarantined(tmp_path: Path) -> None:
    over = PartitionSpec("daily", "2026-03-01", "2026-03-02")
    specs = (pipeline("bad", ScheduleSpec("bad", "cron 0 * * * *"), partitions=over), pipeline("good", hourly()))
    bench = Bench(tmp_path, project(*specs))
    for hour in range(13, 20):
        bench.at(f"2026-03-10T{hour}:00")
        bench.do()
    assert bench.told() == [f"{h}:00 run" for h in range(13, 20)]
    assert bench.told("bad") == [f"{h}:00 skipped" for h in range(13, 18)]
    assert "no partition that has ended" in bench.ticks("bad")[0].reason
    row = bench.row("bad")
    assert (row.paused, row.automatic) == (True, True)
    assert row.reason.startswith("5 errors in a row")
    assert bench.is_sound()


def test_a_rule_that_an_older_program_cannot_read_harms_itself_only(tmp_path: Path) -> None:
    bench = Bench(tmp_path, project(pipeline("bad", ScheduleSpec("bad", "moon full")), pipeline("good", hourly())))
    bench.at("2026-03-10T13:00")
    assert bench.told() == ["13:00 run"]
    assert "no rule" in bench.service.ticker.trouble_of("default", "bad")


def test_two_projects_cannot_have_a_schedule_of_one_name(tmp_path: Path) -> None:
    first, second = project(pipeline("sales", hourly())), project(pipeline("other", hourly()), name="two")
    bench = Bench(tmp_path, first, second)
    bench.at("2026-03-10T13:00")
    assert [run.pipeline for run in bench.runs()] == ["sales"]
    assert "schedule hourly" in bench.service.engine.troubles


# --- time zones, jitter, landing ----------------------------------------------------------------------------------------------


def test_new_tz_data_moves_the_next_instant_and_fires_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path, project(pipeline("sales", ScheduleSpec("hourly", "cron 0 9 * * *", "Europe/Berlin"))))
    bench.store.commit(
        [], epoch=bench.service.engine.epoch,
        facts=[ScheduleMoved(NOON, "default", "hourly", instant("2026-03-11T07:00"), "2019a")],
    )  # fmt: skip
    later = bench.again()
    assert later.row().tzdata == zones.version()
    assert later.row().next_at == instant("2026-03-11T08:00")
    assert later.told() == []
    moved = [f for row in later.store.stream() for f in row.facts if isinstance(f, ScheduleMoved)][-1]
    assert moved.reason == f"tz data 2019a -> {zones.version()}"


def test_jitter_is_the_same_for_a_tick_each_time_and_spreads_schedules(tmp_path: Path) -> None:
    specs = [ScheduleSpec(f"s{i}", "cron 0 13 * * *", jitter_s=600.0) for i in range(20)]
    bench = Bench(tmp_path, project(pipeline("sales", *specs)))
    bench.at("2026-03-10T13:00")
    early = len(bench.runs())
    bench.at("2026-03-10T13:05")
    half = len(bench.runs())
    bench.at("2026-03-10T13:10")
    assert early <= 2 < half < 18 < len(bench.runs()) == 20
    tick = bench.ticks("s3")[0]
    assert tick.instant == instant("2026-03-10T13:00")
    assert 0 < tick.start_at - tick.instant < 600


def test_a_run_that_is_to_land_starts_earlier_by_its_usual_duration(tmp_path: Path) -> None:
    spec = ScheduleSpec("hourly", "cron 0 * * * *", land=True, land_margin_s=60.0, overlap="allow")
    bench = Bench(tmp_path, project(pipeline("sales", spec)))
    for hour in (13, 14, 15):
        bench.clock.set(instant(f"2026-03-10T{hour}:00") - 660)
        bench.turns()
        bench.clock.set(instant(f"2026-03-10T{hour}:00"))
        bench.turns()
        bench.clock.advance(600)
        bench.do()
    starts = [t.start_at - t.instant for t in bench.ticks()]
    # The first knows nothing yet but its margin; it took ten minutes or more, so the others start that much earlier.
    assert starts[0] == -60
    assert all(start <= -660 for start in starts[1:])


def test_a_run_that_is_to_land_does_not_start_before_its_partition_has_ended(tmp_path: Path) -> None:
    spec = ScheduleSpec("hourly", "cron 0 6 * * *", land=True, land_margin_s=9 * 3600.0)
    bench = Bench(tmp_path, project(pipeline("sales", spec, partitions=DAYS)))
    bench.at("2026-03-10T23:59")
    assert bench.runs() == []
    bench.at("2026-03-11T00:00")
    assert [run.partition for run in bench.runs()] == ["2026-03-10"]


# --- functions of the user's ----------------------------------------------------------------------------------------------


class _Says:
    """An evaluator whose function says every half hour; or fails."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.fails = False

    def ask(self, project: str, request: Any, *, timeout_s: float = 60.0) -> Future[Answered]:
        self.asked.append(request)
        future: Future[Answered] = Future()
        if self.fails:
            future.set_exception(ScheduleError("boom"))
            return future
        first = request.after // 1800 * 1800 + 1800
        future.set_result(Answered(1, Instants(tuple(first + 1800 * i for i in range(request.count)))))
        return future


OWN = ScheduleSpec("hourly", "own pipelines:moons", catchup="all")


def test_a_timetable_of_the_users_own_is_asked_and_obeyed(tmp_path: Path) -> None:
    says = _Says()
    bench = Bench(tmp_path, project(pipeline("sales", OWN)), evaluator=says)
    bench.turns()
    assert bench.row().next_at == instant("2026-03-10T12:30")
    bench.through(2 * 3600)
    assert bench.told() == ["12:30 run", "13:00 run", "13:30 run", "14:00 run"]
    assert len(says.asked) == 1
    later = bench.again(after=100 * 3600)
    later.turns(8)
    assert len(later.ticks()) == 204
    assert later.ask(NextTicks("hourly", 2)).result(0).ticks[0] % 1800 == 0
    assert later.is_sound()


class _SaysLater(_Says):
    """It answers when the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[tuple[Future[Answered], Future[Answered]]] = []

    def ask(self, project: str, request: Any, *, timeout_s: float = 60.0) -> Future[Answered]:
        given: Future[Answered] = Future()
        self.waiting.append((given, super().ask(project, request, timeout_s=timeout_s)))
        return given


def test_an_answer_that_comes_when_the_schedule_is_declared_no_more_moves_nothing(tmp_path: Path) -> None:
    says = _SaysLater()
    bench = Bench(tmp_path, project(pipeline("sales", OWN)), evaluator=says)
    bench.turns()
    bench.load(project(pipeline("sales")))
    [(given, made)] = says.waiting
    given.set_result(made.result())
    bench.turns()
    assert (bench.row().active, bench.row().next_at) == (False, None)
    assert not any(isinstance(fact, ScheduleMoved) for row in bench.store.stream() for fact in row.facts)


def test_a_timetable_that_fails_is_asked_again_and_then_quarantined(tmp_path: Path) -> None:
    says = _Says()
    says.fails = True
    bench = Bench(
        tmp_path, project(pipeline("sales", OWN), pipeline("b", ScheduleSpec("b", "cron 0 * * * *"))), evaluator=says
    )
    bench.through(600)
    assert bench.row().paused
    assert bench.row().reason == "5 errors in a row: boom"
    says.fails = False
    bench.ask(ResumeSchedule("hourly", "ann"))
    bench.through(3600)
    assert bench.told()[-1] == "13:00 run"
    assert bench.told("b") == ["13:00 run"]


# --- many ---------------------------------------------------------------------------------------------------------------


def test_two_thousand_schedules_due_at_once_all_run_once(tmp_path: Path) -> None:
    specs = [ScheduleSpec(f"s{i}", "cron 0 13 * * *") for i in range(2_000)]
    bench = Bench(tmp_path, project(*(pipeline(f"p{i}", *specs[i * 100 : i * 100 + 100]) for i in range(20))))
    bench.clock.set(instant("2026-03-10T13:00"))
    bench.turns(5)
    assert len(bench.runs()) == 2_000
    assert {r.origin for r in bench.runs()} == {f"sched:s{i}:2026-03-10T13:00:00Z" for i in range(2_000)}


def test_a_name_that_two_projects_want_is_a_trouble_until_one_of_them_gives_it_up(tmp_path: Path) -> None:
    first, second = project(pipeline("sales", hourly())), project(pipeline("stock", hourly()), name="depot")
    bench = Bench(tmp_path, first, second)
    troubles = bench.service.engine.troubles
    assert "two schedules" in troubles["schedule hourly"]
    assert bench.row().project == "shop"
    bench.load(project(pipeline("sales")))
    assert "schedule hourly" not in troubles
    assert (bench.row().project, bench.row().active) == ("depot", True)
    bench.at("2026-03-10T13:00")
    assert [run.pipeline for run in bench.runs()] == ["stock"]
    assert bench.is_sound()
