"""The reader's side of the contract over SQL, for every database.

Rule: rows become our own frozen types here and nowhere else. Nothing is decided; what SQL cannot sort (indexes by
number) is sorted here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import msgspec

from partita.core import facts
from partita.core import manifest as manifests
from partita.core.events import CheckReport, Event, Meta
from partita.core.manifest import Manifest
from partita.core.run_queue import Asked
from partita.core.states import STEP_MOVES
from partita.core.values import Value
from partita.store import backfills, gates, house, queries, schedules, sensors
from partita.store.access import broken_links
from partita.store.audit import audit
from partita.store.contract import (
    AttemptRow,
    CheckRow,
    Finding,
    GateRow,
    JournalRow,
    Lease,
    MaterializationRow,
    RunRow,
    StepRow,
    StreamRow,
    VoteRow,
)
from partita.store.database import Database, Params, Row
from partita.store.leases import ENGINE, namespace_of
from partita.store.listing import LAST_RUN, Wanted, statement
from partita.store.order import as_number, by_instance, by_voter
from partita.store.rows import AttemptDetail

_events = msgspec.msgpack.Decoder(tuple[Event, ...]).decode
_value = msgspec.msgpack.Decoder(Value).decode
_detail = msgspec.msgpack.Decoder(AttemptDetail).decode
_names = msgspec.msgpack.Decoder(tuple[str, ...]).decode
_metadata = msgspec.msgpack.Decoder(tuple[Meta, ...]).decode
_keys = msgspec.msgpack.Decoder(tuple[Asked, ...]).decode
_packed = msgspec.msgpack.Decoder(dict[str, bytes]).decode

_ALL_STEPS = tuple(STEP_MOVES)
_NO_DETAIL = AttemptDetail()
# SQLite puts at most 500 together.
_TOGETHER = 100
# Leases of a page.
_LEASES = 1000


class SqlReader:
    """`contract.Reader` over a `Database`."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._sql = queries.statements()

    def run(self, run: str) -> RunRow | None:
        found = self._fetch("run_by_id", (run,))
        no = as_number(run)
        if not found and no is not None:
            found = self._fetch("run_by_no", (no,))
        if not found and run:
            found = self._fetch("runs_by_beginning", (run, run + chr(sys.maxunicode)))
        return _run_row(found[0]) if len(found) == 1 else None

    def run_of_origin(self, namespace: str, origin: str) -> str | None:
        rows = self._fetch("run_of_origin", (namespace, origin))
        return rows[0][0] if rows else None

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
        wanted = Wanted(pipeline, states, partition, project, namespace, by, tag, since, until)
        above, below = 0, LAST_RUN if before_no is None else before_no
        if since is not None:
            above = (self._fetch("first_run_since", (since,))[0][0] or below) - 1
        if until is not None:
            below = min(below, (self._fetch("last_run_until", (until,))[0][0] or 0) + 1)
        found = statement(wanted, above=above, below=below, limit=limit)
        return [_run_row(row) for row in self._db.fetch(*found)] if found is not None else []

    def reruns(self, run: str, *, limit: int = 100) -> list[RunRow]:
        return [_run_row(row) for row in self._fetch("runs_again", (run, limit))]

    def open_runs(self) -> list[RunRow]:
        return [_run_row(row) for row in self._fetch("open_runs")]

    def steps(self, run: str, *, step: str | None = None, states: Sequence[str] = ()) -> list[StepRow]:
        wanted = [state for state in _ALL_STEPS if not states or state in states]
        places = wanted + [None] * (len(_ALL_STEPS) - len(wanted))
        if step is None:
            rows = self._fetch("steps_of_run", (run, *places))
        else:
            rows = self._fetch("steps_of_step", (run, *places, step))
        return sorted((_step_row(row) for row in rows), key=by_instance)

    def attempts(
        self, run: str, *, step: str | None = None, index: str | None = None, open_only: bool = False
    ) -> list[AttemptRow]:
        if open_only:
            # Few, so the rest is a filter.
            rows = [
                row
                for row in self._fetch("open_attempts", (run,))
                if step in (None, row[0]) and index in (None, row[1])
            ]
        elif step is None and index is None:
            rows = self._fetch("attempts_of_run", (run,))
        elif index is None:
            rows = self._fetch("attempts_of_step", (run, step))
        elif step is None:
            rows = self._fetch("attempts_of_any_step_at_index", (run, index))
        else:
            rows = self._fetch("attempts_of_index", (run, step, index))
        return sorted((_attempt_row(row) for row in rows), key=by_instance)

    def gates(self, run: str, *, open_only: bool = False) -> list[GateRow]:
        rows = (gates.gate_row(row) for row in self._fetch("gates_of_run", (run,)))
        return sorted((g for g in rows if not open_only or g.answered_at is None), key=by_instance)

    def votes(self, run: str) -> list[VoteRow]:
        return sorted((gates.vote_row(row) for row in self._fetch("votes_of_run", (run,))), key=by_voter)

    def journal(self, run: str, *, after_seq: int = 0, limit: int = 1000) -> list[JournalRow]:
        rows = self._fetch("journal", (run, after_seq, limit))
        return [JournalRow(run=run, seq=seq, at=at, events=_events(events)) for seq, at, events in rows]

    def stream(self, *, after_no: int = 0, limit: int = 1000) -> list[StreamRow]:
        rows = self._fetch("stream", (after_no, limit))
        return [
            StreamRow(no, run, seq, at, _events(events) if run else (), () if run else facts.decode(events))
            for no, run, seq, at, events in rows
        ]

    def end_of_stream(self) -> int:
        return int(self._fetch("end_of_stream")[0][0])

    def graph(self, version: str) -> bytes | None:
        rows = self._fetch("graph", (version,))
        return rows[0][0] if rows else None

    def manifest(self, project: str) -> Manifest | None:
        rows = self._fetch("manifest", (project,))
        return manifests.decode(rows[0][0]) if rows else None

    def manifests(self) -> list[Manifest]:
        """The last manifest of every project that was put."""
        return [manifests.decode(row[0]) for row in self._fetch("manifests")]

    def materialization(self, asset: str, partition: str = "") -> MaterializationRow | None:
        rows = self._fetch("latest_materialization", (asset, partition))
        return _materialization_row(rows[0]) if rows else None

    def materializations(
        self, asset: str, *, partition: str | None = None, limit: int = 50
    ) -> list[MaterializationRow]:
        if partition is None:
            rows = self._fetch("materializations_of_asset", (asset, limit))
        else:
            rows = self._fetch("materializations_of_partition", (asset, partition, limit))
        return [_materialization_row(row) for row in rows]

    def materialized_in(self, run: str) -> list[MaterializationRow]:
        return [_materialization_row(row) for row in self._fetch("materialized_in", (run,))]

    def checks(self, *, run: str | None = None, asset: str | None = None, limit: int = 1000) -> list[CheckRow]:
        filters = [value for value in (run, asset) if value is not None]
        name = "checks" if not filters else "checks_of_" + ("asset" if run is None else "run")
        if len(filters) == 2:
            name = "checks_of_run_and_asset"
        return [_check_row(row) for row in self._fetch(name, (*filters, limit))]

    def usual(
        self, pipeline: str, *, runs: int = 20, before_no: int | None = None
    ) -> dict[str, tuple[float, float, int]]:
        rows = self._fetch("usual", (pipeline, LAST_RUN if before_no is None else before_no, runs))
        return {step: (median, p90, count) for step, median, p90, count in rows}

    def lease(self, resource: str) -> Lease | None:
        found = self._lease_row(resource)
        return found if found and found.holder else None

    def free_pages(self) -> tuple[int, int]:
        """How many pages of the database are free, and the bytes of one."""
        _, free, size = self._db.pages()
        return free, size

    def size_bytes(self) -> int:
        """The bytes that the database takes."""
        pages, _, size = self._db.pages()
        return pages * size

    def about(self) -> list[tuple[str, str]]:
        """What people should know of the database's server, with what to do if it is not as it should be."""
        return self._db.about()

    def audit(self) -> Iterator[Finding]:
        return audit(self, snapshot=self._db.snapshot, own_check=self._own_check)

    def close(self) -> None:
        self._db.close()

    def fetch(self, name: str, params: Params = ()) -> list[Row]:
        """The rows of a named statement: for the files of the nouns beside runs (`store/schedules.py` ...)."""
        return self._db.fetch(self._sql[name], params)

    def fetch_each(self, name: str, many: Sequence[Params]) -> list[Row]:
        """The rows of a named statement for each of several parameters, put together to few questions."""
        rows: list[Row] = []
        for begin in range(0, len(many), _TOGETHER):
            some = many[begin : begin + _TOGETHER]
            rows += self._db.fetch(queries.together(name, len(some)), [value for params in some for value in params])
        return rows

    _fetch = fetch

    def _own_check(self) -> list[Finding]:
        """What the database can say about all rows at once."""
        damage = [Finding("database", message) for message in self._db.findings()]
        damage += [Finding("I20", message) for message in broken_links(self)]
        damage += [Finding("I15", message) for message in sensors.findings(self)]
        damage += [Finding("I16", message) for message in backfills.audit(self)]
        damage += [Finding("I17", message) for message in house.audit(self)]
        return (
            damage
            + [
                Finding("I1", f"{count} runs of namespace {namespace} have the origin {origin!r}")
                for namespace, origin, count in self._fetch("doubled_origins")
            ]
            + list(schedules.findings(self))
        )

    def leases(self, *, after: str = "", limit: int = _LEASES) -> list[Lease]:
        return [Lease(*row) for row in self._fetch("leases", (after, limit))]

    def given_out(self) -> frozenset[str]:
        found: list[str] = []
        after = ENGINE
        while len(page := self.leases(after=after)) == _LEASES:
            found += [namespace_of(lease.resource) for lease in page]
            after = page[-1].resource
        return frozenset([*found, *(namespace_of(lease.resource) for lease in page)]) - {""}

    def _lease_row(self, resource: str) -> Lease | None:
        rows = self._fetch("lease", (resource,))
        return Lease(*rows[0]) if rows else None


