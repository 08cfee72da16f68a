"""A small dbt project whose manifest is there already, so that nothing of dbt has to be started."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from partita.integrations.dbt import DbtProject, content_hash

if find_spec("dbt") is None:
    collect_ignore_glob = ["test_*.py"]


def node(kind: str, name: str, *reads: str, **more: Any) -> dict[str, Any]:
    """A node as dbt's manifest has it."""
    unique_id = f"{kind}.shop.{name}"
    return {
        "unique_id": unique_id,
        "name": name,
        "resource_type": kind,
        "original_file_path": f"{kind}s/{name}.sql",
        "description": f"About {name}.",
        "depends_on": {"nodes": list(reads), "macros": []},
        "config": {"materialized": "table" if kind == "model" else kind, **more.pop("config", {})},
        "relation_name": f'"shop"."main"."{name}"',
        "raw_code": f"select '{name}'",
        **more,
    }


@pytest.fixture
def project(tmp_path: Path) -> DbtProject:
    """orders (source) -> staged -> daily -> weekly, rates (seed) -> daily; tests on staged, daily and weekly."""
    folder = tmp_path / "transform"
    folder.mkdir()
    (folder / "dbt_project.yml").write_text("name: shop\n")
    nodes = [
        node("seed", "rates"),
        node("model", "staged", "source.shop.orders", tags=["staging"], meta={"owner": "sales"}, group="raw"),
        node(
            "model",
            "daily",
            "model.shop.staged",
            "seed.shop.rates",
            columns={"day": {"name": "day", "data_type": "date"}},
        ),
        node("model", "weekly", "model.shop.daily"),
        node(
            "test", "orders_once", "model.shop.staged", attached_node="model.shop.staged", config={"severity": "ERROR"}
        ),
        node("test", "few_late", "model.shop.daily", attached_node="model.shop.daily", config={"severity": "warn"}),
        node("test", "weeks_add_up", "model.shop.weekly", "model.shop.daily"),
        node("test", "about_nothing"),
    ]
    manifest = {
        "metadata": {"project_name": "shop"},
        "nodes": {n["unique_id"]: n for n in nodes},
        "sources": {"source.shop.orders": node("source", "orders")},
        "macros": {},
    }
    made = DbtProject(str(folder), target_path=str(tmp_path / "target"))
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "target" / "manifest.hash").write_text(content_hash(made))
    return made
