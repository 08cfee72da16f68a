"""How the needs of a step instance stand, and in words what they led to.

Rule: asking never does.
"""

from __future__ import annotations

from collections.abc import Mapping

from partita.core.plan import Edge, Instance, Node, Positions
from partita.core.rules import Tally
from partita.core.states import TERMINAL_STEP

_MAX_BECAUSE = 3


def is_met(edge: Edge, path: Positions) -> bool:
    """Has the need ended, and have those that wait for it been told?"""
    if edge.many:
        group = edge.need.groups[edge.depth].get(path[: edge.depth])
        return group is not None and group.settled
    need = edge.need.instances.get(path[: edge.depth])
    if need is not None:
        return need.settled
    # The need's map could not be unfolded that far. Its placeholder stands for it, and tells nobody of its end.
    placeholder = _placeholder(edge.need, path[: edge.depth])
    return placeholder is not None and placeholder.state in TERMINAL_STEP


def tally(edge: Edge, path: Positions) -> Tally:
    """How the need of the instance at `path` has ended so far."""
    if edge.many:
        return edge.need.groups[edge.depth].get(path[: edge.depth]) or Tally(open=1)
    need = edge.need.instances.get(path[: edge.depth]) or _placeholder(edge.need, path[: edge.depth])
    return one(need.state) if need is not None and need.state in TERMINAL_STEP else Tally(open=1)


def tallies(instance: Instance) -> dict[str, Tally]:
    """How each need of an instance has ended so far."""
    return {edge.need.key: tally(edge, instance.path) for edge in instance.node.needs}


def one(state: str) -> Tally:
    """The tally of a single end."""
    found = Tally()
    found.count(state)
    return found


def own_needs(bundle: Node) -> set[str]:
    """The needs of a bundle itself, without those of its members."""
    inside = {m.key for m in bundle.members}
    outside = {k for m in bundle.members for k in m.step.needs if k not in inside}
    return {e.need.key for e in bundle.needs} - (outside - set(bundle.step.needs))


def culprits(found: Mapping[str, Tally]) -> tuple[str, ...]:
    """The needs that decided it: those that failed, else those that were blocked, else those that were skipped."""
    failed = [k for k, t in found.items() if t.failed] or [k for k, t in found.items() if t.upstream_failed]
    return tuple((failed or [k for k, t in found.items() if t.skipped])[:_MAX_BECAUSE])


def why_not(instance: Instance, verdict: str, found: Mapping[str, Tally]) -> str:
    """In words, why a rule does not let a step run."""
    rule = instance.node.step.when
    told = rule if isinstance(rule, str) else "its condition"
    if verdict == "upstream_failed":
        return f"{', '.join(culprits(found)) or 'a need'} did not succeed (when={told})"
    skipped = [k for k, t in found.items() if t.skipped][:_MAX_BECAUSE]
    if told == "all_succeeded" and skipped:
        return f"{', '.join(skipped)} {'was' if len(skipped) == 1 else 'were'} skipped"
    return f"its rule does not hold (when={told})"


def _placeholder(node: Node, prefix: Positions) -> Instance | None:
    for depth in range(len(prefix) - 1, -1, -1):
        found = node.instances.get(prefix[:depth])
        if found is not None:
            return found
    return None
