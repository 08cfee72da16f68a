"""What is said when a run has ended: how, what broke first and whose it is, what that holds up, and what to type next.

Rule: forty steps behind one failure are one cause.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from partita.cli.labels import Labels
from partita.cli.naming import typed
from partita.cli.styled import Line
from partita.cli.telling import blocks_text, log_tail
from partita.cli.terminal import Out
from partita.cli.words import counts, duration, glyph, look, many, number, run_title
from partita.core.events import failure_line
from partita.core.explain import Cause, causes
from partita.core.machine import RunMachine

if TYPE_CHECKING:
    from partita.settings import Home
    from partita.store.contract import AttemptRow, Reader, RunRow

_CAUSES = 5
_LOG_LINES = 6
_WARNINGS = 5


def print_summary(out: Out, reader: Reader, home: Home, row: RunRow, machine: RunMachine) -> None:
    """Print the end of a run."""
    labels = Labels(machine, row.no)
    out.line(*head(row))
    out.line("  ", *counts(step_counts(machine)))
    out.lines(_made_lines(reader, row, machine))
    found = causes(machine)
    for cause in found[:_CAUSES]:
        out.blank()
        out.lines(cause_lines(reader, home, row, cause, labels))
    if len(found) > _CAUSES:
        out.blank()
        out.line(f"and {many(len(found) - _CAUSES, 'more cause')}: ", ", ".join(c.step for c in found[_CAUSES:]))
    out.lines(_next_steps(row, found))


def _made_lines(reader: Reader, row: RunRow, machine: RunMachine) -> list[Line]:
    """What assets were made, and what their checks said; failed ones that only warn are named."""
    steps = [node.step for node in machine.plan.nodes.values()]
    if not any(step.asset or step.check for step in steps):
        return []
    made = {(m.asset, m.partition) for m in reader.materialized_in(row.id)}
    reports = [c.report for c in reader.checks(run=row.id)]
    told = [f"made {many(len(made), 'asset')}"] if made else []
    passed = sum(r.passed for r in reports)
    told += [f"{many(passed, 'check')} passed"] if passed else []
    lines: list[Line] = [[("  ", ""), (", ".join(told), "dim")]] if told else []
    for report in [r for r in reports if not r.passed and r.severity == "warn"][:_WARNINGS]:
        why = f": {report.message}" if report.message else ""
        lines.append([("  ◌ ", "amber"), (f"check {report.check} of {report.asset} warns{why}", "")])
    return lines


def head(row: RunRow) -> Line:
    """`■ nightly · 2013-06-13 failed in 1 m 32 s   run 12`."""
    found = look(row.state)
    name = run_title(row.pipeline, row.partition, row.selection)
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
    lines.append([("  ", ""), (failure_line(last.failure if last is not None else None, cause.message), "")])
    if cause.blocks:
        lines.append([("  ", ""), (blocks_text(cause.blocks), "")])
    if last is not None:
        lines += [[("  ", ""), *line] for line in log_tail(home, row.no, cause.step, index, last.attempt, log_lines)]
    lines.append([("  partita why ", "dim"), (f"{row.no} {typed(cause.step, index)}", "dim")])
    return lines


def _facts(cause: Cause, attempts: list[AttemptRow]) -> list[str]:
    facts = []
    if cause.owner:
        facts.append(f"owner {cause.owner}")
    # What was given back before it began is no try of the user's code.
    begun = sum(a.state != "refused" for a in attempts)
    if begun > 1:
        facts.append(many(begun, "attempt"))
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
