"""Local processes and a cluster as one executor: each step goes where its policies say, whatever is loaded when."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from partita.cli.leftover import Leftovers
from partita.core.manifest import ExecutorSpec, Manifest
from partita.core.policies import Policies
from partita.errors import DefinitionError
from partita.executors.clusters import made
from partita.executors.clusters.cluster import Cluster
from partita.executors.conformance import Stage
from partita.executors.contract import Demand, OpenAttempt
from partita.executors.loading import start_host
from partita.executors.routed import RoutedExecutor
from partita.settings import Settings

from .a_cluster import ProcessCluster, until_ended

GRID = ExecutorSpec("grid", "processes")
THERE = Policies(executor="grid", grace_s=5.0)


class World:
    """A project with its host, and the clusters that its executors turn out to be."""

    def __init__(self, project: Path, cluster: ProcessCluster) -> None:
        self.settings = Settings.of(project, workers=1)
        self.cluster = cluster
        self.manifest = Manifest("conformance", (), executors=(GRID,))
        self._open: list[RoutedExecutor] = []

    def cluster_of(self, spec: ExecutorSpec) -> Cluster:
        if spec.kind != "processes":
            raise DefinitionError(f"executor {spec.name}: there is no kind {spec.kind!r}")
        return self.cluster

    def begin(self, *, configure: bool = True) -> Stage:
        """An engine's executor over it."""
        host = start_host(self.settings, workers=1)
        host.manifest()
        executor = RoutedExecutor({"conformance": host}, home=self.settings.home, make=self.cluster_of)
        self._open.append(executor)
        if configure:
            executor.configure(self.manifest)
        return Stage(executor, self.settings.home)

    def end(self) -> None:
        for executor in self._open:
            executor.close(kill=True)


@pytest.fixture
def world(project: Path) -> Iterator[World]:
    with until_ended(ProcessCluster()) as cluster:
        world = World(project, cluster)
        yield world
        world.end()


def executor_of(stage: Stage) -> RoutedExecutor:
    assert isinstance(stage.executor, RoutedExecutor)
    return stage.executor


def an_open_one(stage: Stage, task: str, no: int, worker: str) -> OpenAttempt:
    return OpenAttempt("run-1", task, str(no), 1, 1, worker, time.time(), THERE, 70 + no, run_no=1)


def test_each_step_goes_where_its_policies_say(world: World) -> None:
    stage = world.begin()
    here = stage.assignment("double", Policies(executor="local"), {"i": 1})
    there = stage.assignment("double", THERE, {"i": 21})
    assert not here.placement.worker.startswith("@")
    assert there.placement.worker == "@conformance/grid"
    stage.executor.submit([there, here])

    assert stage.value(stage.outcome(here.ticket.no)) == 2
    assert stage.value(stage.outcome(there.ticket.no)) == 42
    assert len(world.cluster.processes) == 1
    assert set(stage.ends.values()) == {1}


def test_a_place_is_given_back_to_whom_it_is_of(world: World) -> None:
    stage = world.begin()
    stage.run("double", THERE, i=1)
    there = stage.executor.place(Demand("conformance", "pipelines:double", THERE))
    assert there is not None
    stage.executor.unplace(there)
    assert stage.value(stage.run("double", THERE, i=4)) == 8
    assert stage.value(stage.run("double", i=4)) == 8


def test_a_step_elsewhere_is_cancelled_there(world: World, tmp_path: Path) -> None:
    stage = world.begin()
    no = stage.begin("sleep_long", THERE, mark=str(tmp_path / "began"))
    stage.wait_for_file(tmp_path / "began")
    stage.executor.kill(no, reason="cancelled")
    assert stage.outcome(no).state == "cancelled"
    assert (tmp_path / "began").read_text() == "cleaned up"


def test_an_executor_that_is_not_named_any_more_refuses_with_its_name(world: World) -> None:
    stage = world.begin()
    outcome = stage.run("double", Policies(executor="gird"), i=1)
    assert outcome.state == "refused"
    assert outcome.detail is not None
    assert outcome.detail.failure is not None
    assert "has no executor 'gird': name it under [tool.partita.executors.gird]" in outcome.detail.failure.message


def test_settings_that_cannot_be_are_the_reason_of_the_refusal(world: World) -> None:
    stage = world.begin()
    executor_of(stage).configure(msgspec.structs.replace(world.manifest, executors=(ExecutorSpec("grid", "odd"),)))
    outcome = stage.run("double", THERE, i=1)
    assert outcome.detail is not None
    assert outcome.detail.failure is not None
    assert "executor grid: there is no kind 'odd'" in outcome.detail.failure.message


