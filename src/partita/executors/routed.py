"""Local processes and clusters as one executor: each step goes where its policies say.

`demand.policies.executor` names an executor of the step's project; "" and "local" are the processes of this machine. What a
cluster says comes in with the next `poll`, which its thread wakes. Attempts that an earlier engine handed to a cluster wait
here until their project is loaded, for only then it is known what that cluster is.

Rule: who has a ticket is known from the moment that it is placed, by the name in its placement.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from partita.core.manifest import ExecutorSpec, Manifest
from partita.errors import ExecutorError, PartitaError
from partita.executors import verdicts
from partita.executors.clusters.cluster import PREFIX, Cluster, worker_of
from partita.executors.clusters.made import cluster_of
from partita.executors.contract import Assignment, Demand, Ended, OpenAttempt, Placement, Report
from partita.executors.crews import Source
from partita.executors.loading import HostConnection
from partita.executors.premises import ExecutorNow
from partita.executors.processes import ProcessExecutor
from partita.settings import Home

if TYPE_CHECKING:
    from partita.executors.bundle import Bundle

    # Most projects have no cluster.
    from partita.executors.clusters.executor import ClusterExecutor

LOCAL: Final = ("", "local")
Make = Callable[[ExecutorSpec], Cluster]


class RoutedExecutor(ProcessExecutor):
    """`ProcessExecutor` for this machine, and a `ClusterExecutor` for each executor that the projects name.

    `configure` says which these are, whenever a project is loaded.
    """

    def __init__(
        self,
        connections: Mapping[str, HostConnection],
        *,
        home: Home,
        source: Source | None = None,
        patient: bool = False,
        make: Make = cluster_of,
    ) -> None:
        super().__init__(connections, home=home, source=source, patient=patient)
        self._root = home
        self._make = make
        self._clusters: dict[str, ClusterExecutor] = {}
        self._specs: dict[str, ExecutorSpec] = {}
        # Those that cannot be made of their settings: project, settings, why.
        self._wrong: dict[str, tuple[str, ExecutorSpec, str]] = {}
        # With settings of before, for as long as they hold jobs.
        self._retired: list[ClusterExecutor] = []
        self._projects: set[str] = set()
        self._tickets: dict[int, ClusterExecutor] = {}
        # Folders with the code of versions that were sent somewhere.
        self._folders: dict[tuple[str, str], Path] = {}
        # Of projects that are not loaded yet, and kills that were asked for meanwhile.
        self._orphans: dict[int, OpenAttempt] = {}
        self._kills: dict[int, str] = {}
        self._ends: list[Report] = []

    # --- which there are ----------------------------------------------------------------------------------------------

    def configure(self, manifest: Manifest) -> None:
        """Take in the executors of a project that was loaded, or loaded again. One whose settings are wrong is told as a trouble."""
        project = manifest.project
        self._projects.add(project)
        wanted = {worker_of(project, spec.name): spec for spec in manifest.executors}
        for worker in [w for w in self._clusters if w.startswith(worker_of(project, "")) and self._is_old(w, wanted)]:
            self._retired.append(self._clusters.pop(worker))
            del self._specs[worker]
        for worker in [w for w in self._wrong if w.startswith(worker_of(project, ""))]:
            del self._wrong[worker]
        for worker, spec in wanted.items():
            if worker not in self._clusters:
                self._add(worker, spec, manifest)
        self._adopt_orphans(project)

    def remove(self, project: str) -> None:
        """A project is served no more; its jobs go on to their ends."""
        for worker in [w for w in self._clusters if w.startswith(worker_of(project, ""))]:
            self._retired.append(self._clusters.pop(worker))
            del self._specs[worker]
        self._wrong = {w: wrong for w, wrong in self._wrong.items() if wrong[0] != project}
        self._projects.discard(project)
        super().remove(project)

    def _is_old(self, worker: str, wanted: Mapping[str, ExecutorSpec]) -> bool:
        return self._specs.get(worker) != wanted.get(worker)

    def _add(self, worker: str, spec: ExecutorSpec, manifest: Manifest) -> None:
        from partita.executors.clusters.executor import ClusterExecutor

        try:
            cluster = self._make(spec)
            self._clusters[worker] = ClusterExecutor(
                spec.name,
                cluster,
                home=self._root,
                project=manifest.project,
                exchange=spec.exchange or f"file://{self._root.root / 'exchange'}",
                code_of=self._bundle,
                namespace=manifest.namespace,
                start_timeout_s=spec.start_timeout_s,
                wake=self.wake,
            )
        except PartitaError as error:
            self.troubles[manifest.project] = str(error)
            self._wrong[worker] = (manifest.project, spec, str(error))
            return
        self._specs[worker] = spec

    # --- the contract -------------------------------------------------------------------------------------------------

    def place(self, demand: Demand) -> Placement | None:
        """Room where the step is to run. For an executor that is not there there is room, and `submit` refuses."""
        name = demand.policies.executor
        if name in LOCAL:
            return super().place(demand)
        worker = worker_of(demand.project, name)
        cluster = self._clusters.get(worker)
        if cluster is not None:
            self._note_folder(demand.project, demand.code)
            return cluster.place(demand)
        return Placement(worker, 0) if demand.project in self._projects else None

    def unplace(self, placement: Placement) -> None:
        """Give a placement back."""
        if not placement.worker.startswith(PREFIX):
            super().unplace(placement)
        elif cluster := self._clusters.get(placement.worker):
            cluster.unplace(placement)

    def submit(self, assignments: Sequence[Assignment]) -> None:
        """Hand out tickets, each where it was placed."""
        local: list[Assignment] = []
        batches: dict[str, list[Assignment]] = {}
        for assignment in assignments:
            worker = assignment.placement.worker
            if worker.startswith(PREFIX):
                batches.setdefault(worker, []).append(assignment)
            else:
                local.append(assignment)
        for worker, batch in batches.items():
            cluster = self._clusters.get(worker)
            for assignment in batch:
                if cluster is None:
                    self._refuse(assignment)
                else:
                    self._tickets[assignment.ticket.no] = cluster
            if cluster is not None:
                cluster.submit(batch)
        super().submit(local)

    def kill(self, ticket_no: int, *, reason: str) -> None:
        """End an attempt, wherever it is."""
        if ticket_no in self._orphans:
            self._kills[ticket_no] = reason
        elif cluster := self._tickets.get(ticket_no):
            cluster.kill(ticket_no, reason=reason)
        else:
            super().kill(ticket_no, reason=reason)

    def poll(self, timeout_s: float) -> list[Report]:
        """What happened anywhere."""
        reports = self._gather()
        reports += super().poll(0.0 if reports else timeout_s)
        return reports if reports else self._gather()

    def adopt(self, attempts: Sequence[OpenAttempt]) -> None:
        """Take over what an earlier engine left, here and on clusters."""
        super().adopt([a for a in attempts if not a.worker.startswith(PREFIX)])
        self._orphans |= {a.no: a for a in attempts if a.worker.startswith(PREFIX)}
        for project in list(self._projects):
            self._adopt_orphans(project)

    def describe(self) -> list[str]:
        """Workers here, and jobs elsewhere."""
        lines = super().describe()
        for cluster in [*self._clusters.values(), *self._retired]:
            lines += cluster.describe()
        waiting = {attempt.worker for attempt in self._orphans.values()}
        return lines + [f"attempts on {worker} wait until their project is loaded" for worker in sorted(waiting)]

    def executors_now(self) -> list[ExecutorNow]:
        """Each executor that a project names, whether it is of use just now or not, and those of before that hold jobs."""
        found = [cluster.now(self._specs[worker].kind) for worker, cluster in self._clusters.items()]
        found += [cluster.now() for cluster in self._retired]
        wrong = [
            ExecutorNow(project, spec.name, spec.kind, "wrong", why, 0) for project, spec, why in self._wrong.values()
        ]
        return sorted([*found, *wrong], key=lambda one: (one.project, one.name, not one.kind))

    def waits(self, ticket_no: int) -> str:
        """Why a ticket that was handed to a cluster has not begun; "" if it has, or is none."""
        cluster = self._tickets.get(ticket_no)
        return cluster.waits(ticket_no) if cluster is not None else ""

    def refusal(self, project: str, executor: str) -> str:
        """What a step that is to go to a cluster waits for before it is handed over; "" = nothing, or it stays here."""
        cluster = self._clusters.get(worker_of(project, executor)) if executor not in LOCAL else None
        return f"waits for {why}" if cluster is not None and (why := cluster.refusal()) else ""

    def close(self, *, kill: bool = False) -> None:
        """Let everything go; what runs on clusters goes on, or is ended with `kill`."""
        for cluster in [*self._clusters.values(), *self._retired]:
            cluster.close(kill=kill)
        super().close(kill=kill)

    # --- details ------------------------------------------------------------------------------------------------------

    def _gather(self) -> list[Report]:
        reports, self._ends = self._ends, []
        for cluster in [*self._clusters.values(), *self._retired]:
            found = cluster.poll(0.0)
            for report in found:
                if isinstance(report, Ended):
                    self._tickets.pop(report.outcome.no, None)
            reports += found
        for cluster in [c for c in self._retired if c.is_idle]:
            self._retired.remove(cluster)
            cluster.close()
        return reports

    def _refuse(self, assignment: Assignment) -> None:
        name = assignment.policies.executor
        why = f"project {assignment.project!r} has no executor {name!r}: name it under [tool.partita.executors.{name}]"
        if trouble := self.troubles.get(assignment.project):
            why = trouble
        self._ends.append(Ended(verdicts.not_begun(assignment.ticket.no, time.time(), why)))
        self.wake()

    def _adopt_orphans(self, project: str) -> None:
        prefix = worker_of(project, "")
        mine = [attempt for attempt in self._orphans.values() if attempt.worker.startswith(prefix)]
        for worker in {attempt.worker for attempt in mine}:
            attempts = [attempt for attempt in mine if attempt.worker == worker]
            cluster = self._clusters.get(worker)
            for attempt in attempts:
                del self._orphans[attempt.no]
                if cluster is None:
                    message = f"its executor {worker.removeprefix(prefix)!r} is not named any more"
                    self._ends.append(Ended(verdicts.lost(attempt.no, message, attempt.started_at, time.time())))
                else:
                    self._tickets[attempt.no] = cluster
            if cluster is not None:
                cluster.adopt(attempts)
                for attempt in attempts:
                    if reason := self._kills.pop(attempt.no, ""):
                        cluster.kill(attempt.no, reason=reason)
        if mine:
            self.wake()

    def _note_folder(self, project: str, code: str) -> None:
        """Where the files of a version lie: known here, packed in the cluster's thread."""
        if (project, code) not in self._folders:
            crew, is_new = self.crews.of(project, code)
            if crew is not None and is_new:
                self._listen_to_host(crew)
            if crew is not None:
                self._folders[project, code] = crew.kept or crew.settings.code_folder

    def _bundle(self, project: str, code: str) -> Bundle:
        from partita.executors.bundle import pack

        folder = self._folders.get((project, code))
        if folder is None:
            raise ExecutorError(f"the code of project {project!r} is not there yet", hint="partita doctor")
        return pack(folder, into=self._root.root / "bundles")
