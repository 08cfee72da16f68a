"""`partita assets ...`: how assets are and why, what automation does about it, and reports from other tools.

Rule: the same words against a running service and straight at the folder. What is read comes from the store.
"""

from __future__ import annotations

import difflib
import time
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any, Literal

from partita.cli import options, project, terminal
from partita.cli.parsing import Argument, Option
from partita.cli.styled import Style
from partita.cli.tables import Cell, Column, print_table
from partita.cli.words import ago, exact, iso, many
from partita.errors import DefinitionError, ParamError

if TYPE_CHECKING:
    from partita.core.automation import Tree
    from partita.core.manifest import AssetSpec, Manifest
    from partita.core.staleness import Staleness
    from partita.engine.asset_health import AssetHealth
    from partita.settings import Settings
    from partita.store.reading import SqlReader

Name = Annotated[str, Argument("ASSET", "An asset")]
Key = Annotated[str, Argument("PARTITION", "One of its partitions")]
Partition = Annotated[str, Option(("--partition",), "The partition that it is about", "KEY")]
By = Annotated[str, Option(("--by",), "Which tool says it (default: you)", "WHO")]
Metadata = Annotated[list[str] | None, Option(("-m", "--metadata"), "An entry of metadata: rows=17", "NAME=VALUE")]
State = Literal["current", "stale", "failing", "missing", "external"]

_STYLES: dict[str, Style] = {
    "current": "green",
    "fresh": "green",
    "stale": "amber",
    "warn": "amber",
    "failing": "red",
    "fail": "red",
    "missing": "dim",
    "external": "dim",
}
_DEEP = 12


def assets(
    name: Annotated[str, Argument("NAME", "Only what is named like this: raw_*")] = "*",
    state: Annotated[State | None, Option(("--state",), "Only what is so", "STATE")] = None,
    json: options.Json = False,
    folder: options.Project = None,
) -> int:
    """List assets: made or missing, current or stale, fresh or late."""
    from partita.engine.asset_health import health

    here = Here(folder)
    names = sorted(spec for spec in here.specs if fnmatchcase(spec, name))
    found = health(here.reader, here.assets, names, now=time.time(), namespace=here.namespace)
    found = [one for one in found if state in (None, one.state)]
    if json:
        terminal.print_json([health_object(one) for one in found])
        return 0
    if not found:
        terminal.note("nothing here is like that" if here.specs else "there are no assets yet")
        return 0
    now = time.time()
    print_table(terminal.out(), _COLUMNS, [_row(one, here.specs[one.asset], now) for one in found])
    return 0


def show(name: Name, partition: Key = "", json: options.Json = False, folder: options.Project = None) -> int:
    """Show how an asset (partition) is and why, what it reads, who reads it, and when it was made."""
    from partita.engine.asset_health import health, staleness_of
    from partita.store import assets as rows

    here = Here(folder)
    spec = here.find(name)
    [one] = health(here.reader, here.assets, [name], now=time.time(), namespace=here.namespace)
    stale = staleness_of(here.reader, here.specs.get, spec, partition, namespace=here.namespace)
    history = rows.history(here.reader, name, partition=partition or None, limit=10)
    readers = sorted(other.name for other in here.specs.values() if name in other.deps)
    if json:
        from partita.cli.objects import materialization_object

        terminal.print_json(
            {
                **health_object(one),
                "staleness": staleness_object(stale),
                "upstream": list(spec.deps),
                "downstream": readers,
                "materializations": [{"no": h.no, **materialization_object(h.row)} for h in history],
            }
        )
        return 0
    out = terminal.out()
    kept = f"{one.made} of {many(one.partitions, 'partition')} made" if spec.partitions is not None else ""
    out.line((name, "bold"), (f" {one.state}", _STYLES[one.state]), (f"   {kept}", "dim"))
    if one.freshness is not None:
        out.line("  ", (one.freshness, _STYLES.get(one.freshness, "dim")), (f": {one.freshness_reason}", ""))
    if one.checks_failed:
        out.line(("  ■ ", "red"), f"failed: {', '.join(one.checks_failed)}")
    if one.checks_warned:
        out.line(("  ◌ ", "amber"), f"warns: {', '.join(one.checks_warned)}")
    if partition or spec.partitions is None:
        _print_causes(stale)
    for label, names in (("reads", list(spec.deps)), ("read by", readers)):
        if names:
            out.line((f"  {label:<8}", "dim"), ", ".join(names))
    now = time.time()
    lines: list[list[Cell]] = [
        [
            str(h.no),
            h.row.partition,
            ago(h.row.at, now),
            h.row.step if h.is_reported else f"run {h.row.run[:8]}",
            h.row.data_version[:8],
        ]
        for h in history
    ]
    if lines:
        out.blank()
        columns = (Column("no", right=True), Column("partition"), Column("made"), Column("by"), Column("data"))
        print_table(out, columns, lines, indent=2)
    return 0


