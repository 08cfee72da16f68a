"""What a tick would do, without doing it: the question behind "test a tick".

Rule: the very functions that decide and ask (`core/scheduling.py`, `tick_runs.py`) are asked; nothing is made or recorded.
"""

from __future__ import annotations

import msgspec

from partita.core import scheduling
from partita.engine.tick_runs import TickRuns
from partita.errors import PartitaError
from partita.store.named import Fetching
from partita.store.schedules import ScheduleRow, tick


class TryTick(msgspec.Struct, frozen=True, tag="try_tick"):
    """What the tick of a schedule at `instant` would do; None: at its next one."""

    name: str
    instant: float | None = None
    namespace: str = "default"


class TickTried(msgspec.Struct, frozen=True):
    """What it would do. `is_tick`: the schedule has a tick then (None: only its own function knows); `start_at` is when its run
    would begin; `params` are packed plain data; `problem` why there could be none; `decided`: what was decided about it already."""

    instant: float
    is_tick: bool | None
    decision: str
    reason: str
    start_at: float
    pipeline: str
    partition: str = ""
    params: dict[str, bytes] = {}
    origin: str = ""
    problem: str = ""
    decided: str = ""


def try_tick(
    row: ScheduleRow,
    instants: scheduling.Instants | None,
    runs: TickRuns,
    store: Fetching,
    *,
    instant: int,
    seed: str,
    running: int,
) -> TickTried:
    """Play the tick of a schedule as if nothing were due before it. `instants` is None for a timetable of the project's own."""
    before = tick(store, row.namespace, row.name, float(instant))
    is_tick = None if instants is None else next(iter(instants.after(instant - 1)), None) == instant
    known = scheduling.Instants.listed([instant])
    lead_s = runs.lead(row, instant)
    start_at = scheduling.due_at(row.spec, seed, instant, lead_s)
    decided = scheduling.decide(
        row.spec, seed, known, next_at=instant, now=start_at, lead_s=lead_s, running=running
    ).decisions[0]
    decision, reason = decided.decision, decided.reason
    if row.paused:
        decision, reason = "skipped", f"it is paused{f': {row.reason}' if row.reason else ''}"
    tried = TickTried(
        instant, is_tick, decision, reason, start_at, row.pipeline, decided=before.decision if before else ""
    )
    try:
        request = runs.request(row, instant, scheduling.origin(row.name, instant))
    except PartitaError as error:
        return msgspec.structs.replace(
            tried, decision="skipped", reason="its run cannot be made", problem=error.message
        )
    return msgspec.structs.replace(
        tried, partition=request.partition or "", params=dict(request.params), origin=request.origin
    )
