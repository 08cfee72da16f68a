"""`partita list`: the pipelines and assets of the project."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Literal

from partita.cli import options, project, terminal
from partita.cli.parsing import Argument, Option
from partita.cli.problems import warn_of_problems
from partita.cli.tables import Column, print_table
from partita.cli.words import many

if TYPE_CHECKING:
    from partita.core.manifest import AssetSpec, Manifest, PipelineSpec


def list_(
    name: Annotated[str, Argument("NAME", "Only what is named like this: flights*")] = "*",
    kind: Annotated[Literal["pipelines", "assets"] | None, Option(("--kind",), "Only one kind")] = None,
    group: Annotated[str, Option(("--group",), "Only assets of this group", "GROUP")] = "",
    owner: Annotated[str, Option(("--owner",), "Only what this owner has", "OWNER")] = "",
    tag: Annotated[str, Option(("--tag",), "Only what has this tag", "TAG")] = "",
    json: options.Json = False,
    folder: options.Project = None,
) -> int:
    """List the pipelines and assets of the project."""
    manifest = project.load(project.settings_of(folder))

    def wanted(spec: PipelineSpec | AssetSpec) -> bool:
        return fnmatchcase(spec.name, name) and owner in ("", spec.owner) and (not tag or tag in spec.tags)

    pipelines = [p for p in manifest.pipelines if wanted(p) and not group] if kind != "assets" else []
    assets = [a for a in manifest.assets if wanted(a) and group in ("", a.group)] if kind != "pipelines" else []
    if json:
        from partita.cli.objects import asset_object, pipeline_object

        terminal.print_json(
            {
                "project": manifest.project,
                "pipelines": [pipeline_object(p) for p in pipelines],
                "assets": [asset_object(a) for a in assets],
            }
        )
    else:
        _print(manifest, pipelines, assets)
    warn_of_problems(manifest)
    return 0


def _print(manifest: Manifest, pipelines: list[PipelineSpec], assets: list[AssetSpec]) -> None:
    out = terminal.out()
    if pipelines:
        out.line(("Pipelines", "bold"))
        print_table(out, _PIPELINE_COLUMNS, [_pipeline_row(p) for p in pipelines], indent=2)
    if assets:
        if pipelines:
            out.blank()
        out.line(("Assets", "bold"))
        print_table(out, _ASSET_COLUMNS, [_asset_row(a, _checks(manifest, a.name)) for a in assets], indent=2)
    if not pipelines and not assets:
        if manifest.pipelines or manifest.assets:
            terminal.note("nothing here is like that")
        else:
            terminal.note(f"project {manifest.project} defines no pipelines and no assets yet")
            terminal.hint("write a function with @pt.pipeline or @pt.asset into pipelines.py, or: partita init")


_PIPELINE_COLUMNS = (
    Column("name"),
    Column("steps", right=True),
    Column("schedule"),
    Column("partitions"),
    Column("owner"),
    Column("tags", flexible=True),
    Column("description", flexible=True),
)
_ASSET_COLUMNS = (
    Column("name"),
    Column("group"),
    Column("needs", flexible=True),
    Column("checks", right=True),
    Column("partitions"),
    Column("owner"),
    Column("tags", flexible=True),
    Column("description", flexible=True),
)


def _pipeline_row(spec: PipelineSpec) -> list[str]:
    return [
        spec.name,
        str(len(spec.graph.steps)),
        ", ".join(s.rule for s in spec.schedules),
        spec.partitions.kind if spec.partitions is not None else "",
        spec.owner,
        ", ".join(spec.tags),
        spec.description.partition("\n")[0],
    ]


def _checks(manifest: Manifest, asset: str) -> int:
    steps = manifest.assets_graph.steps if manifest.assets_graph is not None else ()
    return sum(step.check is not None and step.check.asset == asset for step in steps)


def _asset_row(spec: AssetSpec, checks: int) -> list[str]:
    return [
        spec.name,
        spec.group,
        ", ".join(spec.deps) if len(spec.deps) <= 3 else many(len(spec.deps), "asset"),
        str(checks) if checks else "",
        ("external" if spec.external else "") or (spec.partitions.kind if spec.partitions is not None else ""),
        spec.owner,
        ", ".join(spec.tags),
        spec.description.partition("\n")[0],
    ]
