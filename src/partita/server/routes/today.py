"""The report of the day over all pipelines, and how much of it waits for somebody."""

from __future__ import annotations

import time
from typing import Annotated, Literal

import msgspec

from partita.engine import today as reading
from partita.server import examples, objects
from partita.server.calling import Call
from partita.server.objects import Instant, Run, iso
from partita.server.remembering import graph
from partita.server.routes.runs import Moment, instant
from partita.server.routing import route

_DAY_S = 86_400.0
_STALE = 12

Owner = Annotated[str, msgspec.Meta(max_length=500, description="Only what this one owns", examples=["flights"])]


class MissedAsset(msgspec.Struct, frozen=True):
    """Something that people miss while it is held up, and when it is due, if that is known."""

    asset: str
    due_at: Instant | None


class Counted(msgspec.Struct, frozen=True):
    """So many things of one sort: "model", "check", "dashboard", "step"."""

    noun: str
    count: int


class TodayCause(msgspec.Struct, frozen=True):
    """What broke first, in all runs that broke in the same way; `run` is the newest of them, `no` its number.

    `runs` are the numbers of all of them, `left` those that no later run has mended or repeated. `mended_in` is the run that mended the
    newest, `trying_in` one that tries now. `instances` of a mapped step failed, `index` is the first. `history` is how the step
    ended in the runs before, oldest first ("" = not tried there); this is its `nth` failure among these. `asset` is what the step
    makes, or what it looks at if it is a check: then `check` is its name there.
    """

    project: str
    namespace: str
    pipeline: str
    partition: str | None
    run: str
    no: int
    is_open: bool
    runs: list[int]
    left: list[int]
    step: str
    index: str
    instances: int
    noun: str
    error: str
    cause: str
    owner: str
    attempts: int
    first_at: Instant | None
    last_at: Instant | None
    blocks: int
    blocked: list[Counted]
    missed: list[MissedAsset]
    history: list[str]
    nth: int
    mended_in: int | None
    trying_in: int | None
    asset: str
    check: str


class LateThing(msgspec.Struct, frozen=True):
    """A deadline that was missed, or will be."""

    subject: str
    text: str
    pipeline: str
    owner: str
    since: Instant | None
    due_at: Instant | None
    is_missed: bool
    run: str
    namespace: str


class AgedAsset(msgspec.Struct, frozen=True):
    """An asset past its freshness (`state` "fail"), or nearly ("warn")."""

    asset: str
    partition: str
    state: str
    since: Instant | None
    reason: str
    due_at: Instant | None
    owner: str
    namespace: str


class StaleAsset(msgspec.Struct, frozen=True):
    """An asset that is made of older data or code than there is, or whose check failed."""

    asset: str
    state: str
    reason: str
    since: Instant | None
    owner: str


class StaleAssets(msgspec.Struct, frozen=True):
    """How many there are in each state, and the first of them."""

    stale: int
    failing: int
    first: list[StaleAsset]


class WaitingPerson(msgspec.Struct, frozen=True):
    """A question that waits for a person."""

    run: str
    run_no: int
    pipeline: str
    step: str
    index: str
    question: str
    who: str
    started_by: str
    opened_at: Instant | None
    due_at: Instant | None


class RunUsual(msgspec.Struct, frozen=True):
    """How long the last successful runs took, in seconds."""

    p10_s: float
    median_s: float
    p90_s: float


class RunningNow(msgspec.Struct, frozen=True):
    """A run at work: `done` of about `total` steps; `ends_at` by what it usually takes, null when that cannot be said."""

    run: Run
    owner: str
    done: int
    total: int
    failed: bool
    usual: RunUsual | None
    ends_at: Instant | None


class FillingNow(msgspec.Struct, frozen=True):
    """A backfill at work: `done` of `total` parts, `failed` among them."""

    backfill: str
    no: int
    target: str
    state: str
    paused: bool
    done: int
    failed: int
    total: int
    started_at: Instant | None
    ends_at: Instant | None


class NextTick(msgspec.Struct, frozen=True):
    """The next tick of a schedule."""

    at: Instant | None
    schedule: str
    pipeline: str
    namespace: str


class PeriodSums(msgspec.Struct, frozen=True):
    """Runs that ended in the period (at most the newest 20,000), by how they ended."""

    runs: int
    succeeded: int
    failed: int
    cancelled: int


class Today(msgspec.Struct, frozen=True):
    """The report. `level` and `line` say how it stands; `more_failed` runs were not looked into."""

    at: Instant | None
    since: Instant | None
    level: Literal["broken", "late", "well"]
    line: str
    sums: PeriodSums
    causes: list[TodayCause]
    more_failed: int
    late: list[LateThing]
    aged: list[AgedAsset]
    stale: StaleAssets
    waits: list[WaitingPerson]
    running: list[RunningNow]
    more_running: int
    queued: int
    backfills: list[FillingNow]
    next: list[NextTick]
    owners: list[str]


class Badges(msgspec.Struct, frozen=True):
    """How much waits for somebody: causes of the last day that nothing has mended, deadlines, approvals."""

    causes: int
    late: int
    approvals: int


