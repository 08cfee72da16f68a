"""Backfills as a service runs them: which runs they make, in which order, and that nothing is lost between two engines."""

from __future__ import annotations

from pathlib import Path

import pytest

from partita.core.backfill_course import Part
from partita.core.manifest import ParamSpec
from partita.core.plain import pack
from partita.engine.backfills import AskBackfill, StartBackfill
from partita.engine.submission import RunRequest
from partita.errors import DefinitionError, ParamError
from partita.store import backfills as rows

from .backfilling import DAYS, MONTHS, Bench, asset, pipeline, project, reads

FLIGHTS = project("shop", asset("raw"), asset("delays", "raw"))


def test_a_backfill_makes_a_run_for_each_partition_oldest_first(tmp_path: Path) -> None:
    bench = Bench(tmp_path, project("shop", pipelines=[pipeline("nightly")]))
    row = bench.start("nightly", "2026-01-01..2026-01-05", max_runs=2)
    assert bench.carry_out() == [["2026-01-01", "2026-01-02"], ["2026-01-03", "2026-01-04"], ["2026-01-05"]]
    row = bench.row(row.id)
    assert (row.state, row.total, row.partitions) == ("succeeded", 5, 5)
    assert rows.counts(bench.store, row) == {"succeeded": 5}
    run = bench.store.runs(partition="2026-01-03")[0]
    assert (run.origin, run.by, run.pipeline) == (f"backfill:{row.id}:2:0", "ann", "nightly")
    assert rows.part_of_run(bench.store, run.id) == (row.id, Part(0, 2))


def test_the_newest_partitions_come_first_if_that_is_asked_for(tmp_path: Path) -> None:
    bench = Bench(tmp_path, project("shop", pipelines=[pipeline("nightly")]))
    bench.start("nightly", "2026-01-01..2026-01-03", max_runs=1, order="newest")
    assert bench.carry_out() == [["2026-01-03"], ["2026-01-02"], ["2026-01-01"]]


def test_its_runs_have_its_priority_its_tags_and_its_parameters(tmp_path: Path) -> None:
    spec = pipeline("nightly", params=(ParamSpec("region", "{}", required=False),))
    bench = Bench(tmp_path, project("shop", pipelines=[spec]))
    bench.start("nightly", "2026-01-01", priority=-5, tags=("history",), params={"region": b"\xa2eu"})
    bench.carry_out()
    run = bench.store.runs()[0]
    assert (run.priority, run.tags, run.params) == (-5, ("history",), {"region": b"\xa2eu"})


def test_only_what_is_missing_is_made(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FLIGHTS)
    bench.start("raw", "2026-01-02")
    bench.carry_out()
    plan = bench.plan("*", "2026-01-01..2026-01-03", only="missing")
    assert [(s.name, s.chosen, s.present, s.planned) for s in plan.subjects] == [("raw", 3, 1, 2), ("delays", 3, 0, 3)]
    bench.ask(StartBackfill(plan.spec, plan.work, plan.partitions, "ann"))
    bench.carry_out()
    made = [len(bench.store.materializations("raw", partition=f"2026-01-0{d}")) for d in (1, 2, 3)]
    assert made == [1, 1, 1]
    assert rows.materialized(bench.store, "delays") == {"2026-01-01", "2026-01-02", "2026-01-03"}


def test_only_what_failed_is_made_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FLIGHTS)
    bench.start("*", "2026-01-01..2026-01-03")
    bench.carry_out(lambda a: a.brief.step == "delays" and a.brief.partition == "2026-01-02")
    bench.start("*", "2026-01-01..2026-01-03", only="failed")
    assert bench.carry_out() == [["2026-01-02"]]
    assert rows.materialized(bench.store, "delays") == {"2026-01-01", "2026-01-02", "2026-01-03"}


def test_a_failed_part_fails_the_backfill_and_is_run_again_by_a_retry(tmp_path: Path) -> None:
    bench = Bench(tmp_path, project("shop", pipelines=[pipeline("nightly")]))
    row = bench.start("nightly", "2026-01-01..2026-01-03")
    bench.carry_out(lambda a: a.brief.partition == "2026-01-02")
    assert rows.counts(bench.store, bench.row(row.id)) == {"succeeded": 2, "failed": 1}
    assert bench.row(row.id).state == "failed"
    bench.retry(row)
    assert bench.row(row.id).state == "running"
    assert bench.carry_out() == [["2026-01-02"]]
    assert bench.row(row.id).state == "succeeded"
    part = rows.parts(bench.store, bench.row(row.id))[1]
    assert (part.state, part.tries) == ("succeeded", 2)
    with pytest.raises(DefinitionError, match="nothing of backfill"):
        bench.retry(row)


