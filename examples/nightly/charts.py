"""Plots as inline SVG whose colours and fonts are the page's, so that they are light by day and dark by night.

Rule: a plot is drawn with stand-in colours, and each is replaced by the page's own variable of that meaning.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import matplotlib

matplotlib.use("svg")
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Colours that nobody would choose, one for each of the page's variables.
INK, MUTED, LINE, PANEL = "#010101", "#010102", "#010103", "#010104"
ACCENT, SECOND, THIRD, QUIET = "#010201", "#010202", "#010203", "#010204"
BAD, GOOD, WARN = "#010301", "#010302", "#010303"
SCALE = ("#010401", "#010402", "#010403", "#010404", "#010405")  # from good to bad

_VARIABLES = {
    INK: "--ink", MUTED: "--muted", LINE: "--line", PANEL: "--panel",
    ACCENT: "--accent", SECOND: "--second", THIRD: "--third", QUIET: "--quiet",
    BAD: "--bad", GOOD: "--good", WARN: "--warn",
    **{colour: f"--scale-{number}" for number, colour in enumerate(SCALE, 1)},
}  # fmt: skip
_STYLE = {
    "svg.fonttype": "none",
    "font.size": 11,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 11,
    "axes.linewidth": 1,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.titlesize": 11,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titleweight": "semibold",
    "grid.color": LINE,
    "grid.linewidth": 0.75,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.major.pad": 6,
    "ytick.major.pad": 6,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 11,
    "lines.linewidth": 1.75,
    "lines.solid_capstyle": "round",
    "patch.linewidth": 0,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}


def chart(name: str, width: int, height: int, draw: Callable[[Figure], None]) -> str:
    """The SVG of what `draw` puts on a figure of so many pixels; the same data gives the same text."""
    # The salt keeps the ids of one plot apart from those of the others on its page, and steady over runs.
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(width / 72, height / 72), layout="constrained")
        draw(figure)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _inline(text.getvalue(), width, height)


def plain_axes(axes: Axes, *, x: str = "", y: str = "") -> None:
    """Axes without a frame; `y` is written above, where it can be read without turning the head."""
    axes.set_xlabel(x)
    if y:
        axes.set_title(y, fontsize=11, fontweight="normal", color=MUTED, pad=8)
    axes.margins(x=0.01)


def _inline(svg: str, width: int, height: int) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<svg [^>]*>", f'<svg viewBox="0 0 {width} {height}" role="img" style="--w:{width}px">', svg, count=1)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # A style in a plot would be a style of the page; ids of groups are not referred to, and repeat.
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family: [^;\"]*;?", "", svg)
    svg = re.sub(r"font: ([^\"';]*?)(\d+(?:\.\d+)?)px [^;\"]*", r"font-size: \2px; font-weight: \1", svg)
    svg = svg.replace("font-weight: ;", "").replace('font-weight: "', '"')
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    return re.sub(r"\n\s*\n+", "\n", svg).strip()
