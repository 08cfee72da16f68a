"""What the service keeps, and what it has removed: sizes, backups, giving space back, tidying now.

Rule: the store is the whole service's, so an admin of all namespaces is needed. A backup is named, never placed: it lies in
the folder `backups` beside the store.
"""

from __future__ import annotations

import time
from typing import Annotated

import msgspec

from partita.core.permissions import EVERYWHERE
from partita.engine import storage as sizes
from partita.engine.keeping import policy_for
from partita.engine.retention import Tidied, TidyNow, Vacuum, Vacuumed
from partita.server import findings, objects
from partita.server.calling import Call, Cursor, Limit
from partita.server.objects import Instant, Page
from partita.server.problems import Refused
from partita.server.routing import route
from partita.store import house as rows
from partita.store import opening
from partita.store.sqlite import backup

_BackupName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]


class Removal(msgspec.Struct, frozen=True):
    """What retention removed at once."""

    no: int
    at: Instant | None
    what: str
    count: int
    bytes: int
    older_than: Instant | None
    reason: str


class Space(msgspec.Struct, frozen=True):
    """What one part of the home takes."""

    name: str
    bytes: int
    files: int


class Kept(msgspec.Struct, frozen=True):
    """How long a kind is kept; `removable` things are older than that now (null: nobody has counted)."""

    kind: str
    age_s: float | None
    max_bytes: int | None
    removable: int | None


class Storage(msgspec.Struct, frozen=True):
    """What takes how much space. `free` are bytes of the database that nothing uses: vacuum gives them back.

    `elsewhere`: the address of the object storage in which values lie; they are not counted here.
    """

    bytes: int
    free: int
    spaces: list[Space]
    kept: list[Kept]
    removals: list[Removal]
    elsewhere: str | None


class Finding(msgspec.Struct, frozen=True):
    """A line of the doctor. `level`: "ok", "warn", "fail"; `hint` says what to do."""

    level: str
    what: str
    text: str
    hint: str


class BackupWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the copy is called; by default it has its time in its name. It must not exist yet."""

    name: _BackupName | None = None


class BackedUp(msgspec.Struct, frozen=True):
    """A copy of the store, whole and consistent, as `backups/NAME` beside the store."""

    name: str
    bytes: int
    took_s: float


class GivenBack(msgspec.Struct, frozen=True):
    """So much was given back to the file system."""

    bytes: int


class TidiedUp(msgspec.Struct, frozen=True):
    """What the pass removed, by kind."""

    counts: dict[str, int]


_REMOVAL = Removal(3, "2026-11-22T04:00:00.000Z", "runs", 500, 0, "2026-08-24T04:00:00.000Z", "age")


@route(
    "GET",
    "/removals",
    permission="view",
    summary="What retention has removed, newest first",
    errors=(422,),
    example=Page([_REMOVAL]),
)
def removals(call: Call, limit: Limit = 50, cursor: Cursor = "") -> Page[Removal]:
    return call.page(
        lambda before, count: rows.removals(call.reader, before_no=before, limit=count),
        cursor=cursor,
        limit=limit,
        key=lambda row: row.no,
        shown=_removal,
    )


@route(
    "GET",
    "/storage",
    permission="admin",
    summary="What takes how much space, how long each kind is kept, what retention would remove now",
    errors=(404,),
    example=Storage(
        7_340_032,
        4096,
        [Space("database", 5_242_880, 2), Space("logs", 2_097_152, 310)],
        [Kept("runs", 7_776_000.0, None, 12)],
        [_REMOVAL],
        None,
    ),
)
def storage(call: Call) -> Storage:
    call.require(EVERYWHERE, "storage", "")
    policy = policy_for(call.settings.project)
    found = sizes.storage_of(call.settings.home, call.reader, policy, now=time.time())
    return Storage(
        found.bytes,
        found.free,
        [objects.shaped(Space, space) for space in found.spaces],
        [objects.shaped(Kept, kept) for kept in found.kept],
        [_removal(row) for row in found.removals],
        found.elsewhere.address if found.elsewhere is not None else None,
    )


@route(
    "GET",
    "/doctor",
    permission="admin",
    summary="Whether all is well here: programs, disk, store, projects, parts; each line ok, a warning, or broken",
    errors=(404,),
    example=Page([Finding("warn", "disk", "812 MiB free", "when it is full nothing new starts until there is space")]),
)
def doctor(call: Call) -> Page[Finding]:
    call.require(EVERYWHERE, "storage", "")
    return Page([Finding(f.level, f.what, f.text, f.hint) for f in findings.of(call)])


@route(
    "POST",
    "/storage/backup",
    permission="admin",
    summary="Copy the store to a file beside it, whole and consistent, while it is in use",
    errors=(404, 409),
    status=201,
    example=BackedUp("partita-20261122T030000Z.db", 5_242_880, 0.21),
    body_example={"name": "before-the-move.db"},
)
def make_backup(call: Call, body: BackupWanted) -> BackedUp:
    call.require(EVERYWHERE, "storage", "")
    home = call.settings.home
    name = body.name or time.strftime("partita-%Y%m%dT%H%M%SZ.db", time.gmtime())
    folder = home.root / "backups"
    folder.mkdir(mode=0o700, exist_ok=True)
    if (folder / name).exists():
        raise Refused(409, f"there is a backup {name!r} already", hint="a backup does not overwrite: name another one")
    began = time.perf_counter()
    written = backup(opening.file_of(home, hint="pg_dump copies it, also while it is in use"), folder / name)
    call.object = f"backup:{name}"
    return BackedUp(name, written, round(time.perf_counter() - began, 3))


@route(
    "POST",
    "/storage/vacuum",
    permission="admin",
    summary="Give free space of the store back to the file system, bit by bit; answered when it is done",
    errors=(404,),
    example=GivenBack(4096),
)
def vacuum(call: Call) -> GivenBack:
    call.require(EVERYWHERE, "storage", "")
    return GivenBack(call.change(Vacuum(), Vacuumed, namespace=EVERYWHERE, object="storage").bytes)


@route(
    "POST",
    "/storage/tidy",
    permission="admin",
    summary="Look at once for what retention may remove; answered when the pass is over",
    errors=(404,),
    example=TidiedUp({"runs": 500}),
)
def tidy(call: Call) -> TidiedUp:
    call.require(EVERYWHERE, "storage", "")
    return TidiedUp(call.change(TidyNow(), Tidied, namespace=EVERYWHERE, object="storage").counts)


def _removal(row: rows.RemovalRow) -> Removal:
    return objects.shaped(Removal, row, older_than=objects.iso(row.older_than))
