"""How failures, causes and logs are told: the same in the live view, the lines, the summary and `show`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from partita.cli.naming import typed
from partita.cli.styled import Line, clean_log
from partita.cli.words import clock, many

if TYPE_CHECKING:
    from partita.cli.watching import RunWatch
    from partita.settings import Home


def log_tail(home: Home, run_no: int, step: str, index: str, attempt: int, lines: int) -> list[Line]:
    """The last lines of an attempt's log, each with the time at which it was written."""
    from partita.worker.logs import read_log

    return [log_line(line.at, line.text) for line in read_log(home, run_no, step, index, attempt, tail=lines)]


def log_line(at: str, text: str) -> Line:
    """One line of a log."""
    return [("│ ", "dim"), (f"{_clock(at)} " if at else "", "dim"), (clean_log(text), "")]


def blocks_text(names: Iterable[str], shown: int = 3) -> str:
    """`blocks 38 steps: a, b, c and 35 more`."""
    blocked = list(names)
    if not blocked:
        return ""
    more = f" and {len(blocked) - shown} more" if len(blocked) > shown else ""
    return f"blocks {many(len(blocked), 'step')}: {', '.join(blocked[:shown])}{more}"


def _clock(at: str) -> str:
    import datetime as dt

    try:
        return clock(dt.datetime.fromisoformat(at).timestamp())
    except ValueError:
        return at


def waits_for(run: RunWatch, step: str, index: str = "") -> str:
    """What an open gate waits for, and what would answer it."""
    from partita.core.waiting import question

    machine = run.active.machine
    instance = machine.instance(step, index)
    spec = run.steps[step].node.step.gate
    if instance is None or spec is None:
        return ""
    if spec.of == "approval":
        return f"{question(machine, instance)}   partita approve {run.no} {typed(step, index)}"
    return question(machine, instance) or "the callback of another system"
