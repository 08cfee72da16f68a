"""A run as `partita show` tells it: what it is, its steps, what it made, its checks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from partita.cli import terminal
from partita.cli.facts import heading, meta_text, packed, print_facts
from partita.cli.styled import Line, Span
from partita.cli.summary import head, step_counts
from partita.cli.tables import Cell, Column, print_table
from partita.cli.words import counts, duration, look, number, size, when

if TYPE_CHECKING:
    from partita.cli.remembered import Remembered
    from partita.cli.terminal import Out
    from partita.core.plan import Instance, Node
    from partita.store.contract import AttemptRow

_OPENED = 8
_ROWS = 200


def show_run(run: Remembered, *, json: bool) -> None:
    """Print a run."""
    reader, row = run.reader, run.row
    made, checks = reader.materialized_in(row.id), reader.checks(run=row.id)
    if json:
        from partita.cli import objects
        from partita.core.explain import causes

        terminal.print_json(
            {
                **objects.run_object(row),
                "counts": step_counts(run.machine),
                "causes": [objects.cause_object(c) for c in causes(run.machine)],
                "steps": [objects.step_object(s, run.tries.get((s.step, s.index), [])) for s in run.steps],
                "materializations": [objects.materialization_object(m) for m in made],
                "checks": [objects.check_object(c) for c in checks],
            }
        )
        return
    out = terminal.out()
    out.line(*head(row))
    _print_head(out, run)
    heading(out, "Steps")
    _print_steps(out, run)
    if made:
        heading(out, "Made")
        rows: list[list[Cell]] = [
            [m.asset, m.partition, m.data_version[:12], meta_text(m.metadata)] for m in made[:_ROWS]
        ]
        print_table(out, _MADE, rows, indent=2)
        _say_more(out, len(made))
    if checks:
        heading(out, "Checks")
        rows = []
        for found in reversed(checks[:_ROWS]):
            report = found.report
            rows.append(
                [
                    _verdict(report.passed, report.severity),
                    report.check,
                    report.asset,
                    report.message,
                    meta_text(report.metadata),
                ]
            )
        print_table(out, _CHECKS, rows, indent=2)
        _say_more(out, len(checks))


_MADE = (Column("asset"), Column("partition"), Column("version"), Column("metadata", flexible=True))
_CHECKS = (
    Column("result"),
    Column("check"),
    Column("of"),
    Column("message", flexible=True),
    Column("metadata", flexible=True),
)
_STEPS = (
    Column("step", flexible=True),
    Column("state"),
    Column("done", right=True),
    Column("took", right=True),
    Column("usually", right=True),
    Column("attempts", right=True),
    Column("processor", right=True),
    Column("memory", right=True),
    Column("note", flexible=True),
)


def _verdict(passed: bool, severity: str) -> Span:
    if passed:
        return "● passed", "green"
    return ("■ failed", "red") if severity == "error" else ("■ warns", "amber")


def _say_more(out: Out, count: int) -> None:
    if count > _ROWS:
        out.line((f"  and {number(count - _ROWS)} more: --json has them all", "dim"))


def _print_head(out: Out, run: Remembered) -> None:
    row, now = run.row, time.time()
    again = run.reader.run(row.rerun_of) if row.rerun_of else None
    print_facts(
        out,
        [
            ("steps", counts(step_counts(run.machine))),
            ("reason", row.reason),
            ("begun", when(row.started_at or row.created_at, now)),
            ("ended", when(row.finished_at, now) if row.finished_at is not None else ""),
            ("asked by", f"{row.by or 'somebody'}   {row.origin}"),
            ("again of", f"run {again.no}" if again is not None else row.rerun_of),
            ("params", "   ".join(f"{name}={packed(data)}" for name, data in row.params.items())),
            ("selection", ", ".join(row.selection) if len(row.selection) <= 8 else f"{len(row.selection)} steps"),
            ("tags", ", ".join(row.tags)),
            ("code", f"{row.code}   graph {row.graph}"),
            ("id", row.id),
        ],
    )


def _print_steps(out: Out, run: Remembered) -> None:
    usual = run.reader.usual(run.row.pipeline)
    rows: list[list[Cell]] = []
    for node in run.machine.plan.nodes.values():
        rows.append(_step_row(run, node, usual.get(node.key)))
        if node.step.axes:
            rows += _opened(run, node)
    print_table(out, _STEPS, rows, indent=2)


def _step_row(run: Remembered, node: Node, usual: tuple[float, float, int] | None) -> list[Cell]:
    instances = list(node.instances.values())
    tries = [a for i in instances for a in run.tries.get((node.key, i.index), [])]
    done = sum(i.state in ("succeeded", "failed", "skipped", "upstream_failed", "cancelled") for i in instances)
    state = _state_of(instances)
    is_map = bool(node.step.axes)
    return [
        node.key,
        (f"{look(state).glyph} {look(state).word}", look(state).style),
        f"{number(done)}/{number(len(instances))}" if is_map else "",
        _span(tries) if is_map else _took(tries),
        f"{duration(usual[0])}{' each' if is_map else ''}"
        if usual is not None and usual[2] > 1 and usual[0] > 0.001
        else "",
        _attempts(tries) if not is_map else "",
        _processor(tries),
        _memory(tries),
        _note(run, node, instances),
    ]


def _opened(run: Remembered, node: Node) -> list[list[Cell]]:
    """The instances of a map that need to be seen: what failed, what runs."""
    bad = [i for i in node.instances.values() if i.index and i.state in ("failed", "needs_attention", "running")]
    rows: list[list[Cell]] = []
    for instance in bad[:_OPENED]:
        tries = run.tries.get((node.key, instance.index), [])
        name: Line = [("  ", ""), (run.labels.name(node.key, instance.index), "")]
        found = look(instance.state)
        rows.append(
            [
                name,
                (f"{found.glyph} {found.word}", found.style),
                "",
                _took(tries),
                "",
                _attempts(tries),
                _processor(tries),
                _memory(tries),
                (instance.reason, "dim"),
            ]
        )
    if len(bad) > _OPENED:
        rows.append([(f"  and {number(len(bad) - _OPENED)} more", "dim"), *[""] * 8])
    return rows


def _state_of(instances: list[Instance]) -> str:
    states = {i.state for i in instances}
    if not instances:
        return "waiting"
    if states & {"running", "ready"} and states & {"running", "succeeded", "failed"}:
        return "running" if "failed" not in states else "failed"
    order = ("failed", "needs_attention", "ready", "waiting", "upstream_failed", "cancelled", "succeeded", "skipped")
    return next(s for s in order if s in states)


def _took(tries: list[AttemptRow]) -> str:
    last = next((a for a in reversed(tries) if a.began_at and a.ended_at), None)
    return duration(last.ended_at - last.began_at) if last is not None else ""


def _span(tries: list[AttemptRow]) -> str:
    began = [a.began_at for a in tries if a.began_at]
    ended = [a.ended_at for a in tries if a.ended_at]
    return duration(max(ended) - min(began)) if began and ended else ""


def _attempts(tries: list[AttemptRow]) -> str:
    begun = sum(a.state != "refused" for a in tries)
    return str(begun) if begun > 1 else ""


def _processor(tries: list[AttemptRow]) -> str:
    used = sum(a.usage.cpu_s for a in tries if a.usage is not None)
    return duration(used) if used >= 0.0005 else ""


def _memory(tries: list[AttemptRow]) -> str:
    most = max((a.usage.peak_rss_bytes for a in tries if a.usage is not None), default=0)
    return size(most) if most else ""


def _note(run: Remembered, node: Node, instances: list[Instance]) -> Cell:
    reused = sum(s.step == node.key and bool(s.reused_from) for s in run.steps)
    cached = sum(a.step == node.key and bool(a.cached_from) for a in run.attempts)
    notes = []
    if reused:
        notes.append("taken over" if not node.step.axes else f"{number(reused)} taken over")
    if cached:
        notes.append("from the cache" if not node.step.axes else f"{number(cached)} from the cache")
    if not node.step.axes and instances and instances[0].state not in ("succeeded", "running"):
        notes.append(instances[0].reason)
    return ", ".join(n for n in notes if n), "dim"