def test_what_runs_elsewhere_ends_there_when_the_settings_change(world: World, tmp_path: Path) -> None:
    stage = world.begin()
    no = stage.begin("wait_for", THERE, mark=str(tmp_path / "go"), begun=str(tmp_path / "begun"))
    stage.wait_for_file(tmp_path / "begun")
    executor_of(stage).configure(msgspec.structs.replace(world.manifest, executors=()))
    (tmp_path / "go").touch()
    assert stage.outcome(no).state == "succeeded"


def test_attempts_elsewhere_wait_for_their_project_and_are_not_judged_before(world: World, tmp_path: Path) -> None:
    first = world.begin()
    no = first.begin("wait_for", THERE, mark=str(tmp_path / "go"), begun=str(tmp_path / "begun"))
    first.wait_for_file(tmp_path / "begun")
    first.executor.close()
    # given an engine that has not loaded the project yet
    second = world.begin(configure=False)
    second.executor.adopt([an_open_one(second, "wait_for", no, "@conformance/grid")])
    second.poll(0.0)
    assert not second.outcomes
    assert "attempts on @conformance/grid wait until their project is loaded" in second.executor.describe()
    # when it is loaded
    executor_of(second).configure(world.manifest)
    (tmp_path / "go").touch()
    # then the job is found and its end taken
    assert second.outcome(70 + no).state == "succeeded"
    assert len(world.cluster.processes) == 1


def test_a_cancel_that_came_before_the_project_is_not_forgotten(world: World, tmp_path: Path) -> None:
    first = world.begin()
    no = first.begin("sleep_long", THERE, mark=str(tmp_path / "began"))
    first.wait_for_file(tmp_path / "began")
    first.executor.close()
    second = world.begin(configure=False)
    second.executor.adopt([an_open_one(second, "sleep_long", no, "@conformance/grid")])
    second.executor.kill(70 + no, reason="cancelled")
    executor_of(second).configure(world.manifest)
    assert second.outcome(70 + no).state == "cancelled"


def test_what_a_step_waits_for_is_said_before_it_is_handed_over(world: World) -> None:
    stage = world.begin()
    routed = executor_of(stage)
    world.cluster.is_away.set()
    assert routed.place(Demand("conformance", "pipelines:double", THERE)) is None
    stage.wait_until(lambda: "cannot be reached" in routed.refusal("conformance", "grid"), "the trouble to be told")
    world.cluster.is_away.clear()
    stage.wait_until(lambda: routed.refusal("conformance", "grid") == "", "the cluster to be there")
    assert routed.refusal("conformance", "") == ""


def test_an_attempt_of_an_executor_that_is_gone_is_lost(world: World) -> None:
    stage = world.begin()
    stage.executor.adopt([an_open_one(stage, "double", 3, "@conformance/old")])
    outcome = stage.outcome(73)
    assert outcome.state == "lost"


# --- without a scheduler ----------------------------------------------------------------------------------------------


@pytest.fixture
def left(world: World, tmp_path: Path) -> int:
    """The number of a ticket that an engine left running elsewhere."""
    stage = world.begin()
    no = stage.begin("sleep_long", THERE, mark=str(tmp_path / "began"))
    stage.wait_for_file(tmp_path / "began")
    stage.executor.close()
    return no


def test_a_command_that_asks_no_engine_leaves_such_attempts_open(world: World, left: int, tmp_path: Path) -> None:
    leftovers = Leftovers(world.settings.home)
    stage = Stage(leftovers, world.settings.home)
    leftovers.adopt([an_open_one(stage, "sleep_long", left, "@conformance/grid")])
    leftovers.kill(70 + left, reason="cancelled")
    stage.poll(0.3)
    leftovers.close()
    assert not stage.outcomes
    assert (tmp_path / "began").read_text() != "cleaned up"


def test_a_cancel_without_a_scheduler_ends_them_where_they_are(
    world: World, left: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(made, "cluster_of", world.cluster_of)
    leftovers = Leftovers(world.settings.home, [world.manifest])
    stage = Stage(leftovers, world.settings.home)
    leftovers.adopt(
        [
            an_open_one(stage, "sleep_long", left, "@conformance/grid"),
            an_open_one(stage, "double", 9, "@conformance/old"),
        ]
    )
    leftovers.kill(70 + left, reason="cancelled")
    assert stage.outcome(70 + left).state == "cancelled"
    assert stage.outcome(79).state == "lost"
    assert leftovers.trouble == ""
    leftovers.close()
    assert (tmp_path / "began").read_text() == "cleaned up"
