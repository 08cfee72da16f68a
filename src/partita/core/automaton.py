"""Automation: which partitions of which assets are to be made now, and why.

Told what happens (`materialized`, `checked` ...), it looks again at those whose condition speaks of it, and at nobody else. A
partition is asked for once per cause: until its condition has been false, an upstream has new data, a tick has come or its code
has changed, a run that failed is not asked for again. One that a run is making, or whose upstream has a blocking check that
failed, is not asked for.

Rule: deciding and explaining read the same facts through the same function (`Looker.mask`).
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from partita.core.automation import (
    Condition,
    Tree,
)
from partita.core.freshness import instant
from partita.core.ledger import OUTSIDE, Holding, Ledger, Universe
from partita.core.looker import Looker, Ticker, Traits, Watch
from partita.core.staleness import Made, name_of
from partita.core.teller import Teller

_SHOWN = 8
_NEVER = float("inf")


class Memory(msgspec.Struct, frozen=True):
    """What a condition remembers over restarts: since when it is declared, what it asked for (partition, when) that was not
    made since, what of it is not asked for again (`held`), and by path the partitions of its latches. `code`: the version
    of the asset's code at that time.
    """

    declared_at: float
    asked: tuple[tuple[str, float], ...] = ()
    held: tuple[str, ...] = ()
    latches: tuple[tuple[str, tuple[str, ...]], ...] = ()
    code: str = ""


class Decision(msgspec.Struct, frozen=True):
    """Partitions of an asset that are to be made now."""

    project: str
    asset: str
    partitions: tuple[str, ...]


class Automaton:
    """The conditions of all assets over one ledger."""

    def __init__(
        self, ledger: Ledger, conditions: dict[str, Condition], *, now: float, memory: dict[str, Memory] | None = None
    ) -> None:
        self.ledger = ledger
        self.watches: dict[str, Watch] = {}
        # Who looks at an asset.
        self._lookers: dict[str, list[Watch]] = {}
        self._dirty: dict[str, Watch] = {}
        self._looker = Looker()
        self._touched: set[str] = set()
        traits: dict[int, Traits] = {}
        for name, condition in conditions.items():
            if name in ledger.holdings:
                known = traits.get(id(condition)) or traits.setdefault(id(condition), Traits(condition))
                self._watch(ledger.holdings[name], known, (memory or {}).get(name), now)

    # --- what happens -----------------------------------------------------------------------------------------------

    def materialized(self, asset: str, key: str, made: Made) -> None:
        """An asset (partition) was made; who reads it may be asked for again if its data is new."""
        holding = self.ledger.holdings.get(asset)
        if holding is None:
            return
        woken = self.ledger.materialized(asset, key, made)
        bit = holding.universe.bit(key)
        for link in holding.readers if woken else ():
            watch = self.watches.get(link.reader.name)
            if watch is not None:
                watch.forget(link.any_of(bit))
        own = self.watches.get(asset)
        if own is not None and own.asked_at.pop(key, None) is not None:
            own.is_changed = True
        self._touched.add(asset)
        self.wake(asset)
        for reader in woken:
            self.wake(reader.name)

    def began(self, asset: str, key: str) -> None:
        """An attempt to make it has begun."""
        self.ledger.began(asset, key)

    def making(self, asset: str, key: str, by: int) -> None:
        """So many more (or fewer) runs are to make it."""
        self.ledger.making(asset, key, by)
        self.wake(asset)

    def checked(self, asset: str, check: str, key: str, *, passed: bool) -> None:
        """A check of it ended."""
        self.ledger.checked(asset, check, key, passed=passed)
        self._wake_with_readers(asset)

    def checking(self, asset: str, key: str, by: int) -> None:
        """So many more (or fewer) blocking checks of it are still to run."""
        self.ledger.checking(asset, key, by)
        self._wake_with_readers(asset)

    def _wake_with_readers(self, asset: str) -> None:
        self.wake(asset)
        holding = self.ledger.holdings.get(asset)
        for link in holding.readers if holding is not None else ():
            self.wake(link.reader.name)

    def is_late(self, asset: str, late: bool) -> None:
        """Its freshness is another one."""
        holding = self.ledger.holdings.get(asset)
        if holding is not None and holding.is_late != late:
            holding.is_late = late
            self.wake(asset)

    def partitions_changed(self, name: str, now: float) -> None:
        """Keys were added to a dynamic definition."""
        self._wake_grown(self.ledger.partitions_changed(name, now))

    def wake(self, asset: str) -> None:
        """Look again at those whose condition speaks of an asset."""
        for watch in self._lookers.get(asset, ()):
            self._dirty[watch.holding.name] = watch

    # --- deciding ---------------------------------------------------------------------------------------------------

    def due_at(self) -> float:
        """When there is something to look at."""
        if self._dirty:
            return 0.0
        return min([self.ledger.due_at(), *(t.next_at for t in self._looker.tickers.values())], default=_NEVER)

    def evaluate(self, now: float) -> list[Decision]:
        """Look at all that may be another way than it was; what is to be made now, upstream first."""
        self._wake_grown(self.ledger.grow(now))
        for ticker in self._looker.tickers.values():
            if ticker.next_at <= now:
                ticker.move(now)
                for watch in ticker.watches:
                    watch.forget(-1)
                    self._dirty[watch.holding.name] = watch
        dirty = sorted(self._dirty.values(), key=lambda w: w.holding.rank)
        self._dirty = {}
        found: list[Decision] = []
        for watch in dirty:
            wanted = self._wanted(watch, now)
            if wanted:
                holding = watch.holding
                holding.requested = wanted
                self._touched.add(holding.name)
                keys = tuple(holding.universe.named(wanted))
                found.append(Decision(holding.project, holding.name, keys))
        return found

    def settle(self) -> None:
        """The look is over: what had just happened has happened."""
        for name in self._touched:
            holding = self.ledger.holdings[name]
            holding.updated = holding.requested = 0
            # What speaks of "just now" is to be looked at once more, to see that it is over.
            for watch in self._lookers.get(name, ()):
                if watch.has_memory:
                    self._dirty[watch.holding.name] = watch
        self._touched.clear()

    def asked(self, asset: str, keys: Iterable[str], now: float) -> None:
        """These were asked for, or cannot be: not again for the same cause."""
        watch = self.watches[asset]
        for key in keys:
            watch.asked |= watch.holding.universe.bit(key) & ~OUTSIDE
            watch.asked_at[key] = now
        watch.is_changed = True

    def memory(self, asset: str) -> Memory:
        """What its condition remembers, to be kept."""
        watch = self.watches[asset]
        watch.is_changed = False
        return Memory(
            declared_at=watch.declared_at,
            asked=tuple(watch.asked_at.items()),
            held=tuple(watch.holding.universe.named(watch.asked)),
            latches=tuple((path, self._named(path, watch, mask)) for path, mask in watch.latches.items() if mask),
            code=watch.holding.spec.code_version,
        )

    def changed(self) -> list[str]:
        """Assets whose memory is another one than what was kept last."""
        return [name for name, watch in self.watches.items() if watch.is_changed]

    # --- explaining -------------------------------------------------------------------------------------------------

    def explain(self, asset: str, key: str, now: float) -> Tree:
        """Why a partition is (not) to be made now. Changes nothing. Raises `KeyError` for an asset without a condition."""
        watch = self.watches[asset]
        holding = watch.holding
        bit = holding.universe.bit(key)
        name = name_of(asset, key)
        if bit == OUTSIDE:
            return Tree(f"{name} is not made: there is no such partition (yet)", False)
        condition = Teller(self._looker, watch, now).tree(bit)
        hindrances = self._hindrances(watch, bit, key)
        wanted = condition.holds and not hindrances
        text = f"{name} is to be made now" if wanted else f"{name} is not asked for now"
        return Tree(text, wanted, (condition, *hindrances))

    def _hindrances(self, watch: Watch, bit: int, key: str) -> list[Tree]:
        holding = watch.holding
        found: list[Tree] = []
        if holding.in_progress & bit:
            found.append(Tree("a run is making it already", True))
        elif watch.asked & bit:
            at = instant(watch.asked_at.get(key, 0.0))
            found.append(Tree(f"it was asked for at {at}, and nothing it depends on has changed since", True))
        for link in holding.upstreams:
            above = link.upstream
            if link.any_of(above.blocked) & bit:
                failed = [c for c in sorted(above.blocking) if link.any_of(above.failed.get(c, 0)) & bit]
                said = f"blocking check {', '.join(failed)} of {above.name} failed"
                found.append(Tree(said if failed else f"blocking checks of {above.name} have not run yet", True))
        return found

    # --- evaluation -------------------------------------------------------------------------------------------------

    def _watch(self, holding: Holding, traits: Traits, memory: Memory | None, now: float) -> None:
        watch = self.watches[holding.name] = Watch(holding, traits, memory.declared_at if memory else now)
        if memory is not None:
            watch.is_changed = False
            watch.asked_at = dict(memory.asked)
            is_same_code = memory.code == holding.spec.code_version
            for key in memory.held if is_same_code else ():
                watch.asked |= holding.universe.bit(key) & ~OUTSIDE
            for path, keys in memory.latches:
                universe = self._universe_of(path, watch)
                for key in keys if universe is not None else ():
                    assert universe is not None
                    watch.latches[path] = watch.latches.get(path, 0) | universe.bit(key) & ~OUTSIDE
        for cron in watch.crons:
            self._looker.tickers.setdefault(cron, Ticker(cron, now)).watches.append(watch)
        self._dirty[holding.name] = watch
        for name in _reached(holding, traits.depth):
            self._lookers.setdefault(name, []).append(watch)

    def _wake_grown(self, grown: list[Holding]) -> None:
        for holding in grown:
            self.wake(holding.name)
            for link in holding.readers:
                self.wake(link.reader.name)

    def _wanted(self, watch: Watch, now: float) -> int:
        holding = watch.holding
        mask = self._looker.mask(watch.condition, holding, watch, "", now, None, holding.universe.full, remember=True)
        mask &= ~OUTSIDE
        watch.forget(~mask)
        mask &= ~(watch.asked | holding.in_progress)
        return mask & ~holding.held_up() if mask else 0

    # --- paths ------------------------------------------------------------------------------------------------------

    def _universe_of(self, path: str, watch: Watch) -> Universe | None:
        """The partitions that a place in a condition is about: those of the last upstream on the way to it."""
        ways = path.split("\n")
        if len(ways) == 1:
            return watch.holding.universe
        holding = self.ledger.holdings.get(ways[-2])
        return holding.universe if holding is not None else None

    def _named(self, path: str, watch: Watch, mask: int) -> tuple[str, ...]:
        universe = self._universe_of(path, watch)
        return () if universe is None else tuple(universe.named(mask))


def _reached(holding: Holding, depth: int) -> set[str]:
    """The asset and those so many upstreams away, at least its own: they hold it up by their checks."""
    found, edge = {holding.name}, [holding]
    for _ in range(max(1, depth)):
        edge = [link.upstream for one in edge for link in one.upstreams if link.upstream.name not in found]
        found.update(one.name for one in edge)
    return found
