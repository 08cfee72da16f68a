"""`partita pause` and `partita resume`: start nothing new in a run, or go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from partita.cli import options, project, terminal
from partita.cli.naming import find_run
from partita.errors import DefinitionError

if TYPE_CHECKING:
    from partita.engine.control import Pause, Resume
    from partita.settings import Settings
    from partita.store.contract import RunRow


def pause(
    name: options.Run = "last",
    reason: options.Reason = "",
    folder: options.Project = None,
) -> int:
    """Start nothing new in a run; what runs goes on."""
    from partita.engine.control import Pause

    settings, row = _running(folder, name)
    _ask(settings, row, Pause(row.id, project.user_name(), reason))
    terminal.out().line(("○ ", "violet"), f"run {row.no} is paused: what runs goes on, nothing new starts")
    terminal.hint(f"partita resume {row.no}")
    return 0


def resume(name: options.Run = "last", folder: options.Project = None) -> int:
    """Let a paused run go on."""
    from partita.engine.control import Resume

    settings, row = _running(folder, name)
    _ask(settings, row, Resume(row.id, project.user_name()))
    terminal.out().line(("◐ ", "blue"), f"run {row.no} goes on")
    return 0


def _running(folder: options.Project, name: str) -> tuple[Settings, RunRow]:
    settings = project.settings_of(folder)
    reader = project.open_memory(settings)
    row = find_run(reader, name)
    reader.close()
    if row.state not in ("queued", "running"):
        raise DefinitionError(f"run {row.no} has ended: {row.state}", hint=f"partita retry {row.no}")
    return settings, row


def _ask(settings: Settings, row: RunRow, request: Pause | Resume) -> None:
    from partita.engine.postbox import reach

    answer = reach(settings.home, request)
    if answer is None or not answer.found:
        raise DefinitionError(
            f"no engine executes run {row.no} now: it was interrupted",
            hint=f"take it up: partita retry {row.no}   or end it: partita cancel {row.no}",
        )
