"""The history of one pipeline: its last runs by steps, its days, its durations; and which partitions it can run for."""

from __future__ import annotations

import datetime as dt
import time
from typing import Annotated

import msgspec

from partita.core import partitions, zones
from partita.core.manifest import Manifest, PipelineSpec
from partita.core.plan import Plan
from partita.errors import PartitaError, ScheduleError
from partita.server.calling import Call, Name, Number
from partita.server.problems import Refused
from partita.server.routes.pipelines import found
from partita.server.routes.pipelines_overview import BAND, PAST_RUN, Band, PastRun, band, past_run, took_s
from partita.server.routing import route
from partita.store import assets as asset_rows
from partita.store import pipelines as rows
from partita.store.pipelines import CountedSteps, LastRun

Runs = Annotated[int, msgspec.Meta(ge=1, le=100, description="So many of the last runs")]
ManyRuns = Annotated[int, msgspec.Meta(ge=1, le=500, description="So many of the last runs")]
Days = Annotated[int, msgspec.Meta(ge=1, le=366, description="So many days, today the last")]
Many = Annotated[int, msgspec.Meta(ge=1, le=1000, description="At most so many, the newest")]
Zone = Annotated[str, msgspec.Meta(min_length=1, max_length=100, description="In which zone a day begins and ends")]

# What is worst first: an instance like that makes its step like that.
LETTERS = {
    "failed": "f",
    "needs_attention": "n",
    "upstream_failed": "u",
    "retrying": "r",
    "running": "o",
    "cancelled": "c",
    "succeeded": "s",
    "skipped": "k",
    "waiting": "w",
}
# What a run's band is made from: so many that succeeded before it.
_BEFORE = 20


class GridStep(msgspec.Struct, frozen=True):
    """A step of the grid. `gone`: the pipeline has it no more."""

    step: str
    group: list[str]
    mapped: bool
    gone: bool


class GridCounts(msgspec.Struct, frozen=True):
    """The instances of a mapped step in a run, by state; `run` and `step` are their places in the grid."""

    run: int
    step: int
    counts: dict[str, int]


class Grid(msgspec.Struct, frozen=True):
    """The last runs of a pipeline, oldest first, and how each step ended in them: of each run a text with a letter a step.

    "f" failed, "n" waits for a person, "u" upstream failed, "r" is tried again, "o" runs, "c" cancelled, "s" succeeded,
    "k" skipped, "w" was marked to wait, "." nothing yet. Of a mapped step the worst of its instances; `counts` has all.
    """

    pipeline: str
    runs: list[PastRun]
    steps: list[GridStep]
    states: list[str]
    counts: list[GridCounts]


class Day(msgspec.Struct, frozen=True):
    """The runs that were asked for on a day, by state."""

    day: str
    counts: dict[str, int]


class Calendar(msgspec.Struct, frozen=True):
    """The days that have runs, oldest first. `whole_since`: from that day on all runs are counted, of those before many."""

    pipeline: str
    tz: str
    first: str
    last: str
    whole_since: str
    days: list[Day]


class Duration(msgspec.Struct, frozen=True):
    """How long a run took (null: it goes on), how long it was queued, and what was usual before it."""

    run: PastRun
    took_s: float | None
    queued_s: float | None
    usual: Band | None


class Durations(msgspec.Struct, frozen=True):
    """The last runs, oldest first, with their durations; `usual` is that of all of them that succeeded."""

    pipeline: str
    items: list[Duration]
    usual: Band | None


class PartitionKeys(msgspec.Struct, frozen=True):
    """For what a pipeline can run: its newest partitions, the newest first; `count` has all. No kind: it has none."""

    pipeline: str
    kind: str
    keys: list[str]
    count: int


@route(
    "GET",
    "/pipelines/{pipeline}/grid",
    permission="view",
    summary="The last runs of a pipeline, and how each step ended in them",
    errors=(404, 422),
    example=Grid(
        "nightly",
        [PAST_RUN],
        [GridStep("extract", ["sources"], True, False), GridStep("load", [], False, False)],
        ["fu"],
        [GridCounts(0, 0, {"failed": 1, "succeeded": 41})],
    ),
)
def grid(call: Call, pipeline: Name, runs: Runs = 50, before: Number | None = None) -> Grid:
    manifest, spec = found(call, pipeline)
    last = _last(call, manifest, spec, runs, before)
    counted = rows.counted_steps(call.reader, last)
    steps = _steps(spec, counted)
    place = {step.step: at for at, step in enumerate(steps)}
    run_at = {run.no: at for at, run in enumerate(last)}
    letters = [["."] * len(steps) for _ in last]
    counts = []
    for one in counted:
        column, row = run_at[one.run], place[one.step]
        letters[column][row] = next((LETTERS[state] for state in LETTERS if state in one.counts), ".")
        if sum(one.counts.values()) > 1:
            counts.append(GridCounts(column, row, one.counts))
    return Grid(spec.name, [past_run(run) for run in last], steps, ["".join(line) for line in letters], counts)


