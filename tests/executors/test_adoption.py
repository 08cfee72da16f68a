"""The engine dies, its workers go on, and the next engine takes them over."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from partita.core.policies import Policies
from partita.executors.adoption import GONE, Adoption
from partita.executors.conformance import Stage
from partita.executors.contract import Ended, OpenAttempt
from partita.executors.identity import is_alive, name_of, pid_of
from partita.settings import Settings
from partita.worker.logs import log_end, read_log
from partita.worker.spool import read_spool, spool
from partita.worker.wire import Outcome, Spooled

from .conftest import new_stage

PLAIN = Policies()


@pytest.fixture
def second(project: Path) -> Iterator[Stage]:
    """The engine that comes after."""
    stage = new_stage(Settings.of(project, workers=1))
    yield stage
    stage.executor.close(kill=True)


class First:
    """The engine that will be killed."""

    def __init__(self, project: Path, task: str, count: int = 1, policies: Policies = PLAIN, **inputs: object) -> None:
        script = Path(__file__).with_name("an_engine.py")
        words = [str(project), task, json.dumps(inputs), str(count), msgspec.json.encode(policies).decode()]
        self.task = task
        self.policies = policies
        self.process = subprocess.Popen([sys.executable, str(script), *words], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.workers = [self.process.stdout.readline().strip() for _ in range(count)]
        self.started_at = time.time()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def attempt(self, which: int = 1, **changes: object) -> OpenAttempt:
        values: dict[str, object] = {
            "run": "run-1",
            "step": self.task,
            "index": str(which),
            "attempt": 1,
            "epoch": 1,
            "worker": self.workers[which - 1],
            "started_at": self.started_at,
            "policies": self.policies,
            "no": 900 + which,
        }
        return OpenAttempt(**{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture
def waiting(project: Path, tmp_path: Path) -> Iterator[First]:
    """An engine that was killed while its step waits for the file `go`."""
    first = First(project, "wait_for", mark=str(tmp_path / "go"), begun=str(tmp_path / "begun"))
    _wait_for(tmp_path / "begun")
    first.kill()
    yield first
    for worker in first.workers:
        if is_alive(worker):
            os.killpg(pid_of(worker) or 0, signal.SIGKILL)


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline
        os.sched_yield()


def test_a_long_step_is_not_started_again_and_its_outcome_arrives(
    waiting: First, second: Stage, tmp_path: Path
) -> None:
    # given a step whose engine was killed
    (worker,) = waiting.workers
    assert is_alive(worker)
    # when another engine adopts it, and then it ends
    second.executor.adopt([waiting.attempt()])
    second.poll(0.3)
    assert second.outcomes == {}
    (tmp_path / "go").touch()
    outcome = second.outcome(901)
    # then its result is there, it ran once, and its log is whole
    assert second.value(outcome) == pid_of(worker)
    assert (tmp_path / "begun").read_text() == "begun\n"
    place = (second.home, 1, "wait_for", "1", 1)
    second.wait_until(lambda: log_end(*place) is not None, "the log to be closed")
    assert [line.text for line in read_log(*place)] == ["it is there"]


def test_an_outcome_that_was_spooled_before_anybody_came_is_taken(
    waiting: First, second: Stage, tmp_path: Path
) -> None:
    (tmp_path / "go").touch()
    second.wait_until(lambda: not is_alive(waiting.workers[0]), "the worker to end")
    second.executor.adopt([waiting.attempt()])
    assert second.outcome(901).state == "succeeded"


def test_an_outcome_that_was_reported_but_not_committed_is_there_for_the_next_engine(
    waiting: First, second: Stage, tmp_path: Path
) -> None:
    # given an outcome that an engine took out of the spool
    (tmp_path / "go").touch()
    second.executor.adopt([waiting.attempt()])
    assert second.outcome(901).state == "succeeded"
    # when that engine dies before its commit, and the next one finds the attempt open still
    third = Adoption(second.home, selectors.DefaultSelector(), lambda: None)
    third.take_over([waiting.attempt()])
    (ended,) = third.look(time.monotonic())
    assert isinstance(ended, Ended)
    assert ended.outcome.state == "succeeded"
    # and when it was committed, the next one finds nothing open and removes it
    fourth = Adoption(second.home, selectors.DefaultSelector(), lambda: None)
    fourth.take_over([])
    assert fourth.look(time.monotonic()) == []
    assert [path for path in second.home.spool.rglob("*") if path.is_file()] == []


def test_an_outcome_of_another_epoch_is_dropped_with_a_note(waiting: First, second: Stage, tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    second.wait_until(lambda: not is_alive(waiting.workers[0]), "the worker to end")
    second.executor.adopt([waiting.attempt(epoch=2)])
    outcome = second.outcome(901)
    assert outcome.state == "lost"
    assert any("its epoch is 1, the attempt's is 2" in line for line in second.executor.describe())


def test_a_worker_that_died_without_a_word_is_lost(second: Stage) -> None:
    worker = name_of(os.getpid())
    assert worker is not None
    attempt = OpenAttempt("run-1", "double", "", 1, 1, worker + "0", time.time(), PLAIN, 7)
    second.executor.adopt([attempt])
    outcome = second.outcome(7)
    assert outcome.state == "lost"
    assert outcome.detail is not None
    assert outcome.detail.failure is not None
    assert outcome.detail.failure.message == GONE


def test_a_crash_after_the_engine_died_is_still_the_users_failure(waiting: First, second: Stage) -> None:
    second.executor.adopt([waiting.attempt()])
    second.poll(0.0)
    os.kill(pid_of(waiting.workers[0]) or 0, signal.SIGSEGV)
    outcome = second.outcome(901)
    assert outcome.state == "failed"
    assert outcome.detail is not None
    assert outcome.detail.failure is not None
    assert outcome.detail.failure.signal == signal.SIGSEGV


def test_an_adopted_step_can_be_cancelled(waiting: First, second: Stage) -> None:
    second.executor.adopt([waiting.attempt()])
    second.executor.kill(901, reason="cancelled")
    assert second.outcome(901).state == "cancelled"
    assert not is_alive(waiting.workers[0])


def test_an_adopted_step_keeps_its_timeout(waiting: First, second: Stage) -> None:
    policies = Policies(timeout_s=60.0)
    second.executor.adopt([waiting.attempt(policies=policies, started_at=time.time() - 59.5)])
    assert second.outcome(901).state == "timed_out"
    assert not is_alive(waiting.workers[0])


def test_an_adopted_step_that_ignores_the_end_is_killed_after_its_grace(
    project: Path, second: Stage, tmp_path: Path
) -> None:
    first = First(project, "ignore_the_end", mark=str(tmp_path / "began"))
    _wait_for(tmp_path / "began")
    first.kill()
    second.executor.adopt([first.attempt(policies=Policies(grace_s=0.2))])
    second.executor.kill(901, reason="cancelled")
    assert second.outcome(901).state == "cancelled"
    assert not is_alive(first.workers[0])


def test_tickets_that_had_not_begun_come_back_as_refused(project: Path, second: Stage, tmp_path: Path) -> None:
    # given two workers with two tickets each, of which the first is held up
    first = First(project, "wait_for", 4, mark=str(tmp_path / "go"), begun=str(tmp_path / "begun"))
    second.wait_until(lambda: (tmp_path / "begun").exists(), "the first to begin")
    second.wait_until(lambda: (tmp_path / "begun").read_text().count("begun") == 2, "two to begin")
    first.kill()
    # when the engine is gone and the steps end
    second.executor.adopt([first.attempt(which) for which in (1, 2, 3, 4)])
    (tmp_path / "go").touch()
    second.wait_until(lambda: len(second.outcomes) == 4, "all to end")
    # then nothing was begun by a worker without an engine
    states = sorted(outcome.state for outcome in second.outcomes.values())
    assert states == ["refused", "refused", "succeeded", "succeeded"]
    assert (tmp_path / "begun").read_text().count("begun") == 2


def test_old_outcomes_that_nobody_waits_for_are_removed(second: Stage, waiting: First, tmp_path: Path) -> None:
    old = Spooled("run-0", "other", "", 1, 1, Outcome(1, "succeeded", 1.0, 2.0))
    spool(second.home.spool, [old])
    second.executor.adopt([waiting.attempt()])
    second.wait_until(lambda: read_spool(second.home.spool) == [], "the old outcome to go")
    assert second.outcomes == {}
