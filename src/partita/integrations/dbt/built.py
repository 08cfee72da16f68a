"""What of a dbt project lies built in its warehouse, and in which version: so that what has not changed is left alone.

A version is a hash of the node's own code and of the versions of all that it reads, down to the sources. Nothing is
asked of the warehouse: what is not known for certain is built.

Rule: forgotten before it is built, remembered after. The file is replaced whole; one that cannot be read is empty.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from graphlib import TopologicalSorter
from pathlib import Path

import msgspec

from partita.integrations.dbt.project import DbtNode, DbtProject

_FORMAT = 1


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One node as it was last built (or, of a test, last run without failing)."""

    version: str
    # The attempt that did it: "run/step/index/attempt".
    origin: str
    # Of a test that warned.
    failures: int | None = None
    message: str = ""


class _File(msgspec.Struct, frozen=True):
    format: int
    warehouse: str
    entries: dict[str, Entry]


class Built:
    """The memory of one project and warehouse."""

    def __init__(self, project: DbtProject, warehouse: Path | None) -> None:
        # What every node may depend on without its code showing it.
        self.settings = _hash(
            [project.target or "", repr(sorted(project.variables.items())), repr(project.environment)]
        )
        self._path = project.target_folder / "partita_built.msgpack"
        self._warehouse = warehouse
        self.entries: dict[str, Entry] = _read(self._path, _stamp(warehouse))

    def is_current(self, unique_id: str, version: str) -> bool:
        """Does it lie there in this version?"""
        entry = self.entries.get(unique_id)
        return entry is not None and entry.version == version

    def forget(self, unique_ids: Iterable[str]) -> None:
        """These are about to be built; whatever comes of it."""
        for unique_id in unique_ids:
            self.entries.pop(unique_id, None)
        self.save()

    def save(self) -> None:
        """Keep what is known, together with the warehouse as it is now."""
        data = msgspec.msgpack.encode(_File(_FORMAT, _stamp(self._warehouse), self.entries))
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}.tmp")
        temporary.write_bytes(data)
        temporary.replace(self._path)


def versions_of(
    wanted: Iterable[str],
    nodes: Mapping[str, DbtNode],
    built: Built,
    source_version: Callable[[DbtNode], str],
) -> dict[str, str]:
    """The versions that the wanted nodes will have once they are built.

    What they read and is not wanted itself counts in the version in which it lies there.
    """
    wanted = set(wanted)
    graph = {unique_id: nodes[unique_id].depends_on for unique_id in wanted}
    known: dict[str, str] = {}
    for unique_id in TopologicalSorter(graph).static_order():
        node = nodes.get(unique_id)
        if node is None:
            known[unique_id] = ""
        elif unique_id in wanted:
            known[unique_id] = _hash(
                [built.settings, node.fingerprint, *sorted(f"{dep}={known[dep]}" for dep in node.depends_on)]
            )
        elif node.kind == "source":
            known[unique_id] = source_version(node)
        else:
            entry = built.entries.get(unique_id)
            known[unique_id] = entry.version if entry is not None else ""
    return {unique_id: known[unique_id] for unique_id in wanted}


def _hash(parts: list[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _stamp(warehouse: Path | None) -> str:
    """What changes when anybody writes the warehouse's file."""
    if warehouse is None:
        return ""
    try:
        found = warehouse.stat()
    except OSError:
        return "missing"
    return f"{found.st_size}:{found.st_mtime_ns}"


def _read(path: Path, stamp: str) -> dict[str, Entry]:
    try:
        file = msgspec.msgpack.decode(path.read_bytes(), type=_File)
    except (OSError, msgspec.DecodeError):
        return {}
    return file.entries if file.format == _FORMAT and file.warehouse == stamp else {}
