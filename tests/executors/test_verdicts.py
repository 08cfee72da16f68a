"""What a death means."""

from __future__ import annotations

import signal

import pytest

from partita.executors import verdicts
from partita.executors.verdicts import Death
from partita.worker.wire import Outcome


def failure_of(outcome: Outcome):
    assert outcome.detail is not None
    assert outcome.detail.failure is not None
    return outcome.detail.failure


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL])
def test_a_crash_is_the_users_failure(number: signal.Signals) -> None:
    outcome = verdicts.of_begun(1, Death(signal=number), 1.0, 2.0)
    assert outcome.state == "failed"
    assert failure_of(outcome).message == f"crashed with {number.name}"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_from_outside_is_a_loss(number: signal.Signals) -> None:
    outcome = verdicts.of_begun(1, Death(signal=number, peak_rss_bytes=1288490189), 1.0, 2.0)
    assert outcome.state == "lost"
    assert failure_of(outcome).message == f"killed by {number.name}; peak memory 1.2 GiB"


@pytest.mark.parametrize("code", [0, 1, 7])
def test_an_exit_is_the_users_failure_whatever_its_code(code: int) -> None:
    outcome = verdicts.of_begun(1, Death(exit_code=code), 1.0, 2.0)
    assert (outcome.state, failure_of(outcome).cause, failure_of(outcome).exit_code) == ("failed", "exit", code)


def test_our_memory_limit_is_named_with_what_was_used() -> None:
    death = Death(signal=signal.SIGKILL, over_memory=4402341478, memory_limit=4 << 30)
    outcome = verdicts.of_begun(1, death, 1.0, 2.0)
    assert outcome.state == "failed"
    assert failure_of(outcome).message == "out_of_memory: 4.1 GiB, limit 4 GiB"
    assert failure_of(outcome).cause == "out_of_memory"


def test_a_crash_among_coroutines_is_nobodys_own() -> None:
    outcome = verdicts.of_begun(1, Death(exit_code=3), 1.0, 2.0, alone=False)
    assert outcome.state == "lost"
    assert "another coroutine" in failure_of(outcome).message


def test_a_result_that_died_unsent_is_a_loss_whoever_killed_the_worker() -> None:
    outcome = verdicts.of_unsent(1, Death(signal=signal.SIGSEGV), 1.0, 2.0)
    assert (outcome.state, failure_of(outcome).cause) == ("lost", "lost")


def test_what_never_began_is_refused_at_no_cost() -> None:
    outcome = verdicts.not_begun(1, 2.0)
    assert (outcome.state, failure_of(outcome).cause) == ("refused", "not_begun")


def test_the_last_lines_stay_with_the_cause_of_death() -> None:
    outcome = verdicts.of_begun(1, Death(signal=signal.SIGSEGV, last_lines="loading\nhalf way"), 1.0, 2.0)
    assert failure_of(outcome).traceback == "last lines of its log:\nloading\nhalf way"
