"""`partita mark`: end a step by hand that waits, so that its run goes on as if it had ended so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from partita.cli import options, project, terminal
from partita.cli.naming import find_run, find_step, named
from partita.cli.parsing import Argument
from partita.errors import DefinitionError, ParamError

if TYPE_CHECKING:
    from partita.settings import Settings

_STATES = ("succeeded", "failed", "skipped")

State = Annotated[str, Argument("STATE", "succeeded, failed or skipped")]
Step = Annotated[list[str] | None, Argument("STEP", "A step that does not run: load, or of a map load[3], `load 3`")]


def mark(
    name: options.Run,
    state: State,
    step: Step = None,
    reason: options.Reason = "",
    json: options.Json = False,
    folder: options.Project = None,
) -> int:
    """End a step by hand that does not run; steps that need it go on. Its result is None."""
    from partita.engine.control import Mark

    if state not in _STATES:
        raise ParamError(f"a step is not marked {state!r}", hint=f"one of {', '.join(_STATES)}")
    settings = project.settings_of(folder)
    reader = project.open_memory(settings)
    row = find_run(reader, name)
    if not step:
        raise ParamError("which step is to be marked?", hint=f"partita mark {row.no} {state} STEP")
    from partita.cli.remembered import Remembered

    key, index = find_step(Remembered(reader, row).labels, step)
    reader.close()
    if row.state not in ("queued", "running"):
        raise DefinitionError(f"run {row.no} has ended: {row.state}", hint=f"partita retry {row.no}")
    by = f"local:{project.user_name()}"
    _ask(settings, row.no, Mark(row.id, key, state, by, index, reason))  # type: ignore[arg-type]
    title = named(key, index)
    if json:
        terminal.print_json({"run": row.id, "run_no": row.no, "step": key, "index": index, "state": state, "by": by})
    else:
        terminal.out().line(("● ", "green"), f"{title} of run {row.no} is marked {state}")
    return 0


def _ask(settings: Settings, no: int, request: Any) -> None:
    """Have it done; a service enters it into its audit."""
    from partita.cli.serving import service_of
    from partita.engine.access import Entry, carried
    from partita.engine.control import Answer
    from partita.engine.postbox import reach

    title = named(request.step, request.index)
    entry = Entry(request.by, "steps.mark", f"run:{request.run}/{title}")
    asked = carried(request, entry) if service_of(settings) is not None else request
    answer = reach(settings.home, asked, Answer)
    if answer is None or not answer.found:
        raise DefinitionError(
            f"no engine executes run {no} now: it was interrupted",
            hint=f"take it up: partita retry {no}",
        )
    if answer.lines:
        raise DefinitionError(f"{title} cannot be marked: {answer.lines[0]}", hint=f"partita why {no} {title}")
