"""The modelled half of docs/scale.md: what the unit costs of bench/scale.py come to in larger installations.

Nothing here is measured. A day is played minute by minute: runs arrive as people write cron rules (a quarter of them at full hours,
most of these at night, a quarter at the other quarters of an hour, the rest at any minute), each scheduler works off its share at
the rate that was measured, and what is left waits. The rate is taken at `HEADROOM` of the measured one.

Rule: plain arithmetic on the figures of one measurement; every assumption is a name at the top.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

STEPS_PER_RUN = 100
HEADROOM = 0.7
MINUTES = 24 * 60
AT_HOURS, AT_QUARTERS = 0.25, 0.25
# Of the runs at full hours, those between 00:00 and 06:00 weigh so much.
NIGHT = 4.0
KEPT_DAYS = 30
# A web process at half of what it answers at most; a screen asks so often.
READS_PER_PERSON_S = 0.5


@dataclass(frozen=True)
class Place:
    """An installation."""

    name: str
    pipelines: int
    steps_a_day: int
    people: int


PLACES = (
    Place("a laptop, a team's server", 100, 10_000, 5),
    Place("a department", 1_000, 100_000, 50),
    Place("a company", 10_000, 1_000_000, 300),
    Place("a large company", 100_000, 10_000_000, 2_000),
    Place("an internet company", 1_000_000, 100_000_000, 10_000),
)


def arrivals(steps_a_day: int) -> list[float]:
    """Steps that become due in each minute of a day."""
    weights = [NIGHT if hour < 6 else 1.0 for hour in range(24)]
    day = [(1 - AT_HOURS - AT_QUARTERS) / MINUTES] * MINUTES
    for hour, weight in enumerate(weights):
        day[hour * 60] += AT_HOURS * weight / sum(weights)
        for quarter in (15, 30, 45):
            day[hour * 60 + quarter] += AT_QUARTERS / 72
    return [share * steps_a_day for share in day]


@dataclass(frozen=True)
class Day:
    """How a day went: the busiest minute's steps a second, the longest wait, the share of steps that waited over a minute."""

    busiest_per_s: float
    longest_s: float
    late: float


def played(steps_a_day: int, rate: float) -> Day:
    """Two days (the second counts) of steps that come as `arrivals` says and are worked off at `rate` a second.

    >>> played(1_000_000, 1e9).longest_s < 1
    True
    """
    minutes = arrivals(steps_a_day)
    backlog = longest = late = 0.0
    for number, come in enumerate(minutes * 2):
        # The last of those that come now waits for all before it.
        wait = (backlog + come) / rate
        if number >= MINUTES:
            longest = max(longest, wait)
            late += come if wait > 60 else 0.0
        backlog = max(0.0, backlog + come - rate * 60)
    return Day(max(minutes) / 60, longest, late / steps_a_day)


def schedulers_for(steps_a_day: int, rate: float, *, within_s: float) -> int:
    """How many schedulers, each with an even share of the namespaces, keep the longest wait below a bound."""
    count = max(1, math.ceil(steps_a_day / 86_400 / rate))
    while played(steps_a_day, rate * count).longest_s > within_s:
        count += 1
    return count


def tables(f: dict[str, Any]) -> str:
    """The modelled part of the paper, of the figures of bench/scale.py."""
    size = str(STEPS_PER_RUN)
    rates = {kind: f[kind][size]["steps_per_s"] * HEADROOM for kind in ("sqlite", "postgres")}
    bytes_per_step = f["postgres"][size]["bytes_per_run"] / STEPS_PER_RUN
    per_pipeline = f["definitions"][-1]["bytes_per_pipeline"] + f["definitions"][-1]["bytes_per_schedule"]
    lines = [
        (
            f"Modelled by `bench/scale_model.py` on these figures, not measured: runs of {STEPS_PER_RUN} steps, a scheduler at"
            f" {HEADROOM:.0%} of its measured rate ({rates['sqlite']:,.0f} steps/s with SQLite, {rates['postgres']:,.0f} with"
            f" PostgreSQL), history kept for {KEPT_DAYS} days."
        ),
        "",
        "| | pipelines | steps a day | on average | busiest minute | schedulers: all begun within 5 min (1 min) | rows a day | database | definitions, memory of all schedulers | web processes |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    rows_per_step = sum(f["postgres"][size]["rows"].values()) / STEPS_PER_RUN
    for place in PLACES:
        kind = "sqlite" if place.steps_a_day <= 100_000 else "postgres"
        wide, narrow = (schedulers_for(place.steps_a_day, rates[kind], within_s=s) for s in (300.0, 60.0))
        kept = place.steps_a_day * bytes_per_step * KEPT_DAYS
        webs = math.ceil(place.people * READS_PER_PERSON_S / (f["api"]["api_list_per_s"] / 2))
        lines.append(
            f"| {place.name} | {place.pipelines:,} | {place.steps_a_day:,} | {place.steps_a_day / 86_400:,.1f}/s |"
            f" {played(place.steps_a_day, rates[kind]).busiest_per_s:,.0f}/s | {wide:,} ({narrow:,}) {'SQLite' if kind == 'sqlite' else 'PostgreSQL'} |"
            f" {_count(place.steps_a_day * rows_per_step)} | {_size(kept)} | {_size(place.pipelines * per_pipeline)} | {webs:,} |"
        )
    lines += [
        "",
        f"The last row with more and fewer schedulers ({PLACES[-1].steps_a_day:,} steps, the same day):",
        "",
        "| schedulers | in use on average | the longest wait at the worst minute | steps that wait over a minute |",
        "| --- | --- | --- | --- |",
    ]
    for count in (1, 2, 4, 8, 16, 32, 64):
        rate = rates["postgres"] * count
        share = PLACES[-1].steps_a_day / 86_400 / rate
        if share >= 1:
            lines.append(f"| {count} | {share:.0%} | it never catches up | |")
            continue
        day = played(PLACES[-1].steps_a_day, rate)
        lines.append(f"| {count} | {share:.0%} | {_wait(day.longest_s)} | {day.late:.0%} |")
    return "\n".join(lines)


def _count(number: float) -> str:
    for limit, word in ((1e9, "billion"), (1e6, "million")):
        if number >= limit:
            return f"{number / limit:,.1f} {word}"
    return f"{number:,.0f}"


def _size(number: float) -> str:
    for limit, word in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if number >= limit:
            return f"{number / limit:,.1f} {word}"
    return f"{number / 1e3:,.0f} kB"


def _wait(seconds: float) -> str:
    return f"{seconds / 60:,.0f} min" if seconds >= 120 else f"{seconds:,.0f} s"
