"""A graph as text: an indented tree in which a step stands under the deepest of its needs.

Rule: every step stands once; needs that the indentation does not show are named beside it. Needs that follow from other
needs (a after b after c: c is not said of a) are left out.
"""

from __future__ import annotations

from partita.cli.styled import Line
from partita.core.graph import Graph, ListOf, Step

# Above this the bits would take more memory than the drawing is worth.
_REDUCED = 20_000


def tree_lines(graph: Graph) -> list[Line]:
    """The graph, a step a line."""
    needs = direct_needs(graph)
    depth: dict[str, int] = {"": 0}
    parents: dict[str, str] = {}
    under: dict[str, list[Step]] = {}
    for step in graph.steps:
        parent = max(needs[step.key], key=lambda key: depth.get(key, 0), default="")
        parents[step.key] = parent
        depth[step.key] = depth.get(parent, 0) + 1
        under.setdefault(parent, []).append(step)
    lines: list[Line] = []
    # A stack of our own: a chain may be longer than Python's.
    todo = _level(under.get("", []), [])
    while todo:
        step, ends = todo.pop()
        others = [key for key in needs[step.key] if key != parents[step.key]]
        lines.append([(_rails(ends), "dim"), *_described(graph, step, others)])
        todo += _level(under.get(step.key, []), ends)
    return lines


def direct_needs(graph: Graph) -> dict[str, list[str]]:
    """What each step needs, without what follows from its other needs."""
    steps = {step.key: step for step in graph.steps}
    needs = {step.key: needs_of(step, steps) for step in graph.steps}
    if len(steps) > _REDUCED:
        return needs
    # All that stands before a step, as one bit a step: each stands after its needs, so one pass is enough.
    bit = {key: 1 << at for at, key in enumerate(steps)}
    before: dict[str, int] = {}
    for key, keys in needs.items():
        implied = 0
        for need in keys:
            implied |= before.get(need, 0)
        needs[key] = [need for need in keys if not implied & bit[need]]
        before[key] = implied | sum(bit[need] for need in needs[key])
    return needs


def needs_of(step: Step, steps: dict[str, Step]) -> list[str]:
    """The steps that must end before it; a member that needs nothing stands behind its bundle."""
    needs = [key for key in step.needs if key in steps]
    if not needs and step.bundle is not None and step.bundle in steps:
        needs = [step.bundle]
    return needs


def times(graph: Graph, step: Step) -> str:
    """How often the step is there: "" once, `×50` known, `×?` known when it runs, `×1–9` a loop."""
    axes = {axis.name: axis for axis in graph.axes}
    text = ""
    for name in step.axes:
        axis = axes[name]
        if axis.loop is not None:
            text += f"×1–{axis.loop.limit}"
            continue
        known = next((len(s.items) for s in axis.sources if isinstance(s, ListOf)), None)
        text += f"×{known}" if known is not None else "×?"
    return text


def kind_of(step: Step) -> str:
    """What a step is, where that is worth a word."""
    if step.check is not None:
        return "blocking check" if step.check.blocking else "check"
    if step.asset is not None:
        return "asset"
    return "" if step.kind == "task" else step.kind


def _level(steps: list[Step], ends: list[bool]) -> list[tuple[Step, list[bool]]]:
    """Siblings with their rails, the first one last: it is to be popped first."""
    return [(step, [*ends, at == len(steps) - 1]) for at, step in enumerate(steps)][::-1]


def _rails(ends: list[bool]) -> str:
    """The lines of the tree before a step; steps that need nothing stand at the margin."""
    if len(ends) < 2:
        return ""
    return "".join("   " if end else "│  " for end in ends[1:-1]) + ("└─ " if ends[-1] else "├─ ")


def _described(graph: Graph, step: Step, others: list[str]) -> Line:
    remarks = [kind_of(step)]
    if others:
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        remarks.append(f"also after {', '.join(others[:3])}{more}")
    if step.when != "all_succeeded":
        remarks.append(f"when {step.when}" if isinstance(step.when, str) else "when a condition holds")
    if step.guards:
        remarks.append(f"if {', '.join(dict.fromkeys(guard.step for guard in step.guards))} chooses it")
    if step.owner:
        remarks.append(step.owner)
    told = ", ".join(r for r in remarks if r)
    repeated = times(graph, step)
    return [(step.key, ""), (f" {repeated}" if repeated else "", "accent"), (f"   {told}" if told else "", "dim")]
