"""Steps on a Dask cluster: what every executor must do, and what happens when Dask loses something."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from partita.core.policies import Policies
from partita.errors import DefinitionError, ExecutorError
from partita.executors.clusters import dask
from partita.executors.clusters.cluster import Gone, name_of
from partita.executors.clusters.exchange import Exchange
from partita.executors.conformance import Answers, Deaths, Kills, Logs
from partita.executors.contract import OpenAttempt

from .a_dask import ClusterStage, DaskHere, needs_dask, quiet
from .jobs import a_job, moments, told_until

pytestmark = [needs_dask, *quiet]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskHere]:
    here = DaskHere(tmp_path_factory.mktemp("dask"))
    yield here
    here.close()


@pytest.fixture
def stage(cluster: DaskHere, tmp_path: Path) -> Iterator[ClusterStage]:
    stage = ClusterStage(tmp_path, _connection(cluster))
    yield stage
    stage.executor.close(kill=True)


def _connection(cluster: DaskHere, **settings: object) -> dask.DaskCluster:
    return dask.make("engine", {"address": cluster.address, "timeout": "5s", **settings})


def _handed_over(stage: ClusterStage, no: int) -> str:
    """The name of a ticket's job."""
    return name_of(stage.run_id, stage._tasks[no], str(no), 1, 1)


def _wait_until_it_runs(stage: ClusterStage, no: int) -> str:
    """Where a ticket's job runs, once it does."""
    name = _handed_over(stage, no)
    where: list[str] = []

    def runs() -> bool:
        where[:] = [w for line in stage.executor.describe() if name in line and " on " in line for w in line.split()]
        return bool(where)

    stage.wait_until(runs, "the job to run")
    return where[where.index("on") + 1]


class TestQuick:
    """The short of it, for each change; what every executor must do is below, for `make test-all`."""

    def test_a_result_a_failure_and_a_log_come_back(self, stage: ClusterStage) -> None:
        no = stage.begin("write_everywhere", i=5)
        assert stage.value(stage.run("double", i=21)) == 42
        assert stage.run("fail", i=1).state == "failed"
        assert stage.outcome(no).state == "succeeded"
        assert any("printed 5" in line for line in stage.log(no))

    def test_a_job_that_is_handed_over_twice_begins_once(self, stage: ClusterStage) -> None:
        assignment = stage.assignment("note", Policies(), {"i": 1, "file": str(stage.folder / "notes")})
        stage.executor.submit([assignment, assignment])
        assert stage.value(stage.outcome(assignment.ticket.no)) == 1
        assert (stage.folder / "notes").read_text() == "1\n"

    def test_many_steps_each_end_once(self, stage: ClusterStage) -> None:
        outcomes = stage.run_many("double", 100)
        assert [stage.value(outcome) for outcome in outcomes] == [2 * i for i in range(100)]
        assert set(stage.ends.values()) == {1}

    def test_a_second_copy_is_refused(self, cluster: DaskHere, tmp_path: Path) -> None:
        # given a job that somebody performs, and Dask that begins it again
        job = a_job(tmp_path)
        assert Exchange.at(job.exchange).claim(job.name, "another worker")
        connection = _connection(cluster)
        connection.connect()
        # when
        connection.submit([job])
        news = told_until(connection, lambda told: any(isinstance(one, Gone) for one in told))
        # then
        assert "claimed by another worker" in news[-1].death.note  # type: ignore[union-attr]
        connection.close()

    def test_what_no_worker_offers_is_said_before_it_is_handed_over(self, cluster: DaskHere) -> None:
        connection = _connection(cluster)
        for _ in moments():
            connection.connect()
            if connection.room() > connection._settings.queue:
                break  # a worker has come
        assert connection.check(Policies(gpu=1, resources=(("licence", 2.0),)), {}) == ""
        assert connection.check(Policies(gpu=2), {}) == (
            "no Dask worker has GPU=2: start workers with --resources, or ask for less"
        )
        assert "did you mean 'resources'" in connection.check(Policies(), {"resource": {}})
        # Processors and memory bind only where workers offer them.
        assert connection.check(Policies(cpu=64, memory_bytes=1 << 50), {}) == ""
        connection.close()

    def test_a_step_with_a_resource_goes_to_a_worker_that_has_it(self, stage: ClusterStage) -> None:
        assert stage.value(stage.run("double", Policies(gpu=1, resources=(("Licence", 1.0),)), i=4)) == 8

    def test_a_job_that_waits_in_dask_is_taken_back(self, cluster: DaskHere, stage: ClusterStage) -> None:
        # given all threads busy with what waits for a mark
        mark, begun = stage.folder / "mark", stage.folder / "begun"
        busy = [stage.begin("wait_for", mark=str(mark), begun=str(begun)) for _ in range(4)]
        stage.wait_until(lambda: begun.exists() and begun.read_text().count("begun") == 4, "all threads to be busy")
        # when one more is cancelled
        no = stage.begin("note", i=1, file=str(stage.folder / "notes"))
        stage.executor.kill(no, reason="cancelled")
        assert stage.outcome(no).state == "cancelled"
        # then it never begins, and the others are as they were
        mark.touch()
        assert {stage.outcome(each).state for each in busy} == {"succeeded"}
        assert stage.value(stage.run("double", i=1)) == 2
        assert not (stage.folder / "notes").exists()


