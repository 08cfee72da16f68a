"""Schedules and ticks: rows, how they are read, which rows each fact writes, and what must hold of them.

Rule: functions over a reader (`reader.fetch(name, params)`) that answer with frozen types; the statements are in
`sql/schedules.sql`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile
from typing import Any, Final, Literal

import msgspec

from partita.core import zones
from partita.core.facts.schedules import (
    ScheduleChanged,
    ScheduleFailures,
    ScheduleMoved,
    SchedulePaused,
    TickDecided,
)
from partita.core.manifest import ScheduleSpec
from partita.core.scheduling import origin, tick_of
from partita.core.timetable import is_own
from partita.errors import ScheduleError
from partita.store.contract import Finding
from partita.store.database import Row
from partita.store.named import Execute, Fetching

_spec = msgspec.msgpack.Decoder(ScheduleSpec).decode
_PAGE: Final = 500
_FAR: Final = 1e15


class ScheduleRow(msgspec.Struct, frozen=True):
    """A schedule and what its next decision needs. Times in seconds since the epoch.

    `next_at` is the first instant without a decision; `last_at` the newest that has one. `automatic`: it paused itself.
    """

    namespace: str
    name: str
    project: str
    pipeline: str
    version: int
    spec: ScheduleSpec
    effective_from: float
    active: bool
    paused: bool
    automatic: bool
    reason: str
    next_at: float | None
    last_at: float | None
    last_decision: str
    decided_at: float | None
    failures: int
    tzdata: str


class TickRow(msgspec.Struct, frozen=True):
    """The decision about a due instant; with `until`, about `count` skipped ones up to that."""

    namespace: str
    schedule: str
    instant: float
    decision: Literal["run", "skipped"]
    reason: str
    run: str
    version: int
    tzdata: str
    decided_at: float
    until: float | None
    count: int
    start_at: float
    since: float | None


def schedule(reader: Fetching, namespace: str, name: str) -> ScheduleRow | None:
    """A schedule by its name."""
    rows = reader.fetch("schedule", (namespace, name))
    return _schedule_row(rows[0]) if rows else None


def schedules(reader: Fetching, *, after: tuple[str, str] = ("", ""), limit: int = 100) -> list[ScheduleRow]:
    """Schedules in the order of namespace and name; `after` is the cursor."""
    return [_schedule_row(row) for row in reader.fetch("schedules_after", (*after, limit))]


def all_schedules(reader: Fetching) -> Iterator[ScheduleRow]:
    """Every schedule, page by page."""
    after = ("", "")
    while page := schedules(reader, after=after, limit=_PAGE):
        yield from page
        after = (page[-1].namespace, page[-1].name)


def tick(reader: Fetching, namespace: str, name: str, instant: float) -> TickRow | None:
    """The decision about one instant."""
    rows = reader.fetch("tick", (namespace, name, float(instant)))
    return TickRow(*rows[0]) if rows else None


def ticks(
    reader: Fetching, namespace: str, name: str, *, before: float | None = None, limit: int = 50
) -> list[TickRow]:
    """The decisions of a schedule, newest instant first; `before` is the cursor."""
    rows = reader.fetch("ticks_of_schedule", (namespace, name, _FAR if before is None else float(before), limit))
    return [TickRow(*row) for row in rows]


def failures_in_a_row(reader: Fetching, namespace: str, name: str, most: int) -> int:
    """How many of the last runs of a schedule have failed one after the other, as far as `most`."""
    states = [row[0] for row in reader.fetch("ends_of_schedule", (namespace, name, most))]
    return sum(1 for _ in takewhile(lambda state: state == "failed", states))


def usual_of(reader: Fetching, pipeline: str, *, runs: int = 20) -> tuple[float, float, int]:
    """Median and p90 of how long the last successful runs of a pipeline took (s), and how many they were."""
    took = sorted(row[0] for row in reader.fetch("took_of_pipeline", (pipeline, runs)) if row[0] is not None)
    if not took:
        return 0.0, 0.0, 0
    return _quantile(took, 0.5), _quantile(took, 0.9), len(took)


def _quantile(values: Sequence[float], part: float) -> float:
    return values[max(0, math.ceil(part * len(values)) - 1)]


def _schedule_row(row: Row) -> ScheduleRow:
    (namespace, name, project, pipeline, version, spec, effective_from, active, paused, automatic, reason, next_at, last_at,
     last_decision, decided_at, failures, tzdata) = row  # fmt: skip
    return ScheduleRow(
        namespace=namespace,
        name=name,
        project=project,
        pipeline=pipeline,
        version=version,
        spec=_spec(spec),
        effective_from=effective_from,
        active=bool(active),
        paused=bool(paused),
        automatic=bool(automatic),
        reason=reason,
        next_at=next_at,
        last_at=last_at,
        last_decision=last_decision,
        decided_at=decided_at,
        failures=failures,
        tzdata=tzdata,
    )


# --- what facts write -------------------------------------------------------------------------------------------------


def _changed(execute: Execute, fact: ScheduleChanged) -> None:
    execute(
        "declare_schedule",
        (fact.namespace, fact.name, fact.project, fact.pipeline, fact.version, fact.spec, fact.effective_from,
         int(fact.active), int(fact.paused), fact.reason, fact.next_at, fact.tzdata),
    )  # fmt: skip


def _paused(execute: Execute, fact: SchedulePaused) -> None:
    execute(
        "pause_schedule",
        (int(fact.paused), int(fact.automatic), fact.reason, fact.next_at, int(fact.paused), fact.namespace, fact.name),
    )


def _decided(execute: Execute, fact: TickDecided) -> None:
    execute(
        "insert_tick",
        (fact.namespace, fact.name, fact.instant, fact.decision, fact.reason, fact.run, fact.version, fact.tzdata,
         fact.at, fact.until, fact.count, fact.start_at, fact.since),
    )  # fmt: skip
    last = fact.instant if fact.until is None else fact.until
    execute("move_schedule_after_tick", (fact.next_at, last, fact.decision, fact.at, fact.namespace, fact.name))


def _moved(execute: Execute, fact: ScheduleMoved) -> None:
    execute("move_schedule", (fact.next_at, fact.tzdata, fact.namespace, fact.name))


def _failures(execute: Execute, fact: ScheduleFailures) -> None:
    execute("set_schedule_failures", (fact.failures, fact.namespace, fact.name))


WRITES: Final[dict[type, Callable[..., Any]]] = {
    ScheduleChanged: _changed,
    SchedulePaused: _paused,
    TickDecided: _decided,
    ScheduleMoved: _moved,
    ScheduleFailures: _failures,
}


# --- what must hold ---------------------------------------------------------------------------------------------------


def findings(reader: Fetching) -> Iterator[Finding]:
    """I1: a tick has one decision and its one run. I2: no due instant is without a decision."""
    for namespace, name, instant, run in reader.fetch("ticks_without_their_run"):
        yield Finding("I1", f"tick {_told(instant)} of schedule {namespace}/{name} has no run {run}")
    for namespace, name, first, inside in reader.fetch("ticks_in_ranges"):
        yield Finding(
            "I1", f"tick {_told(inside)} of schedule {namespace}/{name} is decided twice: also by {_told(first)}"
        )
    yield from _runs_without_a_tick(reader)
    for row in all_schedules(reader):
        yield from _lost_ticks(reader, row)


def _runs_without_a_tick(reader: Fetching) -> Iterator[Finding]:
    after = 0
    while page := reader.fetch("runs_of_ticks", (after, _PAGE)):
        after = page[-1][3]
        for namespace, text, run, no in page:
            named = tick_of(text)
            found = tick(reader, namespace, *named) if named is not None else None
            if found is None or found.run != run:
                yield Finding("I1", f"run {no} ({run}) is of {text}, and that tick says otherwise")


def _lost_ticks(reader: Fetching, row: ScheduleRow) -> Iterator[Finding]:
    """The decisions of the newest version, against what its timetable says."""
    if is_own(row.spec.rule):
        return
    known = [
        t for t in ticks(reader, row.namespace, row.name, limit=1000)
        if t.version == row.version and t.tzdata == zones.version() and t.instant >= row.effective_from
    ][::-1]  # fmt: skip
    if not known:
        return
    last = known[-1].until or known[-1].instant
    covered = {t.instant for t in known}
    ranges = [(t.instant, t.until) for t in known if t.until is not None]
    try:
        for instant in takewhile(lambda i: i <= last, row.spec.timetable().ticks(int(known[0].instant))):
            if instant not in covered and not any(a <= instant <= b for a, b in ranges):
                yield Finding("I2", f"schedule {row.namespace}/{row.name}: the tick {_told(instant)} has no decision")
                return
    except ScheduleError as error:
        yield Finding("I2", f"schedule {row.namespace}/{row.name} cannot be read: {error.message}")


def _told(instant: float) -> str:
    return origin("", instant).removeprefix("sched::")
