"""Why schedules, sensors and backfills are as they are: reasons with a stable code, made of their rows.

Rule: pure; what only the engine knows is handed in. Codes keep their meaning for ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from partita.core.manifest import ScheduleSpec
from partita.engine.sensor_requests import SensorNow
from partita.server.objects import Reason, iso
from partita.store.backfills import BackfillRow, PartRow
from partita.store.schedules import ScheduleRow, TickRow
from partita.store.sensors import EvaluationRow, SensorRow

_CATCHUP: Final = {
    "none": "missed ticks are skipped",
    "latest": "of missed ticks the newest is run",
    "all": "all missed ticks are run",
}
_OVERLAP: Final = {
    "queue": "the new one waits for it",
    "skip": "the tick is skipped",
    "cancel_running": "it is cancelled for the new one",
    "allow": "both run",
}
_NO_ENGINE: Final = Reason("no_engine", "no engine is there: nothing is started until one is")


def of_catchup(spec: ScheduleSpec) -> str:
    """What becomes of ticks when nobody was there."""
    return _CATCHUP.get(spec.catchup, f"of missed ticks the {spec.catchup} are run")


def of_overlap(spec: ScheduleSpec) -> str:
    """What becomes of a tick while the last run is still going."""
    return _OVERLAP[spec.overlap]


def of_schedule(row: ScheduleRow, last: TickRow | None) -> list[Reason]:
    """What holds a schedule up, and why its last tick was skipped."""
    found = []
    if not row.active:
        found.append(Reason("gone", "it is declared no more"))
    if row.paused:
        who = "it paused itself" if row.automatic else "it is paused"
        found.append(Reason("paused", f"{who}: {row.reason}" if row.reason else who))
    elif row.reason:
        found.append(Reason("trouble", row.reason))
    if row.failures:
        found.append(Reason("failing", f"its last {_many(row.failures, 'run')} failed one after the other"))
    if row.active and not row.paused and row.next_at is None:
        found.append(Reason("over", "it has no instant to come"))
    if last is not None and last.decision == "skipped":
        ticks = f"its last {last.count} ticks were" if last.count > 1 else "its last tick was"
        found.append(Reason("skipped", f"{ticks} skipped: {last.reason}", [], iso(last.until or last.instant)))
    return found


def of_sensor(row: SensorRow, now: SensorNow | None, kept: EvaluationRow | None, *, has_engine: bool) -> list[Reason]:
    """What holds a sensor up, or why it asked for nothing."""
    found = []
    if not row.active:
        found.append(Reason("gone", "it is declared no more"))
    if row.paused:
        found.append(Reason("paused", f"it is paused: {row.reason}" if row.reason else "it is paused"))
    if not has_engine:
        found.append(_NO_ENGINE)
    failures = now.failures if now is not None else row.failures
    if failures:
        why = f": {kept.error}" if kept is not None and kept.error else ""
        found.append(Reason("failing", f"its last {_many(failures, 'look')} failed{why}", [], iso(row.evaluated_at)))
    quiet = now.quiet if now is not None else 0
    if quiet:
        found.append(Reason("quiet", f"its last {_many(quiet, 'look')} saw nothing to ask a run for"))
    skipped = (now.skipped if now is not None else "") or (kept.skipped if kept is not None else "")
    if skipped:
        found.append(Reason("skipped", f"it said why not: {skipped}", [], iso(kept.at) if kept is not None else None))
    if row.evaluated_at is None and (now is None or now.last_at is None):
        found.append(Reason("not_looked", "it has not looked yet"))
    return found


def of_backfill(
    row: BackfillRow, counts: Mapping[str, int], unserved: Sequence[str], *, has_engine: bool
) -> list[Reason]:
    """What holds a backfill up."""
    if row.state != "running":
        return [
            Reason("ended", f"it {row.state}" + (f": {row.reason}" if row.reason else ""), [], iso(row.finished_at))
        ]
    found = []
    running = counts.get("running", 0)
    if row.cancel_requested:
        found.append(Reason("cancelling", f"it is being cancelled: {_many(running, 'run')} of it are still open"))
    elif row.paused:
        found.append(Reason("paused", f"it is paused: {row.reason}" if row.reason else "it is paused"))
    elif running >= row.spec.max_runs:
        found.append(Reason("max_runs", f"{running} of its runs are open, as many as it may have"))
    elif running and counts.get("waiting", 0):
        found.append(Reason("needs", "what waits needs runs of it that are open"))
    if unserved:
        found.append(Reason("not_served", "its project is not served now", list(dict.fromkeys(unserved))))
    if not has_engine:
        found.append(_NO_ENGINE)
    return found


def of_part(row: BackfillRow, part: PartRow, missing: int, *, running: int) -> list[Reason]:
    """Why a part of a backfill is as it is."""
    if part.state != "waiting":
        at = iso(part.finished_at)
        runs = [part.run] if part.run else []
        return [Reason(part.state, f"it {_IS[part.state]}" + (f": {part.reason}" if part.reason else ""), runs, at)]
    if row.state != "running":
        return [Reason("ended", f"its backfill {row.state} before it came to this")]
    if row.paused:
        return [Reason("paused", "its backfill is paused")]
    if missing:
        return [Reason("needs", f"{_many(missing, 'part')} of what it reads has not succeeded yet")]
    if running >= row.spec.max_runs:
        return [Reason("max_runs", f"{running} runs of its backfill are open, as many as it may have")]
    return [Reason("turn", "it is its turn soon: others come before it")]


_IS: Final = {
    "running": "runs",
    "succeeded": "succeeded",
    "failed": "failed",
    "cancelled": "was cancelled",
    "skipped": "was skipped",
}


def _many(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")
