"""By when something is to be done, and whether it will be: instants and predictions. Pure.

Rule: a prediction is the longest chain of what is left, each step at the median of what it took before; a step never seen
takes no time, so a prediction never cries wolf for lack of history.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from partita.core.machine import RunMachine
from partita.core.manifest import DeadlineSpec
from partita.core.states import TERMINAL_STEP
from partita.core.timetable import at as moment_of
from partita.core.timetable import timetable

Usual = Mapping[str, tuple[float, float, int]]
"""By step: median and p90 of its duration in seconds, and how often it was seen."""


def due_at(spec: DeadlineSpec, started_at: float) -> float:
    """When something that started then is to be done.

    >>> due_at(DeadlineSpec("run", after_s=3600.0), 10.0)
    3610.0
    >>> due_at(DeadlineSpec("run", at="06:00"), 0.0)
    21600.0
    """
    if spec.after_s is not None:
        return started_at + spec.after_s
    return next_daily(spec, started_at)


def next_daily(spec: DeadlineSpec, after: float) -> float:
    """The next time of day of a deadline after an instant; DST as for schedules."""
    hour, minute = spec.at.split(":")[:2]
    rule = timetable(f"cron {int(minute)} {int(hour)} * * *", spec.tz)
    return next(rule.after(moment_of(after))).timestamp()


def predicted_end(machine: RunMachine, usual: Usual, now: float, *, step: str = "") -> float:
    """When a run (or one of its steps) will be done at the earliest, by what its steps usually take."""
    ends: dict[str, float] = {}
    for node in machine.plan.nodes.values():
        begins = max((ends.get(edge.need.key, now) for edge in node.needs), default=now)
        ends[node.key] = _end(machine, node.key, usual, max(begins, now), now)
        if node.key == step:
            return ends[step]
    return max(ends.values(), default=now)


def _end(machine: RunMachine, key: str, usual: Usual, begins: float, now: float) -> float:
    instances = machine.plan.nodes[key].instances.values()
    left = [instance for instance in instances if instance.state not in TERMINAL_STEP]
    if instances and not left:
        return now
    median = usual.get(key, (0.0, 0.0, 0))[0]
    running = [instance.since for instance in left if instance.state == "running"]
    if running:
        return max(now, min(running) + median)
    return begins + median


def late_text(late_s: float) -> str:
    """By how much, in words.

    >>> late_text(1500)
    '25 min'
    """
    if late_s < 90:
        return f"{late_s:.0f} s"
    minutes = round(late_s / 60)
    return f"{minutes} min" if minutes < 120 else str(dt.timedelta(minutes=minutes))[:-3].replace(":", " h ") + " min"