def why(name: Name, partition: Key = "", json: options.Json = False, folder: options.Project = None) -> int:
    """Explain an asset (partition): why it is stale, and why automation does (not) make it now."""
    here = Here(folder)
    explain_asset(here, here.find(name), partition, json=json)
    return 0


def search(
    words: Annotated[list[str] | None, Argument("WORDS", "Words of names, columns, owners, tags, descriptions")] = None,
    json: options.Json = False,
    folder: options.Project = None,
) -> int:
    """Find assets and pipelines by a name, a column, an owner, a tag or a word of the description."""
    from partita.core.search import search as find

    here = Here(folder)
    found = find(here.manifests, " ".join(words or ()))
    if json:
        import msgspec

        terminal.print_json(msgspec.to_builtins(found))
        return 0
    if not found:
        terminal.note("nothing here has these words" if words else "say what to look for")
        return 0
    columns = (Column("name"), Column("kind"), Column("found in"), Column("description", flexible=True))
    print_table(terminal.out(), columns, [[h.name, h.kind, ", ".join(h.where), h.description] for h in found])
    return 0


def report(
    name: Name,
    partition: Partition = "",
    data_version: Annotated[str, Option(("--data-version",), "Equal data, equal version: wakes nobody", "TEXT")] = "",
    key: Annotated[str, Option(("--key",), "Saying it twice under one key is one report", "KEY")] = "",
    metadata: Metadata = None,
    by: By = "",
    json: options.Json = False,
    folder: options.Project = None,
) -> int:
    """Report that another tool made an asset (partition)."""
    from partita.cli.asking import answer
    from partita.engine.reporting import ReportAsset, Reported

    settings = project.settings_of(folder)
    request = ReportAsset(name, by or project.user_name(), partition, data_version, _metadata(metadata), key)
    told = answer(settings, request, Reported)
    if json:
        terminal.print_json({"repeated": told.repeated})
    elif told.repeated:
        terminal.note(f"that {name} was made was reported before under this key")
    else:
        terminal.out().line(("● ", "green"), f"{name} {partition}".rstrip(), " was made, says ", request.by)
    return 0


def report_check(
    name: Name,
    check: Annotated[str, Argument("CHECK", "The name of the test")],
    passed: Annotated[bool | None, Option(("--passed",), "Whether it passed")] = None,
    partition: Partition = "",
    severity: Annotated[Literal["warn", "error"], Option(("--severity",), "How bad a failure is")] = "error",
    message: Annotated[str, Option(("--message",), "What it found", "TEXT")] = "",
    metadata: Metadata = None,
    by: By = "",
    folder: options.Project = None,
) -> int:
    """Report how a test of an asset ended elsewhere."""
    from partita.cli.asking import answer
    from partita.engine.reporting import ReportCheck, Reported

    if passed is None:
        raise ParamError("say how it ended", hint="--passed or --no-passed")
    who = by or project.user_name()
    request = ReportCheck(name, check, passed, who, partition, severity, message, _metadata(metadata))
    answer(project.settings_of(folder), request, Reported)
    glyph: tuple[str, Style] = ("● ", "green") if passed else ("✗ ", "red")
    terminal.out().line(glyph, f"check {check} of {name} {'passed' if passed else 'failed'}, says {who}")
    return 0


