"""`partita system`: who leads, where steps run, which version of each project is served; and leading namespaces together again.

Rule: who leads is what the store says of its leases, whether a service is at work on this machine or not; the schedulers that answer
say the rest.
"""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

from partita.cli import options, project, terminal
from partita.cli.parsing import Argument
from partita.cli.tables import Cell, Column, print_table
from partita.cli.words import ago, duration, iso, many, number, size
from partita.errors import DefinitionError, WorldError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from partita.engine.premises import Premises
    from partita.server.premises import SchedulerHas, ServedVersion
    from partita.settings import Settings
    from partita.store.contract import Lease


def system(json: options.Json = False, folder: options.Project = None) -> int:
    """Who leads which namespaces; machines, workers and executors; which version of each project is served."""
    from partita.server import premises

    settings = project.settings_of(folder)
    told = _asked(settings)
    now = time.time()
    with closing(project.open_memory(settings)) as reader:
        leases = reader.leases()
        served = premises.served(reader, told, now=now)
    schedulers = premises.schedulers(told, lambda project: True)
    if json:
        terminal.print_json(_object(leases, schedulers, served, now))
        return 0
    _print_leaders(leases, now)
    for each in schedulers:
        _print_scheduler(each, several=len(schedulers) > 1)
    _print_served(served, told, spread=len(leases) > 1)
    return 0


def _asked(settings: Settings) -> list[Premises]:
    """What the schedulers say that answer."""
    from partita.engine.postbox import reach
    from partita.engine.premises import LookAround, Premises

    try:
        return reach(settings.home, LookAround(), list[Premises]) or []
    except WorldError as error:
        terminal.note(("■ ", "amber"), error.message)
        return []


def _object(
    leases: Sequence[Lease], schedulers: list[SchedulerHas], served: list[ServedVersion], now: float
) -> dict[str, Any]:
    import msgspec

    from partita.store.leases import namespace_of

    leaders = [
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
    return {
        "leaders": leaders,
        "schedulers": msgspec.to_builtins(schedulers),
        "projects": msgspec.to_builtins(served),
    }


def _print_leaders(leases: Sequence[Lease], now: float) -> None:
    from partita.store.leases import namespace_of

    if not leases:
        terminal.note("nobody has led here yet")
        return
    several = len(leases) > 1
    rows = [_row(namespace_of(lease.resource), lease, now, several=several) for lease in leases]
    print_table(terminal.out(), _COLUMNS, rows)
    if not all(_leads(lease, now) for lease in leases):
        own = " --spread" if several else ""
        terminal.hint(f"nobody leads where it says so: partita up{own}")


def _print_scheduler(has: SchedulerHas, *, several: bool) -> None:
    """The machine of a scheduler, its workers, and the executors of its projects."""
    out = terminal.out()
    out.blank()
    whose = f", for {has.namespace or 'all others'}" if several else ""
    out.line((has.machine, "bold"), (f"  scheduler of process {has.process}{whose}", "dim"))
    if has.capacity:
        rows: list[list[Cell]] = []
        for one in has.capacity:
            said = size if one.name == "memory" else number
            rows.append([one.name, said(one.used), said(one.total), str(one.waiting or "")])
        print_table(out, _CAPACITY, rows, indent=2)
    if has.workers:
        out.blank()
        numbers: list[list[Cell]] = [
            [w.project, w.code, str(w.workers), str(w.busy), str(w.starting or ""), str(w.steps)] for w in has.workers
        ]
        print_table(out, _WORKERS, numbers, indent=2)
    for executor in has.executors:
        look = _LOOKS[executor.state]
        kind = f" ({executor.kind})" if executor.kind else " (its settings of before)"
        jobs = f", {many(executor.jobs, 'open job')}" if executor.state not in ("unused", "wrong") else ""
        out.blank()
        out.line("  ", look, (f"{executor.project}/{executor.name}", "bold"), f"{kind}: {_WORDS[executor.state]}{jobs}")
        for line in [*executor.trouble.splitlines(), *executor.lines]:
            out.line("    ", line)


def _print_served(served: list[ServedVersion], told: Sequence[Premises], *, spread: bool) -> None:
    """The version of each project, and how to go back. `spread`: it matters in which namespace each is."""
    if not served:
        return
    out = terminal.out()
    again = {load.project: load.again_in_s for each in told for load in each.loads}
    out.blank()
    rows: list[list[Cell]] = [
        [
            one.project,
            *([one.namespace] if spread else []),
            one.code or ("none", "red"),
            "" if one.loaded_at is None else one.loaded_at[:19].replace("T", " "),
            "its folder" if one.deployment is None else f"deployment {one.deployment} by {one.deployed_by}",
            one.rollback,
        ]
        for one in served
    ]
    names = ("project", *(["namespace"] if spread else []), "version", "loaded (UTC)", "from", "to go back")
    print_table(out, [Column(name) for name in names], rows)
    for one in served:
        if one.error:
            out.line(("■ ", "red"), (one.project, "bold"), f" cannot be loaded: {one.error.partition(chr(10))[0]}")
            if (wait := again.get(one.project)) is not None:
                out.line(
                    "  ",
                    f"tried again in {duration(wait)} ({many(one.fruitless, 'time')} in vain), and when a file changes",
                )


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


_LOOKS: dict[str, tuple[str, Any]] = {
    "reachable": ("● ", "green"),
    "connecting": ("◌ ", "amber"),
    "away": ("■ ", "red"),
    "wrong": ("■ ", "red"),
    "unused": ("○ ", "dim"),
}
_WORDS = {
    "reachable": "reachable",
    "connecting": "is being reached",
    "away": "cannot be reached",
    "wrong": "its settings are wrong",
    "unused": "no step was sent there yet",
}
_CAPACITY = (
    Column("machine has"),
    Column("taken", right=True),
    Column("of", right=True),
    Column("waiting", right=True),
)
_WORKERS = (
    Column("workers of"),
    Column("version"),
    Column("workers", right=True),
    Column("busy", right=True),
    Column("starting", right=True),
    Column("steps", right=True),
)
_COLUMNS = (Column("namespace"), Column("led by", flexible=True), Column("since"), Column("epoch", right=True))


def _leads(lease: Lease, now: float) -> bool:
    return bool(lease.holder) and lease.until > now


def _row(namespace: str, lease: Lease, now: float, *, several: bool) -> list[Cell]:
    what = namespace or ("all others" if several else "all")
    if not _leads(lease, now):
        last = f", {lease.holder} until {ago(lease.until, now)}" if lease.holder else ""
        return [what, (f"nobody{last}", "amber"), "", str(lease.epoch)]
    return [what, lease.holder, ago(lease.since, now), str(lease.epoch)]
