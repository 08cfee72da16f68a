"""A schedule as the engine holds it in memory: its row, and what is not worth a row.

Rule: nothing is decided and nothing recorded here (`ticker.py` does both).
"""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

from partita.core.manifest import Manifest, ScheduleSpec
from partita.core.scheduling import Instants
from partita.core.timetable import is_own
from partita.engine.schedules import ScheduleSaid
from partita.store.schedules import ScheduleRow
from partita.worker.questions import Answered
from partita.worker.questions import Instants as InstantsAnswer

Key = tuple[str, str]
"""Namespace and name: what a schedule is known by."""


class Schedule:
    """A schedule in memory: its row, and what is not worth a row."""

    __slots__ = ("asking", "ended", "errors", "known", "lead_s", "row", "running", "token", "trouble")

    def __init__(self, row: ScheduleRow) -> None:
        self.row = row
        # Runs of its ticks that have not ended.
        self.running: set[str] = set()
        # Counts its entries of the heap: only the newest one counts.
        self.token = 0
        self.lead_s = 0.0
        self.errors = 0
        self.trouble = ""
        # Of a timetable that is a function of the user's: instants that it has answered with, and whether there are more.
        self.known: list[int] = []
        self.ended = False
        self.asking = False

    @property
    def key(self) -> Key:
        return self.row.namespace, self.row.name

    @property
    def seed(self) -> str:
        return f"{self.row.namespace}/{self.row.name}"

    def instants(self) -> Instants:
        """Raises `ScheduleError`."""
        return Instants.listed(self.known) if is_own(self.row.spec.rule) else Instants.of(self.row.spec)


def instants_of(answer: Future[Answered]) -> tuple[list[int], bool, str]:
    """Instants, whether there are no more, and what went wrong."""
    error = answer.exception()
    if error is not None:
        return [], False, str(getattr(error, "message", error))
    answered = answer.result()
    if not isinstance(answered.answer, InstantsAnswer):
        return [], False, answered.failure.message if answered.failure is not None else "its function gave no instants"
    # Whole seconds, each once: what is between two seconds is at the second.
    ticks = list(dict.fromkeys(int(-(-i // 1)) for i in answered.answer.at))
    return ticks, answered.answer.ended, ""


def stands(schedule: Schedule) -> ScheduleSaid:
    """How it stands, for who asks."""
    return ScheduleSaid(schedule.row.name, schedule.row.paused, schedule.row.next_at)


def timing(spec: ScheduleSpec) -> tuple[Any, ...]:
    """What makes its instants."""
    return spec.rule, spec.tz, spec.start, spec.end


def new_row(manifest: Manifest, pipeline: str, spec: ScheduleSpec, now: float, tzdata: str) -> ScheduleRow:
    """Of a schedule that is declared for the first time."""
    return ScheduleRow(
        namespace=manifest.namespace,
        name=spec.name,
        project=manifest.project,
        pipeline=pipeline,
        version=1,
        spec=spec,
        effective_from=now,
        active=True,
        paused=spec.paused,
        automatic=False,
        reason="",
        next_at=None,
        last_at=None,
        last_decision="",
        decided_at=None,
        failures=0,
        tzdata=tzdata,
    )