def _run_row(row: Row) -> RunRow:
    (no, id, namespace, project, pipeline, graph, code, origin, state, created_at, started_at, finished_at, by,
     params, partition, priority, rerun_of, selection, fail_fast, timeout_s, step_limit, namespace_limit, tags,
     paused, cancel_requested, reason, seq, keys, partitions) = row  # fmt: skip
    return RunRow(
        no=no,
        id=id,
        namespace=namespace,
        project=project,
        pipeline=pipeline,
        graph=graph,
        code=code,
        origin=origin,
        state=state,
        created_at=created_at,
        started_at=started_at,
        finished_at=finished_at,
        by=by,
        params=_packed(params) if params else {},
        partition=partition,
        priority=priority,
        rerun_of=rerun_of,
        selection=_names(selection) if selection else (),
        fail_fast=bool(fail_fast),
        timeout_s=timeout_s,
        limit=step_limit,
        namespace_limit=namespace_limit,
        tags=_names(tags) if tags else (),
        paused=bool(paused),
        cancel_requested=bool(cancel_requested),
        reason=reason,
        seq=seq,
        keys=_keys(keys) if keys else (),
        partitions=_names(partitions) if partitions else (),
    )


def _step_row(row: Row) -> StepRow:
    step, index, state, attempt, not_before, finished_at, reason, because, value, choice, again, reused_from = row
    return StepRow(
        step=step,
        index=index,
        state=state,
        attempt=attempt,
        not_before=not_before,
        finished_at=finished_at,
        reason=reason,
        because=_names(because) if because else (),
        value=_value(value) if value else None,
        choice=choice,
        again=None if again is None else bool(again),
        reused_from=reused_from,
    )


