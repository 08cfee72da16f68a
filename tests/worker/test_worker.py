"""The life of a worker: tickets begun once or taken back, batches, signals, and the death of its engine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from partita.core.values import Value
from partita.worker.spool import read_spool, spool, take
from partita.worker.wire import CancelTicket, Exit, Hello, Outcome, Outcomes, Spooled, Tickets

from .engine import Engine, wait_for_file

Start = Callable[..., Engine]


def test_the_first_word_of_a_worker_is_who_it_is(start: Start) -> None:
    engine = start()
    assert next(engine.frames()) == Hello(engine.process.pid)


def test_many_tickets_are_run_in_order_and_answered_in_few_frames(warm: Engine) -> None:
    brief = warm.brief("add")
    tickets = [warm.ticket(brief, str(n), a=n) for n in range(500)]
    warm.messages.clear()
    warm.hand_out(*tickets)
    outcomes = warm.outcomes(500)
    assert [outcome.no for outcome in outcomes] == [ticket.no for ticket in tickets]
    assert [warm.value(outcome) for outcome in outcomes] == [n + 1 for n in range(500)]
    assert max(len(m.items) for m in warm.messages if isinstance(m, Outcomes)) <= 64


def test_an_outcome_does_not_wait_for_the_slow_step_behind_it(start: Start, tmp_path: Path) -> None:
    engine = start()
    slow = engine.brief("waits_for")
    gate = tmp_path / "gate"
    noops = [engine.ticket(engine.brief("noop")) for _ in range(3)]
    first = engine.ticket(engine.brief("eats"), megabytes=30)
    engine.hand_out(first, *noops, engine.ticket(slow, path=str(gate)))
    # The step that takes a while is answered before the one that waits for us has ended.
    assert engine.outcomes(1)[0].no == first.no
    wait_for_file(gate.with_suffix(".began"))
    gate.touch()


def test_an_outcome_that_was_gathered_leaves_when_the_engine_asks_for_it(start: Start, tmp_path: Path) -> None:
    engine = start()
    gate = tmp_path / "gate"
    quick = engine.ticket(engine.brief("noop"))
    engine.hand_out(quick, engine.ticket(engine.brief("waits_for"), path=str(gate)))
    wait_for_file(gate.with_suffix(".began"))
    # The quick one took no time, so its outcome waits for company behind the step that waits for us.
    os.kill(engine.process.pid, signal.SIGURG)
    assert engine.outcomes(1)[0].no == quick.no
    gate.touch()


def test_a_ticket_is_begun_or_taken_back_and_never_both(start: Start, tmp_path: Path) -> None:
    engine = start()
    gate = tmp_path / "gate"
    slow = engine.ticket(engine.brief("waits_for"), path=str(gate))
    waiting = [engine.ticket(engine.brief("noop")) for _ in range(5)]
    engine.hand_out(slow, *waiting)
    wait_for_file(gate.with_suffix(".began"))
    taken = engine.take_back()
    assert taken == [ticket.no for ticket in waiting]
    later = engine.ticket(engine.brief("noop"))
    engine.hand_out(later)
    gate.touch()
    assert [outcome.no for outcome in engine.outcomes(2)] == [slow.no, later.no]


def test_a_number_that_was_claimed_before_its_frame_came_is_run_when_it_comes(start: Start, tmp_path: Path) -> None:
    engine = start()
    gate = tmp_path / "gate"
    slow = engine.ticket(engine.brief("waits_for"), path=str(gate))
    brief = engine.brief("noop")
    taken, kept = engine.ticket(brief), engine.ticket(brief)
    engine.hand_out(slow, taken)
    wait_for_file(gate.with_suffix(".began"))
    assert engine.take_back() == [taken.no]
    # The number alone: the worker, done with the slow one, finds it in front of a ticket that was taken back.
    os.write(engine.claims, kept.no.to_bytes(8, "big"))
    gate.touch()
    assert engine.outcomes(1)[0].no == slow.no
    engine.send(Tickets([kept]))
    assert engine.outcomes(1)[0].no == kept.no


def test_sigterm_raises_cancelled_in_user_code_and_the_worker_goes_on(start: Start, tmp_path: Path) -> None:
    engine = start()
    began, cleaned = tmp_path / "began", tmp_path / "cleaned"
    engine.hand_out(engine.ticket(engine.brief("waits_and_cleans"), started=str(began), cleaned=str(cleaned)))
    wait_for_file(began)
    os.killpg(engine.process.pid, signal.SIGTERM)
    (outcome,) = engine.outcomes(1)
    assert outcome.state == "cancelled"
    assert outcome.detail is not None
    assert outcome.detail.failure is not None
    assert outcome.detail.failure.cause == "cancelled"
    assert cleaned.exists()
    assert engine.value(engine.run("add", a=1)) == 2


def test_sigterm_without_a_step_ends_the_worker(start: Start) -> None:
    engine = start()
    engine.run("noop")
    engine.process.send_signal(signal.SIGTERM)
    assert engine.exit_code() == 0
    assert read_spool(engine.home.spool) == []


def test_ctrl_c_in_the_terminal_does_not_reach_a_step(start: Start, tmp_path: Path) -> None:
    engine = start()
    gate = tmp_path / "gate"
    engine.hand_out(engine.ticket(engine.brief("waits_for"), path=str(gate)))
    wait_for_file(gate.with_suffix(".began"))
    engine.process.send_signal(signal.SIGINT)
    gate.touch()
    assert engine.outcomes(1)[0].state == "succeeded"


def test_a_process_that_a_step_forks_dies_of_sigterm_as_usual(warm: Engine) -> None:
    assert warm.value(warm.run("forks_and_kills")) == -signal.SIGTERM


def test_exit_lets_the_step_finish_and_begins_no_other(start: Start, tmp_path: Path) -> None:
    engine = start()
    gate = tmp_path / "gate"
    slow, other = engine.ticket(engine.brief("waits_for"), path=str(gate)), engine.ticket(engine.brief("noop"))
    engine.hand_out(slow)
    wait_for_file(gate.with_suffix(".began"))
    engine.send(Exit())
    engine.hand_out(other)
    gate.touch()
    assert [outcome.no for outcome in engine.outcomes(1)] == [slow.no]
    assert engine.exit_code() == 0
    assert engine.take_back() == [other.no]


def test_when_the_engine_is_gone_the_step_is_finished_and_its_outcome_spooled(start: Start, tmp_path: Path) -> None:
    engine = start()
    gate = tmp_path / "gate"
    slow = engine.ticket(engine.brief("waits_for", step="slow"), "2", 3, path=str(gate))
    never = engine.ticket(engine.brief("noop", step="never"))
    engine.hand_out(slow, never)
    wait_for_file(gate.with_suffix(".began"))
    engine.vanish()
    gate.touch()
    assert engine.exit_code() == 0
    spooled = {s.step: s for _, s in read_spool(engine.home.spool)}
    assert set(spooled) == {"slow", "never"}
    done = spooled["slow"]
    assert (done.run, done.index, done.attempt, done.epoch, done.outcome.state) == ("run-1", "2", 3, 3, "succeeded")
    assert engine.value(done.outcome) == "done"
    refused = spooled["never"].outcome
    assert refused.state == "refused"
    assert refused.detail is not None
    assert refused.detail.failure is not None
    assert refused.detail.failure.cause == "not_begun"


def test_what_the_engine_took_back_before_it_died_is_not_spooled_as_refused(start: Start, tmp_path: Path) -> None:
    engine = start()
    gate = tmp_path / "gate"
    slow = engine.ticket(engine.brief("waits_for", step="slow"), path=str(gate))
    engine.hand_out(slow, engine.ticket(engine.brief("noop", step="taken")))
    wait_for_file(gate.with_suffix(".began"))
    # Somebody else may be running it by now.
    assert len(engine.take_back()) == 1
    engine.vanish()
    gate.touch()
    assert engine.exit_code() == 0
    assert [s.step for _, s in read_spool(engine.home.spool)] == ["slow"]


def test_an_outcome_that_the_engine_never_read_is_spooled(start: Start) -> None:
    engine = start()
    engine.hand_out(engine.ticket(engine.brief("add", step="sent"), a=1))
    while not engine.sock.recv(1 << 16, socket.MSG_PEEK).count(b"succeeded"):  # it lies there, unread
        os.sched_yield()
    engine.vanish()
    assert engine.exit_code() == 0
    assert [s.step for _, s in read_spool(engine.home.spool)] == ["sent"]


def test_an_idle_worker_ends_when_its_engine_is_gone(start: Start) -> None:
    engine = start()
    next(engine.frames())
    engine.vanish()
    assert engine.exit_code() == 0
    assert read_spool(engine.home.spool) == []


def _spooled(ended_at: float = 1.0) -> Spooled:
    return Spooled("run", "s", "", 1, 1, Outcome(1, "succeeded", 0.5, ended_at, Value("plain", 1, b"\x01")))


def test_a_spool_is_read_in_the_order_of_ends_and_emptied_by_taking(tmp_path: Path) -> None:
    spool(tmp_path, [_spooled(3.0), _spooled(2.0)])
    found = read_spool(tmp_path)
    assert [s.outcome.ended_at for _, s in found] == [2.0, 3.0]
    for path, _ in found:
        take(path)
        take(path)
    assert read_spool(tmp_path) == []


@pytest.mark.parametrize("content", [b"", b"\x00", b"\xff" * 10, "cut"])
def test_what_is_not_whole_in_a_spool_is_passed_over(content: bytes | str, tmp_path: Path) -> None:
    spool(tmp_path, [_spooled()])
    ((path, _),) = read_spool(tmp_path)
    (tmp_path / "bad~1.msgpack").write_bytes(path.read_bytes()[:-3] if isinstance(content, str) else content)
    (tmp_path / ".half~1.msgpack").write_bytes(path.read_bytes())
    assert [p for p, _ in read_spool(tmp_path)] == [path]
    assert read_spool(tmp_path / "nowhere") == []


def test_names_of_runs_do_not_leave_the_spool(tmp_path: Path) -> None:
    spool(tmp_path / "spool", [msgspec.structs.replace(_spooled(), run="../../etc/x")])
    assert [p.parent for p, _ in read_spool(tmp_path / "spool")] == [tmp_path / "spool"]


def test_a_worker_imports_little() -> None:
    code = (
        "import sys, partita.worker.main\n"
        "sync = set(sys.modules)\n"
        "import partita.worker.main_async\n"
        "print(sorted({m.partition('.')[0] for m in sys.modules} - sys.stdlib_module_names - {'partita', '__main__'}))\n"
        "print('asyncio' in sync)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, timeout=60)
    third_party, asyncio = done.stdout.splitlines()
    found = {name for name in eval(third_party) if not name.startswith(("_", "sitecustomize"))}
    # msgspec itself imports typing_extensions where it is installed.
    assert found - {"typing_extensions"} <= {"msgspec", "cloudpickle", "tzdata", "psutil"}
    assert asyncio == "False"


def test_cancelling_a_ticket_by_message_is_for_workers_with_a_loop(warm: Engine) -> None:
    warm.send(CancelTicket(1, "cancelled"))
    assert warm.run("noop").state == "succeeded"
