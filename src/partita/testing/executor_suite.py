"""The suite that every executor must pass, as tests to take over: our own run it, and yours can.

Give a fixture `stage` and inherit the classes that apply. For a cluster (an engine behind
`partita.executors.clusters.cluster.Cluster`) `staged` makes the executor over it and what is around it:

    import pytest
    from partita.testing.executor_suite import Answers, Deaths, Kills, Logs, Ships, staged

    @pytest.fixture
    def stage(tmp_path):
        with staged(lambda: MyCluster("tcp://grid:7000"), tmp_path) as stage:
            yield stage

    class TestMine(Answers, Kills, Deaths, Logs, Ships):
        pass

Rule: behaviour only, in the words of the contracts; nothing here knows which executor it is.
"""

from __future__ import annotations

from partita.executors.clusters.conformance import ClusterStage, Ships, staged
from partita.executors.conformance import Answers, Coroutines, Deaths, Kills, Logs, Stage, make_project

__all__ = [
    "Answers",
    "ClusterStage",
    "Coroutines",
    "Deaths",
    "Kills",
    "Logs",
    "Ships",
    "Stage",
    "make_project",
    "staged",
]