def test_batches_are_one_run_each_and_make_every_partition(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FLIGHTS)
    row = bench.start("*", "2026-01-01..2026-01-05", batch=2, max_runs=1)
    assert bench.carry_out()[::2] == [["2026-01-01..2026-01-02"], ["2026-01-03..2026-01-04"], ["2026-01-05"]]
    assert rows.materialized(bench.store, "delays") == {f"2026-01-0{d}" for d in range(1, 6)}
    run = bench.store.runs()[-1]
    assert run.partitions == ("2026-01-01", "2026-01-02")
    assert rows.parts(bench.store, bench.row(row.id))[0].partition == "2026-01-01..2026-01-02"
    assert list(bench.store.audit()) == []


def test_a_single_run_over_the_range_is_what_an_asset_may_ask_for_itself(tmp_path: Path) -> None:
    bench = Bench(tmp_path, project("shop", asset("raw", backfill_batch=0)))
    bench.start("raw", "2026-01-01..2026-01-31")
    assert bench.carry_out() == [["2026-01-01..2026-01-31"]]
    assert len(rows.materialized(bench.store, "raw")) == 31


def test_a_cascade_makes_the_downstreams_of_other_projects_after_what_they_read(tmp_path: Path) -> None:
    months = project("reports", asset("monthly", "delays", partitions=MONTHS))
    bench = Bench(
        tmp_path, FLIGHTS, months, project("mail", pipelines=[pipeline("send", reads("monthly"), partitions=MONTHS)])
    )
    row = bench.start("raw", "2026-01-01..2026-01-31", cascade="downstreams", max_runs=4)
    order = [a for step in bench.carry_out() for a in step]
    assert order[-2:] == ["2026-01-01", "2026-01-01"], "the month and its mail come when all of its days are there"
    assert len(order) == 31 * 2 + 2
    work = rows.work(bench.store, row.id)
    assert [(s.project, s.name) for s in work.stages] == [
        ("shop", "raw and 1 more"),
        ("reports", "monthly"),
        ("mail", "send"),
    ]
    assert bench.row(row.id).state == "succeeded"


def test_what_reads_a_failed_part_is_skipped_and_says_why(tmp_path: Path) -> None:
    bench = Bench(tmp_path, project("shop", asset("raw")), project("reports", asset("delays", "raw")))
    row = bench.start("delays", "2026-01-01..2026-01-02", cascade="upstreams")
    bench.carry_out(lambda a: a.brief.asset == "raw" and a.brief.partition == "2026-01-01")
    skipped = rows.parts(bench.store, bench.row(row.id), state="skipped")
    assert [(p.stage, p.part, p.reason) for p in skipped] == [(1, 0, "2026-01-01 of what it reads failed")]
    bench.retry(row)
    bench.carry_out()
    assert bench.row(row.id).state == "succeeded"


def test_a_paused_backfill_starts_nothing_and_goes_on_where_it_was(tmp_path: Path) -> None:
    two = pipeline("nightly")
    bench = Bench(tmp_path, project("shop", pipelines=[two]))
    row = bench.start("nightly", "2026-01-01..2026-01-04", max_runs=1)
    bench.turns()
    bench.tell(row, "pause")
    assert bench.store.runs(partition="2026-01-01")[0].paused
    bench.hands.do()
    bench.turns()
    assert bench.hands.runs == []
    assert bench.row(row.id).paused
    bench = bench.again()
    bench.turns()
    assert bench.hands.runs == []
    bench.tell(row, "resume")
    assert [p for step in bench.carry_out() for p in step] == ["2026-01-02", "2026-01-03", "2026-01-04"]


def test_a_cancelled_backfill_ends_its_runs_and_makes_no_more(tmp_path: Path) -> None:
    bench = Bench(tmp_path, project("shop", pipelines=[pipeline("nightly")]))
    row = bench.start("nightly", "2026-01-01..2026-01-09", max_runs=2)
    bench.turns()
    assert len(bench.hands.open) == 2
    bench.tell(row, "cancel")
    bench.turns()
    assert bench.row(row.id).state == "cancelled"
    assert rows.counts(bench.store, bench.row(row.id)) == {"cancelled": 9}
    assert [run.state for run in bench.store.runs()] == ["cancelled", "cancelled"]
    with pytest.raises(DefinitionError, match="has ended"):
        bench.ask(AskBackfill(row.id, "pause", "ann"))
    bench.retry(row)
    bench.carry_out()
    assert bench.row(row.id).state == "succeeded"


