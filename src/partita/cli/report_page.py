"""The morning report as one page that can be mailed: no address but its own, no script, light and dark, fit for print.

Rule: names, errors and log lines are whatever somebody wrote; nothing gets into the page but through `text`. The policy
in its head allows the one style sheet, by its hash, and nothing else.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from partita.cli.labels import Labels
from partita.cli.naming import typed
from partita.cli.report_words import (
    blocks_text,
    cause_facts,
    cause_name,
    causes_text,
    history_text,
    leg_name,
    longest,
    well_text,
)
from partita.cli.styled import clean
from partita.cli.words import duration, look, many, number, run_title

if TYPE_CHECKING:
    from partita.engine.report import Broken, Made, Report, Slow

Tails = Mapping[tuple[str, str], Sequence[str]]

# How a state is coloured: the class of its text, and of what is filled with it.
_SHADES = {
    "succeeded": "good",
    "failed": "bad",
    "timed_out": "bad",
    "needs_attention": "bad",
    "upstream_failed": "hold",
    "lost": "warn",
    "running": "calm",
}
_LEGS = 7
_SHOWN = 200


def page(found: Report, labels: Labels, tails: Tails) -> str:
    """The page. `tails` are the last lines of the logs of what broke, by step and index."""
    style = Path(__file__).with_name("report_page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    title = f"{look(found.state).word}: {run_title(found.pipeline, found.partition, found.selection)}"
    parts = [
        _head(found),
        _tiles(found),
        _causes(found, labels, tails),
        _warnings(found),
        _slow(found, labels),
        _recovered(found, labels),
        _not_run(found),
        _timeline(found),
        _foot(found),
    ]
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">\n'
        f"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">\n'
        f"<title>{text(title)}</title>\n<style>{style}</style></head>\n"
        f"<body><main>\n{chr(10).join(part for part in parts if part)}\n</main></body></html>\n"
    )


def text(value: object) -> str:
    """Anything as text of the page: markup, controls, direction overrides and invisible marks are only seen."""
    return escape("\n".join(clean(line) for line in str(value).split("\n")), quote=True)


# --- the head -------------------------------------------------------------------------------------------------------


def _head(found: Report) -> str:
    seen = look(found.state)
    shade = _SHADES.get(found.state, "calm")
    took = f" in {duration(found.took_s)}" if found.took_s is not None else ""
    usual = f", usually {duration(found.usually_s)}" if found.usually_s is not None else ""
    facts = [f"run {found.no}", _when(found), f"owner {found.owner}" if found.owner else "", f"by {found.by}"]
    if found.cached and not found.all_well:
        facts.append(f"{number(found.cached)} of {many(found.steps, 'step')} unchanged, from the cache")
    title = run_title(found.pipeline, found.partition, found.selection)
    return (
        '<header><p class="brand">Partita · the morning report</p>'
        f'<h1>{text(title)} <span class="state {shade}">{text(seen.glyph)} {text(seen.word)}</span>'
        f'<span class="soft">{text(took + usual)}</span></h1>'
        f'<p class="lead">{text(" · ".join(f for f in facts if f))}</p>'
        + (f'<p class="lead">{text(found.reason)}</p>' if found.reason else "")
        + f'<p class="verdict">{text(_verdict(found))}</p></header>'
    )


def _verdict(found: Report) -> str:
    if found.all_well:
        return f"All is well: {well_text(found)}"
    if found.causes:
        return causes_text(found)
    if found.state == "succeeded":
        told = [
            many(len(found.warnings), "warning") if found.warnings else "",
            f"{many(len(found.slow), 'step')} slower than usual" if found.slow else "",
            f"{many(len(found.recovered), 'step')} retried and then well" if found.recovered else "",
        ]
        return "Nothing broke; " + ", ".join(t for t in told if t)
    return f"The run is {look(found.state).word}, and nothing in it broke by itself"


def _when(found: Report) -> str:
    if found.started_at is None:
        return "not started"
    start = dt.datetime.fromtimestamp(found.started_at, dt.UTC)
    if found.finished_at is None:
        return f"since {start:%Y-%m-%d %H:%M:%S} UTC"
    return f"{start:%Y-%m-%d %H:%M:%S} to {dt.datetime.fromtimestamp(found.finished_at, dt.UTC):%H:%M:%S} UTC"


def _tiles(found: Report) -> str:
    tiles = [_made_tile(made) for made in found.made]
    checks = found.checks
    if checks.planned:
        told = checks.passed + checks.warned + checks.failed
        parts = [(checks.passed, "good"), (checks.warned, "warn"), (checks.failed, "bad")]
        parts.append((checks.planned - told, "hold"))
        tiles.append(_tile(checks.passed, checks.planned, "checks passed", parts))
    if not tiles:
        parts = [(n, _SHADES.get(state, "calm")) for state, n in found.counts.items()]
        tiles.append(_tile(found.counts.get("succeeded", 0), found.steps, "steps", parts))
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _made_tile(made: Made) -> str:
    done = made.made + made.cached
    noun = made.noun if made.planned == 1 else f"{made.noun}s"
    return _tile(done, made.planned, noun, [(done, "good"), (made.planned - done, "hold")])


def _tile(done: int, planned: int, noun: str, parts: Sequence[tuple[int, str]]) -> str:
    of = "" if done == planned else f" <span>of {number(planned)}</span>"
    bars, at = [], 0.0
    for count, shade in parts:
        share = 100 * count / max(1, planned)
        bars.append(_bar(at, share, 4, f"f-{shade}"))
        at += share
    rest = _bar(0, 100, 4, "f-none")
    return f'<div class="tile"><b>{number(done)}{of}</b><i>{text(noun)}</i><svg>{rest}{"".join(bars)}</svg></div>'


def _bar(at: float, share: float, height: int, shade: str, says: str = "") -> str:
    title = f"<title>{text(says)}</title>" if says else ""
    return f'<rect x="{at:.2f}%" width="{share:.2f}%" height="{height}" class="{shade}">{title}</rect>'


# --- what broke -----------------------------------------------------------------------------------------------------


def _causes(found: Report, labels: Labels, tails: Tails) -> str:
    if not found.causes:
        return ""
    shown = found.causes[:_SHOWN]
    rows = [_cause(found, cause, labels, tails.get((cause.step, cause.index), ())) for cause in shown]
    if len(found.causes) > len(shown):
        rows.append(f'<div class="row">and {number(len(found.causes) - len(shown))} more</div>')
    return _part("What broke", "first causes only; what stands behind them is listed with them", rows)


def _cause(found: Report, cause: Broken, labels: Labels, tail: Sequence[str]) -> str:
    seen = look(cause.state)
    facts = " · ".join([*cause_facts(cause), f"{_clock(cause.first_at)} UTC" if cause.first_at else ""]).rstrip(" ·")
    step = typed(cause.step, cause.index)
    commands = [f"partita why {found.no} {step}", f"partita logs {found.no} {step}", f"partita retry {found.no}"]
    says = f'<p class="says">{text(cause.description)}</p>' if cause.description else ""
    return (
        f'<div class="row"><div class="top"><span class="bad">{text(seen.glyph)}</span>'
        f'<span class="name">{text(cause_name(cause, labels))}</span><span class="soft">{text(facts)}</span>'
        f"{_past(cause)}</div>"
        f'<p class="error">{text(cause.error)}</p>{says}{_blocks(cause)}'
        f'<div class="commands">{"".join(f"<code>{text(c)}</code>" for c in commands)}</div>'
        + _blocked(cause)
        + (_folded("all of the error", cause.message) if "\n" in cause.message.strip() else "")
        + _folded("traceback", cause.traceback)
        + _folded("the end of its log", "\n".join(tail))
        + "</div>"
    )


def _blocks(cause: Broken) -> str:
    if not cause.blocks:
        return ""
    missed = ""
    if cause.missed and len(cause.missed) <= 12:
        missed = f": <b>{text(', '.join(cause.missed))}</b>"
    return f'<p class="blocks">{text(blocks_text(cause))}{missed}</p>'


def _blocked(cause: Broken) -> str:
    names = ""
    for count in cause.blocks:
        items = "".join(f"<li><code>{text(name)}</code></li>" for name in count.names[:_SHOWN])
        more = f"<li>and {number(count.count - _SHOWN)} more</li>" if count.count > _SHOWN else ""
        names += f'<li class="sort">{text(many(count.count, count.noun))}</li>{items}{more}'
    told = f"what it blocks, by name ({number(cause.blocked)})"
    return f'<details><summary>{text(told)}</summary><ul class="names">{names}</ul></details>' if names else ""


def _past(cause: Broken) -> str:
    """The ends of this step in the runs before and in this one, as a row of squares."""
    words = history_text(cause)
    if not words:
        return ""
    states = [*[state or "absent" for state in cause.history], cause.state]
    squares = "".join(
        f'<rect x="{9 * at}" y="1" width="7" height="8" rx="1" class="f-{_SHADES.get(state, "none")}">'
        f"<title>{text(look(state).word)}</title></rect>"
        for at, state in enumerate(states)
    )
    size = f'width="{9 * len(states)}" height="10"'
    return f'<span class="soft past">{text(words)} <svg {size} role="img" aria-label="{text(words)}">{squares}</svg></span>'


def _folded(title: str, content: str) -> str:
    return f"<details><summary>{text(title)}</summary><pre>{text(content)}</pre></details>" if content.strip() else ""


# --- what else there is to know -------------------------------------------------------------------------------------


def _part(title: str, note: str, rows: Iterable[str]) -> str:
    body = "".join(rows)
    told = f" <span>{text(note)}</span>" if note else ""
    return f'<section><h2>{text(title)}{told}</h2><div class="card">{body}</div></section>' if body else ""


def _row(glyph: str, shade: str, name: str, facts: str, says: str, more: str = "") -> str:
    return (
        f'<div class="row"><div class="top"><span class="{shade}">{text(glyph)}</span>'
        f'<span class="name">{text(name)}</span><span class="soft">{text(facts)}</span></div>'
        f'<p class="says">{text(says)}</p>{more}</div>'
    )


def _warnings(found: Report) -> str:
    rows = []
    for warned in found.warnings[:_SHOWN]:
        facts = " · ".join(fact for fact in (f"of {warned.asset}", warned.owner) if fact)
        rows.append(
            _row("◌", "warn", warned.check, facts, ". ".join(t for t in (warned.message, warned.description) if t))
        )
    return _part("Warnings", "checks that failed and stop nothing", rows)


def _slow(found: Report, labels: Labels) -> str:
    rows = [
        _row(
            "◷",
            "warn",
            labels.name(slow.step, slow.index),
            slow.owner,
            f"took {duration(slow.took_s)}, usually {duration(slow.median_s)}, nine in ten under {duration(slow.p90_s)}",
            _range(slow),
        )
        for slow in found.slow[:_SHOWN]
    ]
    return _part("Slower than usual", "", rows)


def _range(slow: Slow) -> str:
    """The time it took, on it what is usual: from nothing to nine in ten, with a mark at the median."""
    share = 100 / max(slow.took_s, 1e-9)
    return (
        f'<svg class="range">{_bar(0, 100, 10, "f-warn")}{_bar(0, slow.p90_s * share, 10, "f-usual")}'
        f"{_bar(slow.median_s * share, 0.6, 10, 'f-way', 'the median')}</svg>"
    )


def _recovered(found: Report, labels: Labels) -> str:
    rows = [
        _row(
            "↻",
            "warn",
            labels.name(r.step, r.index),
            f"worked in attempt {r.attempts} · {r.owner}".rstrip(" ·"),
            r.error,
        )
        for r in found.recovered[:_SHOWN]
    ]
    return _part("Retried, then worked", "", rows)


def _not_run(found: Report) -> str:
    rows = []
    for group in found.not_run[:_SHOWN]:
        seen = look(group.state)
        names = ", ".join(group.names[:6]) + (f" and {len(group.names) - 6} more" if len(group.names) > 6 else "")
        rows.append(_row(seen.glyph, "calm", names, seen.word, group.reason or "no reason was given"))
    return _part("Did not run", "for other reasons than those above", rows)


# --- when ------------------------------------------------------------------------------------------------------------


def _timeline(found: Report) -> str:
    total = found.took_s or max((s.ended_s for s in found.spans), default=0.0)
    if total <= 0 or not found.spans:
        return ""
    lanes: dict[str, list[str]] = {}
    for span in sorted(found.spans, key=lambda s: s.began_s):
        says = f"{span.step}{f'[{span.index}]' if span.index else ''} {duration(span.ended_s - span.began_s)}"
        shade = f"work f-{_SHADES.get(span.state, 'calm')}"
        bar = _bar(100 * span.began_s / total, 100 * (span.ended_s - span.began_s) / total, 12, shade, says)
        lanes.setdefault(span.lane, []).append(bar)
    shown = list(lanes.items())
    if len(shown) > 16:
        # Too many groups for a picture: one lane for all.
        shown = [("steps", [bar for _, bars in shown for bar in bars])]
    rows = "".join(_lane(name, "".join(bars)) for name, bars in shown)
    return (
        "<section><h2>The shape of the run <span>each bar an attempt, by group</span></h2>"
        f'<div class="card lanes">{_way(found, total)}{rows}{_axis(total)}</div>{_ways(found)}</section>'
    )


def _lane(name: str, bars: str, more: str = "") -> str:
    track = _bar(0, 100, 12, "track")
    return f'<div class="lane{more}"><span>{text(name)}</span><svg>{track}{bars}</svg></div>'


def _way(found: Report, total: float) -> str:
    at, bars = 0.0, []
    for leg in found.critical_path:
        at += leg.waited_s
        bars.append(
            _bar(100 * at / total, 100 * leg.took_s / total, 12, "f-way", f"{leg_name(leg)} {duration(leg.took_s)}")
        )
        at += leg.took_s
    return _lane("longest way", "".join(bars), " way") if bars else ""


def _axis(total: float) -> str:
    ticks = "".join(f"<span>{text(duration(total * part / 4) if part else '0')}</span>" for part in range(5))
    return f'<div class="lane axis"><span></span><div class="ticks">{ticks}</div></div>'


def _ways(found: Report) -> str:
    legs = longest(found.critical_path, _LEGS)
    if len(legs) < 2:
        return ""
    told = []
    for leg in legs:
        waited = f", after waiting {duration(leg.waited_s)}" if leg.waited_s >= 1 else ""
        told.append(f"{leg_name(leg)} {duration(leg.took_s)}{waited}")
    return f'<p class="ways">The longest way: {text(" → ".join(told))}</p>'


def _clock(at: float) -> str:
    return f"{dt.datetime.fromtimestamp(at, dt.UTC):%H:%M:%S}"


def _foot(found: Report) -> str:
    from partita import __version__

    asked = [f"partita report {found.no}", f"partita show {found.no}", f"partita why {found.no}"]
    commands = " ".join(f"<code>{text(command)}</code>" for command in asked)
    return f'<footer class="foot">{commands} · run {text(found.run)} · Partita {text(__version__)}</footer>'
