"""How a report is put into words: the same on a terminal and on its page.

Rule: text only; where it stands and how it looks is said elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from partita.cli.labels import Labels
from partita.cli.words import many, number

if TYPE_CHECKING:
    from partita.engine.report import Broken, Report
    from partita.engine.timeline import Leg


def made_texts(found: Report) -> list[str]:
    """`49 of 50 sources`, `4 seeds`, one for each sort."""
    texts = []
    for made in found.made:
        done = made.made + made.cached
        of = "" if done == made.planned else f" of {number(made.planned)}"
        texts.append(f"{number(done)}{of} {_plural(made.noun, made.planned)}")
    checks = found.checks
    if checks.planned:
        of = "" if checks.passed == checks.planned else f" of {number(checks.planned)}"
        texts.append(f"{number(checks.passed)}{of} {_plural('check', checks.planned)} passed")
    return texts or [f"{number(found.counts.get('succeeded', 0))} of {many(found.steps, 'step')}"]


def well_text(found: Report) -> str:
    """The one line of a good night."""
    cached = f", {number(found.cached)} of {many(found.steps, 'step')} unchanged" if found.cached else ""
    return ", ".join(made_texts(found)) + cached


def causes_text(found: Report) -> str:
    """`3 causes, 43 steps behind them`."""
    behind = len({name for cause in found.causes for count in cause.blocks for name in count.names})
    them = "it" if len(found.causes) == 1 else "them"
    return many(len(found.causes), "cause") + (f", {many(behind, 'step')} behind {them}" if behind else "")


def blocks_text(cause: Broken) -> str:
    """`blocks 11 models, 1 check and 1 dashboard`."""
    told = [many(count.count, count.noun) for count in cause.blocks]
    return "blocks " + (" and ".join([", ".join(told[:-1]), told[-1]]) if len(told) > 1 else told[0]) if told else ""


def history_text(cause: Broken) -> str:
    """How often it failed before: `first time in 15 runs`; nothing without a history."""
    known = [state for state in cause.history if state]
    if not known:
        return ""
    before = sum(state in ("failed", "needs_attention") for state in known)
    if not before:
        return f"first time in {len(known) + 1} runs"
    return f"failed in {before + 1} of the last {len(known) + 1} runs"


def cause_facts(cause: Broken) -> list[str]:
    """What stands beside the name of a cause."""
    facts = [cause.noun]
    if cause.owner:
        facts.append(f"owner {cause.owner}")
    if cause.attempts > 1:
        facts.append(many(cause.attempts, "attempt"))
    return facts


def leg_name(leg: Leg) -> str:
    """A part of the longest way, as it is called."""
    if leg.through:
        return f"{leg.step} ({many(len(leg.through), 'member')} in a row)"
    return f"{leg.step}[{leg.index}]" if leg.index else leg.step


def cause_name(cause: Broken, labels: Labels) -> str:
    """The step, its instance, and how many more of it."""
    more = f" and {number(len(cause.indexes) - 1)} more" if len(cause.indexes) > 1 else ""
    return labels.name(cause.step, cause.index) + more


def _plural(noun: str, count: int) -> str:
    return noun if count == 1 else f"{noun}s"


def longest(legs: Sequence[Leg], count: int) -> list[Leg]:
    """The longest of them in their order, without those that take no time to speak of."""
    best = sorted(legs, key=lambda leg: -leg.took_s - leg.waited_s)[:count]
    return [leg for leg in legs if leg in best and leg.took_s + leg.waited_s >= 0.05]
