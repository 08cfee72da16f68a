"""What the tests of automation share: a service over assets that really run, in memory, by a clock of the test."""

from __future__ import annotations

import datetime as dt
import itertools
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from partita.core.automation import Tree
from partita.core.manifest import Manifest
from partita.define.asset_graph import Universe
from partita.define.calls import Calls
from partita.engine.automation import AssetAnswer, WhyAsset
from partita.engine.clock import FakeClock
from partita.engine.reporting import Report, Reported
from partita.engine.service import Service
from partita.engine.submission import RunRequest
from partita.executors.inline import InlineExecutor
from partita.settings import Home, Settings
from partita.store.contract import RunRow
from partita.store.sqlite import open_in_memory
from partita.store.writing import SqlStore

_COUNT = itertools.count()
T = TypeVar("T")


def instant(text: str) -> float:
    """Seconds since the epoch of a time in UTC."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC).timestamp()


NOON = instant("2026-03-10T12:00")


class Bench:
    """A service, its store and clock. Projects are lists of definitions; what they define really runs, here."""

    def __init__(
        self,
        folder: Path,
        *definitions: Any,
        store: SqlStore | None = None,
        clock: FakeClock | None = None,
        more: dict[str, list[Any]] | None = None,
    ) -> None:
        self.folder, self.more = folder, more or {}
        self.definitions = list(definitions)
        self.clock = clock or FakeClock(NOON)
        self.store = store or open_in_memory(clock=self.clock.now)
        home = Home(folder / ".partita")
        (folder / ".partita").mkdir(exist_ok=True)
        self.calls: dict[str, Any] = {}
        settings = Settings(project=folder, home=home, workers=2)
        self.service = Service(self.store, InlineExecutor(self.calls, home), settings=settings, clock=self.clock)
        for project, defined in {"shop": self.definitions, **self.more}.items():
            self.load(project, *defined)
        self.service.start()

    def load(self, project: str, *definitions: Any, **changes: Any) -> Manifest:
        """A project as it is defined now."""
        calls = Calls()
        universe = Universe.of(definitions, calls)
        assert universe.problems == ()
        self.calls.update(calls.by_name)
        manifest = Manifest(project, assets=universe.specs, assets_graph=universe.graph, code="c1")
        manifest = msgspec.structs.replace(manifest, **changes)
        self.service.load(manifest)
        return manifest

    def again(self, after: float = 60.0) -> Bench:
        """Another engine on the same store, after the first was killed."""
        self.clock.advance(after)
        return Bench(self.folder, *self.definitions, store=self.store, clock=self.clock, more=self.more)

    def settle(self, *, at: str = "") -> list[RunRow]:
        """Turn until nothing happens any more; the runs that were made meanwhile, oldest first."""
        if at:
            self.clock.set(instant(at))
        before = {row.id for row in self.store.runs(limit=1000)}
        for _ in range(1000):
            if not self.service.turn(0.0) and not self.service.engine.active:
                break
        assert self.service.engine.troubles == {}
        return [row for row in reversed(self.store.runs(limit=1000)) if row.id not in before]

    def told(self, *, at: str = "") -> list[str]:
        """What was made meanwhile: "raw+clean 2026-03-09"."""
        return [f"{'+'.join(row.selection)} {row.partition}".strip() for row in self.settle(at=at)]

    def run(self, target: str, partition: str = "") -> None:
        """Make something by hand."""
        request = RunRequest(target=target, by="ann", origin=f"cli:{next(_COUNT)}", partition=partition)
        self.service.submitter.submit(request)

    def ask(self, request: Any, returns: type[T]) -> T:
        """Ask as a client does: the answer comes after the commit."""
        handler = self.service.handlers()[type(request)]
        answer = self.service.engine.post(lambda: handler(request))
        while not answer.done():
            self.service.turn(0.0)
        found = answer.result()
        assert isinstance(found, returns)
        return found

    def report(self, report: Report) -> Reported:
        return self.ask(report, Reported)

    def why(self, asset: str, partition: str = "") -> Tree:
        tree = self.ask(WhyAsset(asset, partition), AssetAnswer).tree
        assert tree is not None
        return tree

    def is_sound(self) -> bool:
        return list(self.store.audit()) == []


def texts(tree: Tree) -> list[str]:
    """The sentences of a tree, those that hold with a mark."""
    return [("+ " if tree.holds else "- ") + tree.text, *(t for child in tree.children for t in texts(child))]
