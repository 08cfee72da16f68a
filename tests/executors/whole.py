"""Whole attempts through an engine: the executor for clusters, the engine, and the real job of a machine, in few steps each.

Take over `Whole` with a fixture `new_cluster` that gives one more scheduler's connection to the same engine.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from partita.core.policies import Policies
from partita.executors.bundle import pack
from partita.executors.clusters.cluster import Cluster
from partita.executors.clusters.executor import ClusterExecutor
from partita.executors.conformance import Stage, make_project
from partita.executors.contract import OpenAttempt
from partita.settings import Home

NewCluster = Callable[[], Cluster]


@contextlib.contextmanager
def staged(folder: Path, cluster: Cluster) -> Iterator[Stage]:
    """An executor over a cluster, with the conformance project."""
    project = folder / "project"
    if not project.exists():
        make_project(project)
    exchange = folder / "exchange"
    exchange.mkdir(exist_ok=True)
    home = Home(folder / "home")
    executor = ClusterExecutor(
        "grid",
        cluster,
        home=home,
        exchange=f"file://{exchange}",
        code_of=lambda name, code: pack(project, into=folder),
    )
    try:
        yield Stage(executor, home)
    finally:
        executor.close()


class Whole:
    """What a user sees of a step on an engine."""

    @pytest.fixture
    def stage(self, tmp_path: Path, new_cluster: NewCluster) -> Iterator[Stage]:
        with staged(tmp_path, new_cluster()) as stage:
            yield stage

    def test_results_failures_and_logs_come_back(self, stage: Stage) -> None:
        outcomes = stage.run_many("double", 3)
        assert sorted(stage.value(outcome) for outcome in outcomes) == [0, 2, 4]
        failed = stage.run("fail", i=1)
        assert failed.state == "failed"
        assert failed.detail is not None
        assert failed.detail.failure is not None
        assert failed.detail.failure.traceback
        no = stage.begin("say", i=7)
        assert stage.outcome(no).state == "succeeded"
        stage.wait_until(lambda: stage.log(no) == ["I am 7", "still 7"], "the log")

    def test_a_cancel_lets_user_code_clean_up(self, stage: Stage, tmp_path: Path) -> None:
        no = stage.begin("sleep_long", Policies(grace_s=10.0), mark=str(tmp_path / "began"))
        stage.wait_for_file(tmp_path / "began")
        stage.executor.kill(no, reason="cancelled")
        assert stage.outcome(no).state == "cancelled"
        assert (tmp_path / "began").read_text() == "cleaned up"

    def test_too_much_memory_is_the_users_failure(self, stage: Stage) -> None:
        outcome = stage.run("eat_memory_in_a_child", Policies(memory_bytes=150 << 20))
        assert outcome.state == "failed"
        assert outcome.detail is not None
        assert outcome.detail.failure is not None
        assert outcome.detail.failure.cause == "out_of_memory"

    def test_a_later_scheduler_takes_up_what_runs(self, tmp_path: Path, new_cluster: NewCluster) -> None:
        with staged(tmp_path, new_cluster()) as first:
            no = first.begin("wait_for", mark=str(tmp_path / "go"), begun=str(tmp_path / "begun"))
            first.wait_for_file(tmp_path / "begun")
        with staged(tmp_path, new_cluster()) as second:
            attempt = OpenAttempt("run-1", "wait_for", str(no), 1, 1, "@grid", time.time(), Policies(), 70, run_no=1)
            second.executor.adopt([attempt])
            (tmp_path / "go").touch()
            assert second.outcome(70).state == "succeeded"
            assert second.ends[70] == 1