def _attempt_row(row: Row) -> AttemptRow:
    (step, index, no, state, epoch, worker, external, started_at, finished_at, began_at, ended_at, cached_from,
     packed) = row  # fmt: skip
    detail = _detail(packed) if packed else _NO_DETAIL
    return AttemptRow(
        step=step,
        index=index,
        attempt=no,
        state=state,
        epoch=epoch,
        worker=worker,
        external=external,
        started_at=started_at,
        finished_at=finished_at,
        began_at=began_at,
        ended_at=ended_at,
        failure=detail.failure,
        usage=detail.usage,
        metadata=detail.metadata,
        cached_from=cached_from,
    )


def _materialization_row(row: Row) -> MaterializationRow:
    (asset, partition, run, step, index, attempt, at, data_version, code_version, metadata, value, began_at,
     ended_at) = row  # fmt: skip
    return MaterializationRow(
        asset=asset,
        partition=partition,
        run=run,
        step=step,
        index=index,
        attempt=attempt,
        at=at,
        data_version=data_version,
        code_version=code_version,
        metadata=_metadata(metadata) if metadata else (),
        value=_value(value) if value else None,
        began_at=began_at,
        ended_at=ended_at,
    )


def _check_row(row: Row) -> CheckRow:
    run, step, index, attempt, at, asset, name, passed, severity, message, partition, metadata = row
    report = CheckReport(
        asset=asset,
        check=name,
        passed=bool(passed),
        severity=severity,
        message=message,
        partition=partition,
        metadata=_metadata(metadata) if metadata else (),
    )
    return CheckRow(run=run, step=step, index=index, attempt=attempt, at=at, report=report)
