"""The executor for clusters does what every executor must do, whatever the cluster does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from partita.core.policies import Policies
from partita.executors.bundle import pack
from partita.executors.clusters.cluster import Cluster, name_of
from partita.executors.clusters.exchange import Exchange
from partita.executors.clusters.executor import ClusterExecutor
from partita.executors.clusters.station import Station
from partita.executors.conformance import Answers, Coroutines, Deaths, Kills, Logs, Stage, make_project
from partita.executors.contract import OpenAttempt
from partita.settings import Home

from .a_cluster import ProcessCluster, ThreadCluster, exchange_in, until_ended


@pytest.fixture(scope="module", autouse=True)
def _a_station() -> Iterator[None]:
    yield
    Station.here().close()


def an_executor(folder: Path, cluster: Cluster, **more: float) -> ClusterExecutor:
    project = folder / "project"
    if not project.exists():
        make_project(project)
    return ClusterExecutor(
        "grid",
        cluster,
        home=Home(folder / "home"),
        exchange=exchange_in(folder),
        code_of=lambda project_name, code: pack(project, into=folder),
        **more,  # type: ignore[arg-type]
    )


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    executor = an_executor(tmp_path, ThreadCluster())
    yield Stage(executor, Home(tmp_path / "home"))
    executor.close(kill=True)


class TestAnswers(Answers):
    pass


class TestCoroutines(Coroutines):
    pass


class TestKills(Kills):
    pass


class TestDeaths(Deaths):
    pass


class TestLogs(Logs):
    pass


# --- what clusters do -------------------------------------------------------------------------------------------------


@pytest.fixture
def processes() -> Iterator[ProcessCluster]:
    with until_ended(ProcessCluster()) as cluster:
        yield cluster


def job_of(stage: Stage, task: str, no: int) -> str:
    return name_of("run-1", task, str(no), 1, 1)


def test_a_job_has_a_process_of_its_own_and_its_log_is_read_while_it_runs(
    tmp_path: Path, processes: ProcessCluster
) -> None:
    executor = an_executor(tmp_path, processes)
    stage = Stage(executor, Home(tmp_path / "home"))
    no = stage.begin("wait_for", mark=str(tmp_path / "go"), begun=str(tmp_path / "begun"))
    stage.wait_for_file(tmp_path / "begun")
    stage.wait_until(lambda: any("on process" in line for line in executor.describe()), "the job to be described")
    assert executor.waits(no) == ""
    (tmp_path / "go").touch()
    assert stage.outcome(no).state == "succeeded"
    executor.close()


def test_a_second_copy_that_the_cluster_starts_is_refused_before_user_code(tmp_path: Path) -> None:
    cluster = ThreadCluster()
    cluster.copies = 2
    executor = an_executor(tmp_path, cluster)
    stage = Stage(executor, Home(tmp_path / "home"))
    file = tmp_path / "noted"
    outcomes = stage.run_many("note", 30, file=str(file))
    assert {outcome.state for outcome in outcomes} == {"succeeded"}
    assert sorted(int(line) for line in file.read_text().split()) == list(range(30))
    assert set(stage.ends.values()) == {1}
    executor.close(kill=True)


def test_a_lost_machine_is_a_loss_and_another_attempt_runs(tmp_path: Path, processes: ProcessCluster) -> None:
    executor = an_executor(tmp_path, processes)
    stage = Stage(executor, Home(tmp_path / "home"))
    no = stage.begin("sleep_long", mark=str(tmp_path / "began"))
    stage.wait_for_file(tmp_path / "began")
    processes.lose(job_of(stage, "sleep_long", no))
    outcome = stage.outcome(no)
    assert outcome.state == "lost"
    assert outcome.detail is not None
    assert outcome.detail.failure is not None
    assert "its process is gone: killed by signal 9" in outcome.detail.failure.message
    assert stage.value(stage.run("double", i=2)) == 4
    executor.close()


def test_what_never_starts_ends_with_the_clusters_reason(tmp_path: Path, processes: ProcessCluster) -> None:
    processes.refuses = "the image cannot be pulled"
    executor = an_executor(tmp_path, processes)
    outcome = Stage(executor, Home(tmp_path / "home")).run("double", i=1)
    assert outcome.state == "refused"
    assert outcome.detail is not None
    assert outcome.detail.failure is not None
    assert outcome.detail.failure.message == "grid cannot start it: the image cannot be pulled"
    executor.close()


class Silent(ThreadCluster):
    """Takes jobs and does nothing with them."""

    def submit(self, jobs: object) -> None:
        return


def test_what_is_not_started_in_time_is_given_up_and_never_begins(tmp_path: Path) -> None:
    executor = an_executor(tmp_path, Silent(), start_timeout_s=0.2)
    stage = Stage(executor, Home(tmp_path / "home"))
    no = stage.begin("double", i=1)
    outcome = stage.outcome(no)
    assert outcome.state == "refused"
    assert not Exchange.at(exchange_in(tmp_path)).claim(job_of(stage, "double", no), "a machine that is late")
    executor.close()


def test_a_cancel_of_what_has_not_begun_ends_it_at_once_and_for_ever(tmp_path: Path) -> None:
    executor = an_executor(tmp_path, Silent())
    stage = Stage(executor, Home(tmp_path / "home"))
    no = stage.begin("double", i=1)
    executor.kill(no, reason="cancelled")
    assert stage.outcome(no).state == "cancelled"
    assert not Exchange.at(exchange_in(tmp_path)).claim(job_of(stage, "double", no), "a machine that is late")
    executor.close()


def test_a_cluster_that_is_away_is_told_and_loses_nothing(tmp_path: Path) -> None:
    cluster = ThreadCluster()
    executor = an_executor(tmp_path, cluster)
    stage = Stage(executor, Home(tmp_path / "home"))
    stage.run("double", i=0)
    cluster.is_away.set()
    stage.wait_until(lambda: "cannot be reached" in executor.trouble, "the executor to see it")
    assert "grid: the cluster cannot be reached" in executor.describe()[0]
    cluster.is_away.clear()
    assert stage.value(stage.run("double", i=3)) == 6
    assert executor.trouble == ""
    executor.close(kill=True)


def test_resources_that_the_cluster_has_not_are_refused_in_its_words(tmp_path: Path) -> None:
    executor = an_executor(tmp_path, ThreadCluster())
    outcome = Stage(executor, Home(tmp_path / "home")).run("double", Policies(gpu=1.0), i=1)
    assert outcome.state == "refused"
    assert outcome.detail is not None
    assert outcome.detail.failure is not None
    assert outcome.detail.failure.message == "grid does not take it: gpu: there is none"
    executor.close()


# --- a later scheduler ------------------------------------------------------------------------------------------------


def open_attempt(stage: Stage, task: str, no: int, **more: object) -> OpenAttempt:
    return OpenAttempt("run-1", task, str(no), 1, 1, "@grid", time.time(), Policies(grace_s=5.0), 70 + no, run_no=1)


@pytest.fixture
def later(tmp_path: Path, processes: ProcessCluster) -> Iterator[Callable[[], Stage]]:
    """Another scheduler over the same cluster, which has taken up nothing yet."""
    made: list[ClusterExecutor] = []

    def begin() -> Stage:
        made.append(an_executor(tmp_path, processes))
        return Stage(made[-1], Home(tmp_path / "home"))

    yield begin
    for executor in made:
        executor.close()


def test_a_job_that_still_runs_is_adopted_and_not_begun_again(tmp_path: Path, later: Callable[[], Stage]) -> None:
    first = later()
    no = first.begin("wait_for", mark=str(tmp_path / "go"), begun=str(tmp_path / "begun"))
    first.wait_for_file(tmp_path / "begun")
    first.executor.close()
    second = later()
    second.executor.adopt([open_attempt(second, "wait_for", no)])
    (tmp_path / "go").touch()
    assert second.outcome(70 + no).state == "succeeded"
    assert set(second.ends.values()) == {1}


def test_an_outcome_that_came_while_nobody_was_there_is_taken(
    tmp_path: Path, later: Callable[[], Stage], processes: ProcessCluster
) -> None:
    first = later()
    no = first.begin("wait_for", mark=str(tmp_path / "go"), begun=str(tmp_path / "begun"))
    first.wait_for_file(tmp_path / "begun")
    first.executor.close()
    (tmp_path / "go").touch()
    processes.processes[job_of(first, "wait_for", no)].wait(20)
    second = later()
    second.executor.adopt([open_attempt(second, "wait_for", no)])
    assert second.outcome(70 + no).state == "succeeded"


def test_what_was_committed_and_never_handed_over_is_not_begun(later: Callable[[], Stage]) -> None:
    second = later()
    second.executor.adopt([open_attempt(second, "double", 5)])
    assert second.outcome(75).state == "refused"


def test_an_adopted_job_is_cancelled(tmp_path: Path, later: Callable[[], Stage]) -> None:
    first = later()
    no = first.begin("sleep_long", Policies(grace_s=5.0), mark=str(tmp_path / "began"))
    first.wait_for_file(tmp_path / "began")
    first.executor.close()
    second = later()
    second.executor.adopt([open_attempt(second, "sleep_long", no)])
    second.executor.kill(70 + no, reason="cancelled")
    assert second.outcome(70 + no).state == "cancelled"
    assert (tmp_path / "began").read_text() == "cleaned up"
