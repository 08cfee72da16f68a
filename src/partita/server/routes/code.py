"""The code of a step as its run has it, and what differs between two versions of a project's code.

Code is read with the permission for logs: both may say more than the names that everybody sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import msgspec

from partita.core.graph import Graph
from partita.core.graph import Step as GraphStep
from partita.server import kept_code
from partita.server.calling import Call, Name
from partita.server.problems import Refused, not_found
from partita.server.remembering import graph
from partita.server.routes.assets import found
from partita.server.routing import route
from partita.server.secrecy import mask_of
from partita.store import versions as rows

Version = Annotated[str, msgspec.Meta(max_length=200, description="A version of the project's code")]
Against = Annotated[str, msgspec.Meta(max_length=200, description='The version before; "" = the one served before it')]


class StepCode(msgspec.Struct, frozen=True):
    """The file in which a step is defined, at a version; the definition takes its lines from `first` to `last`.

    `step_version` changes when what the step runs changes, wherever that is written. `is_cut`: the file goes on.
    """

    project: str
    code: str
    step: str
    file: str
    first: int
    last: int
    text: str
    is_cut: bool
    step_version: str


class ChangedFile(msgspec.Struct, frozen=True):
    """A file that differs: "added", "removed" or "changed", with how many lines came and went, and both texts."""

    file: str
    change: str
    lines_added: int
    lines_removed: int
    before: str
    after: str
    is_cut: bool


class ChangedPipeline(msgspec.Struct, frozen=True):
    """A pipeline that differs: "added", "removed" or "changed", and its steps. A step is changed when what it runs, what
    it needs or its policies are others."""

    pipeline: str
    change: str
    steps_added: list[str]
    steps_removed: list[str]
    steps_changed: list[str]


class CodeDiff(msgspec.Struct, frozen=True):
    """What differs in a version against another one. `files` is null where the files of one of them are kept no more."""

    project: str
    code: str
    against: str
    files: list[ChangedFile] | None
    pipelines: list[ChangedPipeline]


_CODE = StepCode(
    "shop", "5e9d2b4f", "load", "pipelines.py", 2, 4, "\n@pt.task\ndef load():\n    ...\n", False, "8c1f0d3e"
)
_DIFF = CodeDiff(
    "shop",
    "5e9d2b4f",
    "11aa22bb",
    [ChangedFile("pipelines.py", "changed", 1, 1, "x = 1\n", "x = 2\n", False)],
    [ChangedPipeline("nightly", "changed", ["train"], [], ["load"])],
)


@route(
    "GET",
    "/runs/{run}/steps/{step}/code",
    permission="log.read",
    summary="The code of a step: as its run has it, or at another version",
    errors=(404, 409, 422),
    example=_CODE,
)
def step_code(call: Call, run: Name, step: Name, version: Version = "") -> StepCode:
    row = call.run(run)
    code = version or row.code
    found = _step_of(graph(call.reader, row).steps, step)
    if version and version != row.code:
        found = _defined(call, row.project, version, row.pipeline, step)
    if found is None:
        raise not_found("step", step)
    folder = _folder(call, row.project, code)
    if folder is None:
        raise Refused(409, f"the files of version {code or '(none)'} are kept no more", hint=_HINT)
    place = kept_code.definition(folder, found.written_at)
    if place is None:
        raise Refused(
            409, f"step {step!r} is written at {found.written_at or 'no known place'}", hint="that file is not kept"
        )
    file, lines = place
    text = mask_of(call.settings.home, call.catalog.manifests.get(row.project))(lines.text)
    return StepCode(row.project, code, step, file, lines.first, lines.last, text, lines.is_cut, found.code_version)


@route(
    "GET",
    "/projects/{project}/versions/{code}/diff",
    permission="log.read",
    summary="What differs in a version of a project's code against another one: files, pipelines and their steps",
    errors=(404, 422),
    example=_DIFF,
)
def diff(call: Call, project: Name, code: Name, against: Against = "") -> CodeDiff:
    row = rows.project(call.reader, project)
    if row is None:
        raise not_found("project", project)
    call.require(row.namespace, "project", project)
    against = against or _before(call, project, code)
    manifests = {name: rows.manifest_of(call.reader, project, name) for name in (code, against)}
    for name, manifest in manifests.items():
        if manifest is None:
            raise not_found("version", name)
    new, old = _folder(call, project, code), _folder(call, project, against)
    mask = mask_of(call.settings.home, call.catalog.manifests.get(project))
    files = None if new is None or old is None else [_file(c, mask) for c in kept_code.changes(old, new)]
    return CodeDiff(project, code, against, files, _pipelines(manifests[against], manifests[code]))


@route(
    "GET",
    "/assets/{asset}/code",
    permission="log.read",
    summary="The code of an asset, as its project defines it now",
    errors=(404, 409),
    example=_CODE,
)
def asset_code(call: Call, asset: Name) -> StepCode:
    manifest, spec = found(call, asset)
    folder = _folder(call, manifest.project, manifest.code)
    if folder is None:
        raise Refused(409, f"the files of version {manifest.code or '(none)'} are kept no more", hint=_HINT)
    place = kept_code.definition(folder, spec.written_at)
    if place is None:
        where = spec.written_at or "no known place"
        raise Refused(409, f"asset {asset!r} is written at {where}", hint="that file is not kept")
    file, lines = place
    text = mask_of(call.settings.home, manifest)(lines.text)
    return StepCode(
        manifest.project, manifest.code, spec.step, file, lines.first, lines.last, text, lines.is_cut, spec.code_version
    )


_HINT = "versions are kept by `partita up`, the last twenty and those of open runs"


def _before(call: Call, project: str, code: str) -> str:
    """The version that was served before this one. Raises `Refused`."""
    known = rows.versions(call.reader, project, limit=1000)
    at = next((row.at for row in known if row.code == code), None)
    if at is None:
        raise not_found("version", code)
    older = rows.versions(call.reader, project, before=at, limit=1)
    if not older:
        raise Refused(404, f"there is no version before {code}", hint="say with `against` which one is meant")
    return older[0].code


def _folder(call: Call, project: str, code: str) -> Path | None:
    row = rows.project(call.reader, project)
    served, folder = (row.code, row.folder) if row is not None else ("", "")
    return kept_code.folder_of(call.settings.home, project, code, served, folder)


def _step_of(steps: Iterable[GraphStep], key: str) -> GraphStep | None:
    return next((step for step in steps if step.key == key), None)


def _defined(call: Call, project: str, version: str, pipeline: str, key: str) -> GraphStep | None:
    """The step as another version defines it: in its pipeline, else in any (runs of assets have none of their own)."""
    manifest: Any = rows.manifest_of(call.reader, project, version)
    if manifest is None:
        raise not_found("version", version)
    graphs = [p.graph for p in sorted(manifest.pipelines, key=lambda p: p.name != pipeline)]
    return next((found for g in graphs if (found := _step_of(g.steps, key)) is not None), None)


def _file(change: kept_code.Change, mask: Callable[[str], str]) -> ChangedFile:
    return ChangedFile(
        change.file,
        change.change,
        change.added,
        change.removed,
        mask(change.before),
        mask(change.after),
        change.is_cut,
    )


def _pipelines(old: Any, new: Any) -> list[ChangedPipeline]:
    before = {p.name: p.graph for p in old.pipelines}
    after = {p.name: p.graph for p in new.pipelines}
    found = (_pipeline(name, before.get(name), after.get(name)) for name in sorted(before.keys() | after.keys()))
    return [change for change in found if change is not None]


def _pipeline(name: str, old: Graph | None, new: Graph | None) -> ChangedPipeline | None:
    was = {s.key: s for s in old.steps} if old is not None else {}
    now = {s.key: s for s in new.steps} if new is not None else {}
    changed = [key for key, step in now.items() if key in was and _essence(was[key]) != _essence(step)]
    added = [key for key in now if key not in was]
    removed = [key for key in was if key not in now]
    if old is not None and new is not None and not (changed or added or removed):
        return None
    change = "changed" if old is not None and new is not None else "added" if old is None else "removed"
    return ChangedPipeline(name, change, added, removed, changed)


def _essence(step: GraphStep) -> GraphStep:
    """A step without what moves when only lines move."""
    return msgspec.structs.replace(step, written_at="")
