"""An executor that starts nothing: it only sees to the end what an earlier engine left running.

What was left on machines of an existing engine (`@project/executor`) is ended there, if it is said which engines there are;
else it is left to the next scheduler, which takes it up.

Rule: there is never room here, so an engine over it can end runs and cannot carry them on.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from partita.executors import verdicts
from partita.executors.adoption import Adoption
from partita.executors.contract import Assignment, Demand, Ended, OpenAttempt, Placement, Report
from partita.settings import Home

if TYPE_CHECKING:
    from partita.core.manifest import Manifest
    from partita.executors.bundle import Bundle
    from partita.executors.clusters.executor import ClusterExecutor

_ELSEWHERE = "@"


class Leftovers:
    """`executors.contract.Executor` without workers of its own. `manifests`: of the projects whose engines may be asked."""

    def __init__(self, home: Home, manifests: Iterable[Manifest] = ()) -> None:
        self._home = home
        self._manifests = tuple(manifests)
        self._selector = selectors.DefaultSelector()
        self._adoption = Adoption(home, self._selector, lambda: None)
        self._clusters: dict[str, ClusterExecutor] = {}
        self._where: dict[int, str] = {}
        self._lost: list[Report] = []

    @property
    def trouble(self) -> str:
        """Which engine cannot be reached, and why; "" if all can."""
        return next((f"{c.name}: {c.trouble}" for c in self._clusters.values() if c.trouble), "")

    def place(self, demand: Demand) -> Placement | None:
        return None

    def unplace(self, placement: Placement) -> None:
        raise AssertionError("nothing was placed")

    def submit(self, assignments: Sequence[Assignment]) -> None:
        assert not assignments, "nothing was placed"

    def kill(self, ticket_no: int, *, reason: str) -> None:
        if cluster := self._clusters.get(self._where.get(ticket_no, "")):
            cluster.kill(ticket_no, reason=reason)
        elif ticket_no not in self._where:
            self._adoption.kill(ticket_no, reason)

    def poll(self, timeout_s: float) -> list[Report]:
        reports, self._lost = self._lost, []
        for cluster in self._clusters.values():
            reports += cluster.poll(0.0)
        now = time.monotonic()
        wait = 0.0 if reports else max(0.0, min(timeout_s, self._adoption.next_look(now) - now))
        for key, _ in self._selector.select(wait):
            key.data()
        return reports + self._adoption.look(time.monotonic())

    def wake(self) -> None:
        """Nobody else asks this one for anything."""

    def adopt(self, attempts: Sequence[OpenAttempt]) -> None:
        self._adoption.take_over([a for a in attempts if not a.worker.startswith(_ELSEWHERE)])
        elsewhere = [a for a in attempts if a.worker.startswith(_ELSEWHERE)]
        self._where |= {a.no: a.worker for a in elsewhere}
        if not elsewhere or not self._manifests:
            return
        for worker in {a.worker for a in elsewhere}:
            attempts = [a for a in elsewhere if a.worker == worker]
            if cluster := self._cluster(worker):
                self._clusters[worker] = cluster
                cluster.adopt(attempts)
            else:
                why = f"its executor {worker.rpartition('/')[2]!r} is not named any more"
                self._lost += [Ended(verdicts.lost(a.no, why, a.started_at, time.time())) for a in attempts]

    def describe(self) -> list[str]:
        lines = [line for cluster in self._clusters.values() for line in cluster.describe()]
        return lines + self._adoption.describe(time.time())

    def close(self, *, kill: bool = False) -> None:
        for cluster in self._clusters.values():
            cluster.close()
        self._adoption.close()
        self._selector.close()

    def _cluster(self, worker: str) -> ClusterExecutor | None:
        """The executor of this name, as the settings of its project say now; None if they name none."""
        from partita.executors.clusters.cluster import worker_of
        from partita.executors.clusters.executor import ClusterExecutor
        from partita.executors.clusters.made import cluster_of

        for manifest in self._manifests:
            for spec in manifest.executors:
                if worker_of(manifest.project, spec.name) == worker:
                    return ClusterExecutor(
                        spec.name,
                        cluster_of(spec),
                        home=self._home,
                        project=manifest.project,
                        exchange=spec.exchange or f"file://{self._home.root / 'exchange'}",
                        code_of=_no_code,
                        namespace=manifest.namespace,
                        start_timeout_s=spec.start_timeout_s,
                    )
        return None


def _no_code(project: str, code: str) -> Bundle:
    raise AssertionError("nothing is begun here")
