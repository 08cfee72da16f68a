"""A worker for coroutines: thousands at once, each with its own context, log, limit and end."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

from partita.worker.logs import read_log
from partita.worker.spool import read_spool
from partita.worker.wire import CancelTicket, Exit

from .engine import Engine, wait_for_file

Start = Callable[..., Engine]


def test_thousands_of_coroutines_wait_at_once_and_end_when_told(start: Start) -> None:
    engine = start(asynchronous=True)
    brief = engine.brief("async_waits")
    tickets = [engine.ticket(brief, str(n)) for n in range(5000)]
    for first in range(0, 5000, 500):
        engine.hand_out(*tickets[first : first + 500])
    assert engine.value(engine.run("async_add", a=1)) == 2
    for ticket in tickets:
        engine.send(CancelTicket(ticket.no, "cancelled"))
    outcomes = engine.outcomes(5000)
    assert {outcome.no for outcome in outcomes} == {ticket.no for ticket in tickets}
    assert {outcome.state for outcome in outcomes} == {"cancelled"}


def test_a_coroutine_that_takes_too_long_times_out_by_itself(start: Start) -> None:
    engine = start(asynchronous=True)
    outcome = engine.run("async_waits", brief={"timeout_s": 0.05})
    assert outcome.state == "timed_out"
    assert outcome.detail is not None
    assert outcome.detail.failure is not None
    assert outcome.detail.failure.cause == "timeout"
    assert "0.05 s" in outcome.detail.failure.message


def test_a_cancel_because_of_time_is_a_timeout(start: Start, tmp_path: Path) -> None:
    engine = start(asynchronous=True)
    ticket = engine.ticket(engine.brief("async_waits"), started=str(tmp_path / "began"))
    engine.hand_out(ticket)
    wait_for_file(tmp_path / "began")
    engine.send(CancelTicket(ticket.no, "timeout"))
    assert engine.outcomes(1)[0].state == "timed_out"


def test_failures_and_contexts_of_coroutines_are_their_own(start: Start) -> None:
    engine = start(asynchronous=True)
    failed = engine.run("async_raises")
    assert failed.state == "failed"
    assert failed.detail is not None
    assert failed.detail.failure is not None
    assert failed.detail.failure.message == "no such flight"
    briefs = [engine.brief("async_says", step=f"s{n}") for n in range(3)]
    engine.hand_out(*(engine.ticket(brief, text=f"t{n}") for n, brief in enumerate(briefs)))
    said = {outcome.no: engine.value(outcome) for outcome in engine.outcomes(3)}
    assert sorted(said.values()) == ["s0", "s1", "s2"]


def test_functions_that_are_no_coroutines_do_not_hold_up_the_others(start: Start, tmp_path: Path) -> None:
    engine = start(asynchronous=True)
    gate = tmp_path / "gate"
    engine.hand_out(engine.ticket(engine.brief("waits_for"), path=str(gate)))
    wait_for_file(gate.with_suffix(".began"))
    assert engine.value(engine.run("async_add", a=4)) == 5
    gate.touch()
    assert engine.value(engine.outcomes(1)[0]) == "done"


def test_each_coroutine_has_a_log_of_its_own_though_all_share_the_streams(start: Start) -> None:
    engine = start(asynchronous=True)
    brief = engine.brief("async_says", step="talk")
    engine.hand_out(*(engine.ticket(brief, str(n), text=f"coroutine {n}") for n in range(20)))
    assert {outcome.state for outcome in engine.outcomes(20)} == {"succeeded"}
    engine.log_files()
    for n in range(20):
        name = f"coroutine {n}"
        lines = [line.text for line in read_log(engine.home, 7, "talk", str(n), 1)]
        assert lines == [
            text for k in range(3) for text in (f"{name} {k}", f"{name} partial {name} rest", f"{name} from a thread")
        ]


def test_sigterm_cancels_what_runs_and_ends_the_worker(start: Start, tmp_path: Path) -> None:
    engine = start(asynchronous=True)
    engine.hand_out(engine.ticket(engine.brief("async_waits"), started=str(tmp_path / "began")))
    wait_for_file(tmp_path / "began")
    os.kill(engine.process.pid, signal.SIGTERM)
    assert engine.outcomes(1)[0].state == "cancelled"
    assert engine.exit_code() == 0


def test_exit_waits_for_what_runs(start: Start, tmp_path: Path) -> None:
    engine = start(asynchronous=True)
    gate = tmp_path / "gate"
    engine.hand_out(engine.ticket(engine.brief("waits_for"), path=str(gate)))
    wait_for_file(gate.with_suffix(".began"))
    engine.send(Exit())
    gate.touch()
    assert engine.outcomes(1)[0].state == "succeeded"
    assert engine.exit_code() == 0


def test_when_the_engine_is_gone_what_runs_is_finished_and_spooled(start: Start, tmp_path: Path) -> None:
    engine = start(asynchronous=True)
    gate = tmp_path / "gate"
    engine.hand_out(engine.ticket(engine.brief("waits_for", step="slow"), path=str(gate)))
    wait_for_file(gate.with_suffix(".began"))
    engine.vanish()
    gate.touch()
    assert engine.exit_code() == 0
    assert [(s.step, s.outcome.state) for _, s in read_spool(engine.home.spool)] == [("slow", "succeeded")]
