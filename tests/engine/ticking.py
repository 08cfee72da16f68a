"""A service with schedules, a clock that stands still and hands that do its work."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any, TypeVar

from partita.core.graph import Graph, Step
from partita.core.manifest import Manifest, PartitionSpec, PipelineSpec, ScheduleSpec
from partita.engine.clock import FakeClock
from partita.engine.service import Service
from partita.settings import Home, Settings
from partita.store import schedules as rows
from partita.store.contract import RunRow
from partita.store.schedules import ScheduleRow, TickRow
from partita.store.sqlite import open_in_memory
from partita.store.writing import SqlStore

from .backfilling import Hands

T = TypeVar("T")


def instant(text: str) -> float:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC).timestamp()


NOON = instant("2026-03-10T12:00")


def pipeline(name: str, *schedules: ScheduleSpec, partitions: PartitionSpec | None = None, **more: Any) -> PipelineSpec:
    return PipelineSpec(name, Graph(name, (Step("a"),)), schedules=schedules, partitions=partitions, **more)


def hourly(**more: Any) -> ScheduleSpec:
    return ScheduleSpec("hourly", "cron 0 * * * *", **more)


def project(*pipelines: PipelineSpec, name: str = "shop") -> Manifest:
    return Manifest(name, pipelines=pipelines)


class Bench:
    """`again` is the next engine on the same store, after the first was killed."""

    def __init__(
        self, folder: Path, *manifests: Manifest, store: SqlStore | None = None, clock: FakeClock | None = None,
        evaluator: Any = None,
    ) -> None:  # fmt: skip
        self.folder, self.manifests, self.evaluator = folder, manifests, evaluator
        self.clock = clock or FakeClock(NOON)
        self.store = store or open_in_memory(clock=self.clock.now)
        self.hands = Hands()
        self.hands.evaluator = evaluator  # type: ignore[attr-defined]
        (folder / ".partita").mkdir(exist_ok=True)
        settings = Settings(project=folder, home=Home(folder / ".partita"), workers=2)
        self.service = Service(self.store, self.hands, settings=settings, clock=self.clock)
        for manifest in manifests:
            self.service.load(manifest)
        self.service.start()

    def again(self, *manifests: Manifest, after: float = 60.0) -> Bench:
        self.clock.advance(after)
        made = Bench(
            self.folder, *(manifests or self.manifests), store=self.store, clock=self.clock, evaluator=self.evaluator
        )
        made.turns()
        return made

    def load(self, *manifests: Manifest) -> None:
        for manifest in manifests:
            self.service.load(manifest)
        self.turns()

    def turns(self, count: int = 4) -> None:
        for _ in range(count):
            self.service.turn(0.0)

    def at(self, text: str) -> None:
        """Let the clock go on to an instant, as a service sees it: at least every five seconds near what is due."""
        self.clock.set(instant(text))
        self.turns()

    def through(self, seconds: float, step: float = 60.0, *, works: bool = True) -> None:
        """Let time pass in steps; the work is done at once, or not."""
        end = self.clock.now() + seconds
        while self.clock.now() < end:
            self.clock.advance(min(step, end - self.clock.now()))
            self.turns(2)
            if works:
                self.do()

    def do(self, *, fails: bool = False) -> None:
        self.turns(2)
        while self.hands.open:
            self.hands.do(lambda a: fails)
            self.turns(2)

    def ask(self, request: Any) -> Any:
        handler = self.service.handlers()[type(request)]
        answer = self.service.engine.post(lambda: handler(request))
        self.turns(2)
        return answer.result(0)

    def row(self, name: str = "hourly") -> ScheduleRow:
        row = rows.schedule(self.store, "default", name)
        assert row is not None
        return row

    def ticks(self, name: str = "hourly") -> list[TickRow]:
        """Oldest first."""
        return rows.ticks(self.store, "default", name, limit=10_000)[::-1]

    def told(self, name: str = "hourly") -> list[str]:
        """Each decision in a word: "13:00 run", "14:00..17:00 skipped 4"."""
        return [_told(tick) for tick in self.ticks(name)]

    def runs(self) -> list[RunRow]:
        """Oldest first."""
        return self.store.runs(limit=20_000)[::-1]

    def is_sound(self) -> bool:
        assert [str(f) for f in self.store.audit()] == []
        return True


def _told(tick: TickRow) -> str:
    clock = dt.datetime.fromtimestamp(tick.instant, dt.UTC).strftime("%H:%M")
    if tick.until is None:
        return f"{clock} {tick.decision}"
    return f"{clock}..{dt.datetime.fromtimestamp(tick.until, dt.UTC).strftime('%H:%M')} {tick.decision} {tick.count}"
