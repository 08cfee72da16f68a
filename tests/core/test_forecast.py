"""The days to come: ticks over changes of the clocks, runs that wait for each other, for slots, and land too late."""

from __future__ import annotations

import datetime as dt
from typing import Any

from partita.core.forecast import WORKERS, Forecast, Planned, amount_of, forecast, machine_slots
from partita.core.graph import Graph, Step
from partita.core.manifest import DeadlineSpec, PipelineSpec, ScheduleSpec
from partita.core.placement import Capacity
from partita.core.policies import Policies


def at(text: str) -> float:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC).timestamp()


def planned(spec: ScheduleSpec, minutes: float = 10, *, pool: str = "", **more: Any) -> Planned:
    policies = Policies(pools=((pool, 1),)) if pool else Policies()
    graph = Graph("g", (Step("a", policies=policies), Step("b", needs=("a",))))
    deadlines = more.pop("deadlines", ())
    pipeline = PipelineSpec(
        spec.name, graph, schedules=(spec,), deadlines=deadlines, max_runs=more.pop("max_runs", None)
    )
    return Planned(spec, pipeline, usual={"a": minutes * 60, "b": 60.0}, **more)


def play(*schedules: Planned, days: float = 1, start: str = "2026-03-28T00:00", **slots: int) -> Forecast:
    begin = at(start)
    return forecast(schedules, slots={WORKERS: 8, **slots}, start=begin, end=begin + days * 86_400)


def test_ticks_and_landings_over_a_change_of_the_clocks() -> None:
    found = play(planned(ScheduleSpec("n", "cron 30 2 * * *", "Europe/Berlin")), days=3)
    assert [(t.local, t.clocks) for t in found.ticks] == [
        ("2026-03-28T02:30:00+01:00", ""),
        ("2026-03-29T03:00:00+02:00", "+01:00 -> +02:00"),
        ("2026-03-30T02:30:00+02:00", ""),
    ]
    assert all(t.landed_at == t.instant + 660 for t in found.ticks)


def test_runs_of_one_schedule_wait_are_skipped_or_cancelled_as_it_says() -> None:
    def told(overlap: Any) -> list[tuple[str, float, bool]]:
        spec = ScheduleSpec("s", "cron 0 1,2 * * *", overlap=overlap)
        ticks = play(planned(spec, minutes=90)).ticks[:2]
        return [(t.decision, t.queued_s, t.cancelled) for t in ticks]

    assert told("queue") == [("run", 0, False), ("run", 31 * 60, False)]
    assert told("skip")[1][0] == "skipped"
    assert told("cancel_running")[0][2]
    assert told("allow")[1] == ("run", 0, False)


def test_pools_and_workers_make_steps_wait() -> None:
    specs = [planned(ScheduleSpec(f"s{i}", "cron 0 3 * * *"), pool="warehouse") for i in range(3)]
    found = play(*specs, warehouse=1)
    assert sorted(t.waited.get("warehouse", 0) for t in found.ticks) == [0, 600, 1200]
    assert found.peaks["warehouse"] == 1
    assert play(*specs, warehouse=3).peaks["warehouse"] == 3
    assert forecast(specs, slots={WORKERS: 1}, start=at("2026-03-28T00:00"), end=at("2026-03-29T00:00")).peaks == {
        WORKERS: 1,
        "warehouse": 1,
    }


def test_the_limit_of_runs_of_a_pipeline_makes_them_wait() -> None:
    spec = ScheduleSpec("s", "cron 0,5 3 * * *", overlap="allow")
    assert [t.queued_s for t in play(planned(spec, max_runs=1)).ticks] == [0, 360]


def test_deadlines_that_will_be_missed() -> None:
    by = DeadlineSpec("run", at="03:05")
    within = DeadlineSpec("run", after_s=3600.0)
    spec = ScheduleSpec("s", "cron 0 3 * * *")
    assert [t.late_s for t in play(planned(spec, deadlines=(by,))).missed] == [360]
    assert play(planned(spec, deadlines=(within,))).missed == ()


def test_what_is_to_land_starts_earlier_and_is_late_only_if_something_holds_it_up() -> None:
    spec = ScheduleSpec("s", "cron 0 6 * * *", land=True, land_margin_s=60.0)
    [tick] = play(planned(spec, usual_run_s=660.0)).ticks
    assert (tick.start_at, tick.landed_at, tick.late_s) == (tick.instant - 720, tick.instant - 60, 0)
    other = planned(ScheduleSpec("o", "cron 40 5 * * *"), minutes=30, pool="db")
    found = play(planned(spec, usual_run_s=660.0, pool="db"), other, db=1)
    assert [t.schedule for t in found.missed] == ["s"]


def test_what_nobody_can_say_anything_about_is_told() -> None:
    found = play(
        planned(ScheduleSpec("own", "own m:f")),
        planned(ScheduleSpec("resting", "cron 0 * * * *"), paused=True),
        planned(ScheduleSpec("bad", "moon full")),
        Planned(ScheduleSpec("new", "cron 0 3 * * *"), PipelineSpec("p", Graph("g", (Step("a"),)))),
    )
    assert set(found.left_out) == {"own", "resting", "bad"}
    assert [(t.schedule, t.unknown) for t in found.ticks] == [("new", 1)]


def test_a_month_of_minutes_is_played_at_once() -> None:
    found = play(planned(ScheduleSpec("s", "cron * * * * *", overlap="allow"), minutes=1), days=7)
    assert len(found.ticks) == 7 * 1440
    assert all(t.landed_at == t.instant + 120 for t in found.ticks)


def test_what_a_step_asks_of_the_machine_makes_others_wait_and_elsewhere_it_takes_nothing() -> None:
    def three(policies: Policies) -> Forecast:
        graph = Graph("g", (Step("a", policies=policies),))
        specs = [ScheduleSpec(f"s{i}", "cron 0 3 * * *") for i in range(3)]
        plans = [Planned(s, PipelineSpec(s.name, graph, schedules=(s,)), usual={"a": 600.0}) for s in specs]
        slots = {WORKERS: 8, **machine_slots(Capacity({"cpu": 4000, "memory": 8 << 30}))}
        return forecast(plans, slots=slots, start=at("2026-03-28T00:00"), end=at("2026-03-29T00:00"))

    found = three(Policies(cpu=2.0, memory_bytes=1 << 30))
    assert sorted(t.waited.get("machine cpu", 0) for t in found.ticks) == [0, 0, 600]
    assert (amount_of("machine cpu", found.peaks["machine cpu"]), found.peaks["machine memory"]) == (4.0, 2 << 30)
    # More than there is: one after the other, not never.
    assert sorted(t.waited.get("machine memory", 0) for t in three(Policies(memory_bytes=64 << 30)).ticks) == [
        0,
        600,
        1200,
    ]
    assert three(Policies(cpu=2.0, executor="farm")).peaks == {}
