"""The morning report, from histories that the machine itself wrote into a store."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from partita.core.events import (
    AttemptEnded,
    AttemptStarted,
    CheckReport,
    Detail,
    Failure,
    RunCreated,
    RunStarted,
    StepEnded,
    StepReused,
)
from partita.core.graph import Axis, CheckOf, Element, Graph, ListOf, Step
from partita.core.graph import encode as encode_graph
from partita.core.graph import version as graph_version
from partita.core.machine import Known, RunMachine
from partita.core.manifest import AssetSpec, Manifest, PipelineSpec
from partita.core.policies import Policies, Retry
from partita.engine.report import Report, report_of
from partita.store.contract import RunCommit
from partita.store.memory import MemoryStore

LAND = Step("land", kind="asset", asset="land", owner="flights", policies=Policies(retry=Retry(limit=2)))
CHECK = Step("land:full", kind="check", check=CheckOf("land", "full", True), needs=("land",), owner="flights")
WARNS = Step("land:fresh", kind="check", check=CheckOf("land", "fresh"), needs=("land",), description="Not too old.")
MODEL = Step("model", kind="asset", asset="model", needs=("land", "land:full"), owner="analytics")
BOARD = Step("board", kind="asset", asset="board", needs=("model", "other"), owner="analytics")
OTHER = Step("other", kind="asset", asset="other", owner="ml", group=("ml",))
NIGHT = Graph("nightly", (LAND, CHECK, WARNS, OTHER, MODEL, BOARD))
KINDS = {"model": ("dbt", "model"), "board": ("dashboard", "html"), "land": ("parquet", "source")}


class Nights:
    """A store, and the runs of one pipeline in it, driven step by step."""

    def __init__(self, graph: Graph = NIGHT) -> None:
        self.store = MemoryStore(clock=lambda: self.now)
        self.now = 1000.0
        self.graph = graph
        self.epoch = self.store.acquire("engine", "test", 1e9).epoch
        assets = tuple(AssetSpec(s.asset, step=s.key, kinds=KINDS.get(s.asset, ())) for s in graph.steps if s.asset)
        spec = PipelineSpec("nightly", graph, owner="platform", description="All of it.")
        self.store.put_graph(graph_version(graph), encode_graph(graph))
        self.store.put_manifest(Manifest("p", (spec,), assets))
        self.count = 0

    def begin(self, reused: Sequence[str] = ()) -> Nights:
        self.count += 1
        self.run, self.seq = f"run-{self.count:04}", 0
        created = RunCreated(
            at=self.now,
            run=self.run,
            namespace="default",
            project="p",
            pipeline="nightly",
            graph=graph_version(self.graph),
            code="",
            origin=f"test:{self.count}",
            by="ann",
            partition="2013-12-17",
        )
        taken = [StepReused(self.now, step, "", "run-0000") for step in reused]
        self.machine = RunMachine(self.graph, created, [Known(r.step, "", r.state) for r in taken])
        self._commit(created, *taken)
        self._apply(RunStarted(self.now))
        return self

    def start(self, step: str, index: str = "") -> Nights:
        instance = self.machine.instance(step, index)
        assert instance is not None
        self._apply(AttemptStarted(self.now, step, index, instance.attempt + 1, 1, "host:1"))
        return self

    def end(
        self, step: str, index: str = "", *, state: str = "succeeded", took: float = 1.0, **detail: object
    ) -> Nights:
        instance = self.machine.instance(step, index)
        assert instance is not None
        began, self.now = self.now, self.now + took
        about = Detail(**detail) if detail else None  # type: ignore[arg-type]
        ended = AttemptEnded(self.now, step, index, instance.attempt, 1, state, None, about, began, self.now)  # type: ignore[arg-type]
        self._apply(ended)
        return self

    def do(self, *steps: str, took: float = 1.0, **detail: object) -> Nights:
        for step in steps:
            self.start(step).end(step, took=took, **detail)
        return self

    def fail(self, step: str, message: str, index: str = "", times: int = 1, **failure: object) -> Nights:
        for _ in range(times):
            self.start(step, index).end(step, index, state="failed", failure=Failure(message, **failure))  # type: ignore[arg-type]
        return self

    def report(self) -> Report:
        row = self.store.run(self.run)
        assert row is not None
        return report_of(self.store, row)

    def _apply(self, event: object) -> None:
        self.machine.apply(event)  # type: ignore[arg-type]
        self._commit(*self.machine.take_journal())

    def _commit(self, *events: object) -> None:
        self.seq += 1
        self.store.commit([RunCommit(self.run, self.seq, self.now, tuple(events))], epoch=self.epoch)  # type: ignore[arg-type]


def good_night(nights: Nights, **took: float) -> Nights:
    nights.begin()
    for step in ("land", "land:full", "land:fresh", "other", "model", "board"):
        nights.do(step, took=took.get(step, 1.0))
    return nights


def test_a_good_night_is_one_word():
    report = good_night(Nights()).report()
    assert report.state == "succeeded"
    assert report.all_well
    assert (report.steps, report.took_s, report.owner) == (6, 6.0, "platform")
    assert [(m.noun, m.planned, m.made, m.cached) for m in report.made] == [
        ("source", 1, 1, 0),
        ("asset", 1, 1, 0),
        ("model", 1, 1, 0),
        ("dashboard", 1, 1, 0),
    ]
    assert report.checks.passed == report.checks.planned == 2


def test_what_stands_behind_a_failure_is_no_cause_but_is_counted_by_what_it_is():
    nights = Nights().begin()
    nights.fail("land", "column 'dep_delay' is missing\nsecond line", times=3, types=("shop.SchemaError", "Exception"))
    report = nights.do("other").report()
    (cause,) = report.causes
    assert (cause.step, cause.noun, cause.owner, cause.attempts) == ("land", "source", "flights", 3)
    assert cause.error == "SchemaError: column 'dep_delay' is missing"
    assert {count.noun: count.names for count in cause.blocks} == {
        "check": ("land:fresh", "land:full"),
        "model": ("model",),
        "dashboard": ("board",),
    }
    assert cause.missed == ("board",)
    assert report.not_run == ()


def test_what_two_causes_block_is_told_of_both():
    nights = Nights().begin().do("land", "land:full", "land:fresh")
    report = nights.fail("model", "no space").fail("other", "no time").report()
    assert {cause.step: cause.missed for cause in report.causes} == {"model": ("board",), "other": ("board",)}


def test_what_many_causes_block_is_told_of_each_of_them():
    feeds = [Step(f"feed{n}", kind="asset", asset=f"feed{n}") for n in range(5)]
    all_of_them = Step("all", kind="asset", asset="all", needs=tuple(s.key for s in feeds))
    nights = Nights(Graph("nightly", (*feeds, all_of_them))).begin()
    for feed in feeds:
        nights.fail(feed.key, "gone")
    assert [cause.missed for cause in nights.report().causes] == [("all",)] * 5


def test_a_failed_blocking_check_is_a_cause_with_its_own_message():
    found = CheckReport("land", "full", False, "error", "3 rows are missing")
    report = Nights().begin().do("land").do("land:full", checks=(found,)).report()
    (cause,) = report.causes
    assert (cause.step, cause.noun, cause.error) == ("land:full", "check", "3 rows are missing")
    assert report.checks.failed == 1


def test_a_check_that_only_warns_stops_nothing_and_is_told():
    found = CheckReport("land", "fresh", False, "warn", "26 h old")
    nights = Nights().begin().do("land", "land:full").do("land:fresh", checks=(found,)).do("other", "model", "board")
    report = nights.report()
    assert report.state == "succeeded"
    assert not report.all_well
    (warned,) = report.warnings
    assert (warned.asset, warned.check, warned.message, warned.description) == (
        "land",
        "fresh",
        "26 h old",
        "Not too old.",
    )
    assert (report.checks.passed, report.checks.warned) == (1, 1)


def test_a_step_that_was_retried_and_then_worked_is_told_with_what_it_failed_with():
    nights = Nights().begin().fail("land", "no answer", times=2, types=("TimeoutError",)).do("land")
    (again,) = nights.report().recovered
    assert (again.step, again.attempts, again.error) == ("land", 3, "TimeoutError: no answer")
    assert nights.report().causes == ()


@pytest.mark.parametrize(("nights_before", "took", "is_slow"), [(3, 4.0, True), (2, 4.0, False), (3, 1.4, False)])
def test_a_step_is_slow_against_at_least_three_earlier_runs_and_by_enough(nights_before, took, is_slow):
    nights = Nights()
    for _ in range(nights_before):
        good_night(nights)
    report = good_night(nights, model=took).report()
    assert [s.step for s in report.slow] == (["model"] if is_slow else [])
    assert (report.usually_s is not None) == (nights_before == 3)


def test_a_slow_step_is_measured_against_the_runs_before_it_and_not_against_itself():
    nights = Nights()
    for took in (1.0, 2.0, 3.0):
        good_night(nights, model=took)
    (slow,) = good_night(nights, model=30.0).report().slow
    assert (slow.took_s, slow.median_s, slow.count) == (30.0, 2.0, 3)


def test_a_night_from_the_cache_is_not_slow_and_no_measure_for_one_that_worked():
    nights = Nights()
    for _ in range(3):
        nights.begin()
        for step in ("land", "land:full", "land:fresh", "other", "model", "board"):
            nights.do(step, took=0.01, cached_from=f"run-0001/{step}//1")
    report = good_night(nights).report()
    assert report.slow == ()
    assert report.usually_s is None
    cached = nights.begin().do("land", cached_from="run-0001/land//1").report()
    assert cached.cached == 1
    assert cached.made[0].cached == 1


def test_the_instances_of_one_earlier_run_are_not_three_runs():
    axis = Axis("feed", (ListOf(tuple(_constants(4))),))
    nights = Nights(Graph("nightly", (Step("extract", axes=("feed",), args=(("feed", Element("feed")),)),), (axis,)))
    for took in (1.0, 30.0):
        nights.begin()
        for index in "0123":
            nights.start("extract", index).end("extract", index, took=took)
    assert nights.report().slow == ()


def test_of_what_is_missed_the_dashboards_come_before_tables_that_only_end_somewhere():
    table = Step("table", kind="asset", asset="table", needs=("land",))
    nights = Nights(Graph("nightly", (*NIGHT.steps, table))).begin().fail("land", "gone", times=3).do("other")
    (cause,) = nights.report().causes
    assert "table" in {name for count in cause.blocks for name in count.names}
    assert cause.missed == ("board",)


def test_how_often_a_step_failed_before_is_known():
    nights = Nights()
    good_night(nights)
    nights.begin().fail("land", "gone", times=3).do("other")
    good_night(nights)
    nights.begin().fail("land", "gone", times=3).do("other")
    assert nights.report().causes[0].history == ("succeeded", "failed", "succeeded")


def test_the_failed_instances_of_a_map_are_one_cause():
    axis = Axis("feed", (ListOf(()),))
    mapped = replace(LAND, key="extract", asset=None, kind="task", axes=("feed",), args=(("feed", Element("feed")),))
    known = replace(axis, sources=(ListOf(tuple(_constants(3))),))
    nights = Nights(Graph("nightly", (mapped, Step("load", needs=("extract",))), (known,))).begin()
    nights.start("extract", "0").end("extract", "0").fail("extract", "bad", "1", times=3)
    report = nights.fail("extract", "bad", "2", times=3).report()
    (cause,) = report.causes
    assert (cause.step, cause.indexes, cause.noun) == ("extract", ("1", "2"), "step")
    assert [(c.noun, c.names) for c in cause.blocks] == [("step", ("load",))]


def _constants(count: int):
    from partita.core.graph import Const
    from partita.core.plain import pack

    return [Const(pack(number)) for number in range(count)]


def test_what_was_skipped_is_told_with_its_reason():
    skipped = Failure("nothing new today", cause="skipped")
    nights = Nights().begin().do("other").start("land")
    report = nights.end("land", state="failed", failure=skipped).report()
    assert ("skipped", "nothing new today", ("land",)) in [(n.state, n.reason, n.names) for n in report.not_run]
    assert report.causes == ()


def test_what_a_rerun_took_over_counts_as_made_and_passed():
    nights = Nights().begin(reused=["land", "land:full", "land:fresh", "other"]).do("model", "board")
    report = nights.report()
    assert report.reused == 4
    assert (report.checks.passed, report.made[0].cached, report.cached) == (2, 1, 0)


def test_a_bundle_is_no_cause_of_its_own_and_the_members_it_passed_over_are_blocked():
    steps = (
        Step("build", kind="bundle"),
        Step("a", kind="member", bundle="build", asset="a"),
        Step("b", kind="member", bundle="build", asset="b", needs=("a",)),
        Step("page", kind="asset", asset="page", needs=("b",)),
    )
    nights = Nights(Graph("nightly", steps)).begin().start("build").fail("a", "Binder Error")
    nights._apply(StepEnded(nights.now, "b", "", "upstream_failed", "left out"))
    report = nights.end("build").report()
    (cause,) = report.causes
    assert (cause.step, [c.names for c in cause.blocks]) == ("a", [("b", "page")])
    assert [leg.step for leg in report.critical_path] == ["build"]


def test_the_longest_way_leads_from_the_first_step_to_the_last():
    nights = Nights().begin().start("other").start("land").end("land", took=5.0).end("other", took=1.0)
    nights.do("land:full", "land:fresh", "model", took=2.0)
    nights.now += 3.0
    report = nights.do("board", took=4.0).report()
    assert [(leg.step, leg.waited_s, leg.took_s) for leg in report.critical_path] == [
        ("land", 0.0, 5.0),
        ("land:full", 1.0, 2.0),
        ("model", 2.0, 2.0),
        ("board", 3.0, 4.0),
    ]
    assert sum(leg.waited_s + leg.took_s for leg in report.critical_path) == report.took_s
    assert {(s.lane, s.began_s, s.ended_s) for s in report.spans} >= {("ml", 5.0, 6.0), ("board", 15.0, 19.0)}


def test_the_longest_way_goes_through_a_bundle_by_its_members_and_into_it_by_what_it_waited_for():
    steps = (
        Step("fast", kind="asset", asset="fast"),
        Step("late", kind="asset", asset="late"),
        Step("build", kind="bundle"),
        Step("a", kind="member", bundle="build", asset="a", needs=("fast",)),
        Step("b", kind="member", bundle="build", asset="b", needs=("a",)),
        Step("c", kind="member", bundle="build", asset="c", needs=("late",)),
    )
    nights = Nights(Graph("nightly", steps)).begin().do("fast", "late", took=2.0)
    nights.start("build").do("c", "a", took=1.0).do("b", took=5.0)
    legs = nights.end("build", took=0.5).report().critical_path
    assert [(leg.step, leg.through, leg.waited_s, leg.took_s) for leg in legs] == [
        ("late", (), 2.0, 2.0),
        ("build", ("a", "b"), 1.0, 6.0),
    ]


def test_a_run_that_has_only_begun_has_a_report():
    report = Nights().begin().start("land").report()
    assert (report.state, report.took_s, report.causes, report.all_well) == ("running", None, (), False)
