"""The report of the day: what broke, what is late or will be, what waits for people, what runs, what comes, over all pipelines.

    today = Day(reader, catalog, sees, breakages).report(since=..., now=...)

Rule: reading only; each question is bounded, so a long history costs no more than a short one. What broke in a run that
has ended is found once and kept, for it changes no more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from partita.core.deadlines import due_at
from partita.core.graph import Graph
from partita.core.manifest import AssetSpec, DeadlineSpec, Manifest, PipelineSpec
from partita.core.states import TERMINAL_RUN
from partita.engine import approvals
from partita.engine.approvals import Approval
from partita.engine.breakages import Breakages, Later, bad_ends, kind_of, whole
from partita.engine.catalog import Catalog
from partita.engine.deadlines import RULE
from partita.engine.report import Broken
from partita.errors import PartitaError
from partita.store import assets, backfills, schedules
from partita.store import today as rows
from partita.store.backfills import BackfillRow
from partita.store.contract import RunRow
from partita.store.messages import AlertRow, alerts
from partita.store.reading import SqlReader

# Of so many failed runs the causes are found; the rest is counted.
_EXPLAINED = 60
_LOOKED_AT = 500
_RUNNING = 200
_WITH_PROGRESS = 24
_NEXT = 12
_WAITING = 50
_ENOUGH_RUNS = 3


class Missed(msgspec.Struct, frozen=True):
    """Something that people miss while it is held up, and when it is due (if that is known)."""

    asset: str
    due_at: float | None


class BrokenNow(msgspec.Struct, frozen=True):
    """A first cause, over all runs that broke in the same way; `run` is the newest of them, `no` its number.

    `left` are those that no later run has mended or repeated; `mended_in` is the run that mended the newest, `trying_in` one that tries now.
    """

    project: str
    namespace: str
    pipeline: str
    partition: str
    run: str
    no: int
    code: str
    is_open: bool
    runs: tuple[int, ...]
    left: tuple[int, ...]
    step: str
    index: str
    instances: int
    noun: str
    error: str
    cause: str
    owner: str
    attempts: int
    first_at: float
    last_at: float
    blocks: int
    blocked: tuple[tuple[str, int], ...]
    missed: tuple[Missed, ...]
    # How the step ended in the runs before, oldest first ("" = it was not tried there), and which failure of these this is.
    history: tuple[str, ...]
    nth: int
    mended_in: int | None
    trying_in: int | None
    # The steps of the newest run that it holds up.
    behind: tuple[str, ...] = ()
    # What the step makes, or looks at if it is a check: then `check` is its name there.
    asset: str = ""
    check: str = ""


class Late(msgspec.Struct, frozen=True):
    """A deadline that was missed, or will be."""

    subject: str
    text: str
    pipeline: str
    owner: str
    since: float
    due_at: float | None
    is_missed: bool
    run: str
    namespace: str


class Aged(msgspec.Struct, frozen=True):
    """An asset past its freshness ("fail"), or nearly ("warn")."""

    asset: str
    partition: str
    state: str
    since: float
    reason: str
    due_at: float | None
    owner: str
    namespace: str


class Going(msgspec.Struct, frozen=True):
    """A run at work: how far it is, how long it usually takes, and when it should be done."""

    run: RunRow
    owner: str
    done: int
    total: int
    failed: bool
    usual: tuple[float, float, float] | None
    ends_at: float | None


class Filling(msgspec.Struct, frozen=True):
    """A backfill at work."""

    backfill: BackfillRow
    done: int
    failed: int
    ends_at: float | None


class Coming(msgspec.Struct, frozen=True):
    """The next tick of a schedule."""

    at: float
    schedule: str
    pipeline: str
    namespace: str


class Sums(msgspec.Struct, frozen=True):
    """Runs that ended in the period, by how they ended."""

    runs: int
    succeeded: int
    failed: int
    cancelled: int


class Report(msgspec.Struct, frozen=True):
    """All of it. `more_failed` runs were not looked into."""

    sums: Sums
    causes: tuple[BrokenNow, ...]
    more_failed: int
    late: tuple[Late, ...]
    aged: tuple[Aged, ...]
    waits: tuple[Approval, ...]
    running: tuple[Going, ...]
    more_running: int
    queued: int
    backfills: tuple[Filling, ...]
    next: tuple[Coming, ...]


class Day:
    """The report as one person may see it: of the namespaces that `sees` allows, of one `owner` or all ("")."""

    def __init__(
        self,
        reader: SqlReader,
        catalog: Catalog,
        graph_of: Callable[[RunRow], Graph],
        breakages: Breakages,
        *,
        sees: Callable[[str], bool],
        owner: str = "",
    ) -> None:
        self._reader = reader
        self._catalog = catalog
        self._graph_of = graph_of
        self._breakages = breakages
        self._sees = sees
        self._owner = owner
        self._specs = {
            (manifest.project, spec.name): spec
            for manifest in catalog.manifests.values()
            for spec in manifest.pipelines
        }
        self._assets = {spec.name: (manifest, spec) for manifest, spec in catalog.assets()}

    def report(self, *, since: float, now: float) -> Report:
        """All that somebody wants to know who comes back after `since`."""
        causes, more_failed = self.causes(since)
        running, more_running = self._running(now)
        return Report(
            sums=self._sums(since),
            causes=causes,
            more_failed=more_failed,
            late=self.late(now),
            aged=self._aged(),
            waits=self._waits(),
            running=running,
            more_running=more_running,
            queued=sum(self._is_mine(r) for r in rows.open_before(self._reader, now + 60.0, "queued")),
            backfills=self._backfills(now),
            next=self._next(),
        )

    def owners(self) -> list[str]:
        """Everybody who owns something that is seen here."""
        seen = [m for m in self._catalog.manifests.values() if self._sees(m.namespace)]
        named = {spec.owner for m in seen for spec in m.pipelines} | {spec.owner for m in seen for spec in m.assets}
        named |= {step.owner for m in seen for spec in m.pipelines for step in spec.graph.steps}
        return sorted(named - {""})

    # --- what broke -------------------------------------------------------------------------------------------------

    def causes(self, since: float) -> tuple[tuple[BrokenNow, ...], int]:
        """What broke since, what is still broken first; and how many more failed runs there are."""
        failed = [
            row
            for row in self._reader.runs(states=("failed",), limit=_LOOKED_AT)
            if (row.finished_at or 0.0) >= since and self._sees(row.namespace)
        ]
        at_work = [r for r in self._reader.runs(states=("running",), limit=_RUNNING) if self._sees(r.namespace)]
        # Only a run in which something has ended badly is looked into.
        at_work = [row for row in at_work if any(bad_ends(self._reader, row)[:2])]
        looked_into = [*at_work, *failed[:_EXPLAINED]]
        groups: dict[tuple[str, ...], list[tuple[RunRow, Broken]]] = {}
        for row in looked_into:
            for broken in self._broken(row):
                groups.setdefault((row.project, row.pipeline, broken.step, kind_of(broken.error)), []).append(
                    (row, broken)
                )
        later = Later(self._reader, looked_into)
        found = [self._cause(group, later) for group in groups.values()]
        mine = [c for c in found if self._owner in ("", c.owner)]
        mine.sort(key=lambda c: (not c.left, -c.blocks, -c.last_at))
        return tuple(mine), max(0, len(failed) - _EXPLAINED)

    def _broken(self, row: RunRow) -> Sequence[Broken]:
        try:
            found = self._breakages.of(self._reader, row, self._graph_of, self._catalog.manifests.get(row.project))
        except PartitaError:
            # Its graph is gone or from a newer program: `doctor` tells; here it is told that the run failed.
            found = ()
        # A run may fail with no step to blame: it took too long, say.
        return found or ((whole(row),) if row.state == "failed" else ())

    def _cause(self, group: list[tuple[RunRow, Broken]], later: Later) -> BrokenNow:
        group = sorted(group, key=lambda found: -found[0].no)
        row, broken = group[0]
        mended = [later.mended(run, b.step, b.index) for run, b in group]
        # What was repeated and broke again is left once: nobody wants the same night twice.
        repeated = {run.rerun_of for run, _ in group}
        spec = self._specs.get((row.project, row.pipeline))
        nouns = tuple((count.noun, count.count) for count in broken.blocks)
        return BrokenNow(
            project=row.project,
            namespace=row.namespace,
            pipeline=row.pipeline,
            partition=row.partition,
            run=row.id,
            no=row.no,
            code=row.code,
            is_open=row.state not in TERMINAL_RUN,
            runs=tuple(run.no for run, _ in group),
            left=tuple(
                run.no for (run, _), no in zip(group, mended, strict=True) if no is None and run.id not in repeated
            ),
            step=broken.step,
            index=broken.index,
            instances=len(broken.indexes),
            noun=broken.noun,
            error=broken.error,
            cause=broken.cause,
            owner=broken.owner or (spec.owner if spec is not None else ""),
            attempts=broken.attempts,
            first_at=min(b.first_at for _, b in group),
            last_at=broken.first_at,
            blocks=broken.blocked,
            blocked=nouns,
            missed=tuple(Missed(name, self._due_at(row, spec, name)) for name in broken.missed),
            history=broken.history,
            nth=1 + sum(state == "failed" for state in broken.history),
            mended_in=mended[0],
            trying_in=later.trying(row),
            behind=broken.behind,
            asset=broken.asset,
            check=broken.check,
        )

    def _due_at(self, row: RunRow, spec: PipelineSpec | None, asset: str) -> float | None:
        """When an asset is due: by its own deadline, that of the run, or its freshness; the first of them."""
        deadlines = [d for d in (spec.deadlines if spec is not None else ()) if d.of == "run" or d.subject == asset]
        dues = [due_at(d, row.created_at) for d in deadlines]
        if asset in self._assets and self._assets[asset][1].freshness is not None:
            fresh = assets.freshness(self._reader, asset)
            dues += [fresh.due_at] if fresh is not None and fresh.due_at is not None else []
        return min(dues, default=None)

    # --- what is late -----------------------------------------------------------------------------------------------

    def late(self, now: float) -> tuple[Late, ...]:
        """Deadlines that were missed or will be, what is missed first."""
        found = [
            self._late(alert, now)
            for alert in alerts(self._reader)
            if alert.rule == RULE and self._sees(alert.namespace)
        ]
        return tuple(sorted((f for f in found if self._owner in ("", f.owner)), key=lambda f: not f.is_missed))

    def _late(self, alert: AlertRow, now: float) -> Late:
        what, _, rest = alert.subject.partition(":")
        row = self._reader.run(alert.run) if what == "run" and alert.run else None
        pipeline = row.pipeline if row is not None else rest.partition(":")[0]
        spec = self._specs.get((row.project, pipeline)) if row is not None else self._pipeline(pipeline)
        due = self._deadline(rest, spec, row)
        return Late(
            subject=pipeline if what == "pipeline" or row is None else f"{pipeline} #{row.no}",
            text=alert.message,
            pipeline=pipeline,
            owner=spec.owner if spec is not None else "",
            since=alert.since,
            due_at=due,
            is_missed=due is None or due <= now,
            run=alert.run,
            namespace=alert.namespace,
        )

    def _deadline(self, rest: str, spec: PipelineSpec | None, row: RunRow | None) -> float | None:
        """When it was due, by the deadline that the alarm names: "12:asset:dashboard"."""
        if spec is None or row is None:
            return None
        of, _, subject = rest.partition(":")[2].partition(":")
        found: list[DeadlineSpec] = [d for d in spec.deadlines if d.of == of and d.subject == subject]
        return min((due_at(d, row.created_at) for d in found), default=None)

    def _aged(self) -> tuple[Aged, ...]:
        found = []
        after = ""
        while page := assets.freshness_list(self._reader, after=after, limit=500):
            after = page[-1].asset
            for row in page:
                known = self._assets.get(row.asset)
                if row.state not in ("warn", "fail") or known is None or not self._is_my_asset(*known):
                    continue
                manifest, spec = known
                found.append(
                    Aged(
                        row.asset,
                        row.partition,
                        row.state,
                        row.since,
                        row.reason,
                        row.due_at,
                        spec.owner,
                        manifest.namespace,
                    )
                )
        return tuple(sorted(found, key=lambda f: (f.state != "fail", f.since)))

    # --- people, work, what comes ---------------------------------------------------------------------------------------

    def _waits(self) -> tuple[Approval, ...]:
        found = approvals.waiting(self._reader, limit=_WAITING)
        return tuple(a for a in found if self._sees(a.gate.namespace) and self._owns(a.gate.project, a.gate.pipeline))

    def _running(self, now: float) -> tuple[tuple[Going, ...], int]:
        open_runs = [r for r in self._reader.runs(states=("running",), limit=_RUNNING) if self._is_mine(r)]
        # Those of a backfill are told as the backfill.
        shown = [row for row in open_runs if not row.origin.startswith("backfill:")]
        return tuple(self._going(row, now) for row in shown[:_WITH_PROGRESS]), max(0, len(shown) - _WITH_PROGRESS)

    def _going(self, row: RunRow, now: float) -> Going:
        spec = self._specs.get((row.project, row.pipeline))
        done = rows.steps_ended(self._reader, row.id)
        took = rows.lengths(self._reader, row.pipeline)
        usual = None
        if len(took) >= _ENOUGH_RUNS:
            usual = (_quantile(took, 0.1), _quantile(took, 0.5), _quantile(took, 0.9))
        began = row.started_at or row.created_at
        return Going(
            run=row,
            owner=spec.owner if spec is not None else "",
            done=done,
            total=max(done, self._steps_of(row)),
            failed=any(bad_ends(self._reader, row)),
            usual=usual,
            # Past the usual there is no saying.
            ends_at=began + usual[1] if usual is not None and began + usual[1] > now else None,
        )

    def _steps_of(self, row: RunRow) -> int:
        """How many steps it will have: of maps as many as the last run that succeeded had."""
        graph = self._graph_of(row)
        if not any(step.axes for step in graph.steps):
            return len(graph.steps)
        before = self._reader.runs(pipeline=row.pipeline, states=("succeeded",), limit=1)
        return max(len(graph.steps), *(rows.steps_ended(self._reader, r.id) for r in before), 0)

    def _backfills(self, now: float) -> tuple[Filling, ...]:
        found = []
        for row in backfills.open_backfills(self._reader):
            if not self._sees(row.namespace):
                continue
            counts = backfills.counts(self._reader, row)
            done = sum(counts.get(state, 0) for state in ("succeeded", "failed", "cancelled", "skipped"))
            left = row.total - done
            pace_s = (now - row.created_at) / done if done >= _ENOUGH_RUNS else 0.0
            found.append(Filling(row, done, counts.get("failed", 0), now + left * pace_s if pace_s else None))
        return tuple(found)

    def _next(self) -> tuple[Coming, ...]:
        found = [
            Coming(s.next_at, s.name, s.pipeline, s.namespace)
            for s in schedules.all_schedules(self._reader)
            if s.active and not s.paused and s.next_at is not None
            if self._sees(s.namespace) and self._owns(s.project, s.pipeline)
        ]
        return tuple(sorted(found, key=lambda c: c.at)[:_NEXT])

    def _sums(self, since: float) -> Sums:
        counts: dict[str, int] = {}
        for found in rows.ended_since(self._reader, since):
            if self._sees(found.namespace) and self._owns(found.project, found.pipeline):
                counts[found.state] = counts.get(found.state, 0) + found.count
        return Sums(sum(counts.values()), *(counts.get(state, 0) for state in ("succeeded", "failed", "cancelled")))

    # --- whose it is ------------------------------------------------------------------------------------------------

    def _is_mine(self, row: RunRow | rows.Passed) -> bool:
        return self._sees(row.namespace) and self._owns(row.project, row.pipeline)

    def _owns(self, project: str, pipeline: str) -> bool:
        if not self._owner:
            return True
        spec = self._specs.get((project, pipeline))
        return spec is not None and spec.owner == self._owner

    def _is_my_asset(self, manifest: Manifest, spec: AssetSpec) -> bool:
        return self._sees(manifest.namespace) and self._owner in ("", spec.owner)

    def _pipeline(self, name: str) -> PipelineSpec | None:
        return next((spec for (_, known), spec in self._specs.items() if known == name), None)


def _quantile(values: Sequence[float], part: float) -> float:
    return values[min(len(values) - 1, int(part * len(values)))]


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


Level = Literal["broken", "late", "well"]


def headline(report: Report) -> tuple[Level, str]:
    """How it stands, in one line.

    >>> headline(Report(Sums(3, 3, 0, 0), (), 0, (), (), (), (), 0, 0, (), ()))
    ('well', 'All is well: 3 runs ended, all succeeded')
    """
    broken = [cause for cause in report.causes if cause.left]
    if broken:
        # A step that two causes of a run hold up is one step.
        behind = len({(cause.run, step) for cause in broken for step in cause.behind})
        text = _many(len(broken), "cause")
        return "broken", text + (
            f", {_many(behind, 'step')} behind {'it' if len(broken) == 1 else 'them'}" if behind else ""
        )
    if report.more_failed:
        return "broken", f"{_many(report.more_failed, 'more failed run')} not looked into"
    if report.late:
        return (
            "late",
            f"nothing is broken, {len(report.late)} {'are' if len(report.late) > 1 else 'is'} late or will be",
        )
    ended = report.sums.runs
    if not ended:
        return "well", "All is well: no run ended"
    how = "all succeeded" if report.sums.succeeded == ended else f"{report.sums.succeeded} succeeded"
    mended = (
        f", {len(report.causes)} broke and {'were' if len(report.causes) > 1 else 'was'} mended"
        if report.causes
        else ""
    )
    return "well", f"All is well: {_many(ended, 'run')} ended, {how}{mended}"
