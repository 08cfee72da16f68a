"""A step of a run as `partita show` tells it: its attempts, what it gave, what it made."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from partita.cli import terminal
from partita.cli.facts import heading, meta_text, print_facts, value_text
from partita.cli.naming import typed
from partita.cli.tables import Cell, Column, print_table
from partita.cli.telling import log_tail
from partita.cli.words import ago, duration, exact, look, number, size, state
from partita.core.events import failure_line
from partita.core.placement import parted

if TYPE_CHECKING:
    from partita.cli.remembered import Remembered
    from partita.core.plan import Node
    from partita.settings import Home
    from partita.store.contract import AttemptRow

_LOG_LINES = 12
_INSTANCES = 200


def show_step(home: Home, run: Remembered, key: str, index: str, *, json: bool) -> None:
    """Print a step, an instance of it, or all instances of a map."""
    node = run.machine.plan.nodes[key]
    rows = [s for s in run.steps if s.step == key and (not index or s.index == index)]
    if json:
        from partita.cli.objects import step_object

        terminal.print_json([step_object(s, run.tries.get((s.step, s.index), [])) for s in rows])
        return
    if node.step.axes and not index:
        _print_map(run, node)
        return
    _print_instance(home, run, node, index)


def _print_map(run: Remembered, node: Node) -> None:
    out = terminal.out()
    instances = sorted(node.instances.values(), key=lambda i: (i.state == "succeeded", i.path))
    out.line((node.key, "bold"), (f"  ×{number(len(instances))}   run {run.row.no} of {run.row.pipeline}", "dim"))
    rows: list[list[Cell]] = []
    for instance in instances[:_INSTANCES]:
        tries = run.tries.get((node.key, instance.index), [])
        last = tries[-1] if tries else None
        took = duration(last.ended_at - last.began_at) if last is not None and last.began_at and last.ended_at else ""
        why = failure_line(last.failure, instance.reason) if last is not None else instance.reason
        label = run.labels.label(node.key, instance.index)
        rows.append(
            [
                instance.index,
                label,
                state(instance.state),
                took,
                str(len(tries)) if len(tries) > 1 else "",
                (why, "dim"),
            ]
        )
    columns = (
        Column("index", right=True),
        Column("label"),
        Column("state"),
        Column("took", right=True),
        Column("attempts", right=True),
        Column("note", flexible=True),
    )
    print_table(out, columns, rows, indent=2)
    if len(instances) > _INSTANCES:
        out.line((f"  and {number(len(instances) - _INSTANCES)} more: --json has them all", "dim"))


def _print_instance(home: Home, run: Remembered, node: Node, index: str) -> None:
    out = terminal.out()
    instance = run.machine.instance(node.key, index)
    row = next((s for s in run.steps if s.step == node.key and s.index == index), None)
    tries = run.tries.get((node.key, index), [])
    now = instance.state if instance is not None else "waiting"
    found = look(now)
    out.line(
        (f"{found.glyph} ", found.style),
        (run.labels.name(node.key, index), "bold"),
        (f" {found.word}", found.style),
        (f"   run {run.row.no} of {run.row.pipeline}", "dim"),
    )
    metadata = tries[-1].metadata if tries else ()
    print_facts(
        out,
        [
            ("reason", instance.reason if instance is not None else ""),
            ("description", node.step.description.partition("\n")[0]),
            ("owner", node.step.owner),
            ("written", node.step.written_at),
            ("needs", ", ".join(node.step.needs)),
            ("when", str(node.step.when) if node.step.when != "all_succeeded" else ""),
            ("taken over", f"from run {row.reused_from}" if row is not None and row.reused_from else ""),
            ("result", value_text(row.value) if row is not None else ""),
            ("metadata", meta_text(metadata)),
        ],
    )
    if tries:
        heading(out, "Attempts")
        print_table(out, _ATTEMPTS, [_attempt_row(a) for a in tries], indent=2)
        lines = log_tail(home, run.row.no, node.key, index, tries[-1].attempt, _LOG_LINES)
        if lines:
            heading(out, "Log")
            out.lines([("  ", ""), *line] for line in lines)
            out.line((f"  all of it: partita logs {run.row.no} {typed(node.key, index)}", "dim"))


_ATTEMPTS = (
    Column("no", right=True),
    Column("state"),
    Column("begun", right=True),
    Column("at"),
    Column("took", right=True),
    Column("processor", right=True),
    Column("memory", right=True),
    Column("worker"),
    Column("why", flexible=True),
)


def _attempt_row(row: AttemptRow) -> list[Cell]:
    usage = row.usage
    why = "from the cache" if row.cached_from else failure_line(row.failure)
    return [
        str(row.attempt),
        state(row.state),
        ago(row.started_at, time.time()),
        (exact(row.started_at), "dim"),
        duration(row.ended_at - row.began_at) if row.began_at and row.ended_at else "",
        duration(usage.cpu_s) if usage is not None and usage.cpu_s >= 0.0005 else "",
        size(usage.peak_rss_bytes) if usage is not None and usage.peak_rss_bytes else "",
        (_where(row.worker), "dim"),
        why,
    ]


def _where(place: str) -> str:
    worker, gpus = parted(place)
    return worker.rpartition(":")[0] + (f" gpu {','.join(gpus)}" if gpus else "")
