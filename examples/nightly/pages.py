"""The parts that a dashboard is put together from: page, panels, tiles, tables, heat maps.

Rule: one file with everything in it. No script, no font, no picture is fetched from anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

Row = Mapping[str, Any]

_CSS = """
:root { color-scheme: light dark;
  --ground:#f6f7f9; --panel:#ffffff; --ink:#1b1f27; --muted:#626b7a; --line:#e2e5ea; --quiet:#c3c9d3;
  --accent:#4a4fd6; --second:#0b8a8f; --third:#b8620e; --good:#1d8348; --warn:#a86400; --bad:#c8322b;
  --scale-1:#1f8f7a; --scale-2:#7fb7a2; --scale-3:#c9b78f; --scale-4:#d98958; --scale-5:#c8322b; }
@media (prefers-color-scheme: dark) { :root {
  --ground:#0f1217; --panel:#161a21; --ink:#e4e8ee; --muted:#949eae; --line:#272d37; --quiet:#465061;
  --accent:#8f95ff; --second:#3fbfc0; --third:#e29a4b; --good:#56c288; --warn:#e0a63c; --bad:#f0706a;
  --scale-1:#3fb89f; --scale-2:#5f9484; --scale-3:#8d8263; --scale-4:#c9824f; --scale-5:#f0706a; } }
* { box-sizing:border-box; }
body { margin:0; background:var(--ground); color:var(--ink); font:13px/1.45 Inter,system-ui,-apple-system,"Segoe UI",
  Roboto,"Helvetica Neue",Arial,sans-serif; font-variant-numeric:tabular-nums; -webkit-font-smoothing:antialiased; }
main, nav > div { max-width:1264px; margin:0 auto; padding:0 24px; }
nav { border-bottom:1px solid var(--line); background:var(--panel); }
nav > div { display:flex; gap:4px; align-items:center; min-height:44px; overflow-x:auto; }
nav b { margin-right:16px; font-weight:650; white-space:nowrap; }
nav a { color:var(--muted); text-decoration:none; padding:12px 8px 10px; border-bottom:2px solid transparent;
  white-space:nowrap; }
nav a:hover { color:var(--ink); }
nav a[aria-current] { color:var(--ink); border-color:var(--accent); font-weight:550; }
nav span { margin-left:auto; padding-left:16px; color:var(--muted); white-space:nowrap; }
header { padding:24px 0 16px; }
h1 { font-size:20px; line-height:28px; font-weight:650; margin:0; letter-spacing:-.01em; }
header p { margin:4px 0 0; font-size:14px; color:var(--muted); max-width:76ch; }
.grid { display:grid; grid-template-columns:repeat(12, minmax(0, 1fr)); gap:16px; padding-bottom:32px; }
.panel { grid-column:span var(--span, 12); background:var(--panel); border:1px solid var(--line); border-radius:6px;
  padding:16px; min-width:0; display:flex; flex-direction:column; }
.panel h2 { font-size:14px; line-height:20px; font-weight:600; margin:0; }
.panel h2 + p { margin:0 0 12px; color:var(--muted); }
.panel > p.note { margin:12px 0 0; color:var(--muted); }
.scroll { overflow-x:auto; flex:1; }
svg { display:block; width:100%; height:auto; min-width:calc(min(var(--w), 580px) * .8); font-family:inherit; overflow:visible; }
.tiles { grid-column:span 12; display:grid; grid-template-columns:repeat(auto-fit, minmax(176px, 1fr));
  background:var(--panel); border:1px solid var(--line); border-radius:6px; }
.tile { padding:14px 16px; border-right:1px solid var(--line); }
.tile:last-child { border-right:0; }
.tile .label { color:var(--muted); }
.tile .value { font-size:24px; line-height:32px; font-weight:600; letter-spacing:-.015em; }
.tile .value small { font-size:13px; font-weight:450; color:var(--muted); letter-spacing:0; }
.tile .usual { color:var(--muted); }
.range { position:relative; height:4px; margin:6px 0 6px; background:var(--line); border-radius:2px; }
.range i { position:absolute; top:0; bottom:0; background:var(--quiet); border-radius:2px; }
.range b { position:absolute; top:-3px; width:3px; height:10px; margin-left:-1px; border-radius:2px;
  background:var(--ink); }
.out .range b { background:var(--warn); } .out .value { color:var(--warn); }
table { width:100%; border-collapse:collapse; }
th { text-align:left; font-weight:500; color:var(--muted); padding:4px 12px 6px 0; border-bottom:1px solid var(--line);
  white-space:nowrap; vertical-align:bottom; }
td { padding:0 12px 0 0; height:28px; border-bottom:1px solid var(--line); white-space:nowrap; }
tr:last-child td { border-bottom:0; }
th.n, td.n { text-align:right; } th.b { padding-right:100px; } th.b:last-child { padding-right:88px; }
td.n + td:not(.n), th.n + th:not(.n) { padding-left:12px; } th:not(.b):last-child, td:last-child { padding-right:0; }
td .bar { display:inline-block; vertical-align:middle; height:8px; border-radius:2px; background:var(--accent);
  opacity:.75; margin-left:10px; }
td .lane { display:inline-block; vertical-align:middle; width:88px; text-align:left; }
.muted { color:var(--muted); } .good { color:var(--good); } .bad { color:var(--bad); } .warn { color:var(--warn); }
.heat { display:grid; gap:2px; align-items:center; min-width:520px; }
.heat span { color:var(--muted); font-size:11px; text-align:center; }
.heat span.row { text-align:left; padding-right:8px; }
.heat i { display:block; height:26px; border-radius:2px; font-style:normal; font-size:11px; line-height:26px;
  text-align:center; background:color-mix(in srgb, var(--bad) var(--p), var(--ground)); }
.heat i.none { background:none; }
.key { display:flex; gap:16px; flex-wrap:wrap; color:var(--muted); margin-bottom:8px; }
.key i { display:inline-block; width:10px; height:10px; border-radius:2px; margin-right:6px; background:var(--c); }
footer { border-top:1px solid var(--line); padding:12px 0 32px; color:var(--muted); }
@media (max-width:960px) { .panel { grid-column:span 12; } }
@media (max-width:600px) { main, nav > div { padding:0 12px; } .tiles { grid-template-columns:1fr 1fr; }
  .tile { border-bottom:1px solid var(--line); } .panel { padding:12px; } .grid { gap:12px; } }
"""


@dataclass(frozen=True)
class Column:
    """A column of a table: how a value is written, and whether a bar stands beside it."""

    key: str
    title: str
    write: Callable[[Any], str] = str
    is_number: bool = True
    bar: bool = False
    html: bool = False  # `write` gives markup


def page(title: str, lead: str, night: str, parts: Iterable[str], links: Sequence[tuple[str, str]], foot: str) -> str:
    items = "".join(
        f'<a href="{name}.html"{" aria-current=page" if label == title else ""}>{escape(label)}</a>'
        for name, label in links
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)} · {night}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_CSS}</style></head>\n<body>'
        f"<nav><div><b>New York departures</b>{items}<span>night of {night}</span></div></nav>\n"
        f"<main><header><h1>{escape(title)}</h1><p>{escape(lead)}</p></header>\n"
        f'<div class="grid">{"".join(parts)}</div><footer>{escape(foot)}</footer></main></body></html>\n'
    )


def panel(title: str, note: str, body: str, span: int = 12, after: str = "") -> str:
    below = f'<p class="note">{escape(after)}</p>' if after else ""
    return (
        f'<section class="panel" style="--span:{span}"><h2>{escape(title)}</h2><p>{escape(note)}</p>'
        f'<div class="scroll">{body}</div>{below}</section>'
    )


def key(entries: Sequence[tuple[str, str]]) -> str:
    """What the colours of a plot mean: pairs of words and a variable of the page."""
    return (
        '<div class="key">'
        + "".join(f'<span><i style="--c:var({colour})"></i>{escape(words)}</span>' for words, colour in entries)
        + "</div>"
    )


def tile(
    label: str, value: str, unit: str = "", usual: str = "", marks: tuple[float, float, float] | None = None
) -> str:
    """A figure; `marks` are its own value and the ends of its usual range, drawn as a line with a mark."""
    bar, is_out = "", False
    if marks:
        bar, is_out = _range(*marks)
    return (
        f'<div class="tile{" out" if is_out else ""}"><div class="label">{escape(label)}</div>'
        f'<div class="value">{escape(value)} <small>{escape(unit)}</small></div>{bar}'
        f'<div class="usual">{escape(usual)}</div></div>'
    )


def tiles(items: Iterable[str]) -> str:
    return f'<div class="tiles">{"".join(items)}</div>'


def table(columns: Sequence[Column], rows: Sequence[Row]) -> str:
    most = {c.key: max((abs(row[c.key] or 0) for row in rows), default=0) or 1 for c in columns if c.bar}
    head = "".join(f"<th{_kind(c, in_head=True)}>{escape(c.title)}</th>" for c in columns)
    body = "".join(f"<tr>{''.join(_cell(c, row, most) for c in columns)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def heat(rows: Sequence[str], columns: Sequence[str], value: Callable[[int, int], float | None], top: float) -> str:
    """A grid of shares: from nothing at 0 to full colour at `top`."""
    cells = ["<span></span>"] + [f"<span>{escape(name)}</span>" for name in columns]
    for number, name in enumerate(rows):
        cells.append(f'<span class="row">{escape(name)}</span>')
        cells += [_heat_cell(value(number, place), top) for place in range(len(columns))]
    style = f"grid-template-columns:44px repeat({len(columns)}, minmax(18px, 1fr))"
    return f'<div class="heat" style="{style}">{"".join(cells)}</div>'


def percent(share: float | None, digits: int = 0) -> str:
    return "–" if share is None else f"{share * 100:.{digits}f} %"


def number(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else f"{value:,.{digits}f}".replace("-", "−")


def signed(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{value:+,.{digits}f}".replace("-", "−")


def dollars(value: float | None) -> str:
    if value is None:
        return "–"
    if abs(value) >= 1e6:
        return f"${value / 1e6:,.1f} M"
    return f"${value / 1e3:,.0f} k" if abs(value) >= 1e4 else f"${value:,.0f}"


def _range(value: float, low: float, high: float) -> tuple[str, bool]:
    spread = (high - low) or abs(high) or 1.0
    left, right = min(value, low) - 0.25 * spread, max(value, high) + 0.25 * spread

    def place(at: float) -> float:
        return round(100 * (at - left) / (right - left), 1)

    band = f'<i style="left:{place(low)}%;width:{round(place(high) - place(low), 1)}%"></i>'
    return f'<div class="range">{band}<b style="left:{place(value)}%"></b></div>', not low <= value <= high


def _kind(column: Column, *, in_head: bool = False) -> str:
    # A title stands over the numbers, not over the bars beside them.
    words = ["n"] * column.is_number + ["b"] * (column.bar and in_head)
    return f' class="{" ".join(words)}"' if words else ""


def _cell(column: Column, row: Row, most: Mapping[str, float]) -> str:
    value = row[column.key]
    text = column.write(value) if column.html else escape(column.write(value))
    if column.bar:
        width = round(74 * abs(value or 0) / most[column.key])
        text += f'<span class="lane"><span class="bar" style="width:{width}px"></span></span>'
    return f"<td{_kind(column)}>{text}</td>"


def _heat_cell(value: float | None, top: float) -> str:
    if value is None:
        return '<i class="none"></i>'
    share = round(100 * min(max(value / top, 0.0), 1.0))
    return f'<i style="--p:{share}%" title="{percent(value)}"></i>'
