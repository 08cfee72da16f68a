"""Retention in a service: what goes, what stays whatever its age, and that it takes little at a time."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from partita.core.facts.house import Removed
from partita.core.facts.messages import MessageQueued, MessageTried
from partita.core.manifest import ScheduleSpec
from partita.core.retention import DAY_S
from partita.engine import retention
from partita.engine.backfills import StartBackfill
from partita.engine.keeping import policy_for
from partita.engine.retention import TidyNow, Vacuum, Vacuumed
from partita.engine.submission import RunRequest
from partita.errors import DefinitionError
from partita.store import backfills, house, schedules

from .backfilling import Bench, asset, pipeline, project

SHOP = project("shop", asset("raw"), pipelines=[pipeline("nightly")])


def tidy(bench: Bench) -> dict[str, int]:
    """One pass more; what was removed since the start by kind (a pass may have come by itself before)."""
    handler = bench.service.handlers()[TidyNow]
    answer = bench.service.engine.post(lambda: handler(TidyNow()))
    bench.service.turn(0.0)
    tidied = answer.result()
    for _ in range(500):
        if tidied.done():
            break
        bench.service.turn(0.0)
    assert tidied.done()
    bench.turns(2)
    counts: dict[str, int] = {}
    for row in house.removals(bench.store):
        counts[row.what] = counts.get(row.what, 0) + row.count
    return counts


def run(bench: Bench, target: str, count: int, partition: str = "2026-01-01", fails: bool = False) -> None:
    for i in range(count):
        bench.clock.advance(0.001)
        origin = f"test:{target}:{bench.clock.now()}:{i}"
        bench.service.submitter.submit(RunRequest(target, "ann", origin, partition=partition, tags=("daily",)))
        bench.carry_out(lambda a: fails)


def test_runs_that_are_old_go_with_all_that_hangs_on_them(tmp_path: Path) -> None:
    bench = Bench(tmp_path, SHOP)
    run(bench, "nightly", 3, fails=True)
    bench.clock.advance(91 * DAY_S)
    run(bench, "nightly", 1)
    assert tidy(bench)["runs"] == 3
    assert [r.no for r in bench.store.runs()] == [4]
    for table in ("steps", "attempts"):
        assert {row[0] for row in bench.store._db.fetch(f"SELECT run FROM {table}")} == {4}
    assert bench.store.runs(tag="daily", limit=9) == bench.store.runs()
    assert list(bench.store.audit()) == []
    assert [(r.what, r.count) for r in house.removals(bench.store) if r.what == "runs"] == [("runs", 3)]


def test_runs_within_their_time_and_runs_that_are_open_stay(tmp_path: Path) -> None:
    bench = Bench(tmp_path, SHOP)
    bench.service.submitter.submit(RunRequest("nightly", "ann", "open", partition="2026-01-02"))
    bench.clock.advance(50 * DAY_S)
    bench.clock.advance(60 * DAY_S)
    assert "runs" not in tidy(bench)
    assert bench.store.runs()[0].state == "running"


def test_the_newest_successes_of_each_pipeline_stay_whatever_their_age(tmp_path: Path) -> None:
    bench = Bench(tmp_path, SHOP)
    run(bench, "nightly", 23)
    bench.clock.advance(1000 * DAY_S)
    assert tidy(bench)["runs"] == 3
    assert bench.store.usual("nightly")["a"][2] == 20


def test_the_newest_materialization_outlives_its_run_and_says_what_it_said(tmp_path: Path) -> None:
    bench = Bench(tmp_path, SHOP)
    run(bench, "raw", 2)
    before = bench.store.materialization("raw", "2026-01-01")
    run(bench, "raw", 21, "2026-01-02")
    bench.clock.advance(91 * DAY_S)
    assert tidy(bench)["runs"] == 3
    after = bench.store.materialization("raw", "2026-01-01")
    assert before is not None
    assert after is not None
    assert (after.at, after.data_version, after.value) == (before.at, before.data_version, before.value)
    assert after.run == ""
    assert len(bench.store.materializations("raw", partition="2026-01-01")) == 1
    assert bench.plan("raw", "2026-01-01..2026-01-02").subjects[0].present == 2
    assert list(bench.store.audit()) == []


def test_a_materialization_whose_run_is_gone_goes_when_a_newer_one_is_there(tmp_path: Path) -> None:
    bench = Bench(tmp_path, SHOP)
    run(bench, "raw", 1)
    run(bench, "raw", 20, "2026-01-02")
    bench.clock.advance(91 * DAY_S)
    tidy(bench)
    run(bench, "raw", 1)
    assert tidy(bench)["materializations"] == 1
    assert len(bench.store.materializations("raw", partition="2026-01-01")) == 1


def test_a_large_run_goes_a_thousand_rows_at_a_time_and_is_in_no_list_meanwhile(tmp_path: Path) -> None:
    from partita.core.graph import Graph, Step
    from partita.core.manifest import PipelineSpec

    wide = PipelineSpec("wide", Graph("wide", tuple(Step(f"s{i}") for i in range(1500))))
    bench = Bench(tmp_path, project("shop", pipelines=[wide]))
    bench.service.submitter.submit(RunRequest("wide", "ann", "one"))
    bench.carry_out(lambda a: True)
    bench.clock.advance(91 * DAY_S)
    handler = bench.service.handlers()[TidyNow]
    bench.service.engine.post(lambda: handler(TidyNow()))
    left = 3000
    while bench.store.run("1") is not None:
        bench.service.turn(0.0)
        now = bench.store._db.fetch("SELECT (SELECT count(*) FROM steps) + (SELECT count(*) FROM attempts)")[0][0]
        assert left - now <= 1001
        if 0 < now < left:
            assert bench.store.runs() == []
            assert list(bench.store.audit()) == [], "a run that is leaving is not looked at"
        left = now
    assert left == 0


def test_a_removal_that_was_broken_off_is_finished_by_the_next_engine(tmp_path: Path) -> None:
    bench = Bench(tmp_path, SHOP)
    run(bench, "nightly", 1)
    bench.store.tidy(lambda execute: execute("mark_leaving", (1,)), epoch=bench.service.engine.epoch)
    bench = bench.again()
    assert tidy(bench)["runs"] == 1
    assert bench.store.run("1") is None


def test_a_graph_goes_with_its_last_run_and_is_put_again_for_the_next_one(tmp_path: Path) -> None:
    bench = Bench(tmp_path, SHOP)
    run(bench, "nightly", 1, fails=True)
    version = bench.store.runs()[0].graph
    bench.clock.advance(91 * DAY_S)
    assert tidy(bench)["graphs"] == 1
    assert bench.store.graph(version) is None
    bench.start("nightly", "2026-01-01")
    bench.carry_out()
    assert bench.store.graph(version) is not None
    assert bench.store.runs()[0].state == "succeeded"


def test_a_graph_that_a_run_of_this_very_turn_needs_stays(tmp_path: Path) -> None:
    bench = Bench(tmp_path, SHOP)
    run(bench, "nightly", 1, fails=True)
    version = bench.store.runs()[0].graph
    engine = bench.service.engine
    bench.service.submitter.create(RunRequest("nightly", "ann", "staged", partition="2026-01-05"))
    assert engine.forget_graphs([version, "other"]) == ["other"]


def test_a_run_that_a_backfill_has_not_heard_the_end_of_stays(tmp_path: Path) -> None:
    bench = Bench(tmp_path, SHOP)
    plan = bench.plan("nightly", "2026-01-01")
    bench.ask(StartBackfill(plan.spec, plan.work, 1, "ann"))
    bench.turns()
    bench.hands.do(lambda a: True)
    bench.service.engine.turn(0.0, chores=False)
    old = house.oldest_runs(bench.store, after=(-1.0, -1), before=9e18, kept=20, limit=5)
    assert [(o.no, o.may_go) for o in old] == [(1, False)]
    bench.turns()
    old = house.oldest_runs(bench.store, after=(-1.0, -1), before=9e18, kept=20, limit=5)
    assert [(o.no, o.may_go) for o in old] == [(1, True)]


def test_sent_messages_old_events_and_removals_go_and_waiting_messages_stay(tmp_path: Path) -> None:
    bench = Bench(tmp_path, SHOP)
    at = bench.clock.now()
    queued = [MessageQueued(at, key, "default", "r", "c", "t", b"") for key in ("sent", "waits")]
    bench.service.engine.record(*queued, MessageTried(at, "sent", 1), Removed(at, "runs", 1, 0, 0.0))
    bench.turns()
    bench.clock.advance(31 * DAY_S)
    assert tidy(bench)["messages"] == 1
    assert bench.store._db.fetch("SELECT key FROM outbox") == [("waits",)]
    bench.clock.advance(400 * DAY_S)
    counts = tidy(bench)
    assert counts["events"] >= 1
    assert [r.what for r in house.removals(bench.store) if r.at < at + DAY_S] == [], (
        "what was removed first is forgotten"
    )


def test_ended_backfills_go_with_their_parts(tmp_path: Path) -> None:
    bench = Bench(tmp_path, SHOP)
    bench.start("nightly", "2026-01-01..2026-01-03")
    bench.carry_out()
    bench.clock.advance(366 * DAY_S)
    assert tidy(bench)["backfills"] == 1
    assert backfills.backfills(bench.store) == []
    assert bench.store._db.fetch("SELECT count(*) FROM parts") == [(0,)]


def test_too_many_bytes_take_the_oldest_runs_whatever_their_age(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARTITA_RETENTION", "runs=90d, 1kb")
    bench = Bench(tmp_path, SHOP)
    run(bench, "nightly", 3, fails=True)
    bench.clock.advance(10.0)
    assert tidy(bench)["runs"] == 3


def test_a_tick_whose_run_was_removed_stays_and_is_not_taken_for_one_that_has_lost_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Ticks and runs have retentions of their own: by bytes, or by a clock that is set, a run may go long before its tick.
    monkeypatch.setenv("PARTITA_RETENTION", "runs=90d, 1kb")
    hourly = ScheduleSpec("hourly", "cron 0 * * * *")
    bench = Bench(tmp_path, project("shop", pipelines=[replace(pipeline("nightly"), schedules=(hourly,))]))
    bench.clock.advance(3600.0)
    bench.turns()
    [tick] = schedules.ticks(bench.store, "default", "hourly", limit=9)
    assert tick.run == bench.store.runs()[0].id
    bench.carry_out(lambda a: True)
    bench.clock.advance(10.0)
    assert tidy(bench)["runs"] == 1
    assert schedules.ticks(bench.store, "default", "hourly", limit=9) == [replace(tick, run="")]
    assert list(bench.store.audit()) == []


def test_a_pass_comes_by_itself_after_the_start_and_every_hour(tmp_path: Path) -> None:
    bench = Bench(tmp_path, SHOP)
    part = next(p for p in bench.service.parts if isinstance(p, retention.Retention))
    now = bench.clock.now()
    assert part.due_at() == now + 60.0
    bench.clock.advance(61.0)
    while part.due_at() <= bench.clock.now():
        bench.service.turn(0.0)
    assert part.due_at() == now + 61.0 + 3600.0


def test_a_vacuum_is_answered_when_it_is_done(tmp_path: Path) -> None:
    bench = Bench(tmp_path, SHOP)
    handler = bench.service.handlers()[Vacuum]
    answer = bench.service.engine.post(lambda: handler(Vacuum()))
    bench.turns()
    assert answer.result().result(0) == Vacuumed(0)


def test_the_policy_is_said_in_the_project_or_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.partita.retention]\nruns = "30d"\nlogs = "2w, 5GB"\n')
    monkeypatch.setenv("PARTITA_RETENTION", "runs=7d; audit=forever")
    kinds = policy_for(tmp_path).kinds
    assert (kinds["runs"].age_s, kinds["logs"].age_s, kinds["logs"].max_bytes) == (7 * DAY_S, 14 * DAY_S, 5 * 10**9)
    assert kinds["audit"].age_s is None
    monkeypatch.setenv("PARTITA_RETENTION", "runs")
    with pytest.raises(DefinitionError, match="says nothing"):
        policy_for(tmp_path)
    (tmp_path / "pyproject.toml").write_text('[tool.partita.retention]\nrun = "30d"\n')
    with pytest.raises(DefinitionError, match="no kind 'run'"):
        policy_for(tmp_path)


def test_a_service_that_closes_in_the_middle_of_a_sweep_leaves_no_process_behind(tmp_path: Path) -> None:
    bench = Bench(tmp_path, SHOP)
    (tmp_path / ".partita" / "partita.db").touch()
    [keeping] = [part for part in bench.service.parts if isinstance(part, retention.Retention)]
    bench.clock.advance(DAY_S)
    bench.turns(2)
    sweep = keeping._sweeper._process
    assert sweep is not None
    bench.service.close()
    assert sweep.returncode is not None
    assert not keeping._sweeper.is_running