@route(
    "GET",
    "/pipelines/{pipeline}/calendar",
    permission="view",
    summary="How many runs of a pipeline there were each day, by state",
    errors=(404, 422),
    example=Calendar(
        "nightly", "UTC", "2025-11-22", "2026-11-22", "2025-11-22", [Day("2026-11-22", {"failed": 1, "succeeded": 1})]
    ),
)
def calendar(call: Call, pipeline: Name, tz: Zone = "UTC", days: Days = 366) -> Calendar:
    manifest, spec = found(call, pipeline)
    try:
        zone = zones.tzinfo(tz)
    except ScheduleError as error:
        raise Refused(422, error.message, hint=error.hint or "") from None
    last = dt.datetime.fromtimestamp(time.time(), zone).date()
    first = last - dt.timedelta(days=days - 1)
    since = dt.datetime.combine(first, dt.time(), zone).timestamp()
    asked, whole = rows.asked_for(call.reader, rows.Name(manifest.project, spec.name), since=since)
    counts: dict[str, dict[str, int]] = {}
    for state, at in asked:
        of_day = counts.setdefault(dt.datetime.fromtimestamp(at, zone).date().isoformat(), {})
        of_day[state] = of_day.get(state, 0) + 1
    whole_since = dt.datetime.fromtimestamp(whole, zone).date() + dt.timedelta(days=1 if whole > since else 0)
    return Calendar(
        spec.name,
        tz,
        first.isoformat(),
        last.isoformat(),
        whole_since.isoformat(),
        [Day(day, counts[day]) for day in sorted(counts)],
    )


@route(
    "GET",
    "/pipelines/{pipeline}/durations",
    permission="view",
    summary="How long the last runs of a pipeline took, beside what was usual",
    errors=(404, 422),
    example=Durations("nightly", [Duration(PAST_RUN, 251.488, 0.008, BAND)], BAND),
)
def durations(call: Call, pipeline: Name, runs: ManyRuns = 100, before: Number | None = None) -> Durations:
    manifest, spec = found(call, pipeline)
    last = _last(call, manifest, spec, runs + _BEFORE, before)
    items = []
    good: list[LastRun] = []
    for run in last:
        queued = None if run.started_at is None else round(run.started_at - run.created_at, 3)
        items.append(Duration(past_run(run), took_s(run), queued, band(good[-_BEFORE:])))
        good += [run] if run.state == "succeeded" else []
    return Durations(spec.name, items[-runs:], band(last[-runs:]))


@route(
    "GET",
    "/pipelines/{pipeline}/partition-keys",
    permission="view",
    summary="For which partitions a pipeline can run, the newest first",
    errors=(404, 422),
    example=PartitionKeys("nightly", "daily", ["2026-11-21", "2026-11-20"], 325),
)
def partition_keys(call: Call, pipeline: Name, limit: Many = 400) -> PartitionKeys:
    manifest, spec = found(call, pipeline)
    if spec.partitions is None:
        return PartitionKeys(spec.name, "", [], 0)
    own = partitions.resolved(
        spec.partitions, lambda name: asset_rows.dynamic_keys(call.reader, manifest.namespace, name)
    )
    try:
        keys = partitions.keys(own, until=dt.datetime.now(dt.UTC))
    except PartitaError as error:
        raise Refused(422, error.message, hint=error.hint or "") from None
    return PartitionKeys(spec.name, spec.partitions.kind, keys[: -limit - 1 : -1], len(keys))


def _last(call: Call, manifest: Manifest, spec: PipelineSpec, runs: int, before: int | None) -> list[LastRun]:
    """The last runs, oldest first."""
    name = rows.Name(manifest.project, spec.name)
    return rows.last_runs(call.reader, [name], before_no=before, limit=runs)[name][::-1]


def _steps(spec: PipelineSpec, counted: list[CountedSteps]) -> list[GridStep]:
    """The steps as the pipeline has them now; behind them those that only its runs had."""
    nodes = Plan(spec.graph).nodes
    here = [GridStep(n.key, list(n.step.group), bool(n.step.axes), False) for n in nodes.values()]
    gone = dict.fromkeys(one.step for one in counted if one.step not in nodes)
    return here + [GridStep(step, [], False, True) for step in gone]
