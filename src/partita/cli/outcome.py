"""Runs that were asked for here, from their start to the last word about them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from partita.cli import terminal
from partita.cli.executing import carry_out
from partita.cli.summary import print_summary
from partita.errors import DefinitionError, PartitaError, WorldError

if TYPE_CHECKING:
    from partita.cli.watching import Watch
    from partita.engine.active import ActiveRun
    from partita.engine.embedded import Embedded
    from partita.store.contract import Reader, RunRow


def watched(
    embedded: Embedded,
    watch: Watch,
    make_runs: Callable[[], list[ActiveRun]],
    *,
    json: bool,
    is_range: bool = False,
) -> int:
    """Carry the runs out, watched; say what became of them; the exit code."""
    try:
        runs, number = carry_out(embedded, watch, make_runs, quiet=json)
    except PartitaError:
        # What was asked for is wrong; what an earlier engine left running must not be killed for it.
        embedded.close(kill=False)
        raise
    _flush_logs(embedded)
    rows = [row for run in runs if (row := embedded.store.run(run.id)) is not None]
    if json:
        from partita.cli.objects import cause_object, run_object
        from partita.core.explain import causes

        found = [
            {**run_object(row), "causes": [cause_object(c) for c in causes(run.machine)]}
            for row, run in zip(rows, runs, strict=True)
        ]
        terminal.print_json(found if is_range else found[0])
    else:
        _print(embedded, rows, runs)
    if number:
        return 128 + number
    return 0 if all(row.state == "succeeded" for row in rows) else 1


def _flush_logs(embedded: Embedded) -> None:
    """See that what steps have just printed can be read."""
    try:
        embedded.connection.flush_logs()
    except WorldError as error:
        terminal.note(("■ ", "amber"), f"the last lines of the logs may be missing: {error.message}")


def last_finished(reader: Reader, pipeline: str) -> RunRow:
    """The last run of a pipeline that has ended. Raises `DefinitionError`."""
    rows = reader.runs(pipeline=pipeline, states=("succeeded", "failed", "cancelled"), limit=1)
    if not rows:
        raise DefinitionError(f"{pipeline} has no finished run to repeat", hint=f"partita run {pipeline}")
    return rows[0]


def _print(embedded: Embedded, rows: list[RunRow], runs: list[ActiveRun]) -> None:
    out = terminal.out()
    home = embedded.settings.home
    if len(rows) == 1:
        print_summary(out, embedded.store, home, rows[0], runs[0].machine)
        return
    from partita.cli.runs import print_runs

    print_runs(out, rows, embedded.clock.now())
    broken = [(row, run) for row, run in zip(rows, runs, strict=True) if row.state != "succeeded"]
    for row, run in broken[:3]:
        out.blank()
        print_summary(out, embedded.store, home, row, run.machine)
    if len(broken) > 3:
        out.blank()
        out.line(f"and {len(broken) - 3} more that did not succeed: partita runs")
