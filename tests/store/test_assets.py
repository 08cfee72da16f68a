"""Assets beside runs, in the store: reports, verdicts, what was made last, freshness, dynamic partitions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from partita.core.automation import Tree, encode_trees
from partita.core.events import CheckEvaluated, Materialized, Meta, StepEnded
from partita.core.facts import Fact
from partita.core.facts.assets import (
    AssetReported,
    AutomationDecided,
    CheckReported,
    FreshnessChanged,
    PartitionAdded,
)
from partita.core.staleness import Verdict
from partita.store import assets as rows
from partita.store.sqlite import open_in_memory
from partita.store.writing import SqlStore

from .stores import Writer, ended, started


class Scene:
    """A store with a run that makes `raw`, and facts beside it."""

    def __init__(self, store: SqlStore) -> None:
        self.store = store
        self.write = Writer(store)
        self.count = 0

    def make(self, version: str, partition: str = "", asset: str = "raw") -> None:
        self.count += 1
        run, at = f"run-{self.count}", 10.0 * self.count
        self.write.run(run, origin=run)
        event = Materialized(at, "raw", "", 1, asset, partition, version, "c1")
        self.write(started("raw"), ended("raw"), event, run=run)

    def record(self, *facts: Fact) -> None:
        self.store.commit([], epoch=self.write.epoch, facts=facts)


@pytest.fixture
def scene() -> Iterator[Scene]:
    with closing(open_in_memory()) as store:
        yield Scene(store)


def test_the_same_data_version_again_is_no_change(scene: Scene) -> None:
    changes = []
    for version in ("v1", "v1", "v2", "v2", "v1"):
        scene.make(version)
        made = rows.made(scene.store, "raw")
        assert made is not None
        changes.append((made.no, made.changed_no, made.changed_at))
    assert changes == [(1, 1, 10.0), (2, 1, 10.0), (3, 3, 30.0), (4, 3, 30.0), (5, 5, 50.0)]


def test_data_without_a_version_always_counts_as_changed(scene: Scene) -> None:
    scene.make("")
    scene.make("")
    made = rows.made(scene.store, "raw")
    assert made is not None
    assert made.changed_no == 2


def test_a_report_is_a_materialization_without_a_run(scene: Scene) -> None:
    scene.record(AssetReported(5.0, "raw", "2024-01-01", "airbyte", "v7", (Meta("rows", "number", b"\x11"),), "sync-1"))
    made = rows.made(scene.store, "raw", "2024-01-01")
    assert made is not None
    assert (made.by, made.run, made.data_version) == ("airbyte", "", "v7")
    [one] = rows.history(scene.store, "raw")
    assert one.is_reported
    assert one.row.metadata[0].name == "rows"
    assert list(scene.store.audit()) == []


def test_a_report_under_a_known_key_is_written_once_and_by_another_tool_again(scene: Scene) -> None:
    for by, key in (("airbyte", "k"), ("airbyte", "k"), ("fivetran", "k"), ("airbyte", ""), ("airbyte", "")):
        scene.record(AssetReported(5.0, "raw", "", by, "v", (), key))
    assert len(rows.history(scene.store, "raw")) == 4
    assert rows.report_no(scene.store, "raw", "", "airbyte", "k") == 1
    assert rows.report_no(scene.store, "raw", "", "airbyte", "other") is None


def test_the_last_verdict_counts_whoever_says_it(scene: Scene) -> None:
    scene.write.run("run-x", origin="x")
    scene.write(
        started("t"),
        ended("t"),
        CheckEvaluated(6.0, "t", "", 1, "raw", "sane", "", False, "error", "17 rows"),
        run="run-x",
    )
    assert rows.verdicts(scene.store, "raw") == [Verdict("sane", False, "error", 6.0, "17 rows")]
    assert rows.counts(scene.store, "raw") == rows.Counts(made=0, failed=1)
    scene.record(CheckReported(7.0, "raw", "sane", True, "ann"))
    assert rows.verdicts(scene.store, "raw") == [Verdict("sane", True, "error", 7.0)]
    assert rows.failed_verdicts(scene.store, "raw") == []
    assert len(scene.store.checks(asset="raw")) == 2


def test_lists_have_cursors(scene: Scene) -> None:
    for day in range(1, 10):
        scene.make("v", f"2024-01-{day:02}")
    first = rows.made_of(scene.store, "raw", limit=4)
    second = rows.made_of(scene.store, "raw", after=first[-1][0], limit=4)
    assert [key for key, _ in first + second] == [f"2024-01-{day:02}" for day in range(1, 9)]
    assert len(list(rows.all_made(scene.store, "raw"))) == 9
    newest = rows.newest_made(scene.store, "raw")
    assert newest is not None
    assert newest[0] == "2024-01-09"
    page = rows.history(scene.store, "raw", limit=4)
    older = rows.history(scene.store, "raw", before_no=page[-1].no, limit=4)
    assert [h.no for h in page + older] == [9, 8, 7, 6, 5, 4, 3, 2]


def test_decisions_of_automation_keep_their_explanation_and_memory(scene: Scene) -> None:
    tree = Tree("x is to be made now", True, (Tree("it was never made", True),))
    scene.record(
        AutomationDecided(5.0, "x", ("2024-01-01",), "run-1", encode_trees((("2024-01-01", tree),)), b"one"),
        AutomationDecided(6.0, "x", (), "", b"", b"two"),
        AutomationDecided(7.0, "y", ("",), "run-2", b"", None),
    )
    [one] = rows.automated(scene.store, "x")
    assert (one.partitions, one.run, one.trees) == (("2024-01-01",), "run-1", (("2024-01-01", tree),))
    assert rows.automated(scene.store, "y")[0].partitions == ("",)
    assert rows.memory(scene.store, "x") == b"two"
    assert rows.memory(scene.store, "y") is None


def test_freshness_says_since_when(scene: Scene) -> None:
    scene.record(FreshnessChanged(5.0, "x", "warn", "old", "", 9.0), FreshnessChanged(6.0, "x", "warn", "older"))
    row = rows.freshness(scene.store, "x")
    assert row == rows.FreshnessRow("x", "", "warn", 5.0, "older", None)
    scene.record(FreshnessChanged(7.0, "x", "fresh"))
    assert [(r.state, r.since) for r in rows.freshness_list(scene.store)] == [("fresh", 7.0)]


def test_keys_come_in_the_order_in_which_they_were_added(scene: Scene) -> None:
    for at, key, removed in ((1.0, "b", False), (2.0, "a", False), (3.0, "c", False), (4.0, "b", True)):
        scene.record(PartitionAdded(at, "default", "customers", key, "ann", removed))
    assert rows.dynamic_keys(scene.store, "default", "customers") == ("a", "c")
    assert not rows.has_dynamic_key(scene.store, "default", "customers", "b")
    assert rows.dynamic_keys(scene.store, "other", "customers") == ()


def test_the_audit_finds_a_report_that_nothing_points_to(scene: Scene) -> None:
    scene.record(AssetReported(5.0, "raw", "", "airbyte", "v", (), "k"))
    scene.store.fetch("made", ("raw", ""))
    scene.store._db.fetch("DELETE FROM latest")
    assert [finding.invariant for finding in scene.store.audit()] == ["I17"]


def test_what_runs_and_where_a_step_failed_is_found_over_all_runs(scene: Scene) -> None:
    write = scene.write
    write.run("one", origin="one", partition="mon")
    write(started("raw"), run="one")
    [open_step] = rows.open_steps(scene.store)
    assert (open_step.step, open_step.partitions, open_step.run) == ("raw", ("mon",), "one")
    write(ended("raw", state="failed"), StepEnded(9.0, "raw", "", "failed", "it broke"), run="one")
    assert rows.open_steps(scene.store) == []
    write.run("two", origin="two", partition="tue")
    project = open_step.project
    assert [(f.partitions, f.at, f.run) for f in rows.failures(scene.store, project, "raw")] == [(("mon",), 9.0, "one")]
    # Of the newest runs only, of this project and step only.
    assert rows.failures(scene.store, project, "raw", newest=1) == []
    assert rows.failures(scene.store, "another", "raw") == rows.failures(scene.store, project, "other") == []


def test_the_stamp_changes_with_whatever_is_made_or_tested(scene: Scene) -> None:
    stamps = [rows.stamp(scene.store)]
    scene.make("v1")
    stamps.append(rows.stamp(scene.store))
    scene.record(CheckReported(20.0, "raw", "rows", True, "ann"))
    stamps.append(rows.stamp(scene.store))
    assert len(set(stamps)) == 3
