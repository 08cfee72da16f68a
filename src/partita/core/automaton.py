"""Automation: which partitions of which assets are to be made now, and why.

Told what happens (`materialized`, `checked` ...), it looks again at those whose condition speaks of it, and at nobody else. A
partition is asked for once per cause: until its condition has been false, an upstream has new data, a tick has come or its code
has changed, a run that failed is not asked for again. One that a run is making, or whose upstream has a blocking check that
failed, is not asked for.

Rule: deciding and explaining read the same facts through the same function (`_mask`).
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from partita.core.automation import (
    WORDS,
    Both,
    Condition,
    Cron,
    Either,
    Latest,
    Named,
    Newly,
    Not,
    Since,
    State,
    Tree,
    Upstream,
    children_of,
    crons_of,
    depth_of,
)
from partita.core.freshness import instant
from partita.core.ledger import OUTSIDE, Holding, Ledger, Link, Universe, bits
from partita.core.staleness import Made, name_of
from partita.core.timetable import timetable

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


class Watch:
    """The condition of one asset, with what it remembers."""

    def __init__(self, holding: Holding, condition: Condition, declared_at: float) -> None:
        self.holding = holding
        self.condition = condition
        self.declared_at = declared_at
        self.crons = tuple(crons_of(condition))
        self.has_memory = _has_memory(condition)
        # What is not asked for again, and when what was not made since was asked for.
        self.asked = 0
        self.asked_at: dict[str, float] = {}
        # By path in the condition: what a `Since` holds, what a `Newly` saw last.
        self.latches: dict[str, int] = {}
        # The memory is another one than what was recorded last.
        self.is_changed = True

    def forget(self, mask: int) -> None:
        """What was asked for may be asked for again."""
        gone = self.asked & mask
        if gone:
            self.asked &= ~gone
            self.is_changed = True


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
        self._tickers: dict[Cron, _Ticker] = {}
        self._touched: set[str] = set()
        for name, condition in conditions.items():
            if name in ledger.holdings:
                self._watch(ledger.holdings[name], condition, (memory or {}).get(name), now)

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
        return min([self.ledger.due_at(), *(t.next_at for t in self._tickers.values())], default=_NEVER)

    def evaluate(self, now: float) -> list[Decision]:
        """Look at all that may be another way than it was; what is to be made now, upstream first."""
        self._wake_grown(self.ledger.grow(now))
        for ticker in self._tickers.values():
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
        condition = self._tree(watch.condition, holding, watch, "", bit, now, None)
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
                found.append(Tree(f"blocking check {', '.join(failed)} of {above.name} failed", True))
        return found

    # --- evaluation -------------------------------------------------------------------------------------------------

    def _watch(self, holding: Holding, condition: Condition, memory: Memory | None, now: float) -> None:
        watch = self.watches[holding.name] = Watch(holding, condition, memory.declared_at if memory else now)
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
            self._tickers.setdefault(cron, _Ticker(cron, now)).watches.append(watch)
        self._dirty[holding.name] = watch
        for name in _reached(holding, depth_of(condition)):
            self._lookers.setdefault(name, []).append(watch)

    def _wake_grown(self, grown: list[Holding]) -> None:
        for holding in grown:
            self.wake(holding.name)
            for link in holding.readers:
                self.wake(link.reader.name)

    def _wanted(self, watch: Watch, now: float) -> int:
        holding = watch.holding
        mask = self._mask(watch.condition, holding, watch, "", now, None, holding.universe.full, remember=True)
        mask &= ~OUTSIDE
        watch.forget(~mask)
        mask &= ~(watch.asked | holding.in_progress)
        return mask & ~holding.held_up() if mask else 0

    def _mask(
        self,
        condition: Condition,
        holding: Holding,
        watch: Watch,
        path: str,
        now: float,
        link: Link | None,
        among: int,
        *,
        remember: bool,
    ) -> int:
        """The partitions (of those `among`) for which a condition holds. `link`: over which the asset is looked at."""

        def mask_of(item: Condition, at: int, among: int) -> int:
            return self._mask(item, holding, watch, f"{path}.{at}", now, link, among, remember=remember)

        match condition:
            case State():
                return _state(condition, holding, watch, link) & among
            case Named(item=item):
                return mask_of(item, 0, among)
            case Both(items=items):
                for at, item in enumerate(items):
                    among &= mask_of(item, at, among)
                    if not among and not watch.has_memory:
                        break
                return among
            case Either(items=items):
                found = 0
                for at, item in enumerate(items):
                    found |= mask_of(item, at, among)
                return found
            case Not(item=item):
                return among & ~mask_of(item, 0, among)
            case Latest(count=count, within_s=within_s):
                return among & holding.universe.latest(count, within_s, now)
            case Upstream():
                return among & self._upstream(condition, holding, watch, path, now, remember=remember)
            case Cron():
                return self._cron(condition, holding, watch, among)
            case Newly(item=item):
                return among & self._newly(item, holding, watch, path, now, link, remember=remember)
            case Since():
                return among & self._since(condition, holding, watch, path, now, link, remember=remember)

    def _upstream(
        self, condition: Upstream, holding: Holding, watch: Watch, path: str, now: float, *, remember: bool
    ) -> int:
        full = holding.universe.full
        found = full if condition.quantity == "all" else 0
        for link in holding.upstreams:
            above = link.upstream
            if condition.assets and above.name not in condition.assets:
                continue
            inner = _inside(path, above)
            mask = self._mask(condition.item, above, watch, inner, now, link, above.universe.full, remember=remember)
            if condition.quantity == "any":
                found |= link.any_of(mask) if mask else 0
            else:
                found &= link.all_of(mask)
        return found

    def _cron(self, condition: Cron, holding: Holding, watch: Watch, among: int) -> int:
        tick = self._tickers[condition].last_at
        if tick <= watch.declared_at:
            return 0
        found = 0
        made_at, keys = holding.made_at, holding.universe.keys
        asked_at = watch.asked_at if holding is watch.holding else {}
        for at in bits(among & ~OUTSIDE):
            if made_at[at] < tick and asked_at.get(keys[at], 0.0) < tick:
                found |= 1 << at
        return found

    def _newly(
        self,
        item: Condition,
        holding: Holding,
        watch: Watch,
        path: str,
        now: float,
        link: Link | None,
        *,
        remember: bool,
    ) -> int:
        full = holding.universe.full
        mask = self._mask(item, holding, watch, f"{path}.0", now, link, full, remember=remember)
        before = watch.latches.get(path, 0)
        if remember and mask != before:
            watch.latches[path] = mask
            watch.is_changed = True
        return mask & ~before

    def _since(
        self,
        condition: Since,
        holding: Holding,
        watch: Watch,
        path: str,
        now: float,
        link: Link | None,
        *,
        remember: bool,
    ) -> int:
        full, before = holding.universe.full, watch.latches.get(path, 0)
        begun = self._mask(condition.item, holding, watch, f"{path}.0", now, link, full, remember=remember)
        reset = self._mask(condition.reset, holding, watch, f"{path}.1", now, link, full, remember=remember)
        mask = before & ~reset | begun
        if remember and mask != before:
            watch.latches[path] = mask
            watch.is_changed = True
        return mask

    # --- trees ------------------------------------------------------------------------------------------------------

    def _tree(
        self, condition: Condition, holding: Holding, watch: Watch, path: str, bit: int, now: float, link: Link | None
    ) -> Tree:
        holds = bool(
            self._mask(condition, holding, watch, path, now, link, holding.universe.full, remember=False) & bit
        )
        match condition:
            case State(of=of, check=check):
                text = WORDS[of][0 if holds else 1].replace("a check", f"check {check}" if check else "a check")
                return Tree(text, holds, tuple(self._evidence(condition, holding, bit)) if holds else ())
            case Latest(count=count, within_s=within_s):
                what = "the last partition" if count == 1 else f"the last {count} partitions"
                if within_s is not None:
                    what = f"the partitions of the last {within_s / 86400:g} d"
                return Tree(f"it is {'' if holds else 'not '}among {what}", holds)
            case Cron(rule=rule, tz=tz):
                ticker = self._tickers[condition]
                last = instant(ticker.last_at) if ticker.last_at > watch.declared_at else "never yet"
                said = f"{rule} in {tz} has ticked since it was last made (last tick: {last})"
                return Tree(said if holds else said.replace("has ticked", "has not ticked"), holds)
            case Upstream():
                return self._upstream_tree(condition, holding, watch, path, bit, now, holds)
        texts = {
            Not: "not",
            Both: "all of",
            Either: "any of",
            Newly: "newly",
            Since: "once the first, since the second was so last",
        }
        text = condition.name if isinstance(condition, Named) else texts[type(condition)]
        children = tuple(
            self._tree(child, holding, watch, f"{path}.{at}", bit, now, link)
            for at, child in enumerate(children_of(condition))
        )
        return Tree(text, holds, children)

    def _upstream_tree(
        self, condition: Upstream, holding: Holding, watch: Watch, path: str, bit: int, now: float, holds: bool
    ) -> Tree:
        at = bit.bit_length() - 1
        children: list[Tree] = []
        for link in holding.upstreams:
            above = link.upstream
            if condition.assets and above.name not in condition.assets:
                continue
            for up in bits(link.above(at)):
                inner = _inside(path, above)
                if len(children) < _SHOWN:
                    tree = self._tree(condition.item, above, watch, inner, 1 << up, now, link)
                    key = above.universe.keys[up] if up else "a partition that does not exist"
                    children.append(Tree(name_of(above.name, key), tree.holds, (tree,)))
        quantity = "of any upstream" if condition.quantity == "any" else "of all upstreams"
        # What decides comes first.
        children.sort(key=lambda tree: tree.holds != (condition.quantity == "any"))
        return Tree(quantity, holds, tuple(children))

    def _evidence(self, condition: State, holding: Holding, bit: int) -> list[Tree]:
        at = bit.bit_length() - 1
        if condition.of != "upstream_newer" or not at:
            return []
        made = holding.made_no[at]
        return [
            Tree(
                f"{name_of(link.upstream.name, link.upstream.universe.keys[up])} has data that it was not made from",
                True,
            )
            for link in holding.upstreams
            for up in bits(link.above(at) & ~OUTSIDE)
            if link.upstream.changed_no[up] > made
        ][:_SHOWN]

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


class _Ticker:
    """The ticks of one cron rule, for all conditions that have it."""

    def __init__(self, cron: Cron, now: float) -> None:
        self._table = timetable(f"cron {cron.rule}", cron.tz)
        self.watches: list[Watch] = []
        self.last_at = -_NEVER
        self.next_at = _NEVER
        self.move(now)

    def move(self, now: float) -> None:
        """The clock says `now`."""
        self.last_at = next(self._table.ticks_before(int(now) + 1), -_NEVER)
        self.next_at = next(self._table.ticks(int(now)), _NEVER)


def _inside(path: str, upstream: Holding) -> str:
    """The place in a condition that is about an upstream."""
    return f"{path}\n{upstream.name}\n"


def _state(condition: State, holding: Holding, watch: Watch, link: Link | None) -> int:
    """The partitions of which a fact is true."""
    full = holding.universe.full
    match condition.of:
        case "missing":
            return full & ~holding.is_present
        case "code_changed":
            return holding.outdated
        case "in_progress":
            return holding.in_progress
        case "upstream_newer":
            return holding.newer & holding.made
        case "updated":
            return holding.updated
        case "requested":
            # Only what is made in the same run, just before.
            is_joined = link is None or (link.mapping.is_same and holding.project == watch.holding.project)
            return holding.requested if is_joined else 0
        case "late":
            return holding.universe.latest(1, None, 0.0) if holding.is_late else 0
        case "check_failed":
            return _checks(holding.failed, condition.check)
        case "check_passed":
            passed = _checks(holding.passed, condition.check)
            return passed if condition.check else passed & ~_checks(holding.failed, "")


def _checks(by_check: dict[str, int], check: str) -> int:
    if check:
        return by_check.get(check, 0)
    found = 0
    for mask in by_check.values():
        found |= mask
    return found


def _has_memory(condition: Condition) -> bool:
    return isinstance(condition, Newly | Since) or any(_has_memory(child) for child in children_of(condition))


def _reached(holding: Holding, depth: int) -> set[str]:
    """The asset and those so many upstreams away, at least its own: they hold it up by their checks."""
    found, edge = {holding.name}, [holding]
    for _ in range(max(1, depth)):
        edge = [link.upstream for one in edge for link in one.upstreams if link.upstream.name not in found]
        found.update(one.name for one in edge)
    return found
