"""What user code is told about its attempt, and what it may say."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from partita.define.calls import Call
from partita.define.context import context
from partita.errors import PartitaError
from partita.settings import Home
from partita.values.blobs import FileBlobs
from partita.worker.run_step import StepRunner
from partita.worker.wire import Brief, Past, Progress, Ticket

from .engine import Engine


def test_a_step_knows_which_attempt_of_what_it_is(warm: Engine) -> None:
    outcome = warm.run(
        "whoami",
        brief={
            "step": "load",
            "partition": "2013-06-13",
            "max_attempts": 4,
            "interval": ("2013-06-13T04:00:00Z", "2013-06-14T04:00:00Z"),
        },
        ticket={"index": "3.17", "attempt": 2, "epoch": 5, "past": (Past(1, "lost", "its worker died"),)},
    )
    assert warm.value(outcome) == {
        "run_id": "run-1",
        "step": "load",
        "index": "3.17",
        "attempt": 2,
        "max_attempts": 4,
        "previous": [(1, "lost", "its worker died")],
        "fencing_token": 5_000_002,
        "idempotency_key": "default/run-1/load/3.17",
        "partition": "2013-06-13",
        "interval": (dt.datetime(2013, 6, 13, 4, tzinfo=dt.UTC), dt.datetime(2013, 6, 14, 4, tzinfo=dt.UTC)),
    }


def test_the_context_is_there_without_a_parameter_and_is_each_steps_own(warm: Engine) -> None:
    assert [warm.value(warm.run("step_of_context", brief={"step": name})) for name in ("one", "two")] == ["one", "two"]


def test_when_a_step_has_ended_its_context_is_gone(tmp_path: Path) -> None:
    home = Home(tmp_path)
    runner = StepRunner({"step": Call("step", context)}, FileBlobs(home.blobs), home, lambda message: None)
    plan = runner.plan(Brief(1, "r", 1, "default", "p", "s", "step"))
    assert runner.run(plan, Ticket(1, 1, "", 1, 1)).state == "succeeded"
    with pytest.raises(PartitaError, match="no context"):
        context()


def test_a_checkpoint_survives_the_attempts_of_its_step_and_of_no_other(warm: Engine) -> None:
    brief = warm.brief("counts_up", step="counter")
    states = []
    for attempt in (1, 2, 3):
        warm.hand_out(warm.ticket(brief, "0", attempt))
        states += [outcome.state for outcome in warm.outcomes(1)]
    assert states == ["failed", "failed", "succeeded"]
    warm.hand_out(warm.ticket(brief, "1"))
    assert warm.outcomes(1)[0].state == "failed"


def test_progress_leaves_at_once_and_not_too_often(warm: Engine) -> None:
    warm.messages.clear()
    outcome = warm.run("reports")
    said = [(m.no, m.done, m.total, m.text) for m in warm.messages if isinstance(m, Progress)]
    assert said == [(outcome.no, 1.0, 4.0, "loading"), (outcome.no, 4.0, 4.0, "done with ***")]
