"""Keeping house: what is old, taking it away, what was removed, which parts are unwell.

Rule: functions over a reader (`reader.fetch(name, params)`) or within `SqlStore.tidy`; the statements are in
`sql/house.sql`. What is too old is their caller's to say; what must stay whatever its age, the statements know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from partita.core.facts.house import HealthChanged, Removed
from partita.core.scheduling import tick_of
from partita.core.values import Value
from partita.store.named import Execute, Fetching

_LAST = 2**62
_PAGE = 2000
_value = msgspec.msgpack.Decoder(Value).decode


class OldRun(NamedTuple):
    """A run that has ended: how many rows hang on it, and whether retention may take it."""

    no: int
    finished_at: float
    rows: int
    may_go: bool


class Old(NamedTuple):
    """Something of another kind: its key, when it was, and whether retention may take it."""

    key: tuple[Any, ...]
    at: float
    may_go: bool


class RemovalRow(msgspec.Struct, frozen=True):
    """What retention removed."""

    no: int
    at: float
    what: str
    count: int
    bytes: int
    older_than: float
    reason: str


class HealthRow(msgspec.Struct, frozen=True):
    """A part of the service that is unwell."""

    part: str
    since: float
    problem: str


# --- looking --------------------------------------------------------------------------------------------------------


def oldest_runs(reader: Fetching, *, after: tuple[float, int], before: float, kept: int, limit: int) -> list[OldRun]:
    """Runs that ended before then, oldest end first; `after` (end, number) is the cursor. `kept` successes each stay."""
    rows = reader.fetch("oldest_runs", (kept - 1, *after, before, limit))
    return [OldRun(no, at, count, bool(may_go)) for no, at, count, may_go in rows]


def leaving_runs(reader: Fetching, *, limit: int = 1) -> list[int]:
    """Runs whose removal has begun."""
    return [row[0] for row in reader.fetch("leaving_runs", (limit,))]


# By number: the kind's name in statements.
_NUMBERED: Final = {
    "events": ("oldest_events", "remove_event"),
    "evaluations": ("oldest_evaluations", "remove_evaluation"),
    "deliveries": ("oldest_deliveries", "remove_delivery"),
    "automation": ("oldest_automated", "remove_automated"),
    "messages": ("oldest_messages", "remove_message"),
    "removals": ("oldest_removals", "remove_removal"),
    "materializations": ("oldest_materializations", "remove_materialization"),
    "checks": ("oldest_checks", "remove_check"),
}
# Found by an index of their time.
_TIMED: Final = {"ticks": ("oldest_ticks", "remove_tick"), "run_keys": ("oldest_run_keys", "remove_run_key")}
PAGED: Final = (*_NUMBERED, *_TIMED)
"""Kinds of which `oldest` gives pages and `remove` takes what it is given."""


def oldest(reader: Fetching, kind: str, *, after: int, before: float, limit: int) -> list[Old]:
    """A page of a kind, oldest first; `after` (a number) is the cursor of kinds that have one."""
    if kind in _TIMED:
        return [Old(tuple(row[1:]), row[0], True) for row in reader.fetch(_TIMED[kind][0], (before, limit))]
    rows = reader.fetch(_NUMBERED[kind][0], (after, limit))
    return [Old((no,), at, bool(may_go)) for no, at, may_go in rows]


def has_cursor(kind: str) -> bool:
    """Whether the pages of a kind are found by a cursor; without, what was removed is gone from the next page."""
    return kind in _NUMBERED


def old_versions(reader: Fetching, *, before: float, kept: int, limit: int) -> list[tuple[str, str]]:
    """Versions (project, code) that nobody needs."""
    return [(project, code) for project, code in reader.fetch("oldest_versions", (before, kept, limit))]


def graphs(reader: Fetching, *, after: str, limit: int) -> list[tuple[str, bool]]:
    """Graphs by version, and whether no run is of them."""
    return [(version, bool(unused)) for version, unused in reader.fetch("some_graphs", (after, limit))]


def old_backfills(reader: Fetching, *, after: int, limit: int) -> list[Old]:
    """Backfills by number, and whether they have ended."""
    return [Old((no,), at, bool(ended)) for no, at, ended in reader.fetch("oldest_backfills", (after, limit))]


def audit_until(reader: Fetching, before: float, *, limit: int = 1000) -> tuple[int, bytes] | None:
    """The newest of the audit's oldest entries that is older than that: its number and hash."""
    rows = reader.fetch("audit_until", (limit, before))
    return (rows[0][0], rows[0][1]) if rows else None


