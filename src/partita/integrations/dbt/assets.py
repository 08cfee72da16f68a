"""A dbt project as one bundle: each model and seed an asset, each test a check, all of them built by one dbt process.

    models = dbt_assets(DbtProject("transform"), pool=("warehouse", 4))

What has not changed since it was last built is not built again: the node's own code, and the versions of all that it
reads. A source is taken to have changed with every run, unless `source_version` says which version of it is there.

Rule: what may be built is the engine's decision (`members`); in which order, and what a failed test stops, is dbt's.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import partita as pt
from partita.core.events import CheckReport, Failure
from partita.define.asset import BundleDef, Facts, MemberCheck
from partita.define.metadata import meta
from partita.define.where import Place
from partita.integrations.dbt.built import Built, Entry, versions_of
from partita.integrations.dbt.project import DbtFailed, DbtNode, DbtProject, read_nodes
from partita.integrations.dbt.running import DbtEvent, DbtNodeFinished, DbtNodeLine, DbtNodeStarted, DbtRunner

SourceVersion = Callable[[str, pt.Context], str]

_TRANSACTION = ("BEGIN", "COMMIT", "ROLLBACK")
_HEAD = re.compile(r"\w+ Error in \w+ \S+ \(.*\)")


def dbt_assets(
    project: DbtProject,
    *,
    name: str = "dbt",
    name_of: Callable[[DbtNode], str] = lambda node: node.name,
    declare_sources: bool = True,
    source_version: SourceVersion | None = None,
    warehouse: str | Path | None = None,
    **options: Any,
) -> BundleDef:
    """The assets and checks of a dbt project, made by one step.

    `name_of` names the asset of a node. With `declare_sources` dbt's sources become external assets; without, they are
    the assets of those names that the project makes itself. `source_version(asset, ctx)` says which version of a
    source is there. `warehouse` is the file that the warehouse is kept in, if it is one: when somebody else has
    written it, all is built again. `options` are those of a bundle: pool, timeout, partitions, owner, ...
    A test that reads nothing is a check of nothing, and left out.
    """
    try:
        nodes = {node.unique_id: node for node in read_nodes(project)}
    except DbtFailed as error:
        hint = f"dbt parse --project-dir {project.project_dir}"
        raise pt.DefinitionError(f"the dbt project of `{name}` cannot be read: {error}", hint=hint) from error
    build = _Build(project, nodes, name_of, source_version, Path(warehouse) if warehouse else None)
    if declare_sources:
        for node in nodes.values():
            if node.kind == "source":
                pt.external_asset(name_of(node), description=node.description, owner=node.owner or "", kinds="dbt")

    def dbt_build(ctx: pt.Context, members: Sequence[str]) -> None:
        """Build models and seeds and run the tests on them, in one dbt process."""
        build(ctx, members)

    options.setdefault("description", dbt_build.__doc__)
    return pt.bundle(name, dbt_build, list(build.members()), **options)


class _Build:
    """Builds what is granted of one project."""

    def __init__(
        self,
        project: DbtProject,
        nodes: dict[str, DbtNode],
        name_of: Callable[[DbtNode], str],
        source_version: SourceVersion | None,
        warehouse: Path | None,
    ) -> None:
        self.project = project
        self.nodes = nodes
        self.names = {unique_id: name_of(node) for unique_id, node in nodes.items()}
        self.source_version = source_version
        self.warehouse = warehouse
        self.keys = {
            node.unique_id: self.names[unique_id] if node.kind != "test" else self._check_key(node)
            for unique_id, node in nodes.items()
            if node.kind != "source" and (node.kind != "test" or node.attached_to in nodes)
        }
        self.by_key = {key: nodes[unique_id] for unique_id, key in self.keys.items()}
        # What dbt has parsed is kept as long as the worker lives.
        self.runner = DbtRunner(project)

    def members(self) -> Iterable[Facts | MemberCheck]:
        """What the bundle is said to make."""
        for unique_id in self.keys:
            node = self.nodes[unique_id]
            yield self._check(node) if node.kind == "test" else self._asset(node)

    def __call__(self, ctx: pt.Context, members: Sequence[str]) -> None:
        """Build the members, but for those that are there as they would become."""
        wanted = {self.by_key[key].unique_id: self.by_key[key] for key in members}
        built = Built(self.project, self.warehouse)
        versions = versions_of(wanted, self.nodes, built, lambda node: self._source_version(node, ctx))
        todo = {unique_id for unique_id in wanted if not built.is_current(unique_id, versions[unique_id])}
        for unique_id in wanted:
            if unique_id not in todo:
                self._tell_unchanged(ctx, unique_id, built.entries[unique_id])
        if not todo:
            print(f"all {len(wanted)} members are unchanged: dbt has nothing to do")
            return
        if len(todo) < len(wanted):
            print(f"{len(wanted) - len(todo)} of {len(wanted)} members are unchanged and not built again")
        # Said before it is done: after a crash nobody knows what is in these tables.
        built.forget(todo)
        told = _Told(self, ctx, built, versions, len(todo))
        try:
            self.runner.run(sorted(todo), on_event=told)
        finally:
            built.save()

    def _asset(self, node: DbtNode) -> Facts:
        facts = pt.out(
            self.names[node.unique_id],
            deps=self._reads(node),
            group=node.group or "",
            owner=node.owner or "",
            tags=node.tags,
            kinds=tuple(dict.fromkeys(["dbt", node.kind, *([node.materialized] if node.materialized else [])])),
            description=node.description,
            columns={column.name: column.data_type or "" for column in node.columns},
            version=node.fingerprint,
        )
        return replace(facts, place=Place(str(self.project.folder / node.path), 1))

    def _check(self, node: DbtNode) -> MemberCheck:
        asset, _, name = self.keys[node.unique_id].partition(":")
        return pt.member_check(
            asset,
            name,
            blocking=node.is_blocking and self._holds_back(node),
            severity=node.severity,
            deps=[dep for dep in self._reads(node) if dep != asset],
            owner=node.owner or "",
            tags=node.tags,
            description=node.description,
        )

    def _holds_back(self, test: DbtNode) -> bool:
        """Does dbt let what is behind the test's model wait for it?

        `dbt build` holds back only what descends from everything that a test reads. A relationship to a table that the
        model is not made from fails the run, but nothing waits for it.
        """
        above = {test.attached_to}
        todo = [test.attached_to]
        while todo:
            found = self.nodes.get(todo.pop() or "")
            fresh = [dep for dep in found.depends_on if dep not in above] if found is not None else []
            above.update(fresh)
            todo.extend(fresh)
        return above.issuperset(test.depends_on)

    def _check_key(self, node: DbtNode) -> str:
        return f"{self.names[node.attached_to or '']}:{node.name}"

    def _reads(self, node: DbtNode) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.names[dep] for dep in node.depends_on if dep in self.names))

    def _source_version(self, node: DbtNode, ctx: pt.Context) -> str:
        if self.source_version is None:
            return ctx.execution_uid
        return self.source_version(self.names[node.unique_id], ctx)

    def _tell_unchanged(self, ctx: pt.Context, unique_id: str, entry: Entry) -> None:
        key = self.keys[unique_id]
        ctx.member_began(key)
        if self.nodes[unique_id].kind == "test":
            checks = (self.report(key, unique_id, entry.failures, entry.message),)
            ctx.member_ended(key, checks=checks, cached_from=entry.origin)
        else:
            value = self.value(unique_id, entry.version)
            ctx.member_ended(key, value=value, metadata={"relation": value["relation"]}, cached_from=entry.origin)

    def value(self, unique_id: str, version: str) -> dict[str, str]:
        """A model as the value of its asset: where it lies, and which version of it."""
        return {"relation": self.nodes[unique_id].relation or "", "version": version}

    def report(self, key: str, unique_id: str, failures: int | None, message: str, **metadata: object) -> CheckReport:
        asset, _, name = key.partition(":")
        severity = self.nodes[unique_id].severity or "error"
        metas = tuple(meta(n, v) for n, v in {"failures": failures or 0, **metadata}.items())
        return CheckReport(asset, name, not message, severity, message, metadata=metas)


class _Told:
    """Hears what dbt says of each node and passes it on. Called from dbt's threads, one call at a time."""

    def __init__(self, build: _Build, ctx: pt.Context, built: Built, versions: dict[str, str], total: int) -> None:
        self.build = build
        self.ctx = ctx
        self.built = built
        self.versions = versions
        self.total = total
        # dbt sums up its failures at the end of a command, when their logs are closed.
        self.ended: set[str] = set()

    def __call__(self, event: DbtEvent) -> None:
        key = self.build.keys.get(event.unique_id)
        if key is None:
            return
        match event:
            case DbtNodeStarted():
                self.ctx.member_began(key, event.at)
            case DbtNodeLine():
                if event.unique_id not in self.ended and (text := line_of(event)):
                    self.ctx.member_log(key, text)
            case DbtNodeFinished():
                self.ended.add(event.unique_id)
                self._ended(key, event)
                self.ctx.progress(len(self.ended), self.total, key)

    def _ended(self, key: str, event: DbtNodeFinished) -> None:
        if event.state == "skipped":
            names = ", ".join(self.build.keys.get(u, u) for u in event.blocked_by) or "something above it"
            self.ctx.member_ended(key, "upstream_failed", failure=f"dbt left it out because {names} failed")
        elif event.dbt_status in ("error", "runtime error", "partial success"):
            failure = Failure(message_of(event.message))
            self.ctx.member_ended(key, "failed", began_at=event.started_at, ended_at=event.finished_at, failure=failure)
        elif event.kind == "test":
            self._test_ended(key, event)
        else:
            self._model_ended(key, event)

    def _test_ended(self, key: str, event: DbtNodeFinished) -> None:
        failures = event.failures or 0
        message = "" if event.state == "succeeded" else f"it found {_rows(failures)} that should not be there"
        report = self.build.report(
            key, event.unique_id, failures, message, execution_s=event.execution_s, **_compiled(event)
        )
        if event.state != "failed":
            self._remember(key, event, failures, message)
        self.ctx.member_ended(key, began_at=event.started_at, ended_at=event.finished_at, checks=(report,))

    def _model_ended(self, key: str, event: DbtNodeFinished) -> None:
        self._remember(key, event)
        metadata: dict[str, object] = {"execution_s": event.execution_s, "relation": event.relation or ""}
        if event.rows is not None:
            metadata["rows"] = event.rows
        if event.adapter_response:
            metadata["adapter_response"] = event.adapter_response
        self.ctx.member_ended(
            key,
            began_at=event.started_at,
            ended_at=event.finished_at,
            value=self.build.value(event.unique_id, self.versions[event.unique_id]),
            metadata=metadata | _compiled(event),
        )

    def _remember(self, key: str, event: DbtNodeFinished, failures: int | None = None, message: str = "") -> None:
        origin = f"{self.ctx.run_id}/{key}/{self.ctx.index}/{self.ctx.attempt}"
        version = self.versions[event.unique_id]
        self.built.entries[event.unique_id] = Entry(version, origin, failures, message)


def line_of(line: DbtNodeLine) -> str:
    """What a line of dbt's says beyond which node it is about; nothing of transactions, and SQL without its gaps."""
    told = textwrap.dedent(line.text.removeprefix(f"On {line.unique_id}: "))
    kept = [text.rstrip() for text in told.splitlines() if text.strip()]
    return "" if len(kept) == 1 and kept[0].strip(" ;") in _TRANSACTION else "\n".join(kept)


def message_of(text: str) -> str:
    """What went wrong, without dbt's heading that says in which node: that is known.

    >>> message_of("Runtime Error in model flights (models/flights.sql)\\n  Binder Error: no column dep_delay\\n")
    'Binder Error: no column dep_delay'
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and _HEAD.fullmatch(lines[0]):
        lines = lines[1:]
    return "\n".join(lines) or "dbt says nothing about it"


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _compiled(event: DbtNodeFinished) -> dict[str, object]:
    return {"compiled_sql": pt.md.path(event.compiled_path)} if event.compiled_path else {}
