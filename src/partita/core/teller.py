"""The explanation of a condition for one partition: the same conditions as a tree of sentences.

Rule: whether something holds is asked of `core.looker`, never decided here.
"""

from __future__ import annotations

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
)
from partita.core.freshness import duration, instant
from partita.core.ledger import OUTSIDE, Holding, Link, bits
from partita.core.looker import Looker, Watch, inside
from partita.core.staleness import name_of

_SHOWN = 8


class Teller:
    """Tells of one condition, looked at now."""

    def __init__(self, looker: Looker, watch: Watch, now: float) -> None:
        self._looker = looker
        self._watch = watch
        self._now = now

    def tree(self, bit: int) -> Tree:
        """Why the condition holds for a partition, or does not."""
        return self._tree(self._watch.condition, self._watch.holding, "", bit, None)

    def _tree(self, condition: Condition, holding: Holding, path: str, bit: int, link: Link | None) -> Tree:
        holds = bool(
            self._looker.mask(
                condition, holding, self._watch, path, self._now, link, holding.universe.full, remember=False
            )
            & bit
        )
        match condition:
            case State(of=of, check=check):
                text = WORDS[of][0 if holds else 1].replace("a check", f"check {check}" if check else "a check")
                return Tree(text, holds, tuple(self._evidence(condition, holding, bit)) if holds else ())
            case Latest(count=count, within_s=within_s):
                what = "the last partition that has ended" if count == 1 else f"among the last {count} partitions"
                if within_s is not None:
                    what = f"among the partitions of the last {duration(within_s)}"
                if not holding.universe.is_timed:
                    what = "of no time, so it is always in the latest window"
                return Tree(f"it is {'' if holds else 'not '}{what}", holds)
            case Cron(rule=rule, tz=tz):
                ticker = self._looker.tickers[condition]
                last = instant(ticker.last_at) if ticker.last_at > self._watch.declared_at else "never yet"
                said = f"{rule} in {tz} has ticked since it was last made (last tick: {last})"
                return Tree(said if holds else said.replace("has ticked", "has not ticked"), holds)
            case Upstream():
                return self._upstream_tree(condition, holding, path, bit, holds)
        texts = {
            Not: "not",
            Both: "all of",
            Either: "any of",
            Newly: "newly",
            Since: "once the first, since the second was so last",
        }
        text = condition.name if isinstance(condition, Named) else texts[type(condition)]
        if isinstance(condition, Named) and isinstance(condition.item, Both):
            # Its name says enough; "all of" under it would be one level more of nothing.
            condition, path = condition.item, f"{path}.0"
        children = tuple(
            self._tree(child, holding, f"{path}.{at}", bit, link) for at, child in enumerate(children_of(condition))
        )
        return Tree(text, holds, children)

    def _upstream_tree(self, condition: Upstream, holding: Holding, path: str, bit: int, holds: bool) -> Tree:
        at = bit.bit_length() - 1
        children: list[Tree] = []
        for link in holding.upstreams:
            above = link.upstream
            if condition.assets and above.name not in condition.assets:
                continue
            for up in bits(link.above(at)):
                inner = inside(path, above)
                if len(children) < _SHOWN:
                    tree = self._tree(condition.item, above, inner, 1 << up, link)
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
