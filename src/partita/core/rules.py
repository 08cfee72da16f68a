"""May a step run, now that its needs have ended, or what becomes of it instead?

Rule: asking never does. The machine asks with tallies of the ends of a step's needs; this file answers. A need that is
a mapped step counts once per instance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal

from partita.core.graph import AllOf, AnyOf, Condition, Is, JoinRule, Not, When

Verdict = Literal["run", "skipped", "upstream_failed"]


class Tally:
    """How the instances of one need have ended so far; `open` counts those that have not.

    Cancelled and needs_attention count as failed: their value will never come.
    """

    __slots__ = ("failed", "open", "skipped", "succeeded", "upstream_failed")

    def __init__(self, open: int = 0) -> None:
        self.open = open
        self.succeeded = 0
        self.failed = 0
        self.upstream_failed = 0
        self.skipped = 0

    def count(self, state: str, by: int = 1) -> None:
        """Add ended instances."""
        if state == "succeeded":
            self.succeeded += by
        elif state == "skipped":
            self.skipped += by
        elif state == "upstream_failed":
            self.upstream_failed += by
        else:
            self.failed += by

    def has(self, state: str) -> bool:
        """Has one of them ended so?"""
        if state == "succeeded":
            return self.succeeded > 0
        if state == "skipped":
            return self.skipped > 0
        return (self.upstream_failed if state == "upstream_failed" else self.failed) > 0

    def add(self, other: Tally) -> None:
        """Add another tally to this one."""
        self.open += other.open
        self.succeeded += other.succeeded
        self.failed += other.failed
        self.upstream_failed += other.upstream_failed
        self.skipped += other.skipped

    @property
    def bad(self) -> int:
        return self.failed + self.upstream_failed

    @property
    def done(self) -> int:
        return self.succeeded + self.failed + self.upstream_failed + self.skipped


EAGER: Final[dict[str, frozenset[str]]] = {
    "any_succeeded": frozenset({"succeeded"}),
    "any_failed": frozenset({"failed", "upstream_failed", "cancelled", "needs_attention"}),
    "any_done": frozenset({"succeeded", "failed", "upstream_failed", "skipped", "cancelled", "needs_attention"}),
}
"""Rules that can say "run" before all needs have ended, and the ends of one need that make them."""


def decide(when: When, tallies: Mapping[str, Tally], setups: Sequence[str] = ()) -> Verdict:
    """What becomes of a step whose needs have all ended. `setups` are the needs that are its setup steps.

    The rules are those of Airflow's trigger rules, with its outcomes when they do not hold:
    upstream_failed when a failure is what prevents it, skipped otherwise.
    """
    total = Tally()
    for tally in tallies.values():
        total.add(tally)
    if isinstance(when, str):
        return _JOINS[when](total, tallies, setups)
    if holds(when, tallies):
        return "run"
    return "upstream_failed" if total.bad and not _mentions_failure(when) else "skipped"


def holds(condition: Condition, tallies: Mapping[str, Tally]) -> bool:
    """Is the boolean form true? A mapped need has "succeeded" when no instance failed and not all were skipped."""
    match condition:
        case Is(step=step, state=state):
            return _is(tallies.get(step, Tally()), state)
        case Not(item=item):
            return not holds(item, tallies)
        case AllOf(items=items):
            return all(holds(item, tallies) for item in items)
        case AnyOf(items=items):
            return any(holds(item, tallies) for item in items)


def _is(tally: Tally, state: str) -> bool:
    if state == "failed":
        return tally.bad > 0
    if state == "skipped":
        return tally.skipped > 0 and tally.skipped == tally.done
    if state == "succeeded":
        return tally.bad == 0 and (tally.done == 0 or tally.skipped < tally.done)
    return tally.open == 0


def _mentions_failure(condition: Condition) -> bool:
    match condition:
        case Is(state=state):
            return state in ("failed", "done")
        case Not(item=item):
            return _mentions_failure(item)
        case AllOf(items=items) | AnyOf(items=items):
            return any(_mentions_failure(item) for item in items)


_Rule = Callable[[Tally, Mapping[str, Tally], Sequence[str]], Verdict]


def _blocked(total: Tally) -> Verdict:
    return "upstream_failed" if total.bad else "skipped"


def _all_succeeded(total: Tally, *_: object) -> Verdict:
    return "run" if not total.bad and not total.skipped else _blocked(total)


def _all_failed(total: Tally, *_: object) -> Verdict:
    return "run" if not total.succeeded and not total.skipped else "skipped"


def _always(total: Tally, *_: object) -> Verdict:
    return "run"


def _all_done_any_succeeded(total: Tally, *_: object) -> Verdict:
    return "run" if total.succeeded or not total.done else _blocked(total)


def _all_done_setup_succeeded(total: Tally, tallies: Mapping[str, Tally], setups: Sequence[str]) -> Verdict:
    mine = [tallies[s] for s in setups if s in tallies]
    if not mine:
        return "run"
    if any(t.succeeded for t in mine):
        return "run"
    return "upstream_failed" if any(t.bad for t in mine) else "skipped"


def _any_succeeded(total: Tally, *_: object) -> Verdict:
    return "run" if total.succeeded or not total.done else _blocked(total)


def _any_failed(total: Tally, *_: object) -> Verdict:
    return "run" if total.bad else "skipped"


def _none_failed(total: Tally, *_: object) -> Verdict:
    return "upstream_failed" if total.bad else "run"


def _none_skipped(total: Tally, *_: object) -> Verdict:
    return "skipped" if total.skipped else "run"


def _none_failed_any_succeeded(total: Tally, *_: object) -> Verdict:
    if total.bad:
        return "upstream_failed"
    return "run" if total.succeeded or not total.done else "skipped"


def _all_skipped(total: Tally, *_: object) -> Verdict:
    return "run" if total.done == total.skipped else "skipped"


_JOINS: Final[dict[JoinRule, _Rule]] = {
    "all_succeeded": _all_succeeded,
    "all_failed": _all_failed,
    "all_done": _always,
    "all_done_any_succeeded": _all_done_any_succeeded,
    "all_done_setup_succeeded": _all_done_setup_succeeded,
    "any_succeeded": _any_succeeded,
    "any_failed": _any_failed,
    "any_done": _always,
    "none_failed": _none_failed,
    "none_skipped": _none_skipped,
    "none_failed_any_succeeded": _none_failed_any_succeeded,
    "all_skipped": _all_skipped,
    "always": _always,
}
