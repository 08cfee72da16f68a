"""Backfills and their parts: rows, how they are read, and which rows each fact writes.

Rule: functions over a reader (`reader.fetch(name, params)`) that answer with frozen types; the statements are in
`sql/backfills.sql`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from partita.core.backfill import BackfillSpec, Work, decode_spec, decode_work
from partita.core.backfill_course import BackfillState, Part, PartState
from partita.core.facts.backfills import (
    BackfillAsked,
    BackfillCreated,
    BackfillEnded,
    BackfillRetried,
    BackfillWaits,
    PartEnded,
    PartStarted,
)
from partita.store.database import Row
from partita.store.named import Execute, Fetching

_LAST = 2**62
_PAGE = 1000


class BackfillRow(msgspec.Struct, frozen=True):
    """A backfill. `total` counts its parts: runs that it makes, if all goes well."""

    no: int
    id: str
    namespace: str
    project: str
    target: str
    spec: BackfillSpec
    total: int
    partitions: int
    priority: int
    state: BackfillState
    paused: bool
    cancel_requested: bool
    created_at: float
    by: str
    finished_at: float | None
    reason: str


class PartRow(msgspec.Struct, frozen=True):
    """A part that has done something. `tries` counts its runs, of which `run` is the last."""

    stage: int
    part: int
    partition: str
    state: PartState
    tries: int
    run: str
    reason: str
    finished_at: float | None


# --- reading ------------------------------------------------------------------------------------------------------


def backfill(reader: Fetching, name: str) -> BackfillRow | None:
    """A backfill by id, by number ("12"), or by an unambiguous beginning of its id."""
    found = reader.fetch("backfill_by_id", (name,))
    if not found and name.isdecimal() and len(name) < 19:
        found = reader.fetch("backfill_by_no", (int(name),))
    if not found and name:
        found = reader.fetch("backfills_by_beginning", (name, name + chr(sys.maxunicode)))
    return _backfill(found[0]) if len(found) == 1 else None


def backfills(
    reader: Fetching,
    *,
    namespace: str | None = None,
    state: str | None = None,
    before_no: int | None = None,
    limit: int = 50,
) -> list[BackfillRow]:
    """Backfills, newest first; `before_no` is the cursor. By namespace or by state."""
    last = _LAST if before_no is None else before_no
    if state is not None:
        rows = reader.fetch("backfills_in_state", (state, last, limit))
        return [row for row in map(_backfill, rows) if namespace in (None, row.namespace)]
    if namespace is not None:
        return [_backfill(row) for row in reader.fetch("backfills_of_namespace", (namespace, last, limit))]
    return [_backfill(row) for row in reader.fetch("backfills", (last, limit))]


def open_backfills(reader: Fetching) -> list[BackfillRow]:
    """Every backfill that has not ended, oldest first."""
    return [_backfill(row) for row in reader.fetch("open_backfills")]


def work(reader: Fetching, id: str) -> Work:
    """What was planned for a backfill."""
    return decode_work(reader.fetch("work_of_backfill", (id,))[0][0])


def counts(reader: Fetching, row: BackfillRow) -> dict[str, int]:
    """How many parts of a backfill are in each state."""
    found: dict[str, int] = dict(reader.fetch("count_parts", (row.no,)))
    seen = sum(found.values()) - found.get("waiting", 0)
    left = "waiting" if row.state == "running" else "cancelled"
    found.pop("waiting", None)
    if row.total > seen:
        found[left] = found.get(left, 0) + row.total - seen
    return found


def parts(
    reader: Fetching, row: BackfillRow, *, state: str | None = None, after: Part | None = None, limit: int = 100
) -> list[PartRow]:
    """Parts of a backfill that have done something, in order; `after` is the cursor."""
    stage, part = after if after is not None else (-1, -1)
    if state is None:
        rows = reader.fetch("parts", (row.no, stage, part, limit))
    else:
        rows = reader.fetch("parts_in_state", (row.no, state, stage, part, limit))
    return [PartRow(*found) for found in rows]


def all_parts(reader: Fetching, row: BackfillRow) -> Iterator[PartRow]:
    """All parts that have done something."""
    after: Part | None = None
    while page := parts(reader, row, after=after, limit=_PAGE):
        yield from page
        after = Part(page[-1].stage, page[-1].part)


def part_states(reader: Fetching, row: BackfillRow) -> Iterator[tuple[int, int, PartState]]:
    """Stage, part and state of all parts that have done something, in order."""
    after = (-1, -1)
    while page := reader.fetch("part_states", (row.no, *after, _PAGE)):
        yield from page
        after = page[-1][:2]


def part_ends(reader: Fetching, row: BackfillRow, *, limit: int = 50) -> list[float]:
    """When the newest of its parts succeeded, the newest first."""
    return [ended for (ended,) in reader.fetch("part_ends", (row.no, limit)) if ended is not None]


def part_of_run(reader: Fetching, run: str) -> tuple[str, Part] | None:
    """The backfill and part that a run was made for."""
    rows = reader.fetch("part_of_run", (run,))
    return (rows[0][0], Part(rows[0][1], rows[0][2])) if rows else None


# --- what planning asks -------------------------------------------------------------------------------------------


def materialized(reader: Fetching, asset: str) -> frozenset[str]:
    """The partitions of an asset that are there."""
    return frozenset(row[0] for row in reader.fetch("materialized_partitions", (asset,)))


def succeeded(reader: Fetching, pipeline: str) -> frozenset[str]:
    """The partitions in which a pipeline has succeeded as a whole."""
    return frozenset(row[0] for row in reader.fetch("succeeded_partitions", (pipeline,)))


def newest_state(reader: Fetching, pipeline: str, partition: str) -> str | None:
    """How the newest run of a pipeline's partition ended, or is."""
    rows = reader.fetch("newest_of_partition", (partition, pipeline))
    return rows[0][1] if rows else None


