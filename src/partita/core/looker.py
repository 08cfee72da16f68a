"""What a condition of automation means: the set of an asset's partitions for which it holds.

Rule: one function (`Looker.mask`) for deciding and explaining. Only a look that is to be remembered changes what latches hold.
"""

from __future__ import annotations

from partita.core.automation import (
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
    Upstream,
    children_of,
    crons_of,
    depth_of,
)
from partita.core.ledger import OUTSIDE, Holding, Link, bits
from partita.core.timetable import timetable

_NEVER = float("inf")


class Traits:
    """What is known of a condition by itself, found out once for all assets that have it."""

    def __init__(self, condition: Condition) -> None:
        self.condition = condition
        self.crons = tuple(crons_of(condition))
        self.has_memory = _has_memory(condition)
        self.depth = depth_of(condition)


class Watch:
    """The condition of one asset, with what it remembers."""

    def __init__(self, holding: Holding, traits: Traits, declared_at: float) -> None:
        self.holding = holding
        self.condition = traits.condition
        self.declared_at = declared_at
        self.crons = traits.crons
        self.has_memory = traits.has_memory
        # What is not asked for again, and when what was not made since was asked for.
        self.asked = 0
        self.asked_at: dict[str, float] = {}
        # By path in the condition: what a `Since` holds, what a `Newly` saw last.
        self.latches: dict[str, int] = {}
        # The memory is another one than what was recorded last; that it is declared counts only where time does.
        self.is_changed = bool(traits.crons) or traits.has_memory

    def forget(self, mask: int) -> None:
        """What was asked for may be asked for again."""
        gone = self.asked & mask
        if gone:
            self.asked &= ~gone
            self.is_changed = True


class Ticker:
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


class Looker:
    """Evaluates conditions; knows the last tick of each cron rule in them."""

    def __init__(self) -> None:
        self.tickers: dict[Cron, Ticker] = {}

    def mask(
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
            return self.mask(item, holding, watch, f"{path}.{at}", now, link, among, remember=remember)

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
            inner = inside(path, above)
            mask = self.mask(condition.item, above, watch, inner, now, link, above.universe.full, remember=remember)
            if condition.quantity == "any":
                found |= link.any_of(mask) if mask else 0
            else:
                found &= link.all_of(mask)
        return found

    def _cron(self, condition: Cron, holding: Holding, watch: Watch, among: int) -> int:
        tick = self.tickers[condition].last_at
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
        mask = self.mask(item, holding, watch, f"{path}.0", now, link, full, remember=remember)
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
        begun = self.mask(condition.item, holding, watch, f"{path}.0", now, link, full, remember=remember)
        reset = self.mask(condition.reset, holding, watch, f"{path}.1", now, link, full, remember=remember)
        mask = before & ~reset | begun
        if remember and mask != before:
            watch.latches[path] = mask
            watch.is_changed = True
        return mask


def inside(path: str, upstream: Holding) -> str:
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
