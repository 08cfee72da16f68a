"""Performing jobs on a machine that knows nothing: code from the exchange, one claim, outcomes, logs in pieces."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

import partita
from partita.core.policies import Policies
from partita.executors.bundle import pack
from partita.executors.clusters.cluster import Job
from partita.executors.clusters.exchange import Exchange
from partita.executors.clusters.perform import AlreadyClaimed, perform, stop_here
from partita.executors.clusters.shipping import Receiver
from partita.executors.clusters.station import Station
from partita.executors.conformance import PLAIN, as_input, make_project
from partita.settings import Home
from partita.values import storing
from partita.values.blobs import FileBlobs
from partita.worker.logs import log_end, read_log
from partita.worker.wire import Brief, Outcome, Ticket

PATIENCE_S = 60.0


@pytest.fixture(scope="module", autouse=True)
def _a_station() -> Iterator[None]:
    yield
    Station.here().close()


class Place:
    """An exchange with the code of the conformance project."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = f"file://{folder}/exchange"
        self.exchange = Exchange.at(self.address)
        self.home = Home(folder / "home")
        bundle = pack(make_project(folder / "project"), into=folder)
        self.exchange.put_code(bundle)
        self.code = bundle.digest
        self._no = 0

    def job(self, task: str, policies: Policies = PLAIN, **inputs: object) -> Job:
        self._no += 1
        call = f"pipelines:{task}"
        brief = Brief(7, "run", 1, "default", "conformance", task, call, timeout_s=policies.timeout_s)
        ticket = Ticket(self._no, 7, str(self._no), 1, 1, {name: as_input(value) for name, value in inputs.items()})
        return Job(
            name=f"pt-{hash(self.folder):x}-{self._no}",
            project="conformance",
            namespace="default",
            code=self.code,
            exchange=self.address,
            values=f"file://{self.home.blobs}",
            python=f"{sys.version_info.major}.{sys.version_info.minor}",
            brief=brief,
            ticket=ticket,
            policies=policies,
            partita=partita.__version__,
        )

    def value(self, outcome: Outcome) -> object:
        assert outcome.state == "succeeded", outcome.detail
        assert outcome.value is not None
        return storing.decode(outcome.value, FileBlobs(self.home.blobs))

    def log(self, job: Job) -> list[str]:
        """The lines of its log, as the scheduler has them when the last piece has come."""
        place = (job.brief.run_no, job.brief.step, job.ticket.index, job.ticket.attempt)
        receiver = Receiver(self.home, job.name, *place, fresh=True)
        wait_until(lambda: receiver.take(self.exchange) is not None or receiver.closed)
        return [line.text for line in read_log(self.home, *place)]


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_job_is_performed_and_its_outcome_is_in_the_exchange(place: Place) -> None:
    job = place.job("double", i=21)
    spooled = perform(job)
    assert place.value(spooled.outcome) == 42
    assert place.exchange.outcome(job.name) == spooled
    assert (spooled.run, spooled.step, spooled.outcome.no) == ("run", "double", job.ticket.no)


def test_nobody_begins_a_job_twice(place: Place) -> None:
    job = place.job("double", i=1)
    perform(job)
    with pytest.raises(AlreadyClaimed, match="was claimed by"):
        perform(job)
    given_up = place.job("double", i=2)
    assert place.exchange.claim(given_up.name, "the scheduler")
    with pytest.raises(AlreadyClaimed, match="was claimed by the scheduler"):
        perform(given_up)


def test_another_python_is_refused_in_one_sentence(place: Place) -> None:
    outcome = perform(msgspec.structs.replace(place.job("double", i=1), python="3.9")).outcome
    assert outcome.state == "refused"
    assert outcome.detail is not None
    assert outcome.detail.failure is not None
    assert "the project is served with Python 3.9: use an environment with the same version there" in str(
        outcome.detail.failure.message
    )


def test_code_that_cannot_be_imported_there_is_refused_with_the_reason(place: Place) -> None:
    broken = place.folder / "broken"
    broken.mkdir()
    (broken / "pipelines.py").write_text("import a_package_that_is_only_here\n")
    bundle = pack(broken, into=place.folder)
    place.exchange.put_code(bundle)
    outcome = perform(msgspec.structs.replace(place.job("double", i=1), code=bundle.digest)).outcome
    assert outcome.state == "refused"
    assert outcome.detail is not None
    assert outcome.detail.failure is not None
    assert "a_package_that_is_only_here" in outcome.detail.failure.message