def step_states(reader: Fetching, partition: str) -> dict[str, str]:
    """How each step ended in the newest run of a partition that had it."""
    return dict(reversed(reader.fetch("steps_of_partition", (partition,))))


def durations(reader: Fetching, asset: str, *, limit: int = 20) -> list[float]:
    """How long the newest materializations of an asset took, in seconds."""
    return [row[0] for row in reader.fetch("durations_of_asset", (asset, limit))]


# --- the audit ----------------------------------------------------------------------------------------------------


def audit(reader: Fetching) -> Iterator[str]:
    """I16: nothing is made twice by a backfill, its parts say what their runs say, and its limit holds."""
    for namespace, pipeline, partition, count in reader.fetch("doubled_partitions"):
        yield f"{count} runs of {pipeline} ({namespace}) are running over partition {partition}"
    before: int | None = None
    while page := backfills(reader, before_no=before, limit=_PAGE):
        before = page[-1].no
        for row in page:
            yield from (f"backfill {row.no} ({row.id}): {message}" for message in _audited(reader, row))


def _audited(reader: Fetching, row: BackfillRow) -> Iterator[str]:
    planned = work(reader, row.id)
    for number, stage in enumerate(planned.stages):
        keys = planned.keysets[stage.keys]
        if len(set(keys)) != len(keys):
            yield f"stage {number} ({stage.name}) has a partition twice"
    tally = counts(reader, row)
    running = tally.get("running", 0)
    if running > row.spec.max_runs:
        yield f"{running} of its runs are open, and it may have {row.spec.max_runs}"
    if running and row.state != "running":
        yield f"it has ended {row.state}, and {running} of its parts run"
    if sum(tally.values()) != row.total or row.total != planned.total:
        yield f"it has {sum(tally.values())} parts and was planned with {planned.total}"
    for _, id, _, stage, part, state, run_state, origin in reader.fetch("parts_with_runs", (row.no,)):
        if state == "succeeded" and run_state != "succeeded":
            yield f"part {part} of stage {stage} has succeeded, and its run is {run_state}"
        if not origin.startswith(f"backfill:{id}:{part}:{stage}"):
            yield f"part {part} of stage {stage} is said to be the run of {origin}"


# --- writing ------------------------------------------------------------------------------------------------------


def _created(execute: Execute, f: BackfillCreated) -> None:
    what = (f.id, f.namespace, f.project, f.target, f.spec, f.work, f.total, f.partitions, f.priority)
    execute("insert_backfill", (*what, f.at, f.by))


def _asked(execute: Execute, f: BackfillAsked) -> None:
    if f.what == "cancel":
        execute("cancel_backfill", (f.reason, f.id))
    else:
        execute("pause_backfill", (int(f.what == "pause"), f.reason, f.id))


def _waits(execute: Execute, f: BackfillWaits) -> None:
    execute("say_of_backfill", (f.reason, f.id))


def _retried(execute: Execute, f: BackfillRetried) -> None:
    execute("reopen_backfill", (f.id,))
    execute("reopen_parts", (f.id,))


def _part_started(execute: Execute, f: PartStarted) -> None:
    execute("start_part", (f.stage, f.part, f.partition, f.run, f.id))


def _part_ended(execute: Execute, f: PartEnded) -> None:
    execute("end_part", (f.stage, f.part, f.partition, f.state, f.run, f.reason, f.at, f.id))


def _ended(execute: Execute, f: BackfillEnded) -> None:
    execute("end_backfill", (f.state, f.at, f.reason, f.id))


WRITES: Final[dict[type, Callable[..., Any]]] = {
    BackfillCreated: _created,
    BackfillAsked: _asked,
    BackfillWaits: _waits,
    BackfillRetried: _retried,
    PartStarted: _part_started,
    PartEnded: _part_ended,
    BackfillEnded: _ended,
}


def _backfill(row: Row) -> BackfillRow:
    (no, id, namespace, project, target, spec, total, partitions, priority, state, paused, cancel_requested,
     created_at, by, finished_at, reason) = row  # fmt: skip
    return BackfillRow(
        no=no,
        id=id,
        namespace=namespace,
        project=project,
        target=target,
        spec=decode_spec(spec),
        total=total,
        partitions=partitions,
        priority=priority,
        state=state,
        paused=bool(paused),
        cancel_requested=bool(cancel_requested),
        created_at=created_at,
        by=by,
        finished_at=finished_at,
        reason=reason,
    )
