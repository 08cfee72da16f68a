"""Steps go where their policies say: to the processes of this machine, or to an executor that the project names."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from partita.core.manifest import ExecutorSpec, Manifest
from partita.core.policies import Policies
from partita.errors import DefinitionError
from partita.executors.clusters.cluster import Cluster
from partita.executors.clusters.made import cluster_of
from partita.executors.clusters.station import Station
from partita.executors.conformance import Answers, Deaths, Kills, Logs, Stage, make_project
from partita.executors.contract import Demand, OpenAttempt
from partita.executors.loading import load_project
from partita.executors.routed import RoutedExecutor
from partita.settings import Home, Settings

from .a_cluster import ThreadCluster

GRID = Policies(executor="grid")


@pytest.fixture(scope="module", autouse=True)
def _a_station() -> Iterator[None]:
    yield
    Station.here().close()


class Made:
    """A routed executor over a loaded project, and the clusters that were made for it."""

    def __init__(self, folder: Path) -> None:
        self.clusters: list[ThreadCluster] = []
        self.home = Home(folder / "home")
        settings = Settings(project=make_project(folder / "project"), home=self.home, workers=2)
        loaded = load_project(settings)
        self.connection = loaded.connection
        self.manifest = msgspec.structs.replace(loaded.manifest, executors=(ExecutorSpec("grid", "test"),))
        self.executor = RoutedExecutor({self.manifest.project: loaded.connection}, home=self.home, make=self._make)

    def _make(self, spec: ExecutorSpec) -> Cluster:
        self.clusters.append(ThreadCluster())
        return self.clusters[-1]


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    found = Made(tmp_path)
    yield found
    found.executor.close(kill=True)


@pytest.fixture
def stage(made: Made) -> Stage:
    made.executor.configure(made.manifest)
    return Stage(made.executor, made.home)


class TestAnswersOfLocalProcesses(Answers):
    pass


class TestKillsOfLocalProcesses(Kills):
    pass


class TestDeathsOfLocalProcesses(Deaths):
    pass


class TestLogsOfLocalProcesses(Logs):
    pass


def test_each_step_runs_where_its_policies_say(stage: Stage, made: Made) -> None:
    here, there = stage.begin("pid"), stage.begin("pid", GRID)
    assert stage.outcome(here).state == stage.outcome(there).state == "succeeded"
    assert len(made.clusters[0].submitted) == 1
    assert stage.value(stage.run("double", Policies(executor="local"), i=3)) == 6
    assert len(made.clusters[0].submitted) == 1


def test_a_mix_of_many_ends_each_exactly_once(stage: Stage) -> None:
    numbers = [stage.begin("double", GRID if i % 3 else Policies(), i=i) for i in range(60)]
    assert [stage.value(stage.outcome(no)) for no in numbers] == [2 * i for i in range(60)]
    assert set(stage.ends.values()) == {1}


def test_a_value_that_was_made_there_is_read_here_and_the_other_way(stage: Stage) -> None:
    made = stage.run("make_list", GRID, i=50_000)
    assert made.value is not None
    assert made.value.ref is not None
    assert stage.value(stage.run("total", values=made.value)) == sum(range(50_000))
    made = stage.run("make_list", i=50_000)
    assert stage.value(stage.run("total", GRID, values=made.value)) == sum(range(50_000))


def test_an_executor_that_nobody_named_refuses_with_what_to_do(stage: Stage) -> None:
    outcome = stage.run("double", Policies(executor="gird"), i=1)
    assert outcome.state == "refused"
    assert outcome.detail is not None
    assert outcome.detail.failure is not None
    assert "has no executor 'gird': name it under [tool.partita.executors.gird]" in outcome.detail.failure.message


def test_settings_that_change_are_used_from_the_next_step_on(stage: Stage, made: Made, tmp_path: Path) -> None:
    no = stage.begin("wait_for", GRID, mark=str(tmp_path / "go"), begun=str(tmp_path / "begun"))
    stage.wait_for_file(tmp_path / "begun")
    changed = (ExecutorSpec("grid", "test", table='{"queue": "long"}'),)
    made.executor.configure(msgspec.structs.replace(made.manifest, executors=changed))
    assert stage.value(stage.run("double", GRID, i=1)) == 2
    (tmp_path / "go").touch()
    assert stage.outcome(no).state == "succeeded"
    assert [len(cluster.submitted) for cluster in made.clusters] == [1, 1]
    # The same settings again make nothing new.
    made.executor.configure(msgspec.structs.replace(made.manifest, executors=changed))
    assert len(made.clusters) == 2


def an_attempt(project: str, executor: str = "grid") -> OpenAttempt:
    return OpenAttempt("run-1", "double", "9", 1, 1, f"@{project}/{executor}", time.time(), Policies(), 9, run_no=1)


def test_attempts_on_a_cluster_wait_until_their_project_is_loaded(made: Made) -> None:
    stage = Stage(made.executor, made.home)
    made.executor.adopt([an_attempt(made.manifest.project)])
    stage.poll(0.0)
    assert stage.outcomes == {}
    assert any("wait until their project is loaded" in line for line in made.executor.describe())
    made.executor.configure(made.manifest)
    # Its start was committed and it never reached the cluster.
    assert stage.outcome(9).state == "refused"


def test_what_was_cancelled_while_its_project_was_not_loaded_is_cancelled_then(made: Made) -> None:
    stage = Stage(made.executor, made.home)
    made.executor.adopt([an_attempt(made.manifest.project)])
    made.executor.kill(9, reason="cancelled")
    made.executor.configure(made.manifest)
    assert stage.outcome(9).state in ("cancelled", "refused")


def test_an_attempt_of_an_executor_that_is_gone_is_lost_with_the_reason(made: Made) -> None:
    stage = Stage(made.executor, made.home)
    made.executor.adopt([an_attempt(made.manifest.project, "old")])
    made.executor.configure(made.manifest)
    outcome = stage.outcome(9)
    assert outcome.state == "lost"
    assert outcome.detail is not None
    assert outcome.detail.failure is not None
    assert "its executor 'old' is not named any more" in outcome.detail.failure.message


def test_before_its_project_is_loaded_nothing_has_room(made: Made) -> None:
    assert made.executor.place(Demand(made.manifest.project, "pipelines:double", GRID)) is None


def test_a_kind_that_there_is_not_is_told_with_those_that_there_are() -> None:
    with pytest.raises(DefinitionError, match="there is no kind 'spark'") as error:
        cluster_of(ExecutorSpec("grid", "spark"))
    assert error.value.hint == "kinds: dask, kubernetes, ray, slurm"


def test_the_manifest_of_before_is_read_without_executors() -> None:
    assert Manifest("shop").executors == ()
