"""The runs that a look asks for, staged for the commit of this turn, each key once.

Rule: all of a look's runs are planned before the first is staged, so that a look makes all of them or none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from partita.core.facts.sensors import Requested
from partita.engine.ids import new_run_id
from partita.engine.loop import Engine
from partita.engine.sensor import Sensor
from partita.engine.submission import RunRequest
from partita.engine.submitter import Submitter
from partita.store import sensors as rows
from partita.store.contract import OriginTaken
from partita.worker.questions import WantedRun


class Requesting:
    """Makes runs for sensors."""

    def __init__(self, engine: Engine, submitter: Submitter) -> None:
        self._engine = engine
        self._store: Any = engine.store
        self._submitter = submitter

    def make(self, sensor: Sensor, wanted: Sequence[WantedRun], now: float) -> tuple[Requested, ...]:
        """Stage the runs that are new; what became of each key. Raises `DefinitionError`, and then nothing is staged."""
        known: dict[str, str] = {}
        planned: list[tuple[Any, Any]] = []
        requests: list[Requested] = []
        for run in wanted:
            for key in run.keys:
                if key not in known and (found := rows.run_of_key(self._store, *sensor.id, key)):
                    known[key] = found
            new = [key for key in run.keys if key not in known]
            requests += [Requested(key, known[key], run.pipeline, True) for key in run.keys if key in known]
            if run.keys and not new:
                continue
            # Without a key each request is a run of its own: its name must be a fresh one, also when clocks are set back.
            graph, created = self._submitter.plan(_request(sensor, run, new[0] if new else f"@{new_run_id(now)}"))
            planned.append((graph, created))
            known.update(dict.fromkeys(new, created.run))
            requests += [Requested(key, created.run, run.pipeline) for key in new or ("",)]
        taken = self._stage(planned)
        return tuple(
            msgspec.structs.replace(r, run=taken[r.run], repeated=True) if r.run in taken else r for r in requests
        )

    def _stage(self, planned: list[tuple[Any, Any]]) -> dict[str, str]:
        """By new run: the run that there is of its origin already, because its key was forgotten before it."""
        taken: dict[str, str] = {}
        for graph, created in planned:
            try:
                self._engine.create(graph, created)
            except OriginTaken as error:
                taken[created.run] = error.run
        return taken


def _request(sensor: Sensor, run: WantedRun, key: str) -> RunRequest:
    return RunRequest(
        target=run.pipeline,
        by=f"sensor:{sensor.name}",
        origin=f"sensor:{sensor.name}:{key}",
        params=run.params,
        partition=run.partition,
        priority=run.priority,
        tags=run.tags,
    )
