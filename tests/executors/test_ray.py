"""Steps on a Ray cluster: what every executor must do, and what happens when Ray loses something."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from partita.core.policies import Policies
from partita.errors import DefinitionError, ExecutorError
from partita.executors.clusters import ray
from partita.executors.clusters.exchange import Exchange
from partita.executors.conformance import Answers, Deaths, Kills, Logs
from partita.executors.contract import OpenAttempt

from .a_dask import ClusterStage
from .a_ray import ENVIRONMENT, RayHere, needs_ray
from .jobs import a_job, end_of

pytestmark = needs_ray


@pytest.fixture(scope="module")
def ray_here() -> Iterator[RayHere]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        here = RayHere()
        yield here
        here.close()


@pytest.fixture
def cluster(ray_here: RayHere) -> Iterator[RayHere]:
    yield ray_here
    ray_here.free()


@pytest.fixture
def stage(cluster: RayHere, tmp_path: Path) -> Iterator[ClusterStage]:
    stage = ClusterStage(tmp_path, _connection(cluster))
    yield stage
    stage.executor.close(kill=True)


def _connection(cluster: RayHere) -> ray.RayCluster:
    return ray.make("engine", {"address": cluster.address, "idle": "2s"})


class TestSettings:
    def test_an_unknown_setting_is_named(self) -> None:
        with pytest.raises(DefinitionError, match="adress"):
            ray.make("engine", {"adress": "auto"})

    def test_an_unknown_option_of_a_step_is_named(self) -> None:
        assert "did you mean 'resources'" in ray.make("engine", {}).check(Policies(), {"resource": {}})

    @pytest.mark.slow
    def test_a_cluster_that_is_not_there_is_an_error_with_its_address(self) -> None:
        connection = ray.make("engine", {"address": "127.0.0.2:9", "timeout": "3s"})
        with pytest.raises(ExecutorError, match=r"127\.0\.0\.2:9 cannot be reached") as caught:
            connection.connect()
        assert caught.value.hint
        connection.close()


@pytest.mark.slow
class TestAnswers(Answers):
    pass


@pytest.mark.slow
class TestKills(Kills):
    pass


@pytest.mark.slow
class TestDeaths(Deaths):
    pass


@pytest.mark.slow
class TestLogs(Logs):
    pass


@pytest.mark.slow
class TestRay:
    def test_a_second_copy_is_refused(self, cluster: RayHere, tmp_path: Path) -> None:
        job = a_job(tmp_path)
        assert Exchange.at(job.exchange).claim(job.name, "another actor")
        connection = _connection(cluster)
        connection.connect()
        connection.submit([job, job])
        assert "claimed by another actor" in end_of(connection, job).death.note  # type: ignore[union-attr]
        connection.close()

    def test_a_step_with_a_resource_waits_for_the_node_that_has_it(self, stage: ClusterStage) -> None:
        assert stage.value(stage.run("double", Policies(resources=(("licence", 1.0),)), i=4)) == 8
        # What idles with other demands gives way.
        assert stage.value(stage.run("double", Policies(cpu=2), i=5)) == 10

    def test_what_no_node_has_is_said(self, stage: ClusterStage) -> None:
        no = stage.begin("double", Policies(gpu=8), i=1)
        stage.wait_until(lambda: "num_gpus=8" in str(stage.executor.describe()), "the reason")
        stage.executor.kill(no, reason="cancelled")
        assert stage.outcome(no).state == "cancelled"

    def test_the_next_scheduler_adopts_what_runs(self, cluster: RayHere, tmp_path: Path) -> None:
        # given two jobs that run, and one that waits in the driver
        first = ClusterStage(tmp_path, _connection(cluster))
        mark, begun = tmp_path / "mark", tmp_path / "begun"
        inputs = {"mark": str(mark), "begun": str(begun)}
        numbers = [first.begin("wait_for", **inputs) for _ in range(3)]
        first.wait_until(lambda: begun.exists() and begun.read_text().count("begun") == 2, "two to run")
        # when the scheduler and Ray's driver with it go away, and another one comes
        first.executor.close()
        second = ClusterStage(tmp_path, _connection(cluster))
        second.executor.adopt(
            [
                OpenAttempt(first.run_id, "wait_for", str(no), 1, 1, "@engine", time.time(), Policies(), no, run_no=1)
                for no in numbers
            ]
        )
        second.wait_until(lambda: sum(" on machine" in line for line in second.executor.describe()) == 2, "two")
        mark.touch()
        # then what ran ends well, and what had not begun is free to begin again
        states = [second.outcome(no).state for no in numbers]
        assert sorted(states) == ["refused", "succeeded", "succeeded"]
        assert begun.read_text().count("begun") == 2
        second.executor.close(kill=True)

    def test_a_node_that_dies_is_a_loss_and_the_next_one_goes_on(self, cluster: RayHere, stage: ClusterStage) -> None:
        # given a step that runs on the only node with processors
        mark = stage.folder / "begun"
        no = stage.begin("wait_for", mark=str(stage.folder / "mark"), begun=str(mark))
        stage.wait_for_file(mark)
        # when the node is killed
        cluster.kill_raylet(cluster.nodes.pop())
        # then
        assert stage.outcome(no).state == "lost"
        cluster.nodes.append(cluster.start_node())
        assert stage.value(stage.run("double", i=2)) == 4
