"""`partita retry`: run again what failed, or from a step on; a run that was interrupted is taken up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from partita.cli import options, project, terminal
from partita.cli.executing import opened
from partita.cli.parsing import Option
from partita.cli.serving import is_served
from partita.cli.words import many
from partita.errors import DefinitionError

if TYPE_CHECKING:
    from partita.engine.active import ActiveRun
    from partita.engine.embedded import Embedded
    from partita.store.contract import Reader, RunRow


def retry(
    name: options.Run = "",
    from_: Annotated[
        list[str] | None, Option(("--from",), "From this step or group on; may be repeated", "STEP")
    ] = None,
    same_version: Annotated[
        bool, Option(("--same-version",), "With the version of the code that the run had, if it is kept")
    ] = False,
    latest: Annotated[bool, Option(("--latest",), "With the project's current code (the default)")] = False,
    json: options.Json = False,
    folder: options.Project = None,
) -> int:
    """Run again what failed (default: of the last run that failed), or from a step on.

    What succeeded is taken over; the project's current code runs, or with --same-version the one that the run had.
    """
    if same_version and latest:
        raise DefinitionError("--same-version and --latest exclude each other", hint="leave one of them out")
    settings = project.settings_of(folder)
    project.open_memory(settings).close()
    if is_served(settings):
        from partita.cli import asked

        return asked.retry(settings, name, from_ or [], same_version=same_version, json=json)
    embedded, watch = opened(settings)
    with embedded:
        from partita.cli import outcome

        row = _chosen(embedded.store, name)
        if row.state in ("queued", "running"):
            if from_:
                raise DefinitionError(
                    f"run {row.no} was interrupted and has not ended: it can only go on",
                    hint=f"take it up: partita retry {row.no}   or end it first: partita cancel {row.no}",
                )
            return outcome.watched(embedded, watch, lambda: _taken_up(embedded, row), json=json)
        return outcome.watched(
            embedded, watch, lambda: [rerun(embedded, row, from_, same_version=same_version)], json=json
        )


def rerun(embedded: Embedded, row: RunRow, again: list[str] | None, *, same_version: bool = False) -> ActiveRun:
    """Repeat a finished run, and say what is taken over from it."""
    version: Literal["same", "latest"] = "same" if same_version else "latest"
    active = embedded.rerun(row, by=project.user_name(), again=again or None, version=version)
    total = sum(1 for _ in active.machine.instances())
    done = sum(i.state in ("succeeded", "skipped") for i in active.machine.instances())
    terminal.note(
        ("↻ ", "amber"),
        f"run {active.no}: {many(done, 'step')} taken over from run {row.no}, {total - done} to do",
    )
    return active


def _chosen(reader: Reader, name: str) -> RunRow:
    from partita.cli.naming import find_run

    if name:
        return find_run(reader, name)
    # Open ones were interrupted: the store is ours, so no engine executes them.
    unfinished = reader.runs(states=("queued", "running", "failed", "cancelled"), limit=1)
    if not unfinished:
        raise DefinitionError("no run here has failed", hint="name one: partita retry RUN --from STEP")
    return unfinished[0]


def _taken_up(embedded: Embedded, row: RunRow) -> list[ActiveRun]:
    """The run was interrupted: the engine took it up when it started."""
    active = embedded.engine.active.get(row.id)
    return [active] if active is not None else []
