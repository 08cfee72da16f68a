"""Facts about schedules and their ticks."""

from __future__ import annotations

from typing import Literal

from partita.core.facts.fact import FactBase


class ScheduleChanged(FactBase, frozen=True, array_like=True, tag="schedule_changed"):
    """A schedule was declared, edited, or (`active` false) is declared no more. `spec` is a packed `ScheduleSpec`.

    Its identity is (namespace, name). An edit counts `version` up and holds from `effective_from` on: it never fires for
    the past.
    """

    namespace: str
    name: str
    project: str
    pipeline: str
    version: int
    spec: bytes
    effective_from: float
    next_at: float | None
    active: bool = True
    paused: bool = False
    reason: str = ""


class SchedulePaused(FactBase, frozen=True, array_like=True, tag="schedule_paused"):
    """A schedule was paused or resumed, by a person or by itself after too many failures."""

    namespace: str
    name: str
    paused: bool
    by: str
    next_at: float | None
    reason: str = ""
    automatic: bool = False


class TickDecided(FactBase, frozen=True, array_like=True, tag="tick_decided"):
    """The one decision about a due instant. `until` makes it one decision about all due instants of a range
    (`count` of them), which happens for skipped ones only.
    """

    namespace: str
    name: str
    instant: float
    decision: Literal["run", "skipped"]
    reason: str
    run: str
    version: int
    tzdata: str
    next_at: float | None
    until: float | None = None
    count: int = 1
    # When the run is to start, if that is later than the tick (jitter); earlier for "land by".
    start_at: float = 0.0


class ScheduleFailures(FactBase, frozen=True, array_like=True, tag="schedule_failures"):
    """How many runs of the schedule have failed in a row."""

    namespace: str
    name: str
    failures: int


ScheduleFact = ScheduleChanged | SchedulePaused | TickDecided | ScheduleFailures
