"""A pipeline or an asset as `partita show` tells it: what is written, and how it went lately."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

import msgspec

from partita.cli import terminal
from partita.cli.facts import heading, meta_text, packed, partitions_text, print_facts
from partita.cli.styled import Line
from partita.cli.tables import Cell, Column, print_table
from partita.cli.tree import tree_lines
from partita.cli.words import ago, duration, exact, many, size

if TYPE_CHECKING:
    from partita.cli.terminal import Out
    from partita.core.manifest import AssetSpec, Freshness, Manifest, ParamSpec, PipelineSpec
    from partita.core.sizing import StepSize
    from partita.store.contract import MaterializationRow, Reader

_LATEST = 5
_STEPS_DRAWN = 60
_SIZES = 20
# What is worth a line though nothing was asked for.
_LARGE_MEMORY = 512 << 20
_LARGE_CORES = 1.5


def show_pipeline(reader: Reader | None, spec: PipelineSpec, manifest: Manifest, *, json: bool) -> None:
    """Print a pipeline."""
    latest = reader.runs(pipeline=spec.name, limit=_LATEST) if reader is not None else []
    sizes = _sizes(reader, spec)
    if json:
        from partita.cli.objects import pipeline_object, run_object

        told = {"runs": [run_object(r) for r in latest], "sizes": [msgspec.to_builtins(size) for size in sizes]}
        terminal.print_json({**pipeline_object(spec), **told})
        return
    out = terminal.out()
    out.line((spec.name, "bold"), (f"   pipeline, {many(len(spec.graph.steps), 'step')}", "dim"))
    print_facts(
        out,
        [
            ("description", spec.description),
            ("owner", spec.owner),
            ("tags", ", ".join(spec.tags)),
            ("schedule", "\n".join(f"{s.rule}  {s.tz}  (catch up: {s.catchup})" for s in spec.schedules)),
            ("partitions", partitions_text(spec.partitions)),
            ("fail fast", "yes" if spec.fail_fast else ""),
            ("timeout", duration(spec.timeout_s) if spec.timeout_s is not None else ""),
            ("at once", f"{many(spec.max_runs, 'run')}" if spec.max_runs is not None else ""),
            ("steps at once", str(spec.max_steps) if spec.max_steps is not None else ""),
            ("written", spec.written_at),
        ],
    )
    if spec.params:
        heading(out, "Parameters")
        columns = (Column("name"), Column("type"), Column("default"), Column("description", flexible=True))
        print_table(out, columns, [_param_row(p) for p in spec.params], indent=2)
    heading(out, "Steps")
    lines = tree_lines(spec.graph)
    for line in lines[:_STEPS_DRAWN]:
        out.cut_line([("  ", ""), *line])
    if len(lines) > _STEPS_DRAWN:
        out.line((f"  and {len(lines) - _STEPS_DRAWN} more: partita graph {spec.name}", "dim"))
    _print_sizes(out, sizes)
    if latest:
        from partita.cli.runs import print_runs

        heading(out, "Runs")
        print_runs(out, latest, time.time())


def _sizes(reader: Reader | None, spec: PipelineSpec) -> list[StepSize]:
    from partita.core.sizing import step_sizes
    from partita.store.named import Fetching
    from partita.store.sizes import samples

    return step_sizes(spec.graph.steps, samples(cast(Fetching, reader), spec.name) if reader is not None else ())


def _print_sizes(out: Out, sizes: list[StepSize]) -> None:
    """What steps ask for beside what they use: those that ask for something, and the largest of the others."""
    large = [s for s in sizes if (s.memory_used or 0) >= _LARGE_MEMORY or (s.cpu_used or 0) >= _LARGE_CORES]
    shown = [s for s in sizes if s.memory_asked is not None or s.cpu_asked is not None or s in large][:_SIZES]
    if not shown:
        return
    heading(out, "Sizes")
    columns = (
        Column("step"),
        Column("memory", right=True),
        Column("used", right=True),
        Column("cores", right=True),
        Column("used", right=True),
        Column("", flexible=True),
    )
    print_table(out, columns, [_size_row(size) for size in shown], indent=2)


def _size_row(one: StepSize) -> list[Cell]:
    return [
        one.step,
        size(one.memory_asked) if one.memory_asked is not None else "",
        size(one.memory_used) if one.memory_used is not None else "",
        f"{one.cpu_asked:g}" if one.cpu_asked is not None else "",
        f"{one.cpu_used:g}" if one.cpu_used is not None else "",
        one.hint,
    ]


def _param_row(spec: ParamSpec) -> list[Cell]:
    schema = msgspec.json.decode(spec.schema)
    kind = schema.get("type") or ("one of " + ", ".join(map(str, schema["enum"])) if "enum" in schema else "any")
    default = packed(spec.default) if spec.default is not None else ("(required)" if spec.required else "")
    return [spec.name, schema.get("format") or str(kind), default, spec.description]


def show_asset(reader: Reader | None, spec: AssetSpec, manifest: Manifest, *, json: bool) -> None:
    """Print an asset."""
    made = reader.materializations(spec.name, limit=_LATEST) if reader is not None else []
    checked = reader.checks(asset=spec.name, limit=_LATEST) if reader is not None else []
    if json:
        from partita.cli.objects import asset_object, check_object, materialization_object

        terminal.print_json(
            {
                **asset_object(spec),
                "materializations": [materialization_object(m) for m in made],
                "checks": [check_object(c) for c in checked],
            }
        )
        return
    out = terminal.out()
    out.line((spec.name, "bold"), ("   asset", "dim"))
    print_facts(out, _asset_facts(spec, manifest))
    _print_made(out, reader, spec, made)


def _asset_facts(spec: AssetSpec, manifest: Manifest) -> list[tuple[str, str | Line]]:
    steps = manifest.assets_graph.steps if manifest.assets_graph is not None else ()
    checks = [
        f"{s.check.name}{' (blocking)' if s.check.blocking else ''}"
        for s in steps
        if s.check is not None and s.check.asset == spec.name
    ]
    return [
        ("description", spec.description),
        ("owner", spec.owner),
        ("group", spec.group),
        ("tags", ", ".join(spec.tags)),
        ("kinds", ", ".join(spec.kinds)),
        ("made by", "outside of this project" if spec.external else spec.step),
        ("needs", ", ".join(spec.deps)),
        ("needed by", ", ".join(a.name for a in manifest.assets if spec.name in a.deps)),
        ("checks", ", ".join(checks)),
        ("partitions", partitions_text(spec.partitions)),
        ("fresh", _fresh_text(spec.freshness)),
        ("columns", ", ".join(f"{name} {kind}" for name, kind in spec.columns)),
        ("written", spec.written_at),
    ]


def _fresh_text(freshness: Freshness | None) -> str:
    """What is asked of its age, in words."""
    if freshness is None:
        return ""
    if freshness.cron:
        return f"new at each tick of {freshness.cron} ({freshness.tz})"
    return f"for {duration(freshness.fail_s)}" if freshness.fail_s is not None else ""


def _print_made(out: Out, reader: Reader | None, spec: AssetSpec, made: list[MaterializationRow]) -> None:
    heading(out, "Made")
    if not made:
        out.line("  never yet", (f"   partita run +{spec.name}", "dim"))
        return
    numbers = {m.run: row.no for m in made if reader is not None and (row := reader.run(m.run)) is not None}
    now = time.time()
    rows: list[list[Cell]] = [
        [m.partition, ago(m.at, now), (exact(m.at), "dim"), f"run {numbers.get(m.run, '?')}", meta_text(m.metadata)]
        for m in made
    ]
    columns = (
        Column("partition"),
        Column("when", right=True),
        Column("at"),
        Column("by"),
        Column("metadata", flexible=True),
    )
    print_table(out, columns, rows, indent=2)
