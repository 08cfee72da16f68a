"""`partita logs`: what the steps of a run have written."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

from partita.cli import options, project, terminal
from partita.cli.naming import find_run, find_step
from partita.cli.parsing import Option
from partita.cli.styled import Style, clean_log
from partita.cli.words import clock, many
from partita.errors import DefinitionError

if TYPE_CHECKING:
    from partita.cli.remembered import Remembered
    from partita.settings import Settings
    from partita.store.contract import AttemptRow
    from partita.worker.logs import LogLine

_FOLLOW_S = 0.2
_LEVELS: dict[str, Style] = {"ERROR": "red", "CRITICAL": "red", "WARNING": "amber"}


def logs(
    name: options.Run = "last",
    step: options.Steps = None,
    follow: Annotated[bool, Option(("-f", "--follow"), "Go on until the attempt has ended")] = False,
    attempt: Annotated[int | None, Option(("--attempt",), "This attempt (default: the last)", "N", least=1)] = None,
    tail: Annotated[int | None, Option(("-n", "--tail"), "Only the last N lines", "N", least=0)] = None,
    json: options.Json = False,
    folder: options.Project = None,
) -> int:
    """Print what a step has written; without a step, what every step of the run has."""
    settings = project.settings_of(folder)
    reader = project.open_memory(settings)
    from partita.cli.remembered import Remembered

    run = Remembered(reader, find_run(reader, name))
    wanted = _wanted(run, step or [], attempt)
    if follow and len(wanted) > 1:
        wanted = [a for a in wanted if a.finished_at is None][:1] or wanted[-1:]
        terminal.note(f"following {run.labels.name(wanted[0].step, wanted[0].index)}")
    printed = 0
    for row in wanted:
        heading = run.labels.name(row.step, row.index) if len(wanted) > 1 else ""
        printed += _print(settings, run, row, heading, tail=tail, follow=follow, json=json)
    if not printed and not json:
        terminal.note("it has written nothing" if len(wanted) == 1 else "nothing was written")
    return 0


def _wanted(run: Remembered, words: list[str], attempt: int | None) -> list[AttemptRow]:
    """The attempts whose logs are meant: the last of each instance, or the one of that number."""
    tries = run.tries
    if words:
        key, index = find_step(run.labels, words)
        picked = {k: rows for k, rows in tries.items() if k[0] == key and (not index or k[1] == index)}
        if not picked:
            shown = run.labels.name(key, index)
            raise DefinitionError(f"{shown} has not begun in run {run.row.no}", hint=_why_hint(run, words))
    else:
        picked = tries
    if attempt is None:
        return [rows[-1] for rows in picked.values()]
    found = [row for rows in picked.values() for row in rows if row.attempt == attempt]
    if not found:
        most = max((row.attempt for rows in picked.values() for row in rows), default=0)
        raise DefinitionError(f"there is no attempt {attempt}", hint=f"there {_were(most)}")
    return found


def _were(count: int) -> str:
    return "was one" if count == 1 else f"were {count}"


def _why_hint(run: Remembered, words: list[str]) -> str:
    return f"partita why {run.row.no} {' '.join(words)}"


def _print(
    settings: Settings,
    run: Remembered,
    row: AttemptRow,
    heading: str,
    *,
    tail: int | None,
    follow: bool,
    json: bool,
) -> int:
    from partita.worker.logs import log_end, read_log

    waits = _follower(run, row) if follow else None
    lines = read_log(settings.home, run.row.no, row.step, row.index, row.attempt, tail=tail, follow=waits)
    out = terminal.out()
    count = 0
    for line in lines:
        if heading and not count and not json:
            out.line((f"── {heading} ", "bold"), (f"attempt {row.attempt}", "dim"))
        count += 1
        _print_line(out, run, row, line, json=json)
    end = log_end(settings.home, run.row.no, row.step, row.index, row.attempt)
    if end is not None and end.state != "complete":
        terminal.note(("■ ", "amber"), f"this log is {end.state}: {many(end.lines, 'line')} were written in all")
    return count


def _print_line(out: terminal.Out, run: Remembered, row: AttemptRow, line: LogLine, *, json: bool) -> None:
    if json:
        import json as j

        where: dict[str, Any] = {"run": run.row.id, "step": row.step, "index": row.index, "attempt": row.attempt}
        out.raw(j.dumps({**where, "at": line.at, "level": line.level, "text": line.text}) + "\n")
    elif out.is_terminal:
        out.line((f"{_clock(line.at)} ", "dim"), (clean_log(line.text), _LEVELS.get(line.level, "")))
    else:
        # Piped: exactly what was written.
        out.raw(f"{line.at} {line.text}\n" if line.at else f"{line.text}\n")
    out.stream.flush()


def _follower(run: Remembered, row: AttemptRow) -> Any:
    """Wait a little; go on as long as the attempt is open."""

    def wait() -> bool:
        time.sleep(_FOLLOW_S)
        rows = run.reader.attempts(run.row.id, step=row.step, index=row.index)
        return any(r.attempt == row.attempt and r.finished_at is None for r in rows)

    return wait


def _clock(at: str) -> str:
    import datetime as dt

    try:
        return clock(dt.datetime.fromisoformat(at).timestamp())
    except ValueError:
        return at