_AT = "2026-11-22T03:00:41.120Z"
_CAUSE = TodayCause(
    "shop", "default", "nightly", "2026-11-21", examples.RUN.id, 12, False, [12], [12], "load", "", 1, "step",
    "SchemaError: column 'dep_delay' is missing", "exception", "flights", 3, _AT, _AT, 38,
    [Counted("asset", 30), Counted("check", 8)], [MissedAsset("punctuality", "2026-11-22T06:00:00.000Z")],
    ["succeeded", "succeeded"], 1, None, None, "flights", "",
)  # fmt: skip
_TODAY = Today(
    "2026-11-22T08:55:00.000Z",
    "2026-11-21T18:00:00.000Z",
    "broken",
    "1 cause, 38 steps behind it",
    PeriodSums(12, 11, 1, 0),
    [_CAUSE],
    0,
    [LateThing("close #14", "run 14 of close will be late by 25 min", "close", "ann", _AT, _AT, False, "", "default")],
    [AgedAsset("flights", "", "fail", _AT, "no data for 27 h", _AT, "flights", "default")],
    StaleAssets(1, 0, [StaleAsset("daily_delays", "stale", "flights has newer data", _AT, "ann")]),
    [WaitingPerson(examples.RUN.id, 12, "release", "go", "", "deploy 1.4 to prod?", "whoever has the role operator",
                   "ann", _AT, None)],
    [RunningNow(examples.RUN, "ann", 214, 365, False, RunUsual(50.0, 61.0, 70.0), _AT)],
    0,
    0,
    [],
    [NextTick("2026-11-22T09:00:00.000Z", "hourly", "rebuild", "default")],
    ["ann", "flights"],
)  # fmt: skip


@route(
    "GET",
    "/today",
    permission="view",
    summary="The report of the day: what broke since an instant (of the last day), what is late, stale, waiting, running "
    "and coming, over all pipelines",
    errors=(422,),
    example=_TODAY,
)
def today(call: Call, since: Moment | None = None, owner: Owner = "", namespace: Owner = "") -> Today:
    now = time.time()
    begin = instant("since", since)
    begin = now - _DAY_S if begin is None else begin
    day = _day(call, owner, namespace)
    report = day.report(since=begin, now=now)
    level, line = reading.headline(report)
    return Today(
        at=iso(now),
        since=iso(begin),
        level=level,
        line=line,
        sums=objects.shaped(PeriodSums, report.sums),
        causes=[_cause(cause) for cause in report.causes],
        more_failed=report.more_failed,
        late=[objects.shaped(LateThing, late) for late in report.late],
        aged=[objects.shaped(AgedAsset, aged, since=iso(aged.since)) for aged in report.aged],
        stale=_stale(call, now, owner, namespace),
        waits=[objects.shaped(WaitingPerson, a.gate, question=a.question, who=a.who) for a in report.waits],
        running=[_running(going) for going in report.running],
        more_running=report.more_running,
        queued=report.queued,
        backfills=[
            objects.shaped(
                FillingNow,
                f.backfill,
                backfill=f.backfill.id,
                done=f.done,
                failed=f.failed,
                started_at=iso(f.backfill.created_at),
                ends_at=iso(f.ends_at),
            )
            for f in report.backfills
        ],
        next=[NextTick(iso(tick.at), tick.schedule, tick.pipeline, tick.namespace) for tick in report.next],
        owners=day.owners(),
    )


@route(
    "GET",
    "/waiting",
    permission="view",
    summary="How much waits for somebody, in numbers",
    example=Badges(2, 1, 3),
)
def waiting(call: Call) -> Badges:
    from partita.store.gates import open_gates

    now = time.time()
    day = _day(call)
    causes, _ = day.causes(now - _DAY_S)
    gates = call.visible(open_gates(call.reader, limit=500), lambda gate: gate.namespace)
    return Badges(sum(bool(cause.left) for cause in causes), len(day.late(now)), len(gates))


def _day(call: Call, owner: str = "", namespace: str = "") -> reading.Day:
    return reading.Day(
        call.reader,
        call.catalog,
        lambda row: graph(call.reader, row),
        call.links.breakages,
        sees=lambda found: namespace in ("", found) and call.sees(found),
        owner=owner,
    )


def _cause(found: reading.BrokenNow) -> TodayCause:
    return objects.shaped(
        TodayCause,
        found,
        partition=found.partition or None,
        blocked=[Counted(*pair) for pair in found.blocked],
        missed=[MissedAsset(m.asset, iso(m.due_at)) for m in found.missed],
    )


def _running(going: reading.Going) -> RunningNow:
    return RunningNow(
        objects.run(going.run),
        going.owner,
        going.done,
        going.total,
        going.failed,
        None if going.usual is None else RunUsual(*going.usual),
        iso(going.ends_at),
    )


def _stale(call: Call, now: float, owner: str, namespace: str) -> StaleAssets:
    healths = call.links.healths.of_all(call.reader, call.catalog, now)
    found = [
        (healths[spec.name], spec)
        for manifest, spec in call.visible(call.catalog.assets(), lambda f: f[0].namespace)
        if spec.name in healths and owner in ("", spec.owner) and namespace in ("", manifest.namespace)
        if healths[spec.name].state in ("stale", "failing")
    ]
    found.sort(key=lambda f: f[0].state != "failing")
    return StaleAssets(
        stale=sum(health.state == "stale" for health, _ in found),
        failing=sum(health.state == "failing" for health, _ in found),
        first=[
            StaleAsset(health.asset, health.state, health.reason, iso(health.reason_at), spec.owner)
            for health, spec in found[:_STALE]
        ],
    )
