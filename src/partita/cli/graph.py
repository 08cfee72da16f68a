"""`partita graph`: what depends on what, drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from partita.cli import options, project, terminal
from partita.cli.parsing import Argument, Option
from partita.cli.words import many
from partita.errors import DefinitionError, WorldError

if TYPE_CHECKING:
    from partita.core.graph import Graph
    from partita.core.manifest import Manifest


def graph(
    target: Annotated[str, Argument("TARGET", "A pipeline, or a selection of assets: group:raw+")] = "",
    format_: Annotated[
        Literal["text", "dot", "mermaid", "svg"] | None,
        Option(("-f", "--format"), "How (default: text, or what the file's name says)"),
    ] = None,
    output: Annotated[Path | None, Option(("-o", "--output"), "Write it there", "FILE")] = None,
    select: Annotated[str, Option(("--select",), "Only these steps of it: +load", "SELECTION")] = "",
    json: options.Json = False,
    folder: options.Project = None,
) -> int:
    """Draw what depends on what: as text, SVG, DOT or Mermaid."""
    manifest = project.load(project.settings_of(folder))
    found = _graph_of(manifest, target, select)
    if json:
        terminal.print_json(_as_object(found))
        return 0
    form = format_ or _form_of(output)
    if form == "text" and output is None:
        _print_tree(found)
        return 0
    text = _drawn(found, form)
    if output is None:
        terminal.out().raw(text)
        return 0
    try:
        output.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise WorldError(f"{output} cannot be written: {error.strerror}") from error
    terminal.note(("● ", "green"), f"{output}: {many(len(found.steps), 'step')}")
    return 0


_FORMS: dict[str, Literal["text", "dot", "mermaid", "svg"]] = {
    ".svg": "svg",
    ".dot": "dot",
    ".gv": "dot",
    ".mmd": "mermaid",
    ".mermaid": "mermaid",
}


def _form_of(output: Path | None) -> Literal["text", "dot", "mermaid", "svg"]:
    return _FORMS.get(output.suffix.lower(), "text") if output is not None else "text"


def _graph_of(manifest: Manifest, target: str, select: str) -> Graph:
    from partita.core import selection
    from partita.engine.submission import graph_of_target

    if not target:
        target = _default_target(manifest)
    found = graph_of_target(manifest, target)
    if select:
        found = selection.cut(found, selection.select(select, found, manifest.assets), reuse=True)
    return found


def _default_target(manifest: Manifest) -> str:
    names = [p.name for p in manifest.pipelines]
    if len(names) == 1:
        return names[0]
    if not names and manifest.assets:
        return "*"
    if not names:
        raise DefinitionError("this project defines nothing to draw yet", hint="partita check")
    raise DefinitionError(f"say which pipeline: {', '.join(names[:8])}", hint=f"partita graph {names[0]}")


def _print_tree(found: Graph) -> None:
    from partita.cli.tree import tree_lines

    out = terminal.out()
    out.line((found.name, "bold"), (f"   {many(len(found.steps), 'step')}", "dim"))
    for line in tree_lines(found):
        out.cut_line(line)


def _drawn(found: Graph, form: str) -> str:
    if form == "svg":
        from partita.cli.drawing import svg

        return svg(found)
    if form == "dot":
        from partita.cli.notations import dot

        return dot(found)
    if form == "mermaid":
        from partita.cli.notations import mermaid

        return mermaid(found)
    from partita.cli.styled import paint
    from partita.cli.tree import tree_lines

    return "".join(paint(line, colour=False) + "\n" for line in tree_lines(found))


def _as_object(found: Graph) -> dict[str, object]:
    from partita.core.graph import version

    return {
        "name": found.name,
        "version": version(found),
        "steps": [
            {
                "step": s.key,
                "kind": s.kind,
                "needs": list(s.needs),
                "axes": list(s.axes),
                "group": list(s.group),
                "asset": s.asset,
                "check": s.check.name if s.check is not None else None,
                "check_of": s.check.asset if s.check is not None else None,
                "bundle": s.bundle,
                "when": s.when if isinstance(s.when, str) else "condition",
                "owner": s.owner or None,
                "tags": list(s.tags),
                "description": s.description,
                "written_at": s.written_at,
            }
            for s in found.steps
        ],
    }
