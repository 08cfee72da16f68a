"""All pipelines at a glance, in one answer: how their last runs ended, when they start next, how long they take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec

from partita.core.manifest import Manifest, PipelineSpec
from partita.errors import ScheduleError
from partita.server.calling import Call, Cursor, Limit, Name, page_of
from partita.server.jsonable import iso
from partita.server.objects import Instant
from partita.server.routes.catalog import Facet
from partita.server.routing import route
from partita.store import pipelines as rows
from partita.store import schedules as schedule_rows
from partita.store.order import quantile
from partita.store.pipelines import LastRun
from partita.store.schedules import ScheduleRow

Words = Annotated[str, msgspec.Meta(max_length=200, description="Words that are all to be found")]
Runs = Annotated[int, msgspec.Meta(ge=1, le=50, description="So many of the last runs of each")]
State = Literal["queued", "running", "succeeded", "failed", "cancelled", "never"]


class PastRun(msgspec.Struct, frozen=True):
    """A run of a pipeline, without what it was given."""

    id: str
    no: int
    state: str
    partition: str | None
    created_at: Instant | None
    started_at: Instant | None
    finished_at: Instant | None
    paused: bool
    by: str
    code: str


class Band(msgspec.Struct, frozen=True):
    """How long runs usually take, seconds: of so many that succeeded."""

    p10: float
    median: float
    p90: float
    count: int


class NextStart(msgspec.Struct, frozen=True):
    """A schedule of a pipeline: when in words, and its next instant (null: paused, or it has none)."""

    namespace: str
    name: str
    words: str
    next_at: Instant | None
    paused: bool
    automatic: bool
    reason: str


class PipelineLine(msgspec.Struct, frozen=True):
    """A pipeline with all that a list of pipelines shows of it.

    `state` is that of its newest run ("never": it has none), `runs` are the last ones, newest first. `paused`: it has
    schedules, and all of them are paused.
    """

    name: str
    project: str
    namespace: str
    description: str
    owner: str
    tags: list[str]
    steps: int
    partitioned: str
    state: str
    paused: bool
    next_at: Instant | None
    schedules: list[NextStart]
    runs: list[PastRun]
    usual: Band | None


class PipelineFacets(msgspec.Struct, frozen=True):
    """What all pipelines can be filtered by, and how many are like that."""

    states: list[Facet]
    projects: list[Facet]
    owners: list[Facet]
    tags: list[Facet]


class PipelinesOverview(msgspec.Struct, frozen=True):
    """A page of pipelines. `total` counts what fits the filters, `all` every pipeline; facets are of every pipeline."""

    items: list[PipelineLine]
    next: str | None
    total: int
    all: int
    facets: PipelineFacets


PAST_RUN = PastRun(
    "01932f5e-8a3c-7b1e-9d55-3f0a6c2b7e11",
    12,
    "succeeded",
    "2026-11-21",
    "2026-11-22T03:00:00.004Z",
    "2026-11-22T03:00:00.012Z",
    "2026-11-22T03:04:11.500Z",
    False,
    "schedule",
    "5e9d2b4f6a8c0e1d",
)
BAND = Band(180.2, 241.0, 320.9, 20)
_LINE = PipelineLine(
    "nightly",
    "shop",
    "default",
    "Everything that people look at in the morning.",
    "ann",
    ["daily"],
    7,
    "daily",
    "succeeded",
    False,
    "2026-11-23T03:00:00.000Z",
    [NextStart("default", "nightly", "at 03:00", "2026-11-23T03:00:00.000Z", False, False, "")],
    [PAST_RUN],
    BAND,
)
_FACETS = PipelineFacets([Facet("succeeded", 1)], [Facet("shop", 1)], [Facet("ann", 1)], [Facet("daily", 1)])

Found = tuple[Manifest, PipelineSpec]


@route(
    "GET",
    "/pipelines-overview",
    permission="view",
    summary="Pipelines with their last runs, their next start and how long they usually take; searched over names, "
    "descriptions, owners, tags and projects",
    errors=(422,),
    example=PipelinesOverview([_LINE], None, 1, 1, _FACETS),
)
def overview(
    call: Call,
    q: Words = "",
    state: State | None = None,
    project: Name | None = None,
    owner: Name | None = None,
    tag: Name | None = None,
    runs: Runs = 20,
    limit: Limit = 100,
    cursor: Cursor = "",
) -> PipelinesOverview:
    every = _visible(call)
    newest = {name: past[0].state if past else "never" for name, past in _last(call, every, 1).items()}
    words = q.casefold().split()
    wanted = [
        (manifest, spec)
        for manifest, spec in every
        if project in (None, manifest.project)
        and owner in (None, spec.owner)
        and (tag is None or tag in spec.tags)
        and state in (None, newest[_name(manifest, spec)])
        and all(word in _text(manifest, spec) for word in words)
    ]
    page = page_of(wanted, cursor, limit)
    return PipelinesOverview(
        _lines(call, page.items, newest, runs), page.next, len(wanted), len(every), _facets(every, newest)
    )


def past_run(row: LastRun) -> PastRun:
    """A run of a pipeline, as it is shown."""
    return PastRun(
        row.id,
        row.no,
        row.state,
        row.partition or None,
        iso(row.created_at),
        iso(row.started_at),
        iso(row.finished_at),
        row.paused,
        row.by,
        row.code,
    )


def took_s(row: LastRun) -> float | None:
    """How long a run took that has ended."""
    if row.started_at is None or row.finished_at is None:
        return None
    return round(row.finished_at - row.started_at, 3)


def band(runs: Iterable[LastRun]) -> Band | None:
    """How long these runs took, if some have succeeded."""
    took = sorted(t for run in runs if run.state == "succeeded" and (t := took_s(run)) is not None)
    if not took:
        return None
    p10, median, p90 = (round(quantile(took, part), 3) for part in (0.1, 0.5, 0.9))
    return Band(p10, median, p90, len(took))


def _visible(call: Call) -> list[Found]:
    """Every pipeline that the asker may see, by project and name."""
    manifests = call.visible(call.catalog.manifests.values(), lambda m: m.namespace)
    found = [(manifest, spec) for manifest in manifests for spec in manifest.pipelines]
    return sorted(found, key=lambda f: (f[0].project, f[1].name))


def _name(manifest: Manifest, spec: PipelineSpec) -> rows.Name:
    return rows.Name(manifest.project, spec.name)


def _text(manifest: Manifest, spec: PipelineSpec) -> str:
    """All that a search looks at, in one text."""
    return "\n".join((spec.name, manifest.project, spec.owner, *spec.tags, spec.description)).casefold()


def _last(call: Call, pipelines: list[Found], count: int) -> dict[rows.Name, list[LastRun]]:
    return rows.last_runs(call.reader, [_name(*found) for found in pipelines], limit=count)


def _lines(call: Call, page: list[Found], newest: dict[rows.Name, str], runs: int) -> list[PipelineLine]:
    last = _last(call, page, runs)
    of_pipeline: dict[rows.Name, list[ScheduleRow]] = {}
    for row in schedule_rows.all_schedules(call.reader):
        if row.active:
            of_pipeline.setdefault(rows.Name(row.project, row.pipeline), []).append(row)
    return [
        _line(manifest, spec, newest[name], last[name], of_pipeline.get(name, []))
        for manifest, spec in page
        for name in [_name(manifest, spec)]
    ]


def _line(
    manifest: Manifest, spec: PipelineSpec, state: str, runs: list[LastRun], schedules: list[ScheduleRow]
) -> PipelineLine:
    coming = [row.next_at for row in schedules if not row.paused and row.next_at is not None]
    return PipelineLine(
        name=spec.name,
        project=manifest.project,
        namespace=manifest.namespace,
        description=spec.description.strip().partition("\n")[0],
        owner=spec.owner,
        tags=list(spec.tags),
        steps=len(spec.graph.steps),
        partitioned=spec.partitions.kind if spec.partitions is not None else "",
        state=state,
        paused=bool(schedules) and all(row.paused for row in schedules),
        next_at=iso(min(coming)) if coming else None,
        schedules=[_next(row) for row in schedules],
        runs=[past_run(run) for run in runs],
        usual=band(runs),
    )


def _next(row: ScheduleRow) -> NextStart:
    try:
        words = row.spec.words()
    except ScheduleError:
        words = row.spec.rule
    next_at = None if row.paused else iso(row.next_at)
    return NextStart(row.namespace, row.name, words, next_at, row.paused, row.automatic, row.reason)


def _facets(every: list[Found], newest: dict[rows.Name, str]) -> PipelineFacets:
    return PipelineFacets(
        _counted(newest.values()),
        _counted(manifest.project for manifest, _ in every),
        _counted(spec.owner for _, spec in every),
        _counted(tag for _, spec in every for tag in spec.tags),
    )


def _counted(values: Iterable[str]) -> list[Facet]:
    return [Facet(value, count) for value, count in sorted(Counter(v for v in values if v).items())]
