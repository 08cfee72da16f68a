"""What runs where, and what this installation is made of."""

from __future__ import annotations

import contextlib
import platform
import time

import msgspec

from partita.core import zones
from partita.engine.control import Status
from partita.engine.pulse import Pulse, TakePulse
from partita.errors import PartitaError
from partita.server import examples, objects
from partita.server.calling import Call, Cursor, Limit
from partita.server.objects import Instant, Page
from partita.server.routing import route
from partita.store.contract import Lease
from partita.store.leases import namespace_of
from partita.store.working import working


class Working(msgspec.Struct, frozen=True):
    """An attempt that a worker has: of which step of which run, since when."""

    worker: str
    run: str
    run_no: int
    pipeline: str
    project: str
    namespace: str
    partition: str | None
    step: str
    index: str
    attempt: int
    state: str
    started_at: Instant | None


class EngineNumbers(msgspec.Struct, frozen=True):
    """How busy the engine is. `busy_s` is the time of its `turns` since it started, `slowest_s` the longest of them."""

    queued_runs: int
    active_runs: int
    open_attempts: int
    ready_steps: int
    turns: int
    busy_s: float
    slowest_s: float
    blocked: bool
    troubles: int


class Leader(msgspec.Struct, frozen=True):
    """The engine that may write: its process, its fencing epoch, since when it leads, until when if it does not say more.

    `namespace`: the only one it is for; null = all that have no scheduler of their own. `leads`: it does now.
    """

    holder: str
    epoch: int
    until_at: Instant | None
    since_at: Instant | None = None
    namespace: str | None = None
    leads: bool = True


class About(msgspec.Struct, frozen=True):
    """What this installation is made of, and who leads it. `engine` is null when none answers; `workers` are its own words
    about them. `leaders`: one for all namespaces, and one for each that has a scheduler of its own."""

    version: str
    python: str
    platform: str
    tzdata: str
    tzdata_from: str
    tzdata_is_old: bool
    leader: Leader | None
    engine: EngineNumbers | None
    workers: list[str]
    leaders: list[Leader]


_WORKING = Working(
    "4711",
    examples.RUN.id,
    12,
    "nightly",
    "shop",
    "default",
    None,
    "extract",
    "",
    1,
    "started",
    examples.RUN.started_at,
)


@route(
    "GET", "/workers", permission="view", summary="What workers have in hand", errors=(422,), example=Page([_WORKING])
)
def workers(call: Call, limit: Limit = 100, cursor: Cursor = "") -> Page[Working]:
    return call.page(
        lambda after, count: working(call.reader, after=after, limit=count),
        cursor=cursor,
        limit=limit,
        key=lambda row: (row.run_no, row.step, row.index),
        shown=lambda row: objects.shaped(Working, row),
        namespace_of=lambda row: row.namespace,
        key_type=tuple[int, str, str],
    )


_LEADER = Leader("host:4711", 3, "2026-11-22T03:00:10.000Z", "2026-11-22T01:30:00.000Z", None, True)


@route(
    "GET",
    "/about",
    permission="view",
    summary="Versions of the program, of Python and of the tz data; who leads, and how busy the engine is",
    example=About(
        "0.1.0",
        "3.11.7",
        "Linux x86_64",
        "2026f",
        "package",
        False,
        _LEADER,
        EngineNumbers(0, 1, 2, 0, 4711, 1.25, 0.012, False, 0),
        ["engine of process 4711"],
        [_LEADER],
    ),
)
def about(call: Call) -> About:
    from partita import __version__

    leaders = [leader_of(lease) for lease in call.reader.leases()]
    pulse: Pulse | None = None
    lines: tuple[str, ...] = ()
    # Without an engine nobody is there to say.
    with contextlib.suppress(PartitaError):
        pulse, lines = call.ask(TakePulse(), Pulse), call.ask(Status()).lines
    sees_all = call.principal.namespaces("view") is None
    return About(
        version=__version__,
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        tzdata=zones.version(),
        tzdata_from=zones.source(),
        tzdata_is_old=zones.is_old(time.time()),
        leader=next((leader for leader in leaders if leader.namespace is None), None),
        engine=objects.shaped(EngineNumbers, pulse) if pulse is not None else None,
        # What workers do names steps of all namespaces.
        workers=list(lines) if sees_all else [],
        leaders=[leader for leader in leaders if leader.namespace is None or call.sees(leader.namespace)],
    )


def leader_of(lease: Lease) -> Leader:
    """Who has a lease."""
    return Leader(
        lease.holder,
        lease.epoch,
        objects.iso(lease.until),
        objects.iso(lease.since) if lease.since else None,
        namespace_of(lease.resource) or None,
        bool(lease.holder) and lease.until > time.time(),
    )