def count_before(reader: Fetching, kind: str, before: float) -> int:
    """How many runs ended, or ticks were decided, before then."""
    return int(reader.fetch({"runs": "runs_ended_before", "ticks": "ticks_before"}[kind], (before,))[0][0])


def ended_at(reader: Fetching, run: int) -> float | bool | None:
    """When a run ended; None if it has not, False if there is no such run."""
    rows = reader.fetch("ended_run", (run,))
    return rows[0][0] if rows else False


def newest_run(reader: Fetching) -> int:
    """The highest number of a run."""
    return int(reader.fetch("newest_run")[0][0])


def kept_values(reader: Fetching) -> Iterator[Value]:
    """Every value that a row refers to."""
    place: tuple[int, str, str] = (-1, "", "")
    while page := reader.fetch("values_of_steps", (*place, _PAGE)):
        place = page[-1][:3]
        yield from (_value(row[3]) for row in page if row[3])
    after = -1
    while page := reader.fetch("values_of_materializations", (after, _PAGE)):
        after = page[-1][0]
        yield from (_value(row[1]) for row in page if row[1])


def removals(reader: Fetching, *, before_no: int | None = None, limit: int = 50) -> list[RemovalRow]:
    """What retention has removed, newest first."""
    return [RemovalRow(*row) for row in reader.fetch("removals", (_LAST if before_no is None else before_no, limit))]


def health(reader: Fetching) -> list[HealthRow]:
    """Parts of the service that are unwell."""
    return [HealthRow(*row) for row in reader.fetch("health")]


def audit(reader: Fetching) -> Iterator[str]:
    """I17: what is decided from is there: the newest materialization of each partition."""
    for asset, partition in reader.fetch("lost_latest"):
        yield f"asset {asset} {partition}".rstrip() + ": its newest materialization is gone"


# --- taking away, within `SqlStore.tidy` ----------------------------------------------------------------------------


def remove_runs(execute: Execute, runs: Sequence[int]) -> None:
    """Runs with all that hangs on them but what is the newest of its kind. A tick stays, and names its run no more."""
    for run in runs:
        for namespace, origin, run_id in execute("tick_of_run", (run,)):
            named = tick_of(origin)
            if named is not None:
                execute("forget_run_of_tick", (namespace, *named, run_id))
    for statement in _OF_RUN:
        for run in runs:
            execute(statement, (run,))


def remove_part_of_run(execute: Execute, run: int, limit: int) -> bool:
    """Some rows of a run that has too many for one go; True when all of it is gone."""
    execute("mark_leaving", (run,))
    left = limit
    for statement in ("remove_some_steps", "remove_some_attempts", "remove_some_journal"):
        left -= len(execute(statement, (run, left)))
        if not left:
            return False
    remove_runs(execute, [run])
    return True


def remove(execute: Execute, kind: str, keys: Sequence[tuple[Any, ...]]) -> None:
    """Things of a kind, by their keys."""
    statement = (_NUMBERED.get(kind) or _TIMED[kind])[1]
    for key in keys:
        execute(statement, key)


def remove_versions(execute: Execute, versions: Sequence[tuple[str, str]]) -> None:
    """Versions of projects."""
    for version in versions:
        execute("remove_version", version)


def remove_graphs(execute: Execute, versions: Sequence[str]) -> None:
    """Graphs, as far as no run is of them."""
    for version in versions:
        execute("remove_graph", (version,))


def remove_part_of_backfill(execute: Execute, backfill: int, limit: int) -> bool:
    """Some rows of a backfill; True when all of it is gone."""
    if len(execute("remove_some_parts", (backfill, limit))) == limit:
        return False
    execute("remove_backfill", (backfill,))
    return True


_OF_RUN: Final = (
    "remove_votes",
    "remove_gates",
    "remove_tags",
    "remove_checks",
    "remove_materializations",
    "remove_steps",
    "remove_attempts",
    "remove_journal",
    "remove_run",
)


# --- facts ----------------------------------------------------------------------------------------------------------


def _removed(execute: Execute, f: Removed) -> None:
    execute("insert_removal", (f.at, f.what, f.count, f.bytes, f.older_than, f.reason))


def _health_changed(execute: Execute, f: HealthChanged) -> None:
    if f.problem:
        execute("put_problem", (f.part, f.at, f.problem))
    else:
        execute("remove_problem", (f.part,))


WRITES: Final[dict[type, Callable[..., Any]]] = {Removed: _removed, HealthChanged: _health_changed}
