"""The dbt project of the nightly, and what each thing of the nightly is called as an asset.

Rule: no two assets have one name. dbt's names are kept, a landed source is called by its own, as `AA-JFK`; what
stands on dbt has a word in front, because there is a page on routes and a table of routes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from folders import DBT_PROJECT, Folders
from sources import SOURCES

from partita.integrations.dbt import DbtNode, DbtProject


def dbt_project(folders: Folders) -> DbtProject:
    return DbtProject(
        project_dir=str(DBT_PROJECT),
        target_path=str(folders.dbt_target),
        environment=folders.dbt_environment(),
    )


def asset_name(node: DbtNode) -> str:
    """A model or a seed is called what dbt calls it; a landed source what its extraction is called."""
    return str(node.meta["source"]) if node.kind == "source" else node.name


def landed_version(asset: str, folders: Folders) -> str:
    """What lies landed of a source, by content. The inventory stands for all: the facts over all feeds read them too."""
    places = SOURCES if asset == "inventory" else (asset,)
    digest = hashlib.sha256()
    files = [file for place in places for file in sorted((folders.landing / place).glob("*.parquet"))]
    for file in [*files, *([folders.landing / "inventory.parquet"] if asset == "inventory" else [])]:
        digest.update(f"{file.parent.name}/{file.name}".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


def model_asset(name: str) -> str:
    return f"model_{name}"


def dashboard_asset(name: str) -> str:
    return f"dashboard_{name}"


def buildable(nodes: Iterable[DbtNode], root: Path) -> list[str]:
    """The unique ids that can be built with what has landed: all but what stands on a source that never did.

    For running dbt without an orchestrator that knows it from its own graph.
    """
    nodes = list(nodes)
    blocked = {node.unique_id for node in nodes if node.kind == "source" and not _has_landed(node, root)}
    chosen = []
    for node in _in_order([node for node in nodes if node.kind != "source"]):
        if blocked.isdisjoint(node.depends_on):
            chosen.append(node.unique_id)
        else:
            blocked.add(node.unique_id)
    return chosen


def _has_landed(node: DbtNode, root: Path) -> bool:
    place = root / "landing" / asset_name(node)
    return place.with_suffix(".parquet").exists() or any(place.glob("*.parquet"))


def _in_order(nodes: list[DbtNode]) -> list[DbtNode]:
    from graphlib import TopologicalSorter

    by_id = {node.unique_id: node for node in nodes}
    graph = {node.unique_id: [name for name in node.depends_on if name in by_id] for node in nodes}
    return [by_id[name] for name in TopologicalSorter(graph).static_order()]
