"""The store in memory: for tests, the simulator and `partita.testing`. Runs only: facts beside them need SQL.

Rule: rows come from the fold of the events alone. A commit that is refused is undone by folding the journal of the
runs it touched again, so there is no second way to write.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from msgspec.structs import replace

from partita.core.events import RunCreated
from partita.core.facts import Fact
from partita.core.manifest import Manifest
from partita.core.states import OPEN_ATTEMPT, TERMINAL_RUN
from partita.errors import StoreError
from partita.store import audit, fold
from partita.store.contract import (
    AttemptRow,
    CheckRow,
    Finding,
    GateRow,
    JournalRow,
    Lease,
    MaterializationRow,
    OriginTaken,
    RunCommit,
    RunRow,
    StepRow,
    StreamRow,
    VoteRow,
)
from partita.store.leases import ENGINE, acquired, check_epoch, released
from partita.store.order import as_number, by_instance, by_voter, quantile
from partita.store.rows import UNSTORABLE, encode, unstorable


class MemoryStore:
    """A `Store` that lives as long as the object. `clock` is what leases go by."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        # In order of `no`, which is the order of creation.
        self._folds: dict[str, fold.RunFold] = {}
        self._journal: dict[str, list[JournalRow]] = {}
        self._stream: list[tuple[str, int]] = []
        self._origins: dict[tuple[str, str], str] = {}
        self._materializations: list[MaterializationRow] = []
        self._checks: list[CheckRow] = []
        self._graphs: dict[str, bytes] = {}
        self._manifests: dict[str, Manifest] = {}
        self._leases: dict[str, Lease] = {}

    # --- the owner's side ---------------------------------------------------------------------------------------

    def acquire(self, resource: str, holder: str, ttl_s: float) -> Lease:
        lease = acquired(self._leases.get(resource), resource, holder, now=self._clock(), ttl_s=ttl_s)
        self._leases[resource] = lease
        return lease

    def release(self, lease: Lease) -> None:
        after = released(self._leases.get(lease.resource), lease)
        if after is not None:
            self._leases[lease.resource] = after

    def commit(
        self,
        commits: Sequence[RunCommit],
        *,
        epoch: int,
        facts: Sequence[Fact] = (),
        graphs: Sequence[tuple[str, bytes]] = (),
    ) -> dict[str, int]:
        self._check(epoch)
        if facts:
            raise StoreError("this store keeps runs only", hint="open a SQLite store in memory: open_in_memory()")
        before = {c.run: len(self._journal[c.run]) for c in commits if c.run in self._folds}
        made: list[MaterializationRow] = []
        tested: list[CheckRow] = []
        try:
            for commit in commits:
                materializations, checks = self._apply(commit)
                made += materializations
                tested += checks
        except StoreError:
            self._undo([c.run for c in commits], before)
            raise
        for version, data in graphs:
            self._graphs.setdefault(version, data)
        self._materializations += made
        self._checks += tested
        return {c.run: self._folds[c.run].run.no for c in commits if c.seq == 1}

    def put_graph(self, version: str, data: bytes, *, epoch: int | None = None) -> None:
        self._check(epoch)
        self._graphs.setdefault(version, data)

    def put_manifest(self, manifest: Manifest, *, epoch: int | None = None) -> None:
        self._check(epoch)
        self._manifests[manifest.project] = manifest

    def _check(self, epoch: int | None) -> None:
        if epoch is not None:
            check_epoch(self._leases.get(ENGINE), epoch)

    # --- what may be read ---------------------------------------------------------------------------------------

    def run(self, run: str) -> RunRow | None:
        if run in self._folds:
            return self._folds[run].run
        no = as_number(run)
        found = [row for row in self._rows() if row.no == no]
        if not found and run:
            found = [row for row in self._rows() if row.id.startswith(run)]
        return found[0] if len(found) == 1 else None

    def run_of_origin(self, namespace: str, origin: str) -> str | None:
        return self._origins.get((namespace, origin))

    def runs(
        self,
        *,
        pipeline: str | None = None,
        states: Sequence[str] = (),
        partition: str | None = None,
        project: str | None = None,
        namespace: str | None = None,
        by: str | None = None,
        tag: str | None = None,
        since: float | None = None,
        until: float | None = None,
        before_no: int | None = None,
        limit: int = 50,
    ) -> list[RunRow]:
        rows = [
            row
            for row in reversed(self._rows())
            if (pipeline is None or row.pipeline == pipeline)
            and (not states or row.state in states)
            and (partition is None or row.partition == partition)
            and (project is None or row.project == project)
            and (namespace is None or row.namespace == namespace)
            and (by is None or row.by == by)
            and (tag is None or tag in row.tags)
            and (since is None or row.created_at >= since)
            and (until is None or row.created_at < until)
            and (before_no is None or row.no < before_no)
        ]
        return rows[:limit]

    def reruns(self, run: str, *, limit: int = 100) -> list[RunRow]:
        return [row for row in reversed(self._rows()) if row.rerun_of == run][:limit]

    def open_runs(self) -> list[RunRow]:
        return [row for row in self._rows() if row.state not in TERMINAL_RUN]

    def steps(self, run: str, *, step: str | None = None, states: Sequence[str] = ()) -> list[StepRow]:
        found = self._folds.get(run)
        rows = found.steps.values() if found else ()
        return sorted(
            (row for row in rows if (step is None or row.step == step) and (not states or row.state in states)),
            key=by_instance,
        )

    def attempts(
        self, run: str, *, step: str | None = None, index: str | None = None, open_only: bool = False
    ) -> list[AttemptRow]:
        found = self._folds.get(run)
        rows = found.attempts.values() if found else ()
        return sorted(
            (
                row
                for row in rows
                if (step is None or row.step == step)
                and (index is None or row.index == index)
                and (not open_only or row.state in OPEN_ATTEMPT)
            ),
            key=by_instance,
        )

    def gates(self, run: str, *, open_only: bool = False) -> list[GateRow]:
        found = self._folds.get(run)
        rows = found.gates.values() if found else ()
        return sorted((row for row in rows if not open_only or row.answered_at is None), key=by_instance)

    def votes(self, run: str) -> list[VoteRow]:
        found = self._folds.get(run)
        return sorted(found.votes.values() if found else (), key=by_voter)

    def journal(self, run: str, *, after_seq: int = 0, limit: int = 1000) -> list[JournalRow]:
        # Row n has seq n: commit refuses anything else.
        return self._journal.get(run, [])[after_seq : after_seq + limit]

    def stream(self, *, after_no: int = 0, limit: int = 1000) -> list[StreamRow]:
        rows = []
        for no, (run, seq) in enumerate(self._stream[after_no : after_no + limit], start=after_no + 1):
            row = self._journal[run][seq - 1]
            rows.append(StreamRow(no, run, seq, row.at, row.events, ()))
        return rows

    def end_of_stream(self) -> int:
        return len(self._stream)

    def graph(self, version: str) -> bytes | None:
        return self._graphs.get(version)

    def manifest(self, project: str) -> Manifest | None:
        return self._manifests.get(project)

    def materialization(self, asset: str, partition: str = "") -> MaterializationRow | None:
        found = self.materializations(asset, partition=partition, limit=1)
        return found[0] if found else None

    def materializations(
        self, asset: str, *, partition: str | None = None, limit: int = 50
    ) -> list[MaterializationRow]:
        rows = [
            row
            for row in reversed(self._materializations)
            if row.asset == asset and (partition is None or row.partition == partition)
        ]
        return rows[:limit]

    def materialized_in(self, run: str) -> list[MaterializationRow]:
        return [row for row in self._materializations if row.run == run]

    def checks(self, *, run: str | None = None, asset: str | None = None, limit: int = 1000) -> list[CheckRow]:
        rows = [
            row
            for row in reversed(self._checks)
            if (run is None or row.run == run) and (asset is None or row.report.asset == asset)
        ]
        return rows[:limit]

    def usual(
        self, pipeline: str, *, runs: int = 20, before_no: int | None = None
    ) -> dict[str, tuple[float, float, int]]:
        durations: defaultdict[str, list[float]] = defaultdict(list)
        for row in self.runs(pipeline=pipeline, states=("succeeded",), before_no=before_no, limit=runs):
            for attempt in self._folds[row.id].attempts.values():
                if attempt.state == "succeeded" and not attempt.cached_from:
                    durations[attempt.step].append(fold.duration(attempt))
        return {
            step: (quantile(sorted(values), 0.5), quantile(sorted(values), 0.9), len(values))
            for step, values in durations.items()
        }

    def leases(self, *, after: str = "", limit: int = 1000) -> list[Lease]:
        return [self._leases[key] for key in sorted(self._leases) if key > after][:limit]

    def given_out(self) -> frozenset[str]:
        return frozenset()

    def lease(self, resource: str) -> Lease | None:
        found = self._leases.get(resource)
        return found if found and found.holder else None

    def audit(self) -> Iterator[Finding]:
        return audit.audit(self)

    def close(self) -> None:
        """Nothing is held: a test may read on after the engine has closed its store."""

    # --- helpers ------------------------------------------------------------------------------------------------

    def _rows(self) -> list[RunRow]:
        return [found.run for found in self._folds.values()]

    def _apply(self, commit: RunCommit) -> tuple[list[MaterializationRow], list[CheckRow]]:
        """Fold one commit; what it materialized and tested."""
        try:
            # Only to refuse here what another store would.
            encode(commit.events)
        except UNSTORABLE as error:
            raise unstorable(error) from error
        if commit.events and isinstance(commit.events[0], RunCreated):
            self._create(commit.run, commit.events[0])
        found = self._folds.get(commit.run)
        if found is None:
            raise StoreError(f"there is no run {commit.run}")
        if commit.seq != found.run.seq + 1:
            raise StoreError(f"journal row {commit.seq} of run {commit.run} does not follow row {found.run.seq}")
        materializations, checks = len(found.materializations), len(found.checks)
        for event in commit.events:
            fold.apply(found, event)
        found.run = replace(found.run, seq=commit.seq)
        self._journal.setdefault(commit.run, []).append(
            JournalRow(run=commit.run, seq=commit.seq, at=commit.at, events=commit.events)
        )
        self._stream.append((commit.run, commit.seq))
        return found.materializations[materializations:], found.checks[checks:]

    def _create(self, run: str, event: RunCreated) -> None:
        taken = self._origins.get((event.namespace, event.origin))
        if taken is not None:
            raise OriginTaken(event.origin, taken)
        if run in self._folds:
            raise StoreError(f"run {run} exists already")
        self._folds[run] = fold.created(len(self._folds) + 1, event)
        self._origins[(event.namespace, event.origin)] = run

    def _undo(self, runs: Sequence[str], before: dict[str, int]) -> None:
        undone = set(runs)
        while (
            self._stream and self._stream[-1][0] in undone and self._stream[-1][1] > before.get(self._stream[-1][0], 0)
        ):
            self._stream.pop()
        for run in dict.fromkeys(runs):
            found = self._folds.get(run)
            if found is None:
                continue
            if run not in before:
                del self._origins[(found.run.namespace, found.run.origin)], self._folds[run]
                self._journal.pop(run, None)
                continue
            del self._journal[run][before[run] :]
            self._folds[run] = fold.folded(found.run.no, self._journal[run])
