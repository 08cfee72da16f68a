"""Telling sensors of what was committed: ends of runs and updates of assets, without polling.

While the engine runs it is told by its own commits; what was committed before it began is read from the journal, from where
each sensor had heard last. So nothing is missed, and what is told twice has the same key.

Rule: here is only said what has happened; what a sensor makes of it is decided at its look.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from partita.core import plain
from partita.core.events import Event as RunEvent
from partita.core.events import Materialized, RunCreated, RunEnded
from partita.core.facts import Fact
from partita.core.facts.assets import AssetReported
from partita.core.facts.sensors import SensorsHeard
from partita.core.sensing import Event, assets_of, wants_run
from partita.engine.restore import run_created_of
from partita.engine.sensor import HEARING, Sensor
from partita.store import sensors as rows

_BOOKMARK_S = 300.0


class Hearing:
    """Tells sensors. `tell` gives one of them an event."""

    def __init__(self, store: Any, tell: Callable[[Sensor, Event], None]) -> None:
        self._store = store
        self._tell = tell
        self._heard = 0
        self.due_at = float("inf")

    def events(self, run: RunCreated, no: int, events: Iterable[RunEvent], sensors: Collection[Sensor]) -> None:
        """Events of a run were committed."""
        for event in events:
            if isinstance(event, RunEnded):
                self._ended(run, no, event, sensors)
            elif isinstance(event, Materialized):
                key = f"{run.run}:{event.step}:{event.index}:{event.attempt}"
                self._updated(event.asset, event.partition, key, sensors)

    def facts(self, facts: Sequence[Fact], sensors: Collection[Sensor]) -> None:
        """Facts were committed."""
        for fact in facts:
            if isinstance(fact, AssetReported):
                self._updated(fact.asset, fact.partition, f"report:{fact.at}:{fact.key}", sensors)

    def catch_up(self, sensors: Sequence[Sensor]) -> None:
        """Tell sensors what was committed after they had heard last."""
        heard: dict[tuple[str, str], int] = {}
        for sensor in sensors:
            row = rows.sensor(self._store, *sensor.id) if sensor.spec.of in HEARING and not sensor.paused else None
            if row is not None:
                heard[sensor.id] = row.heard
        after = min(heard.values(), default=None)
        while after is not None and (page := self._store.stream(after_no=after)):
            for row in page:
                self._tell_row(row, [s for s in sensors if heard.get(s.id, row.no) < row.no])
            after = page[-1].no

    def bookmark(self, hearing: Collection[Sensor], now: float) -> SensorsHeard | None:
        """How far all have heard by now, if that is worth noting: the next engine has so much less to read."""
        self.due_at = now + _BOOKMARK_S
        end = self._store.end_of_stream()
        if not hearing or end <= self._heard or any(s.told or s.looking for s in hearing):
            return None
        # The note is a row of the journal itself, and nothing more to note.
        self._heard = end + 1
        return SensorsHeard(now, end)

    def _tell_row(self, row: Any, sensors: Collection[Sensor]) -> None:
        wanted = [event for event in row.events if isinstance(event, RunEnded | Materialized)]
        if wanted:
            run = self._store.run(row.run)
            if run is not None:
                self.events(run_created_of(run), run.no, wanted, sensors)
        self.facts(row.facts, sensors)

    def _ended(self, run: RunCreated, no: int, event: RunEnded, sensors: Iterable[Sensor]) -> None:
        for sensor in sensors:
            if sensor.spec.of != "run_end" or sensor.paused or run.namespace != sensor.namespace:
                continue
            # Its own runs would start others without end.
            if run.by == f"sensor:{sensor.name}" or not wants_run(sensor.options, run.pipeline, event.state, run.tags):
                continue
            data = {
                "run": run.run,
                # What people type; a text is read by the type of the parameter.
                "no": str(no),
                "pipeline": run.pipeline,
                "state": event.state,
                "partition": run.partition,
                "by": run.by,
            }
            self._tell(sensor, Event(f"run:{run.run}", plain.pack(data)))

    def _updated(self, asset: str, partition: str, key: str, sensors: Iterable[Sensor]) -> None:
        for sensor in sensors:
            if sensor.spec.of == "asset" and not sensor.paused and asset in assets_of(sensor.options["condition"]):
                data = {"asset": asset, "partition": partition}
                self._tell(sensor, Event(f"{asset}:{partition}:{key}", plain.pack(data)))
