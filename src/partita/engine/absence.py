"""By when something is to have happened, and whether it has: for sensors of absence.

Rule: the engine knows the time, the runs and the assets; whether a file is there is the evaluator's look.
"""

from __future__ import annotations

from partita.core import plain
from partita.core.sensing import Event, remembered
from partita.core.timetable import at, timetable
from partita.engine.sensor import NEVER, Sensor
from partita.store.contract import Reader

_DAY_S = 86_400


def next_time(sensor: Sensor, now: float) -> float:
    """When it is to be decided next; a new sensor begins now, and what passed while nobody was here is decided at once."""
    cursor = remembered(sensor.state).cursor
    decided = plain.unpack(cursor)["decided"] if cursor else now
    times = timetable(sensor.options["rule"], sensor.options["tz"])
    return float(next(times.ticks(int(decided)), NEVER))


def event_of(sensor: Sensor, store: Reader, now: float) -> Event | None:
    """The newest time that has come: what it is about, and for runs and assets whether it has happened."""
    options = sensor.options
    times = timetable(options["rule"], options["tz"]).ticks_before(int(now) + 1)
    by, before = next(times, None), next(times, None)
    if by is None:
        return None
    within = options.get("within_s")
    since = by - within if within is not None else float(before if before is not None else by - _DAY_S)
    data = {
        "what": options.get("file") or options.get("run") or options.get("asset"),
        "by": at(by).isoformat(),
        "since": at(since).isoformat(),
        "by_s": float(by),
        "since_s": float(since),
        "found": _found(sensor, store, since),
    }
    return Event(at(by).isoformat(), plain.pack(data))


def _found(sensor: Sensor, store: Reader, since: float) -> str:
    if pipeline := sensor.options.get("run"):
        newest = store.runs(pipeline=pipeline, states=("succeeded",), limit=20)
        done = next((run for run in newest if (run.finished_at or 0.0) >= since), None)
        return f"run {done.no}" if done is not None else ""
    if asset := sensor.options.get("asset"):
        row = store.materialization(asset)
        return str(asset) if row is not None and row.at >= since else ""
    return ""
