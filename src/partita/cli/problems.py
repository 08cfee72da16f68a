"""What is wrong with the definitions of a project, as it is told: file and line, what, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from partita.cli import terminal
from partita.cli.styled import Line
from partita.cli.words import many

if TYPE_CHECKING:
    from partita.core.manifest import Manifest, Problem


def problem_lines(problem: Problem) -> list[Line]:
    """One problem in a few lines."""
    where = f"{problem.file}:{problem.line}" if problem.file else ""
    first, *more = problem.message.splitlines() or [""]
    lines: list[Line] = [[("■ ", "red"), (f"{where}  " if where else "", "bold"), (first, "")]]
    lines += [[("  ", ""), (text, "")] for text in more]
    if problem.traceback:
        lines += [[("  │ ", "dim"), (text, "dim")] for text in problem.traceback.rstrip().splitlines()[-8:]]
    if problem.hint:
        lines.append([("  hint: ", "accent"), (problem.hint, "")])
    return lines


def warn_of_problems(manifest: Manifest) -> None:
    """Say on stderr that not all of the project could be loaded."""
    if manifest.problems:
        terminal.note(("■ ", "red"), f"{many(len(manifest.problems), 'problem')} in the definitions of this project")
        terminal.hint("partita check")
