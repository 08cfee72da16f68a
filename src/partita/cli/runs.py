"""`partita runs`: the runs of the project, newest first."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

from partita.cli import options, project, terminal
from partita.cli.parsing import Argument, Option
from partita.cli.serving import say_interrupted
from partita.cli.tables import Column, print_table
from partita.cli.words import ago, duration, exact, run_title, state
from partita.core.states import RUN_MOVES
from partita.errors import DefinitionError

if TYPE_CHECKING:
    from partita.cli.terminal import Out
    from partita.store.contract import RunRow

STATES = tuple(RUN_MOVES)


def runs(
    pipeline: Annotated[str, Argument("PIPELINE", "Only of this pipeline")] = "",
    state_: Annotated[list[str] | None, Option(("--state",), f"{', '.join(STATES)}; may be repeated", "STATE")] = None,
    partition: Annotated[str, Option(("--partition",), "Only of this partition", "KEY")] = "",
    limit: Annotated[int, Option(("--limit",), "At most so many", "N", least=1)] = 20,
    before: Annotated[int, Option(("--before",), "Only older ones than this run", "NO", least=0)] = 0,
    json: options.Json = False,
    folder: options.Project = None,
) -> int:
    """List runs, newest first."""
    for wanted in state_ or ():
        if wanted not in STATES:
            raise DefinitionError(f"there is no state {wanted!r} of runs", hint=f"there are {', '.join(STATES)}")
    settings = project.settings_of(folder)
    reader = project.open_memory(settings)
    rows = reader.runs(
        pipeline=pipeline or None,
        states=state_ or (),
        partition=partition or None,
        before_no=before or None,
        limit=limit,
    )
    if json:
        from partita.cli.objects import run_object

        terminal.print_json([run_object(row) for row in rows])
        return 0
    if not rows:
        terminal.note(
            "no run is like that" if pipeline or state_ or partition or before else "nothing was run here yet"
        )
        return 0
    print_runs(terminal.out(), rows, time.time())
    left = [row.no for row in rows if row.state in ("queued", "running")]
    if left and not project.has_engine(settings):
        say_interrupted(settings, left)
    if len(rows) == limit:
        terminal.note((f"older ones: --before {rows[-1].no}", "dim"))
    return 0


_COLUMNS = (
    Column("run", right=True),
    Column("pipeline", flexible=True),
    Column("partition"),
    Column("state"),
    Column("took", right=True),
    Column("started", right=True),
    Column("at"),
    Column("by"),
    Column("again of"),
)


def print_runs(out: Out, rows: list[RunRow], now: float) -> None:
    """Print runs as a table."""
    numbers = {row.id: row.no for row in rows}
    print_table(
        out,
        _COLUMNS,
        [
            [
                str(row.no),
                run_title(row.pipeline, "", row.selection),
                row.partition,
                state("paused" if row.paused and row.state in ("queued", "running") else row.state),
                _took(row, now),
                ago(row.started_at or row.created_at, now),
                (exact(row.started_at or row.created_at), "dim"),
                row.by,
                (str(numbers.get(row.rerun_of, row.rerun_of[:8])) if row.rerun_of else "", "dim"),
            ]
            for row in rows
        ],
    )


def _took(row: RunRow, now: float) -> str:
    if row.started_at is None:
        return ""
    return duration((row.finished_at or now) - row.started_at)
