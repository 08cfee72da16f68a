"""What every cluster must do, as tests that anybody can run against their own engine.

`staged` puts a `ClusterExecutor` over a cluster, so that all of `executors/conformance.py` can be asked of it. `Ships` asks what
only machines elsewhere have to do: code by its content, the start gate, adoption, versions that do not fit.

Rule: behaviour only; what is asked for here is in the words of `cluster.py`.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

import partita
from partita.core.policies import Policies
from partita.executors.bundle import Bundle, pack
from partita.executors.clusters.cluster import Cluster, Finished, Gone, Job, News, name_of
from partita.executors.clusters.exchange import Exchange
from partita.executors.clusters.executor import ClusterExecutor
from partita.executors.conformance import PATIENCE_S, PLAIN, Stage, as_input, make_project
from partita.executors.contract import OpenAttempt
from partita.settings import Home
from partita.worker.wire import Brief, Outcome, Ticket

_LATER = 1000


class ClusterStage(Stage):
    """An executor over a cluster, what it takes to put steps on it, and the cluster itself.

    `make` makes one more connection to the same engine, as a later scheduler has it.
    """

    def __init__(self, make: Callable[[], Cluster], folder: Path, *, exchange: str = "", values: str = "") -> None:
        self.folder = folder
        self.bundle: Bundle = pack(make_project(folder / "project"), into=folder)
        self.address = exchange or f"file://{folder}/exchange"
        self.exchange = Exchange.at(self.address)
        self._make = make
        self._values = values
        home = Home(folder / "home", values=values)
        super().__init__(self._executor(home), home)

    def again(self) -> None:
        """The scheduler goes, and another one comes that knows nothing yet."""
        self.executor.close()
        self.executor = self._executor(self.home)

    def adopt(self, task: str, no: int, policies: Policies = PLAIN) -> int:
        """Let this scheduler take up a ticket of the one before; its number now."""
        attempt = OpenAttempt("run-1", task, str(no), 1, 1, "@suite", time.time(), policies, no + _LATER, run_no=1)
        self.executor.adopt([attempt])
        return no + _LATER

    def name_of(self, task: str, no: int) -> str:
        """The name of a ticket's job."""
        return name_of("run-1", task, str(no), 1, 1)

    def job(self, task: str, no: int, **inputs: Any) -> Job:
        """A job as the executor makes them, to be handed to a cluster by itself."""
        self.exchange.put_code(self.bundle)
        brief = Brief(7, "run-1", 1, "default", "conformance", task, f"pipelines:{task}")
        given = {name: as_input(value) for name, value in inputs.items()}
        return Job(
            name=self.name_of(task, no),
            project=self.project,
            namespace="default",
            code=self.bundle.digest,
            exchange=self.address,
            values=self._values or f"file://{self.home.blobs}",
            python=f"{sys.version_info.major}.{sys.version_info.minor}",
            brief=brief,
            ticket=Ticket(no, 7, str(no), 1, 1, given),
            policies=PLAIN,
            partita=partita.__version__,
        )

    def hand_over(self, *jobs: Job) -> list[News]:
        """Give jobs to the cluster itself, and listen until each has ended: the ends."""
        cluster = self._make()
        cluster.connect()
        ends: dict[str, News] = {}
        try:
            cluster.submit(jobs)
            deadline = time.monotonic() + 2 * PATIENCE_S
            while len(ends) < len({job.name for job in jobs}):
                assert time.monotonic() < deadline, f"{len(ends)} of {len(jobs)} jobs have ended"
                ends |= {news.name: news for news in cluster.poll(0.5) if isinstance(news, Finished | Gone)}
        finally:
            cluster.close()
        return list(ends.values())

    def outcome_of(self, job: Job) -> Outcome | None:
        """What a job has left in the exchange."""
        spooled = self.exchange.outcome(job.name)
        return spooled.outcome if spooled is not None else None

    def _executor(self, home: Home) -> ClusterExecutor:
        return ClusterExecutor(
            "suite",
            self._make(),
            home=home,
            exchange=self.address,
            values=self._values,
            code_of=lambda project, code: self.bundle,
        )


@contextlib.contextmanager
def staged(
    make: Callable[[], Cluster], folder: Path, *, exchange: str = "", values: str = ""
) -> Iterator[ClusterStage]:
    """A stage over the cluster that `make` makes, in a folder; all of it is closed at the end.

    `exchange` and `values`: addresses that the cluster's machines reach too; "" = in the folder.
    """
    stage = ClusterStage(make, folder, exchange=exchange, values=values)
    try:
        yield stage
    finally:
        stage.executor.close(kill=True)


