"""Facts about schedules and their ticks."""

from __future__ import annotations

from typing import Literal

from partita.core.facts.fact import FactBase


class ScheduleChanged(FactBase, frozen=True, array_like=True, tag="schedule_changed"):
    """A schedule was declared, edited, or (`active` false) is declared no more. `spec` is a packed `ScheduleSpec`.

    Its identity is (namespace, name). An edit counts `version` up and holds from `effective_from` on: it never fires for
    the past. `tzdata` is the edition of the tz data by which `next_at` was found.
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
    tzdata: str = ""


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
    # When its run was to start, if that was later than the tick (jitter) or earlier ("land by"); 0 = at the tick.
    start_at: float = 0.0
    # The tick before, where the data interval of its run begins; None = there was none.
    since: float | None = None


class ScheduleMoved(FactBase, frozen=True, array_like=True, tag="schedule_moved"):
    """The next instant is another one, because the tz data has changed. It never lies in the past because of that."""

    namespace: str
    name: str
    next_at: float | None
    tzdata: str
    reason: str = ""


class ScheduleFailures(FactBase, frozen=True, array_like=True, tag="schedule_failures"):
    """How many runs of the schedule have failed in a row."""

    namespace: str
    name: str
    failures: int


ScheduleFact = ScheduleChanged | SchedulePaused | TickDecided | ScheduleMoved | ScheduleFailures
