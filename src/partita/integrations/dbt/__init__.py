"""dbt: its nodes as plain values, runs that tell of each node as it happens, and both as assets of a Partita project.

project = DbtProject("transform", target_path="out/dbt")
models = dbt_assets(project)                                    # in pipelines.py: that is all

nodes = read_nodes(project)                                     # without Partita
outcome = DbtRunner(project).run([node.unique_id for node in nodes if node.group == "finance"], on_event=print)
"""

from partita.integrations.dbt.assets import dbt_assets
from partita.integrations.dbt.project import DbtColumn, DbtFailed, DbtNode, DbtProject, content_hash, read_nodes
from partita.integrations.dbt.running import (
    DbtEvent,
    DbtNodeFinished,
    DbtNodeLine,
    DbtNodeStarted,
    DbtOutcome,
    DbtRunner,
)

__all__ = [
    "DbtColumn",
    "DbtEvent",
    "DbtFailed",
    "DbtNode",
    "DbtNodeFinished",
    "DbtNodeLine",
    "DbtNodeStarted",
    "DbtOutcome",
    "DbtProject",
    "DbtRunner",
    "content_hash",
    "dbt_assets",
    "read_nodes",
]
