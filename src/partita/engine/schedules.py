"""What the service can be asked about schedules, as data: the requests and their answers.

Rule: light to import, for the command line and the web process send these.
"""

from __future__ import annotations

import msgspec


class PauseSchedule(msgspec.Struct, frozen=True, tag="pause_schedule"):
    """Start no more runs of a schedule. Ticks that come meanwhile are skipped, which is recorded when it is resumed."""

    name: str
    by: str
    reason: str = ""
    namespace: str = "default"


class ResumeSchedule(msgspec.Struct, frozen=True, tag="resume_schedule"):
    """Let a schedule go on, from its next tick."""

    name: str
    by: str
    namespace: str = "default"


class TriggerSchedule(msgspec.Struct, frozen=True, tag="trigger_schedule"):
    """Start a run as the schedule would, now; no tick is decided by it."""

    name: str
    by: str
    namespace: str = "default"


class NextTicks(msgspec.Struct, frozen=True, tag="next_ticks"):
    """The next instants of a schedule; also of one whose timetable is a function of the project's."""

    name: str
    count: int = 20
    after: float | None = None
    namespace: str = "default"


class ScheduleSaid(msgspec.Struct, frozen=True):
    """How a schedule stands after a request. `run`: the id of the run that was started for it."""

    name: str
    paused: bool = False
    next_at: float | None = None
    run: str = ""
    ticks: tuple[float, ...] = ()
