"""What the tests of backfills and of keeping house share: a service over a store in memory, whose work the test does."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from partita.core.backfill import BackfillPlan, BackfillSpec
from partita.core.events import Detail, Failure
from partita.core.graph import Graph, Step, Stored
from partita.core.manifest import AssetSpec, Manifest, PartitionSpec, PipelineSpec
from partita.engine.backfill_planning import plan_backfill
from partita.engine.backfills import AskBackfill, BackfillAnswer, RetryBackfill, StartBackfill
from partita.engine.clock import FakeClock
from partita.engine.service import Service
from partita.executors.contract import Assignment, Demand, Ended, OpenAttempt, Placement, Report
from partita.settings import Home, Settings
from partita.store import backfills as rows
from partita.store.backfills import BackfillRow
from partita.store.sqlite import open_in_memory
from partita.store.writing import SqlStore
from partita.worker.wire import Outcome

DAYS = PartitionSpec("daily", start="2026-01-01")
MONTHS = PartitionSpec("monthly", start="2026-01-01")
NOW = dt.datetime(2026, 2, 1, tzinfo=dt.UTC).timestamp()
T = TypeVar("T")


class Hands:
    """An executor whose work is done by the test: tickets wait until `do` ends them."""

    def __init__(self) -> None:
        self.open: dict[int, Assignment] = {}
        self.killed: list[int] = []
        self.most = 0
        self._reports: list[Report] = []

    def place(self, demand: Demand) -> Placement:
        return Placement("hands:1:0", 0)

    def unplace(self, placement: Placement) -> None: ...

    def submit(self, assignments: Sequence[Assignment]) -> None:
        self.open.update({a.ticket.no: a for a in assignments})
        self.most = max(self.most, len(self.runs))

    def kill(self, ticket_no: int, *, reason: str) -> None:
        self.killed.append(ticket_no)
        if self.open.pop(ticket_no, None) is not None:
            self._reports.append(Ended(Outcome(ticket_no, "cancelled", 0.0, 0.0)))

    def poll(self, timeout_s: float) -> list[Report]:
        reports, self._reports = self._reports, []
        return reports

    def wake(self) -> None: ...

    def adopt(self, attempts: Sequence[OpenAttempt]) -> None:
        self._reports += [Ended(Outcome(a.no, "lost", 0.0, 0.0)) for a in attempts]

    def describe(self) -> list[str]:
        return []

    def close(self, *, kill: bool = False) -> None: ...

    @property
    def runs(self) -> list[str]:
        """The partitions in work, in the order of their tickets."""
        return [a.brief.partition for a in self.open.values()]

    def do(self, fails: Callable[[Assignment], bool] = lambda a: False) -> None:
        """End everything that is open."""
        for no, assignment in list(self.open.items()):
            del self.open[no]
            bad = fails(assignment)
            detail = Detail(failure=Failure("boom")) if bad else None
            self._reports.append(Ended(Outcome(no, "failed" if bad else "succeeded", 1.0, 3.0, detail=detail)))


def asset(name: str, *deps: str, partitions: PartitionSpec | None = DAYS, **more: Any) -> AssetSpec:
    """An asset made by the step of its name."""
    return AssetSpec(name, deps=deps, step=name, partitions=partitions, **more)


def project(name: str, *assets: AssetSpec, pipelines: Sequence[PipelineSpec] = (), **more: Any) -> Manifest:
    """A project of assets that read nothing by value."""
    own = {a.name for a in assets}
    steps = tuple(Step(a.name, asset=a.name, needs=tuple(d for d in a.deps if d in own)) for a in assets)
    return Manifest(
        name, pipelines=tuple(pipelines), assets=assets, assets_graph=Graph("assets", steps) if assets else None, **more
    )


def pipeline(name: str, *steps: Step, partitions: PartitionSpec | None = DAYS, **more: Any) -> PipelineSpec:
    """A pipeline of tasks."""
    return PipelineSpec(name, Graph(name, steps or (Step("a"),)), partitions=partitions, **more)


def reads(asset_name: str) -> Step:
    """A step that reads what is stored of an asset."""
    return Step("report", args=(("table", Stored(asset_name)),))


class Bench:
    """A service, its store and clock. The store outlives the service: `again` starts another one on it."""

    def __init__(self, folder: Path, *manifests: Manifest, store: SqlStore | None = None, clock: Any = None) -> None:
        self.folder = folder
        self.manifests = manifests
        self.clock: FakeClock = clock or FakeClock(NOW)
        self.store = store or open_in_memory(clock=self.clock.now)
        self.hands = Hands()
        (folder / ".partita").mkdir(exist_ok=True)
        settings = Settings(project=folder, home=Home(folder / ".partita"), workers=2)
        self.service = Service(self.store, self.hands, settings=settings, clock=self.clock)
        for manifest in manifests:
            self.service.load(manifest)
        self.service.start()

    def again(self) -> Bench:
        """Another engine on the same store, long after the first was killed."""
        self.clock.advance(60.0)
        return Bench(self.folder, *self.manifests, store=self.store, clock=self.clock)

    def ask(self, request: Any, returns: type[T] = BackfillAnswer) -> T:  # type: ignore[assignment]
        """Ask as a client does: the answer comes after the commit."""
        handler = self.service.handlers()[type(request)]
        answer = self.service.engine.post(lambda: handler(request))
        while not answer.done():
            self.service.turn(0.0)
        found = answer.result()
        assert isinstance(found, returns)
        return found

    def plan(self, target: str, partitions: str = "*", **more: Any) -> BackfillPlan:
        spec = BackfillSpec(target, partitions, **more)
        return plan_backfill(spec, self.manifests, self.store, now=self.clock.now(), workers=2)

    def start(self, target: str, partitions: str = "*", **more: Any) -> BackfillRow:
        plan = self.plan(target, partitions, **more)
        return self.row(self.ask(StartBackfill(plan.spec, plan.work, plan.partitions, "ann")).id)

    def tell(self, row: BackfillRow, what: Any) -> None:
        self.ask(AskBackfill(row.id, what, "ann"))

    def retry(self, row: BackfillRow) -> None:
        self.ask(RetryBackfill(row.id, "ann"))

    def row(self, id: str) -> BackfillRow:
        row = rows.backfill(self.store, id)
        assert row is not None
        return row

    def turns(self, count: int = 4) -> None:
        for _ in range(count):
            self.service.turn(0.0)

    def carry_out(self, fails: Callable[[Assignment], bool] = lambda a: False) -> list[list[str]]:
        """Do all the work; which partitions were in work together, time after time."""
        seen: list[list[str]] = []
        self.turns()
        while self.hands.open:
            seen.append(self.hands.runs)
            self.hands.do(fails)
            self.turns()
        return seen
