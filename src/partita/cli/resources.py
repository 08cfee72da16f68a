"""`partita resources`: what the project declares, and whether it works.

Rule: a test runs in a process of the project, never here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from partita.cli import options, project, terminal
from partita.cli.parsing import Argument
from partita.cli.tables import Column, print_table
from partita.errors import DefinitionError

if TYPE_CHECKING:
    from partita.core.manifest import Manifest


def resources(json: options.Json = False, folder: options.Project = None) -> int:
    """List resources: their class, the secrets that they use, whether they can be tested."""
    manifest = project.load(project.settings_of(folder))
    if json:
        import msgspec

        from partita.server import access_objects

        terminal.print_json([msgspec.to_builtins(access_objects.resource(manifest, s)) for s in manifest.resources])
        return 0
    if not manifest.resources:
        terminal.note("no resource is declared")
        terminal.hint("declare one: @pt.resource class Warehouse: ...")
        return 0
    columns = (Column("name"), Column("of"), Column("secrets", flexible=True), Column("test"), Column("written at"))
    cells = [
        [s.name, s.of, ", ".join(s.secrets), "yes" if s.can_test else "", s.written_at] for s in manifest.resources
    ]
    print_table(terminal.out(), columns, cells)
    return 0


def resources_test(
    name: Annotated[str, Argument("NAME", "The resource")], json: options.Json = False, folder: options.Project = None
) -> int:
    """Call the test of a resource in a process of the project. Exits with 1 if it does not work."""
    from partita.cli.asking import answer_of_service
    from partita.cli.changing import me
    from partita.engine.access import Entry, carried
    from partita.engine.resources import Tested, TestResource

    settings = project.settings_of(folder)
    manifest = _known(project.load(settings), name)
    request = carried(
        TestResource(manifest.project, name), Entry(me(), "resources.test", f"resource:{name}", manifest.namespace)
    )
    tested = answer_of_service(settings, request, Tested)
    if json:
        terminal.print_json({"name": name, "works": tested.works, "message": tested.message})
    elif tested.works:
        terminal.out().line(("● ", "green"), f"{name} works", f": {tested.message}" if tested.message else "")
    else:
        terminal.out().line(("■ ", "red"), f"{name} does not work: {tested.message}")
    return 0 if tested.works else 1


def _known(manifest: Manifest, name: str) -> Manifest:
    names = [spec.name for spec in manifest.resources]
    if name not in names:
        import difflib

        near = difflib.get_close_matches(name, names, 1)
        raise DefinitionError(
            f"there is no resource {name!r}", hint=f"did you mean {near[0]}?" if near else "partita resources"
        )
    return manifest