def partitions(
    name: Annotated[str, Argument("NAME", "An asset, or dynamic partitions by their name")],
    add: Annotated[list[str] | None, Option(("--add",), "Add a key to dynamic partitions", "KEY")] = None,
    remove: Annotated[list[str] | None, Option(("--remove",), "Take one away", "KEY")] = None,
    after: Annotated[str, Option(("--after",), "Only keys after this one", "KEY")] = "",
    limit: Annotated[int, Option(("--limit",), "At most so many", "N", least=1)] = 50,
    json: options.Json = False,
    folder: options.Project = None,
) -> int:
    """List the partitions of an asset with their state; or the keys of dynamic partitions, add and remove them."""
    if add or remove:
        return _change_keys(folder, name, add or [], remove or [])
    here = Here(folder)
    if name in here.specs:
        return _print_partitions(here, here.specs[name], after, limit, json=json)
    from partita.engine.reporting import dynamic_names
    from partita.store import assets as rows

    if name not in dynamic_names(here.manifests):
        here.find(name)
    keys = list(rows.dynamic_keys(here.reader, here.namespace, name))
    if json:
        terminal.print_json(keys)
    for key in keys if not json else ():
        terminal.out().line(key)
    if not keys and not json:
        terminal.note(f"there are none of {name} yet")
    return 0


# --- explaining -----------------------------------------------------------------------------------------------------


def explain_asset(here: Here, spec: AssetSpec, partition: str, *, json: bool) -> None:
    """Print why an asset (partition) is as it is, and what automation says."""
    from partita.cli.asking import answer
    from partita.engine.asset_health import staleness_of
    from partita.engine.automation import AssetAnswer, WhyAsset

    if spec.partitions is not None and not partition:
        from partita.store import assets as rows

        newest = rows.newest_made(here.reader, spec.name)
        partition = newest[0] if newest is not None else ""
        if not partition:
            raise ParamError(f"{spec.name} is partitioned and nothing of it was made: say which partition")
    stale = staleness_of(here.reader, here.specs.get, spec, partition, namespace=here.namespace)
    told = (
        AssetAnswer() if spec.automation is None else answer(here.settings, WhyAsset(spec.name, partition), AssetAnswer)
    )
    if json:
        tree = tree_object(told.tree) if told.tree is not None else None
        said = {"asset": spec.name, "partition": partition or None, "staleness": staleness_object(stale)}
        terminal.print_json({**said, "automation": tree, "problem": told.problem or None})
        return
    out = terminal.out()
    out.line((f"{spec.name} {partition}".rstrip(), "bold"), (f" {stale.state}", _STYLES[stale.state]))
    _print_causes(stale)
    if told.tree is None:
        out.line(("  no automation: it is made by runs that somebody or a schedule asks for", "dim"))
        return
    _print_tree(told.tree, 0)
    if told.problem:
        out.line(("  its last run could not be made: ", "red"), told.problem)


def _print_causes(stale: Staleness) -> None:
    now = time.time()
    for cause in stale.causes:
        at = f"   {ago(cause.at, now)}, {exact(cause.at)}" if cause.at else ""
        terminal.out().line(("  · ", "dim"), cause.text, (at, "dim"))


def _print_tree(tree: Tree, depth: int) -> None:
    mark: tuple[str, Style] = ("✓ ", "green") if tree.holds else ("✗ ", "dim")
    terminal.out().line("  " * (depth + 1), mark, tree.text)
    for child in tree.children if depth < _DEEP else ():
        _print_tree(child, depth + 1)


# --- partitions -----------------------------------------------------------------------------------------------------


def _change_keys(folder: options.Project, name: str, add: list[str], remove: list[str]) -> int:
    from partita.cli.asking import answer
    from partita.engine.reporting import AddPartitions, RemovePartitions, Reported

    settings = project.settings_of(folder)
    who = project.user_name()
    for keys, request in ((add, AddPartitions), (remove, RemovePartitions)):
        if keys:
            told = answer(settings, request(name, tuple(keys), who, settings.namespace), Reported)
            verb = "added to" if request is AddPartitions else "taken from"
            terminal.out().line(("● ", "green"), f"{many(told.count, 'key')} {verb} {name}")
    return 0


def _print_partitions(here: Here, spec: AssetSpec, after: str, limit: int, *, json: bool) -> int:
    from partita.engine.asset_health import staleness_of
    from partita.store import assets as rows

    found = rows.made_of(here.reader, spec.name, after=after or None, limit=limit)
    states = [
        (key, made, staleness_of(here.reader, here.specs.get, spec, key, namespace=here.namespace))
        for key, made in found
    ]
    if json:
        terminal.print_json(
            [
                {"partition": key or None, "made_at": iso(made.at), "run": made.run or None, **staleness_object(stale)}
                for key, made, stale in states
            ]
        )
        return 0
    now = time.time()
    lines: list[list[Cell]] = [
        [key, (stale.state, _STYLES[stale.state]), ago(made.at, now), stale.causes[0].text if stale.causes else ""]
        for key, made, stale in states
    ]
    if not lines:
        terminal.note(f"nothing of {spec.name} was made" + (f" after {after}" if after else ""))
        return 0
    columns = (Column("partition"), Column("state"), Column("made"), Column("why", flexible=True))
    print_table(terminal.out(), columns, lines)
    if len(found) == limit:
        terminal.note((f"more: --after {found[-1][0]}", "dim"))
    return 0


