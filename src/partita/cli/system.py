"""`partita system`: who leads, since when, in which epoch; and leading namespaces together again.

Rule: what is shown is what the store says of its leases, whether a service is at work on this machine or not.
"""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

from partita.cli import options, project, terminal
from partita.cli.parsing import Argument
from partita.cli.tables import Cell, Column, print_table
from partita.cli.words import ago, iso
from partita.errors import DefinitionError

if TYPE_CHECKING:
    from partita.store.contract import Lease


def system(json: options.Json = False, folder: options.Project = None) -> int:
    """Who leads which namespaces, since when, and in which fencing epoch."""
    from partita.store.leases import namespace_of

    with closing(project.open_memory(project.settings_of(folder))) as reader:
        leases = reader.leases()
    now = time.time()
    if json:
        terminal.print_json(
            [
                {
                    "namespace": namespace_of(lease.resource) or None,
                    "holder": lease.holder or None,
                    "leads": _leads(lease, now),
                    "epoch": lease.epoch,
                    "since": iso(lease.since or None),
                    "until": iso(lease.until or None),
                }
                for lease in leases
            ]
        )
        return 0
    if not leases:
        terminal.note("nobody has led here yet")
        return 0
    several = len(leases) > 1
    rows = [_row(namespace_of(lease.resource), lease, now, several=several) for lease in leases]
    print_table(terminal.out(), _COLUMNS, rows)
    if not all(_leads(lease, now) for lease in leases):
        own = " --spread" if several else ""
        terminal.hint(f"nobody leads where it says so: partita up{own}")
    return 0


def system_join(
    namespace: Annotated[str, Argument("NAMESPACE", "The one that has a scheduler of its own")],
    folder: options.Project = None,
) -> int:
    """Have a namespace led together with all others again, once no `partita up` gives it out any more."""
    from partita.store.opening import is_shared, open_store

    settings = project.settings_of(folder)
    if not is_shared(settings.home):
        raise DefinitionError("the store is a file: one scheduler leads all namespaces", hint="partita system")
    with closing(open_store(settings.home)) as store:
        if not store.take_back(namespace):
            known = ", ".join(sorted(store.given_out())) or "none"
            raise DefinitionError(
                f"namespace {namespace!r} has no scheduler of its own", hint=f"these have one: {known}"
            )
    terminal.out().line(("✓ ", "green"), f"{namespace} is led with all others again")
    return 0


_COLUMNS = (Column("namespace"), Column("led by", flexible=True), Column("since"), Column("epoch", right=True))


def _leads(lease: Lease, now: float) -> bool:
    return bool(lease.holder) and lease.until > now


def _row(namespace: str, lease: Lease, now: float, *, several: bool) -> list[Cell]:
    what = namespace or ("all others" if several else "all")
    if not _leads(lease, now):
        last = f", {lease.holder} until {ago(lease.until, now)}" if lease.holder else ""
        return [what, (f"nobody{last}", "amber"), "", str(lease.epoch)]
    return [what, lease.holder, ago(lease.since, now), str(lease.epoch)]
