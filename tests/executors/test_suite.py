"""The published suite, taken over as its page says: a small real cluster, one process for each job."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from partita.testing.executor_suite import ClusterStage, Logs, Ships, staged

from .a_cluster import ProcessCluster, until_ended


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[ClusterStage]:
    with until_ended(ProcessCluster()) as cluster, staged(lambda: cluster, tmp_path) as stage:
        yield stage


class TestShips(Ships):
    pass


# Each of these starts a process for each of its steps, which take a third of a second each.
@pytest.mark.slow
class TestLogs(Logs):
    pass