# --- what is here ---------------------------------------------------------------------------------------------------


class Here:
    """The assets that are defined here, and the store to read."""

    def __init__(self, folder: options.Project) -> None:
        self.settings: Settings = project.settings_of(folder)
        self.reader: SqlReader = project.open_memory(self.settings)
        self.namespace = self.settings.namespace
        self.manifests: list[Manifest] = list(self.reader.manifests())
        if not project.has_engine(self.settings):
            # What the files say now; a service has loaded them itself.
            now = project.load(self.settings)
            self.manifests = [now, *(m for m in self.manifests if m.project != now.project)]
        found: dict[str, tuple[str, AssetSpec]] = {}
        for manifest in self.manifests:
            for spec in manifest.assets:
                # As the project that makes it declares it, before those that only read it.
                if spec.name not in found or not spec.external:
                    found[spec.name] = manifest.project, spec
        self.assets = list(found.values())
        self.specs = {spec.name: spec for _, spec in self.assets}

    def find(self, name: str) -> AssetSpec:
        """The asset of a name. Raises `DefinitionError`."""
        if name not in self.specs:
            near = difflib.get_close_matches(name, self.specs, 1)
            raise DefinitionError(
                f"there is no asset {name!r}", hint=f"did you mean {near[0]!r}?" if near else "partita assets"
            )
        return self.specs[name]


_COLUMNS = (
    Column("asset"),
    Column("state"),
    Column("partitions", right=True),
    Column("stale", right=True),
    Column("failing", right=True),
    Column("freshness"),
    Column("last made"),
    Column("automation"),
    Column("owner"),
)


def _row(one: AssetHealth, spec: AssetSpec, now: float) -> list[Cell]:
    return [
        one.asset,
        (one.state, _STYLES[one.state]),
        f"{one.made}/{one.partitions}" if spec.partitions is not None else "",
        str(one.stale or ""),
        str(one.failing or ""),
        (one.freshness or "", _STYLES.get(one.freshness or "", "dim")),
        "" if one.last_at is None else f"{ago(one.last_at, now)} {one.last_partition}".rstrip(),
        "yes" if spec.automation is not None else "",
        spec.owner,
    ]


def _metadata(given: list[str] | None) -> tuple[Any, ...]:
    from partita.define.metadata import meta

    found = []
    for entry in given or ():
        name, equals, value = entry.partition("=")
        if not equals or not name:
            raise ParamError(f"{entry!r} is no entry of metadata", hint="write name=value: --metadata rows=17")
        found.append(meta(name, _read(value)))
    return tuple(found)


def _read(text: str) -> object:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


# --- objects --------------------------------------------------------------------------------------------------------


def health_object(one: AssetHealth) -> dict[str, Any]:
    """An asset's health as the API prints it."""
    return {
        "asset": one.asset,
        "project": one.project,
        "state": one.state,
        "partitions": one.partitions,
        "made": one.made,
        "stale": one.stale,
        "failing": one.failing,
        "last_made_at": iso(one.last_at),
        "last_partition": one.last_partition or None,
        "last_run": one.last_run or None,
        "freshness": one.freshness,
        "freshness_reason": one.freshness_reason or None,
        "checks_failed": list(one.checks_failed),
        "checks_warned": list(one.checks_warned),
    }


def staleness_object(stale: Staleness) -> dict[str, Any]:
    """Staleness with its reasons."""
    return {
        "state": stale.state,
        "causes": [
            {
                "code": c.code,
                "text": c.text,
                "asset": c.asset or None,
                "partition": c.partition or None,
                "at": iso(c.at) if c.at else None,
            }
            for c in stale.causes
        ],
    }


def tree_object(tree: Tree) -> dict[str, Any]:
    """An explanation."""
    return {"text": tree.text, "holds": tree.holds, "children": [tree_object(child) for child in tree.children]}
