"""`partita capacity`: what this machine has for steps, how much of it is taken, and who waits for it.

Rule: what is in use is counted by the engine; here it is only shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from partita.cli import options, project, terminal
from partita.cli.asking import answer
from partita.cli.tables import Column, print_table
from partita.cli.words import number, size

if TYPE_CHECKING:
    from partita.engine.limits import CapacityState


def capacity(json: options.Json = False, folder: options.Project = None) -> int:
    """List what the machine has for steps: cores, memory, GPUs and what the project declares; in use, and who waits."""
    from partita.engine.limits import CapacityState, ListCapacity

    states = answer(project.settings_of(folder), ListCapacity(), list[CapacityState])
    if json:
        import msgspec

        terminal.print_json([msgspec.to_builtins(state) for state in states])
        return 0
    print_table(terminal.out(), _COLUMNS, [_row(state) for state in states])
    return 0


_COLUMNS = (
    Column("of"),
    Column("there is", right=True),
    Column("in use", right=True),
    Column("waiting", right=True),
    Column("GPUs", flexible=True),
)


def _row(state: CapacityState) -> list[str]:
    shown = size if state.name == "memory" else number
    free = [index for index in state.gpus if index not in state.taken]
    gpus = f"{', '.join(state.gpus)} (free: {', '.join(free) or 'none'})" if state.gpus else ""
    return [state.name, shown(state.total), shown(state.used), str(state.waiting), gpus]
