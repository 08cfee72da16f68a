"""`partita show`: a run, a step of it, a pipeline or an asset."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

from partita.cli import options, project
from partita.cli.parsing import Argument
from partita.errors import DefinitionError
from partita.store import opening

if TYPE_CHECKING:
    from partita.cli.remembered import Remembered
    from partita.core.manifest import Manifest
    from partita.settings import Settings
    from partita.store.contract import Reader


def show(
    name: Annotated[str, Argument("NAME", "A run (12, an id, `last`), or a pipeline's or asset's name")] = "last",
    step: options.Steps = None,
    json: options.Json = False,
    folder: options.Project = None,
) -> int:
    """Show a run, a step of a run, a pipeline or an asset (default: the last run)."""
    settings = project.settings_of(folder)
    if step or name == "last" or re.fullmatch(r"\d+|[0-9a-f]{8}[0-9a-f-]*", name):
        run = _run(settings, name)
        if run is not None:
            _show_run(settings, run, step or [], json=json)
            return 0
    manifest = project.load(settings)
    if _show_definition(settings, manifest, name, json=json):
        return 0
    run = _run(settings, name)
    if run is None:
        raise _unknown(manifest, name)
    _show_run(settings, run, step or [], json=json)
    return 0


def _run(settings: Settings, name: str) -> Remembered | None:
    """The run of that name, None if there is none. Raises `DefinitionError` if nothing was run and `last` is wanted."""
    from partita.cli.naming import find_run

    if not opening.exists(settings.home) and name != "last":
        return None
    reader = project.open_memory(settings)
    from partita.cli.remembered import Remembered

    try:
        return Remembered(reader, find_run(reader, name))
    except DefinitionError:
        if name == "last" or name.isdigit():
            raise
        return None


def _show_run(settings: Settings, run: Remembered, step: list[str], *, json: bool) -> None:
    if step:
        from partita.cli.naming import find_step
        from partita.cli.show_step import show_step

        key, index = find_step(run.labels, step)
        show_step(settings.home, run, key, index, json=json)
        return
    from partita.cli.show_run import show_run

    show_run(run, json=json)


def _show_definition(settings: Settings, manifest: Manifest, name: str, *, json: bool) -> bool:
    from partita.cli import show_definition

    reader: Reader | None = project.open_memory(settings) if opening.exists(settings.home) else None
    pipeline = next((p for p in manifest.pipelines if p.name == name), None)
    asset = next((a for a in manifest.assets if a.name == name), None)
    if pipeline is not None:
        show_definition.show_pipeline(reader, pipeline, manifest, json=json)
    elif asset is not None:
        show_definition.show_asset(reader, asset, manifest, json=json)
    return pipeline is not None or asset is not None


def _unknown(manifest: Manifest, name: str) -> DefinitionError:
    import difflib

    from partita.cli.problems import warn_of_problems

    warn_of_problems(manifest)
    known = [*(p.name for p in manifest.pipelines), *(a.name for a in manifest.assets)]
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]!r}?" if near else "`partita list` and `partita runs` show what there is"
    return DefinitionError(f"there is no run, pipeline or asset {name!r}", hint=hint)
