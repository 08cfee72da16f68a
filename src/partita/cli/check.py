"""`partita check`: everything that is wrong with the definitions, at once."""

from __future__ import annotations

from partita.cli import fitting, options, project, terminal
from partita.cli.problems import problem_lines
from partita.cli.words import duration, many


def check(json: options.Json = False, folder: options.Project = None) -> int:
    """Find everything that is wrong with the definitions. Exits with 1 if there is anything."""
    settings = project.settings_of(folder)
    manifest = project.load(settings)
    problems = sorted(manifest.problems, key=lambda p: (p.file, p.line))
    if json:
        from partita.cli.objects import problem_object

        terminal.print_json(
            {
                "project": manifest.project,
                "pipelines": len(manifest.pipelines),
                "assets": len(manifest.assets),
                "problems": [problem_object(p) for p in problems],
                "warnings": [warning for warning, _ in fitting.warnings(manifest)],
            }
        )
        return 1 if problems else 0
    out = terminal.out()
    for warning, hint in fitting.warnings(manifest):
        terminal.note(("! ", "amber"), warning)
        terminal.hint(hint)
    for problem in problems:
        out.lines(problem_lines(problem))
    if problems:
        out.blank()
        out.line(("■ ", "red"), f"{many(len(problems), 'problem')} in project {manifest.project}")
        return 1
    checks = sum(s.check is not None for s in manifest.assets_graph.steps) if manifest.assets_graph is not None else 0
    told = [many(len(manifest.pipelines), "pipeline"), many(len(manifest.assets), "asset"), many(checks, "check")]
    out.line(
        ("● ", "green"),
        f"project {manifest.project} is well: {', '.join(told)}",
        (f"   loaded in {duration(manifest.load_s)}", "dim"),
    )
    return 0