class Ships:
    """Steps on machines that know nothing of this one. The stage is one of `staged`."""

    def test_code_travels_by_its_content_and_once(self, stage: ClusterStage, tmp_path: Path) -> None:
        stage.run_many("double", 3)
        folder = stage.exchange.code(stage.bundle.digest, tmp_path / "fetched")
        assert "def double" in (folder / "pipelines.py").read_text()

    def test_a_job_that_was_claimed_elsewhere_never_begins(self, stage: ClusterStage, tmp_path: Path) -> None:
        job = stage.job("note", 1, i=1, file=str(tmp_path / "noted"))
        assert stage.exchange.claim(job.name, "another machine")
        stage.hand_over(job)
        assert stage.exchange.claimed(job.name) == "another machine"
        assert stage.outcome_of(job) is None
        assert not (tmp_path / "noted").exists()

    def test_a_job_that_is_handed_over_twice_begins_once(self, stage: ClusterStage, tmp_path: Path) -> None:
        job = stage.job("note", 2, i=2, file=str(tmp_path / "noted"))
        stage.hand_over(job, job)
        outcome = stage.outcome_of(job)
        assert outcome is not None
        assert stage.value(outcome) == 2
        assert (tmp_path / "noted").read_text() == "2\n"

    def test_another_python_is_refused_in_one_sentence(self, stage: ClusterStage) -> None:
        job = msgspec.structs.replace(stage.job("double", 3, i=1), python="3.9")
        stage.hand_over(job)
        assert "the project is served with Python 3.9" in _refusal(stage.outcome_of(job))

    def test_another_partita_is_refused_in_one_sentence(self, stage: ClusterStage) -> None:
        job = msgspec.structs.replace(stage.job("double", 4, i=1), partita="0.0.1")
        stage.hand_over(job)
        assert "the scheduler has 0.0.1" in _refusal(stage.outcome_of(job))

    def test_the_next_scheduler_adopts_what_runs(self, stage: ClusterStage, tmp_path: Path) -> None:
        no = stage.begin("wait_for", mark=str(tmp_path / "go"), begun=str(tmp_path / "begun"))
        stage.wait_for_file(tmp_path / "begun")
        stage.again()
        adopted = stage.adopt("wait_for", no)
        (tmp_path / "go").touch()
        assert stage.outcome(adopted).state == "succeeded"
        assert (tmp_path / "begun").read_text() == "begun\n"
        assert stage.ends[adopted] == 1

    def test_the_next_scheduler_takes_the_outcome_that_nobody_took(self, stage: ClusterStage, tmp_path: Path) -> None:
        no = stage.begin("wait_for", mark=str(tmp_path / "go"), begun=str(tmp_path / "begun"))
        stage.wait_for_file(tmp_path / "begun")
        stage.executor.close()
        (tmp_path / "go").touch()
        deadline = time.monotonic() + PATIENCE_S
        while stage.exchange.outcome(stage.name_of("wait_for", no)) is None:
            assert time.monotonic() < deadline, "the job left no outcome"
            time.sleep(0.02)
        stage.again()
        assert stage.outcome(stage.adopt("wait_for", no)).state == "succeeded"

    def test_the_next_scheduler_can_cancel_what_runs(self, stage: ClusterStage, tmp_path: Path) -> None:
        policies = Policies(grace_s=5.0)
        no = stage.begin("sleep_long", policies, mark=str(tmp_path / "began"))
        stage.wait_for_file(tmp_path / "began")
        stage.again()
        adopted = stage.adopt("sleep_long", no, policies)
        stage.executor.kill(adopted, reason="cancelled")
        assert stage.outcome(adopted).state == "cancelled"
        assert (tmp_path / "began").read_text() == "cleaned up"

    def test_what_was_never_handed_over_does_not_begin(self, stage: ClusterStage) -> None:
        assert stage.outcome(stage.adopt("double", 5)).state == "refused"
        assert not stage.exchange.claim(stage.name_of("double", 5), "a machine that is late")


def _refusal(outcome: Outcome | None) -> str:
    assert outcome is not None
    assert outcome.state == "refused"
    assert outcome.detail is not None
    assert outcome.detail.failure is not None
    return outcome.detail.failure.message
