"""A dbt project as plain values: its models, seeds, tests and sources, as dbt's own manifest has them.

Rule: nothing is imported from dbt here. A project that has to be parsed first is parsed by a process of its own, so
that whoever loads definitions stays small and may fork.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

Kind = Literal["model", "seed", "test", "snapshot", "source"]

_KINDS = ("model", "seed", "test", "snapshot", "source")
_READ_SUFFIXES = {".sql", ".yml", ".yaml", ".csv", ".py", ".md"}
_ENVIRONMENT_NAME = re.compile(rb"env_var\(\s*['\"](\w+)")


class DbtFailed(Exception):
    """dbt did not get as far as running nodes: the project or its profile is wrong."""


class DbtProject(msgspec.Struct, frozen=True):
    """Where a dbt project is and with what it runs."""

    project_dir: str
    profiles_dir: str | None = None  # None: beside dbt_project.yml
    target_path: str | None = None  # None: `target` in the project
    target: str | None = None
    threads: int | None = None
    environment: dict[str, str] = {}  # on top of the process's own, while dbt runs
    variables: dict[str, Any] = {}

    @property
    def folder(self) -> Path:
        return Path(self.project_dir).absolute()

    @property
    def target_folder(self) -> Path:
        return Path(self.target_path).absolute() if self.target_path else self.folder / "target"


class DbtColumn(msgspec.Struct, frozen=True):
    name: str
    description: str
    data_type: str | None


class DbtNode(msgspec.Struct, frozen=True):
    """One node of the project's graph, a source included."""

    unique_id: str
    name: str
    kind: Kind
    description: str
    owner: str | None
    group: str | None
    tags: tuple[str, ...]
    meta: dict[str, Any]
    depends_on: tuple[str, ...]  # unique ids of models, seeds, snapshots and sources
    columns: tuple[DbtColumn, ...]
    materialized: str | None
    schema: str | None
    relation: str | None
    path: str  # of its file, from the project's folder
    severity: Literal["error", "warn"] | None  # of a test
    attached_to: str | None  # the node that a test is about
    fingerprint: str  # changes when the node's own code, configuration or macros change

    @property
    def is_blocking(self) -> bool:
        return self.severity == "error"


# Reading the project ----------------------------------------------------------------------------------------


def read_nodes(project: DbtProject) -> tuple[DbtNode, ...]:
    """All nodes of the project, from `manifest.json`; dbt parses the project first if that is missing or old."""
    if not _is_manifest_current(project):
        _parse_elsewhere(project)
    text = (project.target_folder / "manifest.json").read_bytes()
    manifest = msgspec.json.decode(text, type=_Manifest)
    return tuple(_nodes(manifest))


def content_hash(project: DbtProject) -> str:
    """What a parse depends on: the project's files, its variables and target, the environment it names, and dbt."""
    from importlib.metadata import version

    digest = hashlib.sha256()
    names: set[str] = set()
    for path in _project_files(project):
        content = path.read_bytes()
        names |= {match.decode() for match in _ENVIRONMENT_NAME.findall(content)}
        digest.update(os.path.relpath(path, project.folder).encode())
        digest.update(hashlib.sha256(content).digest())
    values = {**os.environ, **project.environment}
    named = {name: values.get(name) for name in names}
    facts = [project.target, project.variables, version("dbt-core"), named]
    digest.update(msgspec.json.encode(facts, order="sorted"))
    return digest.hexdigest()


def _project_files(project: DbtProject) -> list[Path]:
    skipped = {project.target_folder, project.folder / "target", project.folder / "logs"}
    found = []
    for parent, folders, names in os.walk(project.folder):
        here = [name for name in folders if not name.startswith((".", "__"))]
        folders[:] = [name for name in here if Path(parent, name) not in skipped]
        found += [Path(parent, name) for name in names if Path(name).suffix in _READ_SUFFIXES]
    if project.profiles_dir:
        found += [Path(project.profiles_dir).absolute() / "profiles.yml"]
    return sorted({path for path in found if path.exists()})


def _is_manifest_current(project: DbtProject) -> bool:
    stamp = project.target_folder / "manifest.hash"
    if not stamp.exists() or not (project.target_folder / "manifest.json").exists():
        return False
    return stamp.read_text() == content_hash(project)


def _parse_elsewhere(project: DbtProject) -> None:
    code = "import sys; from partita.integrations.dbt.running import parse_project; parse_project(sys.argv[1])"
    command = [sys.executable, "-c", code, msgspec.json.encode(project).decode()]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="backslashreplace")
    if done.returncode != 0:
        told = (done.stderr or done.stdout).strip().splitlines()
        last = next((line for line in reversed(told) if "DbtFailed:" in line), told[-1] if told else "no message")
        raise DbtFailed(last.partition("DbtFailed: ")[2] or last)


# Only what is used is named, so that decoding 3 MB takes milliseconds and other versions of dbt fit too.