def test_a_job_is_stopped_from_another_thread_also_before_it_began(place: Place, tmp_path: Path) -> None:
    mark = tmp_path / "began"
    job = place.job("sleep_long", Policies(grace_s=5.0), mark=str(mark))
    found: list[Outcome] = []
    thread = threading.Thread(target=lambda: found.append(perform(job).outcome))
    thread.start()
    wait_until(mark.exists)
    stop_here(job.name, 5.0)
    thread.join(PATIENCE_S)
    assert [outcome.state for outcome in found] == ["cancelled"]
    early = place.job("double", i=1)
    stop_here(early.name, 5.0)
    assert perform(early).outcome.state == "refused"


def test_what_it_prints_comes_home_as_it_was_and_closed(place: Place) -> None:
    job = place.job("say", i=3)
    perform(job)
    assert place.log(job) == ["I am 3", "still 3"]
    assert log_end(place.home, 1, job.brief.step, job.ticket.index, 1) is not None


def test_many_threads_share_one_station(place: Place) -> None:
    jobs = [place.job("double", i=i) for i in range(24)]
    values: dict[int, object] = {}

    def work(i: int) -> None:
        values[i] = place.value(perform(jobs[i]).outcome)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * PATIENCE_S)
    assert values == {i: 2 * i for i in range(24)}


def test_a_process_performs_one_job_by_its_name(place: Place) -> None:
    job = place.job("double", i=4)
    place.exchange.put_job(job)
    words = [sys.executable, "-m", "partita.executors.clusters.job", "--exchange", place.address, "--name"]
    done = subprocess.run([*words, job.name], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    outcome = place.exchange.outcome(job.name)
    assert outcome is not None
    assert place.value(outcome.outcome) == 8
    again = subprocess.run([*words, job.name], capture_output=True, text=True, timeout=60)
    assert again.returncode == 75
    assert "was claimed by" in again.stderr
    unknown = subprocess.run([*words, "pt-0"], capture_output=True, text=True, timeout=60)
    assert unknown.returncode == 1
    assert "has no job pt-0" in unknown.stderr


_ASKS = """

@pt.task
def signal_of_the_hosts_death() -> int:
    import ctypes

    found = ctypes.c_int(0)
    ctypes.CDLL(None).prctl(2, ctypes.byref(found))
    return found.value

@pt.pipeline
def bonds():
    signal_of_the_hosts_death()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel is asked for it on Linux")
def test_what_runs_ends_also_when_its_host_is_killed_by_the_blow_that_ends_the_machines_process(tmp_path: Path) -> None:
    place = Place(tmp_path)
    project = tmp_path / "project"
    with (project / "pipelines.py").open("a") as file:
        file.write(_ASKS)
    bundle = pack(project, into=tmp_path)
    place.exchange.put_code(bundle)
    place.code = bundle.digest
    assert place.value(perform(place.job("signal_of_the_hosts_death")).outcome) == signal.SIGKILL


def test_a_station_that_is_closed_right_after_a_job_ships_nothing_more(place: Place, tmp_path: Path) -> None:
    station = Station(tmp_path / "station")
    assert station.perform(place.job("double", i=1), place.exchange).state == "succeeded"
    before = {thread for thread in threading.enumerate() if thread.name == "partita-shipping"}
    station.close()
    after = {thread for thread in threading.enumerate() if thread.name == "partita-shipping"}
    assert len(before - after) == 1


_WAITS = """

@pt.task
def wait_for(mark: str) -> None:
    import pathlib
    import time

    pathlib.Path(f"{mark} has begun").touch()
    while not pathlib.Path(mark).exists():
        time.sleep(0.01)

@pt.pipeline
def waits():
    wait_for("x")
"""


def test_jobs_go_on_when_the_thread_that_turned_for_them_has_what_it_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given three jobs; whoever came first turns for all, and nobody looks by the clock
    monkeypatch.setattr("partita.executors.clusters.station._TURN_S", 3600.0)
    place = Place(tmp_path)
    with (tmp_path / "project" / "pipelines.py").open("a") as file:
        file.write(_WAITS)
    bundle = pack(tmp_path / "project", into=tmp_path)
    place.exchange.put_code(bundle)
    place.code = bundle.digest
    station = Station(tmp_path / "station")
    marks = [tmp_path / f"mark {n}" for n in range(3)]
    jobs = [place.job("wait_for", mark=str(mark)) for mark in marks]
    found: dict[int, str] = {}

    def work(n: int) -> None:
        found[n] = station.perform(jobs[n], place.exchange).state

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for thread, mark in zip(threads, marks, strict=True):
        thread.start()
        wait_until(mark.with_name(f"{mark.name} has begun").exists)
    # when they end one after the other, the first first
    for n, (thread, mark) in enumerate(zip(threads, marks, strict=True)):
        mark.touch()
        thread.join(PATIENCE_S)
        # then the end of each is heard
        assert found == dict.fromkeys(range(n + 1), "succeeded")
    # and the next thread turns for itself
    assert station.perform(place.job("wait_for", mark=str(marks[0])), place.exchange).state == "succeeded"
    station.close()