class TestSettings:
    def test_an_address_is_needed(self) -> None:
        with pytest.raises(DefinitionError, match="`address` or `scheduler_file`"):
            dask.make("engine", {})

    def test_an_unknown_setting_is_named(self) -> None:
        with pytest.raises(DefinitionError, match="adress"):
            dask.make("engine", {"adress": "tcp://127.0.0.1:1"})

    def test_a_scheduler_that_is_not_there_is_an_error_with_its_address(self) -> None:
        connection = dask.make("engine", {"address": "tcp://127.0.0.1:9", "timeout": "0.3s"})
        with pytest.raises(ExecutorError, match=r"tcp://127\.0\.0\.1:9 cannot be reached") as caught:
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
class TestLosses:
    """Each with a cluster of its own, for it is hurt."""

    @pytest.fixture
    def cluster(self, tmp_path: Path) -> Iterator[DaskHere]:
        (tmp_path / "dask").mkdir()
        here = DaskHere(tmp_path / "dask", threads=1)
        yield here
        here.close()

    def test_a_killed_worker_is_a_loss_and_nothing_of_it_runs_on(self, cluster: DaskHere, stage: ClusterStage) -> None:
        # given a step that runs
        marks = stage.folder / "notes", stage.folder / "mark"
        no = stage.begin("wait_for", begun=str(marks[0]), mark=str(marks[1]))
        stage.wait_for_file(marks[0])
        # when its Dask worker is killed
        cluster.kill_worker_at(_wait_until_it_runs(stage, no))
        # then the attempt is lost, and Dask's own second try has not begun user code
        outcome = stage.outcome(no)
        assert outcome.state == "lost"
        assert stage.value(stage.run("double", i=2)) == 4
        assert marks[0].read_text() == "begun\n"

    def test_the_next_scheduler_adopts_what_runs_and_what_waits(self, cluster: DaskHere, tmp_path: Path) -> None:
        # given a scheduler with jobs that run and one that waits in Dask
        first = ClusterStage(tmp_path, _connection(cluster))
        mark, begun = tmp_path / "mark", tmp_path / "begun"
        inputs = {"mark": str(mark), "begun": str(begun)}
        numbers = [first.begin("wait_for", **inputs) for _ in range(3)]
        first.wait_until(lambda: begun.exists() and begun.read_text().count("begun") == 2, "two to run")
        # when it goes away and another one comes
        first.executor.close()
        second = ClusterStage(tmp_path, _connection(cluster))
        second.executor.adopt(
            [
                OpenAttempt(first.run_id, "wait_for", str(no), 1, 1, "@engine", time.time(), Policies(), no, run_no=1)
                for no in numbers
            ]
        )
        second.wait_until(lambda: sum(" on tcp:" in line for line in second.executor.describe()) == 2, "two to be seen")
        mark.touch()
        # then all end well, each begun once
        assert [second.outcome(no).state for no in numbers] == ["succeeded"] * 3
        assert begun.read_text().count("begun") == 3
        second.executor.close(kill=True)

    def test_a_cluster_that_comes_back_empty_loses_what_ran_and_goes_on(
        self, tmp_path: Path, cluster: DaskHere, stage: ClusterStage
    ) -> None:
        # given
        begun = tmp_path / "begun"
        no = stage.begin("wait_for", mark=str(tmp_path / "never"), begun=str(begun))
        # Dask says that it runs before it is claimed: one that was not is refused, rightly.
        stage.wait_for_file(begun)
        # when the whole cluster is killed
        cluster.close()
        stage.wait_until(lambda: "away" in str(stage.executor.describe()), "the executor to say so")
        assert no not in stage.outcomes
        # and comes back at the same address
        port = int(_port_of(stage))
        cluster.scheduler = cluster.start_scheduler(port)
        cluster.start_worker("again")
        # then
        assert stage.outcome(no).state == "lost"
        assert stage.value(stage.run("double", i=3)) == 6


def _port_of(stage: ClusterStage) -> str:
    address: str = stage.cluster._address()  # type: ignore[attr-defined]
    return address.rpartition(":")[2]
