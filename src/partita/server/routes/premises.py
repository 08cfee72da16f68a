"""The system as a whole: who leads, where steps run, which version of each project is served."""

from __future__ import annotations

import contextlib
import time

import msgspec

from partita.engine.premises import LookAround, Premises
from partita.errors import WorldError
from partita.server import premises as shapes
from partita.server.calling import Call
from partita.server.premises import LocalWorkers, MachineHas, ProjectExecutor, SchedulerHas, ServedVersion
from partita.server.routes.workers import Leader, leader_of
from partita.server.routing import route
from partita.store import versions


class SystemNow(msgspec.Struct, frozen=True):
    """All of it. `schedulers` are those that answer: none, if there is no engine."""

    leaders: list[Leader]
    schedulers: list[SchedulerHas]
    projects: list[ServedVersion]


_AT = "2026-11-22T03:00:00.000Z"
_SYSTEM = SystemNow(
    [Leader("host:4711", 3, "2026-11-22T03:00:10.000Z", _AT, None, True)],
    [
        SchedulerHas(
            None,
            "host",
            4711,
            [MachineHas("cpu", 8.0, 5.0, 2)],
            [LocalWorkers("shop", "5e9d2b4f", 8, 5, 0, 6)],
            [ProjectExecutor("shop", "farm", "dask", "reachable", "", 12, ["4 workers, 16 threads"])],
        )
    ],
    [ServedVersion("shop", "default", "5e9d2b4f", _AT, "", 0, None, 7, "ann", "partita deploy --rollback 6")],
)


@route(
    "GET",
    "/system",
    permission="view",
    summary="Who leads, what each scheduler's machine has for steps, its workers, the executors of the projects, and which version "
    "of each project is served",
    example=_SYSTEM,
)
def system(call: Call) -> SystemNow:
    told: list[Premises] = []
    # Without an engine the rest is still to be seen.
    with contextlib.suppress(WorldError):
        told = call.ask(LookAround(), list[Premises])
    namespaces = {row.project: row.namespace for row in versions.projects(call.reader)}
    leaders = [leader_of(lease) for lease in call.reader.leases()]
    return SystemNow(
        [leader for leader in leaders if leader.namespace is None or call.sees(leader.namespace)],
        shapes.schedulers(told, lambda project: project in namespaces and call.sees(namespaces[project])),
        call.visible(shapes.served(call.reader, told, now=time.time()), lambda found: found.namespace),
    )
