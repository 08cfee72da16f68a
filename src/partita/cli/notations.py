"""A graph in the notations of other tools: DOT (Graphviz) and Mermaid.

Rule: names are the user's; each notation escapes them here, once.
"""

from __future__ import annotations

from partita.cli.styled import clean
from partita.cli.tree import kind_of, needs_of, times
from partita.core.graph import Graph, Step

_DOT_SHAPES = {"asset": "cylinder", "check": "octagon", "blocking check": "octagon", "bundle": "folder"}
_MERMAID_SHAPES = {
    "asset": ("[(", ")]"),
    "check": ("{{", "}}"),
    "blocking check": ("{{", "}}"),
    "bundle": ("[[", "]]"),
}


def dot(graph: Graph) -> str:
    """The graph for Graphviz: `partita graph daily --format dot | dot -Tpng > daily.png`."""
    steps = {step.key: step for step in graph.steps}
    lines = [f"digraph {_dot_text(graph.name)} {{", "  rankdir=LR;", '  node [shape=box, fontname="sans-serif"];']
    for step in graph.steps:
        shape = _DOT_SHAPES.get(kind_of(step))
        more = f", shape={shape}" if shape else ""
        lines.append(f"  {_dot_text(step.key)} [label={_dot_text(_label(graph, step))}{more}];")
    for step in graph.steps:
        lines += [f"  {_dot_text(need)} -> {_dot_text(step.key)};" for need in needs_of(step, steps)]
    return "\n".join([*lines, "}"]) + "\n"


def mermaid(graph: Graph) -> str:
    """The graph for Mermaid, as in Markdown of GitHub and many wikis."""
    steps = {step.key: step for step in graph.steps}
    # Keys may be words of the notation ("end"): nodes are numbered, and named by their label.
    ids = {step.key: f"s{at}" for at, step in enumerate(graph.steps)}
    lines = ["flowchart LR"]
    for step in graph.steps:
        left, right = _MERMAID_SHAPES.get(kind_of(step), ("[", "]"))
        lines.append(f'  {ids[step.key]}{left}"{_mermaid_text(_label(graph, step))}"{right}')
    for step in graph.steps:
        lines += [f"  {ids[need]} --> {ids[step.key]}" for need in needs_of(step, steps)]
    return "\n".join(lines) + "\n"


def _label(graph: Graph, step: Step) -> str:
    repeated = times(graph, step)
    return f"{step.key} {repeated}" if repeated else step.key


def _dot_text(text: str) -> str:
    escaped = clean(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _mermaid_text(text: str) -> str:
    kept = []
    for char in clean(text):
        kept.append(char if char.isalnum() or char in " _-.×?–/" else f"#{ord(char)};")
    return "".join(kept)
