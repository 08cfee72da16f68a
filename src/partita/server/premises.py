"""The system as one object: what each scheduler has for steps, the executors of the projects, and which version each serves.

Rule: shaped here, for the API and for `partita system`; what the schedulers say is theirs, versions and deployments are rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from partita.engine.premises import LoadNow, Premises
from partita.server.objects import Instant, iso
from partita.store import deployments, versions
from partita.store.reading import SqlReader


class MachineHas(msgspec.Struct, frozen=True):
    """One of what a machine has for steps: `used` of `total` are taken (bytes of "memory"), `waiting` steps ask for it."""

    name: str
    total: float
    used: float
    waiting: int


class LocalWorkers(msgspec.Struct, frozen=True):
    """The workers of a version of a project on the scheduler's machine: `busy` ones have `steps` in hand."""

    project: str
    code: str
    workers: int
    busy: int
    starting: int
    steps: int


class ProjectExecutor(msgspec.Struct, frozen=True):
    """An executor that a project names. `state`: "reachable", "connecting", "away" (`trouble`), "wrong" (its settings:
    `trouble`), "unused" (no step was sent there yet). `jobs` are open there; `lines` is what it says of itself and of them."""

    project: str
    name: str
    kind: str
    state: str
    trouble: str
    jobs: int
    lines: list[str]


class SchedulerHas(msgspec.Struct, frozen=True):
    """A scheduler that answers, on its machine. `namespace`: the only one it is for; null = all that have none of their own."""

    namespace: str | None
    machine: str
    process: int
    capacity: list[MachineHas]
    workers: list[LocalWorkers]
    executors: list[ProjectExecutor]


class ServedVersion(msgspec.Struct, frozen=True):
    """Which version of a project is served, and why a newer one is not (`error`).

    `again_at`: it is loaded again by itself then, after that took too long or was killed `fruitless` times in a row.
    `deployment` is the one that is served (null: it is a folder's), `rollback` the command that goes back to the one before ("": there
    is none).
    """

    project: str
    namespace: str
    code: str
    loaded_at: Instant | None
    error: str
    fruitless: int
    again_at: Instant | None
    deployment: int | None
    deployed_by: str
    rollback: str


def schedulers(told: Sequence[Premises], sees: Callable[[str], bool]) -> list[SchedulerHas]:
    """What schedulers have, without the projects that are not to be seen."""
    return [
        SchedulerHas(
            each.namespace or None,
            each.machine,
            each.process,
            [MachineHas(c.name, c.total, c.used, c.waiting) for c in each.capacity],
            [msgspec.convert(w, LocalWorkers, from_attributes=True) for w in each.workers if sees(w.project)],
            [msgspec.convert(e, ProjectExecutor, from_attributes=True) for e in each.executors if sees(e.project)],
        )
        for each in told
    ]


def served(reader: SqlReader, told: Sequence[Premises], *, now: float) -> list[ServedVersion]:
    """The projects that are served, by name."""
    loads = {load.project: load for each in told for load in each.loads}
    return [_served(reader, row, loads.get(row.project), now) for row in versions.projects(reader) if row.active]


def _served(reader: SqlReader, row: versions.ProjectRow, load: LoadNow | None, now: float) -> ServedVersion:
    taken = deployments.deployed_project(reader, row.project)
    if taken is not None and taken.code != row.code:
        # It is being loaded, or the folder is served in its place.
        taken = None
    earlier = deployments.earlier(reader, taken) if taken is not None else None
    again_in_s = load.again_in_s if load is not None else None
    return ServedVersion(
        row.project,
        row.namespace,
        row.code,
        iso(row.loaded_at),
        row.error,
        load.fruitless if load is not None else 0,
        iso(now + again_in_s) if again_in_s is not None else None,
        taken.no if taken is not None else None,
        taken.by if taken is not None else "",
        f"partita deploy --rollback {earlier.no}" if earlier is not None else "",
    )
