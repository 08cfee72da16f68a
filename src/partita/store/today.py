"""What ended lately, and what was on at a time: for the report of the day and the picture of all runs.

Rule: each reading has a limit and walks an index from its newest end, so a long history costs no more than a short one.
"""

from __future__ import annotations

import msgspec

from partita.core.states import TERMINAL_STEP
from partita.store.named import Fetching

# A run that crosses the end of a window is looked for among those that ended so much later.
_CROSSES_S = 86_400.0


class Sum(msgspec.Struct, frozen=True):
    """So many runs of a pipeline ended in a state."""

    namespace: str
    project: str
    pipeline: str
    state: str
    count: int


class Passed(msgspec.Struct, frozen=True):
    """A run, as little of it as a bar in a picture needs. Times in seconds since the epoch."""

    no: int
    namespace: str
    project: str
    pipeline: str
    partition: str
    state: str
    created_at: float
    started_at: float | None
    finished_at: float | None


def ended_since(reader: Fetching, since: float, *, limit: int = 20_000) -> list[Sum]:
    """How the newest runs that ended after an instant did, by pipeline."""
    return [Sum(*row) for row in reader.fetch("ended_since", (since, limit))]


def ended_between(reader: Fetching, since: float, until: float, *, limit: int = 20_000) -> list[Passed]:
    """Runs that have ended and were there at some time of a window, those that ended last first."""
    return [Passed(*row) for row in reader.fetch("ended_between", (since, until + _CROSSES_S, until, limit))]


def open_before(reader: Fetching, until: float, state: str, *, limit: int = 500) -> list[Passed]:
    """Runs in an open state that were made before an instant, newest first."""
    return [Passed(*row) for row in reader.fetch("open_before", (state, until, limit))]


def steps_ended(reader: Fetching, run: str) -> int:
    """How many step instances of a run have ended."""
    rows = reader.fetch("count_steps_by_state", (run,))
    return sum(count for state, count in rows if state in TERMINAL_STEP)


def lengths(reader: Fetching, pipeline: str, *, runs: int = 20) -> list[float]:
    """How long the last successful runs of a pipeline took, in seconds, the shortest first."""
    return sorted(row[0] for row in reader.fetch("took_of_pipeline", (pipeline, runs)) if row[0] is not None)
