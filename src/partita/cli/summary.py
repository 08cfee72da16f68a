"""What is said when a run has ended: how, what broke first and whose it is, what that holds up, and what to type next.

Rule: forty steps behind one failure are one cause.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from partita.cli.labels import Labels
from partita.cli.naming import typed
from partita.cli.styled import Line
from partita.cli.telling import blocks_text, failure_text, log_tail
from partita.cli.terminal import Out
from partita.cli.words import counts, duration, glyph, look, many, number
from partita.core.explain import Cause, causes
from partita.core.machine import RunMachine

if TYPE_CHECKING:
    from partita.settings import Home
    from partita.store.contract import AttemptRow, Reader, RunRow

_CAUSES = 5
_LOG_LINES = 6


def print_summary(out: Out, reader: Reader, home: Home, row: RunRow, machine: RunMachine) -> None:
    """Print the end of a run."""
    labels = Labels(machine, row.no)
    out.line(*head(row))
    out.line("  ", *counts(step_counts(machine)))
    found = causes(machine)
    for cause in found[:_CAUSES]:
        out.blank()
        out.lines(cause_lines(reader, home, row, cause, labels))
    if len(found) > _CAUSES:
        out.blank()
        out.line(f"and {many(len(found) - _CAUSES, 'more cause')}: ", ", ".join(c.step for c in found[_CAUSES:]))
    out.lines(_next_steps(row, found))


def head(row: RunRow) -> Line:
    """`■ nightly · 2013-06-13 failed in 1 m 32 s   run 12`."""
    found = look(row.state)
    name = f"{row.pipeline} · {row.partition}" if row.partition else row.pipeline
    took = ""
    if row.started_at is not None and row.finished_at is not None:
        took = f" in {duration(row.finished_at - row.started_at)}"
    line: Line = [(f"{found.glyph} ", found.style), (name, "bold"), (f" {found.word}", found.style), (took, "")]
    line.append((f"   run {row.no}", "dim"))
    if row.reason and row.state == "cancelled":
        line.append((f"   {row.reason}", "dim"))
    return line


def step_counts(machine: RunMachine) -> dict[str, int]:
    """How many step instances ended how."""
    tally: dict[str, int] = {}
    for instance in machine.instances():
        tally[instance.state] = tally.get(instance.state, 0) + 1
    return tally


def cause_lines(
    reader: Reader, home: Home, row: RunRow, cause: Cause, labels: Labels, *, log_lines: int = _LOG_LINES
) -> list[Line]:
    """One cause: what, whose, how often, what it blocks, and the end of its log."""
    index = cause.indexes[0]
    attempts = reader.attempts(row.id, step=cause.step, index=index)
    last = attempts[-1] if attempts else None
    title: Line = [glyph(cause.state), (f" {labels.name(cause.step, index)}", "bold")]
    if len(cause.indexes) > 1:
        title.append((f" and {number(len(cause.indexes) - 1)} more of {cause.step}", ""))
    title.append((f"   {', '.join(_facts(cause, attempts))}" if _facts(cause, attempts) else "", "dim"))
    lines: list[Line] = [title]
    lines.append([("  ", ""), (failure_text(last.failure if last is not None else None, cause.message), "")])
    if cause.blocks:
        lines.append([("  ", ""), (blocks_text(cause.blocks), "")])
    if last is not None:
        lines += [
            [("  ", ""), *line] for line in log_tail(home, row.no, cause.step, index, last.attempt, log_lines)
        ]
    lines.append([("  partita why ", "dim"), (f"{row.no} {typed(cause.step, index)}", "dim")])
    return lines


def _facts(cause: Cause, attempts: list[AttemptRow]) -> list[str]:
    facts = []
    if cause.owner:
        facts.append(f"owner {cause.owner}")
    if len(attempts) > 1:
        facts.append(many(len(attempts), "attempt"))
    return facts


def _next_steps(row: RunRow, found: list[Cause]) -> list[Line]:
    if row.state == "succeeded":
        return []
    lines: list[Line] = [[]]
    if found:
        first = found[0]
        lines.append([("log    ", "dim"), (f"partita logs {row.no} {typed(first.step, first.indexes[0])}", "")])
    lines.append([("again  ", "dim"), (f"partita retry {row.no}", "")])
    return lines
