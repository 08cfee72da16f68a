"""`partita pools`: pools and other limits, how full they are, and setting them while the service runs.

Rule: what is in use is counted by the engine; here it is only shown and asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from partita.cli import options, project, terminal
from partita.cli.asking import answer
from partita.cli.parsing import Argument, Option
from partita.cli.tables import Column, print_table
from partita.errors import DefinitionError

if TYPE_CHECKING:
    from partita.engine.limits import LimitState

KINDS = ("pool", "pipeline", "task", "tag", "namespace")
Kind = Annotated[str, Option(("--kind",), f"What is limited: {', '.join(KINDS)}", "KIND")]
Namespace = Annotated[str, Option(("--namespace",), "Of this namespace, else the project's", "NAME")]


def pools(json: options.Json = False, folder: options.Project = None) -> int:
    """List pools and other limits: slots, in use, who waits, and who changed them."""
    from partita.engine.limits import LimitState, ListLimits

    states = answer(project.settings_of(folder), ListLimits(), list[LimitState])
    if json:
        import msgspec

        terminal.print_json([msgspec.to_builtins(state) for state in states])
        return 0
    if not states:
        terminal.note("no limit is declared or set")
        terminal.hint("declare a pool: [tool.partita] pools = { warehouse = 5 }")
        return 0
    print_table(terminal.out(), _COLUMNS, [_row(state) for state in states])
    return 0


def pools_set(
    name: Annotated[str, Argument("NAME", "The pool (or pipeline, task, tag, namespace)")],
    slots: Annotated[int, Argument("SLOTS", "How many at once; 0 stops it")],
    kind: Kind = "pool",
    reason: Annotated[str, Option(("--reason",), "Why, for the record", "TEXT")] = "",
    namespace: Namespace = "",
    folder: options.Project = None,
) -> int:
    """Set a limit, from now on and until it is set again or reset."""
    return _set(name, slots, kind, reason, namespace, folder)


def pools_reset(
    name: Annotated[str, Argument("NAME", "The pool (or pipeline, task, tag, namespace)")],
    kind: Kind = "pool",
    namespace: Namespace = "",
    folder: options.Project = None,
) -> int:
    """Let a limit be what the project declares again."""
    return _set(name, None, kind, "", namespace, folder)


def _set(name: str, slots: int | None, kind: str, reason: str, namespace: str, folder: options.Project) -> int:
    from partita.engine.limits import LimitState, SetLimit

    if kind not in KINDS:
        raise DefinitionError(f"there is no kind of limit {kind!r}", hint=f"there are {', '.join(KINDS)}")
    settings = project.settings_of(folder)
    request = SetLimit(namespace or settings.namespace, kind, name, slots, project.user_name(), reason)  # type: ignore[arg-type]
    state = answer(settings, request, LimitState)
    now = "without a limit" if state.slots is None else f"{state.slots} at once"
    back = " again, as declared" if slots is None and state.declared is not None else ""
    terminal.out().line(("✓ ", "green"), f"{kind} {name}: {now}{back}; {state.used} in use, {state.waiting} waiting")
    return 0


_COLUMNS = (
    Column("limit"),
    Column("name", flexible=True),
    Column("namespace"),
    Column("slots", right=True),
    Column("in use", right=True),
    Column("waiting", right=True),
    Column("declared", right=True),
    Column("set by"),
)


def _row(state: LimitState) -> list[str]:
    slots = "" if state.slots is None else str(state.slots)
    return [
        state.of,
        state.name,
        state.namespace,
        f"{slots} per {state.per_s:g} s" if state.per_s else slots,
        str(state.used),
        str(state.waiting),
        "" if state.declared is None else str(state.declared),
        state.by + (f": {state.reason}" if state.reason else ""),
    ]
