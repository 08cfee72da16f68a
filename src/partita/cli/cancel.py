"""`partita cancel`: end a run, whoever executes it, or nobody."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from partita.cli import options, project, terminal
from partita.cli.naming import find_run
from partita.cli.words import many
from partita.errors import DefinitionError, WorldError

if TYPE_CHECKING:
    from partita.settings import Settings
    from partita.store.contract import RunRow


def cancel(
    name: options.Run = "last",
    reason: options.Reason = "",
    json: options.Json = False,
    folder: options.Project = None,
) -> int:
    """End a run: nothing new starts, running steps are ended politely, then by force."""
    settings = project.settings_of(folder)
    reader = project.open_memory(settings)
    row = find_run(reader, name)
    reader.close()
    if row.state not in ("queued", "running"):
        raise DefinitionError(f"run {row.no} has ended: {row.state}", hint="there is nothing to cancel")
    told = _by_its_engine(settings, row, reason) or _without_engine(settings, row, reason)
    if json:
        from partita.cli.objects import run_object

        reader = project.open_memory(settings)
        terminal.print_json(run_object(find_run(reader, row.id)))
        reader.close()
    else:
        terminal.out().line(("⊘ ", "grey"), told)
    return 0


def _by_its_engine(settings: Settings, row: RunRow, reason: str) -> str:
    """Ask the engine that executes the run; "" if there is none."""
    from partita.engine.control import Cancel
    from partita.engine.postbox import reach

    answer = reach(settings.home, Cancel(row.id, project.user_name(), reason))
    if answer is None:
        return ""
    if not answer.found:
        raise WorldError(f"the engine here does not execute run {row.no}", hint="it may just have ended: partita runs")
    return f"run {row.no} is being cancelled: nothing new starts, running steps are ended politely"


def _without_engine(settings: Settings, row: RunRow, reason: str) -> str:
    """End a run that an engine left behind, in the store itself. Raises `StoreLocked` if one is at work after all."""
    from partita.cli.leftover import Leftovers
    from partita.engine.clock import SystemClock
    from partita.engine.loop import Engine
    from partita.store.opening import open_store

    clock = SystemClock()
    store = open_store(settings.home, clock=clock.now)
    try:
        executor = Leftovers(settings.home, store.manifests())
        engine = Engine(store, executor, clock, holder=f"cancel:{time.time_ns():x}", lease_s=settings.lease_s)
        engine.start()
        active = engine.active.get(row.id)
        if active is not None:
            count = sum(i.open for i in active.machine.instances())
            if count:
                terminal.note(f"ending {many(count, 'step')} that its engine left running")
            engine.cancel(row.id, by=project.user_name(), reason=reason)
            engine.run_until(lambda: active.machine.is_finished or bool(executor.trouble), timeout_s=0.2)
        trouble = executor.trouble if active is not None and not active.machine.is_finished else ""
        engine.close()
    finally:
        store.close()
    if trouble:
        hint = "it ends when that can be reached: by the next `partita up`, or this command again"
        raise WorldError(f"run {row.no} is to be cancelled, but {trouble}", hint=hint)
    return f"run {row.no} is cancelled; no engine was executing it"