def test_a_backfill_that_is_cancelled_at_once_leaves_no_run_behind(tmp_path: Path) -> None:
    bench = Bench(tmp_path, project("shop", pipelines=[pipeline("nightly")]))
    plan = bench.plan("nightly", "2026-01-01..2026-01-03")
    start, tell = bench.service.handlers()[StartBackfill], bench.service.handlers()[AskBackfill]
    bench.service.turn(0.0)
    made = bench.service.engine.post(lambda: start(StartBackfill(plan.spec, plan.work, 3, "ann")))
    bench.service.turn(0.0)
    bench.service.engine.post(lambda: tell(AskBackfill(made.result().id, "cancel", "ann")))
    bench.turns(6)
    assert bench.row(made.result().id).state == "cancelled"
    assert all(run.state == "cancelled" for run in bench.store.runs())


def test_another_engine_goes_on_with_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path, project("shop", pipelines=[pipeline("nightly")]))
    row = bench.start("nightly", "2026-01-01..2026-01-05", max_runs=2)
    bench.turns()
    bench.hands.do()
    bench.turns(1)  # what has ended is committed; nothing is noted of it for the backfill yet
    bench = bench.again()
    bench.carry_out()
    assert bench.row(row.id).state == "succeeded"
    assert sorted(run.partition for run in bench.store.runs()) == [f"2026-01-0{d}" for d in range(1, 6)]
    assert list(bench.store.audit()) == []


def test_it_never_has_more_runs_open_than_its_limit(tmp_path: Path) -> None:
    bench = Bench(tmp_path, project("shop", pipelines=[pipeline("nightly")]))
    bench.start("nightly", "2026-01-01..2026-01-31", max_runs=3)
    seen = bench.carry_out()
    assert max(map(len, seen)) == 3
    assert sum(map(len, seen)) == 31


def test_a_backfill_and_another_run_of_the_same_partition_never_run_at_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path, project("shop", pipelines=[pipeline("nightly")]))
    bench.service.submitter.submit(RunRequest("nightly", "sched", "sched:n:1", partition="2026-01-02"))
    bench.start("nightly", "2026-01-01..2026-01-03", max_runs=3)
    bench.turns()
    assert sorted(bench.hands.runs) == ["2026-01-01", "2026-01-02", "2026-01-03"]
    bench.hands.do()
    bench.turns()
    assert bench.hands.runs == ["2026-01-02"], "the backfill's own comes when the other one has ended"


def test_a_batch_keeps_its_partitions_for_itself(tmp_path: Path) -> None:
    bench = Bench(tmp_path, project("shop", pipelines=[pipeline("nightly")]))
    bench.start("nightly", "2026-01-01..2026-01-03", batch=0)
    bench.turns()
    bench.service.submitter.submit(RunRequest("nightly", "sched", "sched:n:1", partition="2026-01-02"))
    bench.turns()
    assert bench.hands.runs == ["2026-01-01..2026-01-03"]
    assert bench.carry_out() == [["2026-01-01..2026-01-03"], ["2026-01-02"]]


def test_a_batch_of_assets_keeps_their_partitions_for_itself(tmp_path: Path) -> None:
    bench = Bench(tmp_path, project("shop", asset("raw"), asset("other")))
    bench.start("raw", "2026-01-01..2026-01-03", batch=0)
    bench.turns()
    bench.service.submitter.submit(RunRequest("raw|other", "sched", "sched:n:1", partition="2026-01-02"))
    bench.turns()
    assert sorted((a.brief.asset, a.brief.partition) for a in bench.hands.open.values()) == [
        ("other", "2026-01-02"),
        ("raw", "2026-01-01..2026-01-03"),
    ]


def test_what_cannot_run_is_refused_before_there_is_a_backfill(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FLIGHTS, project("mail", pipelines=[pipeline("send", reads("delays"))]))
    with pytest.raises(ParamError, match="before the first one"):
        bench.plan("nothing" if False else "raw", "2025-01-01")
    with pytest.raises(ParamError, match="at least one run at once"):
        bench.plan("raw", max_runs=0)
    with pytest.raises(DefinitionError, match="never made yet"):
        bench.start("send", "2026-01-01")
    assert rows.backfills(bench.store) == []


def test_a_backfill_of_nothing_is_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FLIGHTS)
    bench.start("raw", "2026-01-01")
    bench.carry_out()
    with pytest.raises(DefinitionError, match="nothing of this is left to do"):
        bench.start("raw", "2026-01-01", only="missing")