class _Columns(msgspec.Struct, frozen=True):
    name: str
    description: str = ""
    data_type: str | None = None


class _DependsOn(msgspec.Struct, frozen=True):
    nodes: list[str] = []
    macros: list[str] = []


class _Checksum(msgspec.Struct, frozen=True):
    checksum: str = ""


class _Node(msgspec.Struct, frozen=True):
    unique_id: str
    name: str
    resource_type: str
    original_file_path: str = ""
    description: str = ""
    tags: list[str] = []
    group: str | None = None
    config: dict[str, Any] = {}
    unrendered_config: dict[str, Any] = {}
    meta: dict[str, Any] = {}
    depends_on: _DependsOn = _DependsOn()
    columns: dict[str, _Columns] = {}
    schema: str | None = None
    relation_name: str | None = None
    attached_node: str | None = None
    raw_code: str = ""
    checksum: _Checksum = _Checksum()


class _Macro(msgspec.Struct, frozen=True):
    macro_sql: str
    package_name: str
    depends_on: _DependsOn = _DependsOn()


class _Owner(msgspec.Struct, frozen=True):
    name: str | None = None
    email: str | list[str] | None = None


class _Group(msgspec.Struct, frozen=True):
    name: str
    owner: _Owner = _Owner()


class _Metadata(msgspec.Struct, frozen=True):
    project_name: str | None = None


class _Manifest(msgspec.Struct, frozen=True):
    metadata: _Metadata
    nodes: dict[str, _Node]
    sources: dict[str, _Node]
    macros: dict[str, _Macro]
    groups: dict[str, _Group] = {}


def _nodes(manifest: _Manifest) -> Iterator[DbtNode]:
    owners = {group.name: group.owner.name for group in manifest.groups.values()}
    macros = _MacroDigests(manifest.macros, manifest.metadata.project_name)
    every = (*manifest.sources.values(), *manifest.nodes.values())
    chosen = [node for node in every if node.resource_type in _KINDS]
    nodes = {node.unique_id: _translated(node, owners, macros) for node in chosen}
    for node in nodes.values():
        tested = nodes.get(node.attached_to or "")
        yield _with_owner_of(node, tested) if tested and node.owner is None else node


def _with_owner_of(test: DbtNode, tested: DbtNode) -> DbtNode:
    return msgspec.structs.replace(test, owner=tested.owner, group=test.group or tested.group)


def _translated(node: _Node, owners: Mapping[str, str | None], macros: _MacroDigests) -> DbtNode:
    config = node.config
    meta = {**node.meta, **(config.get("meta") or {})}
    group = node.group or config.get("group")
    is_test = node.resource_type == "test"
    return DbtNode(
        unique_id=node.unique_id,
        name=node.name,
        kind=node.resource_type,  # type: ignore[arg-type] # held by the caller
        description=node.description,
        owner=meta.get("owner") or owners.get(group or ""),
        group=group,
        tags=tuple(node.tags),
        meta=meta,
        depends_on=tuple(dict.fromkeys(node.depends_on.nodes)),
        columns=tuple(DbtColumn(c.name, c.description, c.data_type) for c in node.columns.values()),
        materialized=config.get("materialized"),
        schema=node.schema,
        relation=node.relation_name,
        path=node.original_file_path,
        severity=str(config.get("severity") or "error").lower() if is_test else None,  # type: ignore[arg-type]
        attached_to=_attached_to(node) if is_test else None,
        fingerprint=_fingerprint(node, macros),
    )


def _attached_to(test: _Node) -> str | None:
    # A test of one's own SQL is attached to nothing: it is about what it reads first.
    return test.attached_node or next(iter(test.depends_on.nodes), None)


def _fingerprint(node: _Node, macros: _MacroDigests) -> str:
    facts = [node.raw_code, node.checksum.checksum, node.unrendered_config, sorted(node.depends_on.nodes)]
    digest = hashlib.sha256(msgspec.json.encode(facts, order="sorted"))
    for name in sorted(node.depends_on.macros):
        digest.update(macros.of(name))
    return digest.hexdigest()[:16]


class _MacroDigests:
    """The digest of a macro and of all that it calls. dbt's own macros count as one: its version is in the hash."""

    def __init__(self, macros: Mapping[str, _Macro], project: str | None) -> None:
        self._macros = macros
        self._project = project
        self._known: dict[str, bytes] = {}

    def of(self, name: str) -> bytes:
        if name not in self._known:
            self._known[name] = b""  # macros may call each other in a circle
            self._known[name] = self._computed(name)
        return self._known[name]

    def _computed(self, name: str) -> bytes:
        macro = self._macros.get(name)
        if macro is None or macro.package_name != self._project:
            return b""
        digest = hashlib.sha256(macro.macro_sql.encode())
        for called in sorted(macro.depends_on.macros):
            digest.update(self.of(called))
        return digest.digest()
