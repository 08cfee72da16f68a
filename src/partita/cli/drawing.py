"""A graph as an SVG picture: small, clean, with no program but this one. Light and dark follow the reader's system.

Rule: nothing of the user's text is markup; it is escaped where it is written.
"""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from partita.cli.layout import Layout, Place, arranged
from partita.cli.styled import cells, clean, short
from partita.cli.tree import direct_needs, kind_of, times
from partita.core.graph import Graph, Step

_HEIGHT, _GAP_Y, _GAP_X, _MARGIN = 30, 12, 56, 20
_CHAR, _PADDING, _LONGEST = 7.2, 24, 40

_STYLE = """
  svg { color-scheme: light dark; background: #fff; font: 12px Inter, system-ui, sans-serif }
  .step rect { fill: #f6f7f9; stroke: #c3c8d0 }
  .asset rect { fill: #eef2ff; stroke: #a5b4fc }
  .check rect { fill: #f0fdf4; stroke: #86d3a2; stroke-dasharray: 4 2 }
  .bundle rect { fill: #fff7ed; stroke: #e8b87c }
  text { fill: #1f2430 } .times { fill: #4f46e5 } path { fill: none; stroke: #aab1bd; stroke-width: 1.2 }
  marker path { fill: #aab1bd; stroke: none }
  @media (prefers-color-scheme: dark) {
    svg { background: #14161a } text { fill: #e6e8ec } .times { fill: #a5b4fc } path { stroke: #596070 }
    marker path { fill: #596070 } .step rect { fill: #1d2026; stroke: #3a404b }
    .asset rect { fill: #1e2138; stroke: #4f55a0 } .check rect { fill: #16251c; stroke: #3d7a55 }
    .bundle rect { fill: #2a2118; stroke: #85622f }
  }
"""

_ARROW = (
    '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
    'orient="auto"><path d="M0 0 8 4 0 8z"/></marker></defs>'
)


def svg(graph: Graph) -> str:
    """The picture as text."""
    layout = arranged(direct_needs(graph))
    widths = _widths(graph, layout)
    lefts = [_MARGIN + sum(widths[:at]) + _GAP_X * at for at in range(layout.layers)]
    width = (lefts[-1] + widths[-1] if lefts else 0) + _MARGIN
    height = layout.rows * (_HEIGHT + _GAP_Y) - _GAP_Y + 2 * _MARGIN
    edges = [_edge(way, lefts, widths) for way in layout.ways.values()]
    boxes = [_box(graph, step, layout.places[step.key], lefts, widths) for step in graph.steps]
    return "\n".join(
        [
            _opening(width, height),
            f"<title>{_text(graph.name)}</title>",
            f"<style>{_STYLE}</style>",
            _ARROW,
            *edges,
            *boxes,
            "</svg>",
            "",
        ]
    )


def _opening(width: float, height: float) -> str:
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'


def _widths(graph: Graph, layout: Layout) -> list[float]:
    """The width of each layer: that of its longest name."""
    widths = [_PADDING * 2.0] * layout.layers
    for step in graph.steps:
        at = layout.places[step.key].layer
        text = f"{short(step.key, _LONGEST)} {times(graph, step)}".rstrip()
        widths[at] = max(widths[at], cells(text) * _CHAR + _PADDING)
    return widths


def _edge(way: tuple[Place, ...], lefts: list[float], widths: list[float]) -> str:
    start = way[0]
    x, y = lefts[start.layer] + widths[start.layer], _middle(start)
    path = [f"M{x:.1f} {y:.1f}"]
    for place in way[1:]:
        to_x, to_y = lefts[place.layer], _middle(place)
        bend = (to_x - x) / 2
        path.append(f"C{x + bend:.1f} {y:.1f} {to_x - bend:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}")
        x, y = to_x, to_y
        if place is not way[-1]:
            x += widths[place.layer]
            path.append(f"H{x:.1f}")
    return f'<path d="{" ".join(path)}" marker-end="url(#arrow)"/>'


def _box(graph: Graph, step: Step, place: Place, lefts: list[float], widths: list[float]) -> str:
    kind = kind_of(step).removeprefix("blocking ") or "step"
    left, top = lefts[place.layer], _middle(place) - _HEIGHT / 2
    repeated = times(graph, step)
    more = f' <tspan class="times">{_text(repeated)}</tspan>' if repeated else ""
    about = _text(" · ".join(part for part in (step.key, kind_of(step), step.owner, step.written_at) if part))
    return (
        f"<g class={quoteattr(kind if kind in ('asset', 'check', 'bundle') else 'step')}><title>{about}</title>"
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{widths[place.layer]:.1f}" height="{_HEIGHT}" rx="6"/>'
        f'<text x="{left + _PADDING / 2:.1f}" y="{top + _HEIGHT / 2 + 4:.1f}">{_text(short(step.key, _LONGEST))}{more}'
        "</text></g>"
    )


def _middle(place: Place) -> float:
    return _MARGIN + place.row * (_HEIGHT + _GAP_Y) + _HEIGHT / 2


def _text(text: str) -> str:
    return escape(clean(text))
