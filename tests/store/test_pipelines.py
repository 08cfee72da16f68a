"""The history of pipelines, on each database: last runs, their steps counted, the runs of days."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from partita.core.events import RunCreated, RunStarted, StepEnded, StepRetried
from partita.store import pipelines
from partita.store.pipelines import Name
from partita.store.reading import SqlReader

from .conftest import KINDS
from .stores import FakeClock, Writer, created, ended, opened, started


@pytest.fixture(params=[kind for kind in KINDS if kind != "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Iterator[SqlReader]:
    with opened(request.param, tmp_path, clock) as store:
        assert isinstance(store, SqlReader)
        yield store


DAILY = Name("shop", "daily")


def of_project(project: str, run: str) -> RunCreated:
    return RunCreated(
        1.0,
        run=run,
        namespace=project,
        project=project,
        pipeline="daily",
        graph="g1",
        code="c1",
        origin=f"cli:{run}",
    )


def test_the_last_runs_of_each_pipeline_are_newest_first_over_all_states(store: SqlReader, commit: Writer) -> None:
    for at in range(4):
        commit.run(f"daily-{at}", state="failed" if at % 2 else "succeeded", at=float(at))
    commit.run("weekly-0", pipeline="weekly")
    found = pipelines.last_runs(store, [DAILY, Name("shop", "weekly"), Name("shop", "never")], limit=3)
    assert [run.id for run in found[DAILY]] == ["daily-3", "daily-2", "daily-1"]
    assert [run.state for run in found[DAILY]] == ["failed", "succeeded", "failed"]
    assert [run.state for run in found[Name("shop", "weekly")]] == ["running"]
    assert found[Name("shop", "never")] == []
    before = found[DAILY][-1].no
    assert [run.id for run in pipelines.last_runs(store, [DAILY], before_no=before)[DAILY]] == ["daily-0"]


def test_pipelines_of_one_name_in_two_projects_are_kept_apart(store: SqlReader, commit: Writer) -> None:
    commit(of_project("shop", "a"), run="a")
    commit(of_project("other", "b"), run="b")
    found = pipelines.last_runs(store, [DAILY, Name("other", "daily")])
    assert {name.project: [run.id for run in runs] for name, runs in found.items()} == {"shop": ["a"], "other": ["b"]}


def test_more_pipelines_than_are_put_together_at_once_are_all_answered(store: SqlReader, commit: Writer) -> None:
    for at in range(45):
        commit.run(f"run-{at}", pipeline=f"p{at}")
    names = [Name("shop", f"p{at}") for at in range(45)]
    found = pipelines.last_runs(store, names, limit=1)
    assert [found[name][0].id for name in names] == [f"run-{at}" for at in range(45)]


def test_the_steps_of_runs_are_counted_by_state(store: SqlReader, commit: Writer) -> None:
    commit(created(), RunStarted(1.0))
    for index, state in (("0", "succeeded"), ("1", "succeeded"), ("2", "failed")):
        commit(
            started("map", index),
            ended("map", index, state=state),
            *((StepEnded(3.0, "map", index, state, "x"),) if state != "succeeded" else ()),
        )
    commit(started("open"))
    commit(started("again"), ended("again", state="failed"), StepRetried(3.0, "again", "", 2, 9.0, "x"))
    runs = pipelines.last_runs(store, [DAILY])[DAILY]
    found = {one.step: one.counts for one in pipelines.counted_steps(store, runs)}
    assert found == {"map": {"succeeded": 2, "failed": 1}, "open": {"running": 1}, "again": {"retrying": 1}}


def test_a_step_that_is_tried_again_right_now_runs(store: SqlReader, commit: Writer) -> None:
    commit(created(), RunStarted(1.0))
    commit(started("again"), ended("again", state="failed"), StepRetried(3.0, "again", "", 2, 9.0, "x"))
    commit(started("again", attempt=2, at=4.0))
    [found] = pipelines.counted_steps(store, pipelines.last_runs(store, [DAILY])[DAILY])
    assert found.counts == {"running": 1}


def test_runs_are_counted_since_an_instant_as_far_as_they_are_looked_at(store: SqlReader, commit: Writer) -> None:
    for at in range(6):
        commit.run(f"run-{at}", state="succeeded" if at < 5 else "failed", at=10.0 * at)
    found, whole = pipelines.asked_for(store, DAILY, since=15.0)
    assert sorted(found) == [("failed", 50.0), *[("succeeded", at) for at in (20.0, 30.0, 40.0)]]
    assert whole == 15.0
    found, whole = pipelines.asked_for(store, DAILY, since=15.0, limit=2)
    assert sorted(found) == [("failed", 50.0), ("succeeded", 30.0), ("succeeded", 40.0)]
    assert whole == 30.0
    assert pipelines.asked_for(store, DAILY, since=100.0) == ([], 100.0)
