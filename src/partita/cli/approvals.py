"""`partita approvals`: what waits for people, for whom, and what there is to decide on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

from partita.cli import options, project, terminal
from partita.cli.naming import find_run, named, typed
from partita.cli.parsing import Argument, Option
from partita.cli.styled import Line, short
from partita.cli.tables import Cell, Column, print_table
from partita.cli.words import ago, duration, exact, iso, when

if TYPE_CHECKING:
    from partita.cli.terminal import Out
    from partita.core.facts.gates import Shown
    from partita.engine.approvals import Approval

_ROWS = 20
_LINES = 12


def approvals(
    name: Annotated[str, Argument("RUN", "Only of this run, with the material to decide on")] = "",
    limit: Annotated[int, Option(("--limit",), "At most so many", "N", least=1)] = 50,
    json: options.Json = False,
    folder: options.Project = None,
) -> int:
    """List the approvals that wait; of one run, with all that there is to decide on.

    Answer with `partita approve RUN` or `partita reject RUN`.
    """
    from partita.engine.approvals import waiting, waiting_in

    settings = project.settings_of(folder)
    reader = project.open_memory(settings)
    found = waiting_in(reader, find_run(reader, name).id) if name else waiting(reader, limit=limit)
    if json:
        terminal.print_json([approval_object(approval) for approval in found])
    elif not found:
        terminal.note(f"nothing of run {name} waits for people" if name else "nothing waits for people")
    elif name:
        for at, approval in enumerate(found):
            if at:
                terminal.out().line()
            print_approval(terminal.out(), approval, time.time())
    else:
        _print_list(terminal.out(), found, time.time())
    if found and not json and not project.has_engine(settings):
        terminal.note(
            ("◌ ", "amber"), "no engine is at work here: an answer is kept, and counts when the run is taken up"
        )
    reader.close()
    return 0


def approval_object(approval: Approval) -> dict[str, Any]:
    """An approval, as `--json` and the API print it."""
    from partita.cli.objects import plain

    gate, spec = approval.gate, approval.spec
    return {
        "run": gate.run,
        "run_no": gate.run_no,
        "pipeline": gate.pipeline,
        "project": gate.project,
        "namespace": gate.namespace,
        "step": gate.step,
        "index": gate.index,
        "question": approval.question,
        "choices": list(spec.choices),
        "rejecting": list(spec.rejecting),
        "by": list(spec.by),
        "who": approval.who,
        "quorum": spec.quorum,
        "missing": approval.missing,
        "four_eyes": spec.four_eyes,
        "started_by": gate.started_by,
        "opened_at": iso(gate.opened_at),
        "due_at": iso(gate.due_at),
        "on_timeout": spec.on_timeout,
        "default": spec.default or None,
        "reminded": gate.reminded,
        "schema": approval.schema,
        "votes": [
            {
                "by": v.by,
                "at": iso(v.at),
                "choice": v.choice,
                "comment": v.comment,
                "answer": plain(v.answer) if v.answer is not None else None,
            }
            for v in approval.votes
        ],
        "material": [
            {"name": m.name, "kind": m.kind, "value": plain(m.data), "of": m.of or None} for m in approval.material
        ],
    }


def print_approval(out: Out, approval: Approval, now: float) -> None:
    """One approval with its material."""
    gate, spec = approval.gate, approval.spec
    title = named(gate.step, gate.index)
    out.line(
        ("◌ ", "amber"), (approval.question, "bold"), (f"   {title} of run {gate.run_no} of {gate.pipeline}", "dim")
    )
    out.line(f"  answered by {approval.who}: {' or '.join(spec.choices)}")
    if gate.opened_at is not None:
        out.line((f"  waits for {duration(now - gate.opened_at)}", "dim"), (_then(approval, now), "dim"))
    for vote in approval.votes:
        said = f": {vote.comment}" if vote.comment else ""
        out.line("  ", (vote.choice, "bold"), f" by {vote.by}{said}", (f"   {when(vote.at, now)}", "dim"))
    if approval.votes:
        out.line(f"  {approval.missing} more needed")
    for piece in approval.material:
        out.lines(_piece_lines(piece))
    if schema := approval.schema:
        out.line(("  takes ", "dim"), (_fields(schema), "dim"))
    where = f"{gate.run_no} {typed(gate.step, gate.index)}"
    out.line((f"  partita approve {where}   partita reject {where}", "accent"))


def _print_list(out: Out, found: list[Approval], now: float) -> None:
    columns = (
        Column("run", right=True),
        Column("pipeline"),
        Column("step"),
        Column("question", flexible=True),
        Column("waits for", flexible=True),
        Column("since", right=True),
        Column("until"),
    )
    rows: list[list[Cell]] = [
        [
            str(a.gate.run_no),
            a.gate.pipeline,
            named(a.gate.step, a.gate.index),
            short(a.question, 80),
            a.who + (f" ({a.missing} more)" if a.votes else ""),
            ago(a.gate.opened_at or now, now),
            (exact(a.gate.due_at) if a.gate.due_at is not None else "", "dim"),
        ]
        for a in found
    ]
    print_table(out, columns, rows)
    terminal.note((f"look closer: partita approvals {found[0].gate.run_no}", "dim"))


def _then(approval: Approval, now: float) -> str:
    gate, spec = approval.gate, approval.spec
    if gate.due_at is None:
        return ", without a deadline"
    then = {"fail": "it fails", "skip": "it is skipped"}.get(spec.on_timeout, f"it is {spec.default}")
    return f"; {then} in {duration(max(0.0, gate.due_at - now))}"


def _piece_lines(piece: Shown) -> list[Line]:
    from partita.cli.facts import shown
    from partita.cli.objects import plain

    value = plain(piece.data)
    name: Line = [(f"  {piece.name}", "dim"), (f" of {piece.of}" if piece.of else "", "dim")]
    if piece.kind == "table" and isinstance(value, dict):
        return [name, *_table_lines(value)]
    if isinstance(value, str) and "\n" in value:
        lines = value.splitlines()
        told: list[Line] = [[(f"    {line}", "")] for line in lines[:_LINES]]
        if len(lines) > _LINES:
            told.append([(f"    … {len(lines) - _LINES} more lines", "dim")])
        return [name, *told]
    return [[*name, ("  ", ""), (value if isinstance(value, str) else shown(value), "")]]


def _table_lines(value: dict[str, Any]) -> list[Line]:
    columns, rows = [str(c) for c in value.get("columns", ())], list(value.get("rows", ()))
    body = [[short("" if cell is None else str(cell), 30) for cell in row] for row in rows[:_ROWS]]
    widths = [max(len(c), *(len(row[i]) for row in body if i < len(row)), 0) for i, c in enumerate(columns)]
    lines: list[Line] = [[("    " + "  ".join(c.ljust(w) for c, w in zip(columns, widths, strict=True)), "dim")]]
    lines += [[("    " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=False)), "")] for row in body]
    if len(rows) > _ROWS:
        lines.append([(f"    … {len(rows) - _ROWS} more rows", "dim")])
    return lines


def _fields(schema: Any) -> str:
    from partita.core.schema import properties

    found = properties(schema)
    if not found:
        return "--set VALUE"
    return "  ".join(
        f"--set {name}={prop.get('type') or prop.get('format') or 'VALUE'}" for name, prop in found.items()
    )
