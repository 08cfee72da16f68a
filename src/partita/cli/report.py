"""`partita report`: the morning report of a run, for a terminal, as a page, as data.

Rule: what is told is found by `engine.report`; here it is put into words. Calm when all is well: one line says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from partita.cli import options, project, terminal
from partita.cli.labels import Labels
from partita.cli.naming import find_run, typed
from partita.cli.parsing import Option
from partita.cli.report_words import (
    blocks_text,
    cause_facts,
    cause_name,
    causes_text,
    history_text,
    leg_name,
    longest,
    made_texts,
    well_text,
)
from partita.cli.styled import Line
from partita.cli.words import duration, exact, glyph, listed, look, many, number, run_title
from partita.errors import WorldError

if TYPE_CHECKING:
    from partita.engine.report import Report
    from partita.engine.timeline import Leg

_LEGS = 6


def report(
    name: options.Run = "last",
    html: Annotated[Path | None, Option(("--html",), "Write it as a page of its own", "FILE")] = None,
    json: options.Json = False,
    folder: options.Project = None,
) -> int:
    """Tell of a run: what ran, what broke first and what that blocks, what was slow, what was retried and worked."""
    settings = project.settings_of(folder)
    reader = project.open_memory(settings)
    from partita.cli.remembered import Remembered
    from partita.engine.report import report_of

    row = find_run(reader, name)
    found = report_of(reader, row)
    labels = Remembered(reader, row).labels
    if json:
        terminal.print_json(report_object(found))
    else:
        terminal.out().lines(report_lines(found, labels))
    if html is not None:
        from partita.cli.report_page import page
        from partita.cli.telling import log_tail

        tails = {
            (c.step, c.index): [
                "".join(text for text, _ in line[1:])
                for line in log_tail(settings.home, found.no, c.step, c.index, c.attempts, 12)
            ]
            for c in found.causes
        }
        _write(html, page(found, labels, tails))
        terminal.note("the page is ", (str(html), "bold"))
    return 0


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise WorldError(f"{path} cannot be written: {error.strerror or error}", hint="name another file") from error


def report_lines(found: Report, labels: Labels) -> list[Line]:
    """The report as a terminal shows it."""
    lines = [_headline(found), *_facts(found)]
    if found.all_well:
        return [*lines, [], [glyph("succeeded"), (f" all is well: {well_text(found)}", "")]]
    parts = (
        _causes(found, labels),
        _warnings(found),
        _slow(found, labels),
        _recovered(found, labels),
        _not_run(found),
        _longest_way(found.critical_path),
        _next(found),
    )
    for part in parts:
        if part:
            lines += [[], *part]
    return lines


# --- parts ----------------------------------------------------------------------------------------------------------


def _headline(found: Report) -> Line:
    seen = look(found.state)
    line: Line = [(f"{seen.glyph} ", seen.style), (run_title(found.pipeline, found.partition, found.selection), "bold")]
    line.append((f" {seen.word}", seen.style))
    if found.took_s is not None:
        line.append((f" in {duration(found.took_s)}", ""))
        if found.usually_s is not None:
            line.append((f", usually {duration(found.usually_s)}", "dim"))
    return [*line, (f"   run {found.no}", "dim")]


def _facts(found: Report) -> list[Line]:
    when = [exact(found.started_at)] if found.started_at is not None else []
    facts = [*when, *([f"owner {found.owner}"] if found.owner else []), f"by {found.by}" if found.by else ""]
    lines: list[Line] = [[("  " + " · ".join(f for f in facts if f), "dim")]]
    if not found.all_well:
        lines += [[("  ", ""), (", ".join(made_texts(found)), "")]]
        cached = f"{number(found.cached)} of {many(found.steps, 'step')} unchanged, from the cache"
        lines += [[("  ", ""), (cached, "dim")]] if found.cached else []
    if found.reason:
        lines.append([("  ", ""), (found.reason, "")])
    return lines


def _causes(found: Report, labels: Labels) -> list[Line]:
    if not found.causes:
        return []
    lines: list[Line] = [[("What broke", "bold"), (f"   {causes_text(found)}", "dim")]]
    for cause in found.causes:
        facts = "   " + " · ".join(cause_facts(cause))
        lines.append([glyph(cause.state), (f" {cause_name(cause, labels)}", "bold"), (facts, "dim")])
        lines.append([("  ", ""), (cause.error, "red")])
        if cause.noun == "check" and cause.description:
            lines.append([("  ", ""), (cause.description, "dim")])
        if cause.blocks:
            missed = f": {listed(cause.missed, 4)}" if cause.missed and len(cause.missed) <= 12 else ""
            lines.append([("  ", ""), (blocks_text(cause), ""), (missed, "")])
        history = history_text(cause)
        command: Line = [("  ", ""), (f"partita why {found.no} {typed(cause.step, cause.index)}", "accent")]
        lines.append([*command, (f"   {history}" if history else "", "dim")])
    return lines


def _warnings(found: Report) -> list[Line]:
    lines: list[Line] = [[("Warnings", "bold")]] if found.warnings else []
    for warned in found.warnings:
        owner = f"   {warned.owner}" if warned.owner else ""
        lines.append([("◌ ", "amber"), (f"{warned.check}", "bold"), (f" of {warned.asset}{owner}", "dim")])
        says = f"   {warned.description}" if warned.description else ""
        lines.append([("  ", ""), (warned.message, ""), (says, "dim")])
    return lines


def _slow(found: Report, labels: Labels) -> list[Line]:
    lines: list[Line] = [[("Slower than usual", "bold")]] if found.slow else []
    for slow in found.slow:
        usual = f"   usually {duration(slow.median_s)}, nine in ten under {duration(slow.p90_s)}"
        name = labels.name(slow.step, slow.index)
        lines.append([("◷ ", "amber"), (name, "bold"), (f" took {duration(slow.took_s)}", ""), (usual, "dim")])
    return lines


def _recovered(found: Report, labels: Labels) -> list[Line]:
    lines: list[Line] = [[("Retried, then worked", "bold")]] if found.recovered else []
    for step in found.recovered:
        owner = f"   {step.owner}" if step.owner else ""
        name = labels.name(step.step, step.index)
        lines.append([("↻ ", "amber"), (name, "bold"), (f" worked in attempt {step.attempts}", ""), (owner, "dim")])
        lines.append([("  after ", "dim"), (step.error, "")])
    return lines


def _not_run(found: Report) -> list[Line]:
    lines: list[Line] = [[("Did not run", "bold"), ("   for other reasons", "dim")]] if found.not_run else []
    for group in found.not_run[:12]:
        why = f": {group.reason}" if group.reason else ""
        lines.append(
            [glyph(group.state), (f" {listed(group.names, 3)}", "bold"), (f" {look(group.state).word}{why}", "")]
        )
    if len(found.not_run) > 12:
        lines.append([(f"  and {len(found.not_run) - 12} more reasons: partita show {found.no}", "dim")])
    return lines


def _longest_way(legs: Sequence[Leg]) -> list[Line]:
    """The parts of the critical path that took longest, in their order."""
    shown = longest(legs, _LEGS)
    if len(shown) < 2:
        return []
    lines: list[Line] = [[("Where the time went", "bold"), ("   the longest way through the run", "dim")]]
    for leg in shown:
        waited = f"   after waiting {duration(leg.waited_s)}" if leg.waited_s >= 1 else ""
        lines.append([(f"  {duration(leg.took_s):>9}  ", ""), (leg_name(leg), ""), (waited, "dim")])
    return lines


def _next(found: Report) -> list[Line]:
    if found.state == "succeeded":
        return []
    return [
        [("again  ", "dim"), (f"partita retry {found.no}", "accent"), ("   what broke, and what stands on it", "dim")]
    ]


# --- as data --------------------------------------------------------------------------------------------------------


def report_object(found: Report) -> dict[str, Any]:
    """The report as `--json` prints it."""
    import msgspec

    from partita.cli.words import iso

    fields: dict[str, Any] = msgspec.to_builtins(found)
    fields["id"] = fields.pop("run")
    for name in ("started_at", "finished_at"):
        fields[name] = iso(fields[name])
    for cause in fields["causes"]:
        cause["first_at"] = iso(cause["first_at"] or None)
    return fields
