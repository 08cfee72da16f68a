"""Where a scheduler runs steps, asked for as a whole: its machine, its workers, the executors of its projects, how these load.

Rule: asking changes nothing and waits for nobody; each part says what it knows of itself.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from partita.engine.limits import CapacityState
from partita.executors.premises import ExecutorNow, WorkersNow

if TYPE_CHECKING:
    from partita.engine.loop import Engine
    from partita.engine.projects import Projects


class LookAround(msgspec.Struct, frozen=True, tag="look_around"):
    """Where do you run steps? Answered with a list: one `Premises` of each scheduler."""


class LoadNow(msgspec.Struct, frozen=True):
    """A served project as it was loaded last: `error` says why what lies in its folder is not what is served.

    `again_in_s`: it is tried again by itself so soon, after it took too long or was killed `fruitless` times in a row.
    """

    project: str
    folder: str
    code: str
    error: str
    loading: bool
    fruitless: int
    again_in_s: float | None


class Premises(msgspec.Struct, frozen=True):
    """What one scheduler has: the one of `namespace` ("" = of all that have none of their own), a process of `machine`."""

    namespace: str
    machine: str
    process: int
    capacity: tuple[CapacityState, ...]
    workers: tuple[WorkersNow, ...]
    executors: tuple[ExecutorNow, ...]
    loads: tuple[LoadNow, ...]


def premises(engine: Engine, projects: Projects | None, capacity: Sequence[CapacityState]) -> Premises:
    """What this scheduler has. An executor without workers of its own, such as one in this process, has none to tell of."""
    workers = getattr(engine.executor, "workers_now", list)
    executors = getattr(engine.executor, "executors_now", list)
    return Premises(
        namespace=engine.realm.only,
        machine=socket.gethostname(),
        process=os.getpid(),
        capacity=tuple(capacity),
        workers=tuple(workers()),
        executors=tuple(executors()),
        loads=tuple(projects.loads()) if projects is not None else (),
    )
