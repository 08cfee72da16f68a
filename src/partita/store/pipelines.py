"""The history of pipelines as their screens show it: last runs, the steps of those, the runs of a year's days.

Rule: functions over a reader that answer with frozen types; many pipelines or runs are asked for in one statement.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, Protocol

import msgspec

from partita.core.states import RUN_MOVES, TERMINAL_RUN
from partita.store.database import Params, Row
from partita.store.listing import LAST_RUN
from partita.store.named import Fetching

_STATES: Final = tuple(RUN_MOVES)


class FetchingMany(Fetching, Protocol):
    """A reader that puts a statement together for many."""

    def fetch_each(self, name: str, many: Sequence[Params]) -> list[Row]:
        """The rows of a named statement for each of several parameters, in few questions."""
        ...


class LastRun(msgspec.Struct, frozen=True):
    """A run of a pipeline, without what it was given."""

    no: int
    id: str
    project: str
    pipeline: str
    partition: str
    state: str
    created_at: float
    started_at: float | None
    finished_at: float | None
    paused: bool
    by: str
    code: str


class Name(NamedTuple):
    """A pipeline: names are of their project."""

    project: str
    pipeline: str


class CountedSteps(NamedTuple):
    """The instances of a step in a run, by state. Those that wait have none."""

    run: int
    step: str
    counts: dict[str, int]


def last_runs(
    reader: FetchingMany, names: Iterable[Name], *, before_no: int | None = None, limit: int = 20
) -> dict[Name, list[LastRun]]:
    """The last runs of each pipeline, newest first."""
    found: dict[Name, list[LastRun]] = {name: [] for name in names}
    below = LAST_RUN if before_no is None else before_no
    asked = [(name.pipeline, state, below, name.project, limit) for name in found for state in _STATES]
    for row in reader.fetch_each("last_runs", asked):
        *before, paused, by, code = row
        run = LastRun(*before, bool(paused), by, code)  # type: ignore[call-arg]
        found[Name(run.project, run.pipeline)].append(run)
    return {name: sorted(runs, key=lambda run: -run.no)[:limit] for name, runs in found.items()}


def asked_for(
    reader: FetchingMany, name: Name, *, since: float, limit: int = 20_000
) -> tuple[list[tuple[str, float]], float]:
    """State and instant of creation of the runs since then, and from when on these are all of them.

    Of each state at most `limit` are looked at, the newest.
    """
    first = reader.fetch("first_run_since", (since,))[0][0]
    if first is None:
        return [], since
    rows = reader.fetch_each(
        "days_of_runs", [(name.pipeline, state, first - 1, name.project, limit) for state in _STATES]
    )
    of_state: dict[str, list[float]] = {}
    for state, at in rows:
        of_state.setdefault(state, []).append(at)
    whole = max((min(at) for at in of_state.values() if len(at) >= limit), default=since)
    return [(state, at) for state, at in rows if at >= since], whole


def counted_steps(reader: FetchingMany, runs: Sequence[LastRun]) -> list[CountedSteps]:
    """The steps of these runs that have done something, or do it now."""
    found: dict[tuple[int, str], Counter[str]] = {}
    for run, step, state, count in reader.fetch_each("counted_steps", [(run.no,) for run in runs]):
        # Its row says that it is to be tried again; a row that waits was marked.
        found.setdefault((run, step), Counter())["retrying" if state == "ready" else state] += count
    still = [(run.no,) for run in runs if run.state not in TERMINAL_RUN]
    for run, step, _, count in reader.fetch_each("counted_open_steps", still):
        counts = found.setdefault((run, step), Counter())
        counts["running"] += count
        # What is tried again right now has its row yet of the attempt before.
        counts["retrying"] = max(0, counts["retrying"] - count)
    return [CountedSteps(run, step, dict(+counts)) for (run, step), counts in found.items()]