def test_the_estimate_goes_by_what_it_took_before_and_names_the_bottleneck(tmp_path: Path) -> None:
    from partita.core.graph import Step
    from partita.core.policies import Policies

    slow = pipeline("nightly", Step("load", policies=Policies(pools=(("db", 1),))))
    bench = Bench(tmp_path, project("shop", pipelines=[slow], pools=(("db", 1),)))
    assert bench.plan("nightly", "2026-01-01..2026-01-10").estimate.seconds is None
    bench.start("nightly", "2026-01-01")
    bench.carry_out()
    estimate = bench.plan("nightly", "2026-01-01..2026-01-10", max_runs=8).estimate
    assert (estimate.seconds, estimate.bottleneck, estimate.steps) == (20.0, "pool db (1 slot)", 10)
    narrow = bench.plan("nightly", "2026-01-01..2026-01-10", max_runs=1).estimate
    assert narrow.seconds == 20.0


def test_lists_have_pages(tmp_path: Path) -> None:
    bench = Bench(tmp_path, project("shop", pipelines=[pipeline("nightly")]))
    for _ in range(3):
        bench.start("nightly", "2026-01-01..2026-01-03")
    first = rows.backfills(bench.store, limit=2)
    assert [r.no for r in first] == [3, 2]
    assert [r.no for r in rows.backfills(bench.store, before_no=2, state="running")] == [1]
    bench.carry_out()
    parts = rows.parts(bench.store, first[0], limit=2)
    rest = rows.parts(bench.store, first[0], after=Part(parts[-1].stage, parts[-1].part))
    assert [p.part for p in (*parts, *rest)] == [0, 1, 2]
    assert [r.no for r in rows.backfills(bench.store, namespace="default")] == [3, 2, 1]
    assert DAYS.kind == "daily"


def test_after_a_start_it_waits_until_its_project_is_loaded(tmp_path: Path) -> None:
    bench = Bench(tmp_path, project("shop", pipelines=[pipeline("nightly")]))
    row = bench.start("nightly", "2026-01-01..2026-01-03", max_runs=1)
    bench.clock.advance(60.0)
    later = Bench(tmp_path, store=bench.store, clock=bench.clock)
    assert later.carry_out() == [["2026-01-01"]], "only the run that was open already"
    assert later.row(row.id).state == "running"
    later.service.load(bench.manifests[0])
    assert later.carry_out() == [["2026-01-02"], ["2026-01-03"]]


def test_a_cancel_that_nobody_was_there_to_carry_out_is_carried_out_by_the_next_engine(tmp_path: Path) -> None:
    bench = Bench(tmp_path, project("shop", pipelines=[pipeline("nightly")]))
    row = bench.start("nightly", "2026-01-01..2026-01-09", max_runs=2)
    bench.turns()
    handler = bench.service.handlers()[AskBackfill]
    bench.service.engine.post(lambda: handler(AskBackfill(row.id, "cancel", "ann")))
    bench.service.engine.turn(0.0, chores=False)  # as the command line does without a service
    bench = bench.again()
    bench.turns(8)
    assert bench.row(row.id).state == "cancelled"
    assert all(run.state == "cancelled" for run in bench.store.runs())
    assert list(bench.store.audit()) == []


def test_a_backfill_whose_project_is_not_served_says_so_until_it_is(tmp_path: Path) -> None:
    bench = Bench(tmp_path, project("shop", pipelines=[pipeline("nightly")]))
    row = bench.start("nightly", "2026-01-01..2026-01-02", max_runs=1)
    served, bench.manifests = bench.manifests, ()
    bench = bench.again()
    bench.carry_out()
    assert bench.row(row.id).reason == ""
    bench.clock.advance(31.0)
    bench.turns()
    assert "project shop" in bench.row(row.id).reason
    bench.service.load(served[0])
    bench.carry_out()
    assert (bench.row(row.id).state, bench.row(row.id).reason) == ("succeeded", "")


@pytest.mark.parametrize(
    ("name", "given", "bound"),
    [("n", "3", 3), ("n", 3, 3), ("region", "3", "3"), ("n", "three", None), ("m", "1", None)],
)
def test_parameters_are_what_the_pipeline_says_or_are_refused(
    tmp_path: Path, name: str, given: object, bound: object
) -> None:
    params = (ParamSpec("n", '{"type": "integer"}', False), ParamSpec("region", '{"type": "string"}', False))
    bench = Bench(tmp_path, project("shop", pipelines=[pipeline("nightly", params=params)]))
    if bound is None:
        with pytest.raises(ParamError):
            bench.plan("nightly", params={name: pack(given)})
    else:
        assert bench.plan("nightly", params={name: pack(given)}).spec.params == {name: pack(bound)}
