"""The part of the service that lets sensors look, and makes the runs that they ask for.

A look is carried out by the project's evaluator, so that ten thousand sensors take no worker; here it is decided when each
looks, and what becomes of its answer: the cursor moves and the runs are made in one commit, or nothing of it.

Rule: at most one look of a sensor at a time; an answer of a look that began before its sensor was changed counts for nothing.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

import msgspec

from partita.core import plain
from partita.core.events import Event as RunEvent
from partita.core.facts import Fact
from partita.core.facts.sensors import Requested, SensorChanged, SensorEvaluated
from partita.core.manifest import Manifest, SensorSpec
from partita.core.sensing import Event, backoff_s
from partita.engine import absence
from partita.engine.active import ActiveRun
from partita.engine.catalog import Catalog
from partita.engine.clock import Clock
from partita.engine.control import Handler
from partita.engine.hearing import Hearing
from partita.engine.hooks import MOST_WAITING, Hooks, delivered
from partita.engine.loop import Engine
from partita.engine.requesting import Requesting
from partita.engine.sensor import HEARING, LISTENING, NEVER, QUARANTINED, Sensor
from partita.engine.sensor_care import SensorCare
from partita.engine.sensor_requests import DeliveryAnswer, DeliveryArrived
from partita.engine.submitter import Submitter
from partita.errors import DefinitionError, WorldError
from partita.executors.evaluator import Evaluator, bind
from partita.store import sensors as rows
from partita.worker.questions import Answered, EvaluateSensor, SensorLook

# Looks under way at once; the others wait their turn.
_MOST_LOOKS = 500
_EVENTS_A_LOOK = 200
_SET_BACK_S = 5.0
_encode = msgspec.msgpack.Encoder().encode


class _Look(NamedTuple):
    """A look under way: of which sensor as it was then, at which of the events that it was told."""

    sensor: Sensor
    version: int
    events: list[Event]


class Sensing:
    """All sensors of the service."""

    name = "sensors"

    def __init__(
        self, engine: Engine, catalog: Catalog, submitter: Submitter, clock: Clock, evaluator: Evaluator
    ) -> None:
        self._engine = engine
        self._store: Any = engine.store
        self._catalog = catalog
        self._clock = clock
        self._evaluator = evaluator
        self._sensors: dict[tuple[str, str], Sensor] = {}
        # Those that are told of each commit: few, however many sensors there are.
        self._hearers: list[Sensor] = []
        self._heap: list[tuple[float, int, Sensor]] = []
        self._counter = itertools.count()
        # Looks whose answers are here, to be taken in the next turn.
        self._answers: deque[tuple[_Look, Future[Answered]]] = deque()
        self._looking = 0
        # What the clock said last: once it was set back, what was planned by it would be far away.
        self._seen = 0.0
        self._is_started = False
        self._requesting = Requesting(engine, submitter)
        self._hearing = Hearing(self._store, self._tell)
        self._hooks = Hooks(engine, evaluator, clock.now, self._tell)
        self._care = SensorCare(engine, evaluator, clock.now, self._sensors, self)

    # --- the part -------------------------------------------------------------------------------------------------

    def start(self, now: float) -> None:
        self._is_started = True
        for sensor in self._sensors.values():
            self.take_up(sensor, now)
        self._hearing.catch_up(self._hearers)
        self._hearing.bookmark(self._hearers, now)

    def due_at(self) -> float:
        if self._answers or self._clock.now() < self._seen - _SET_BACK_S:
            return 0.0
        self._seen = self._clock.now()
        first = self._heap[0][0] if self._heap and self._looking < _MOST_LOOKS else NEVER
        return min(first, self._hearing.due_at)

    def turn(self, now: float) -> None:
        if now < self._seen - _SET_BACK_S:
            self._seen = now
            for sensor in self._sensors.values():
                self.take_up(sensor, now)
        # What is planned in this turn is planned by this reading.
        self._seen = now
        while self._answers:
            self._take(*self._answers.popleft(), now=now)
        while self._heap and self._heap[0][0] <= now and self._looking < _MOST_LOOKS:
            at, _, sensor = heapq.heappop(self._heap)
            if at == sensor.next_at:
                sensor.next_at = NEVER
                self._look(sensor, now)
        if now >= self._hearing.due_at and (heard := self._hearing.bookmark(self._hearers, now)):
            self._engine.record(heard)

    def committed(self, run: ActiveRun, events: Sequence[RunEvent]) -> None:
        if self._hearers:
            self._hearing.events(run.run, run.no, events, self._hearers)

    def recorded(self, facts: Sequence[Fact]) -> None:
        self._hearing.facts(facts, self._hearers)
        self._hooks.committed()

    def handlers(self) -> Mapping[type, Handler]:
        return {**self._care.handlers(), DeliveryArrived: self._arrive}

    def _arrive(self, request: DeliveryArrived) -> DeliveryAnswer | Future[DeliveryAnswer]:
        sensor = self._sensors.get((request.namespace, request.sensor))
        if sensor is None or sensor.spec.of != "webhook":
            return DeliveryAnswer("unknown", reason="there is no such webhook")
        return self._hooks.arrive(sensor, request)

    # --- what is declared -----------------------------------------------------------------------------------------

    def loaded(self, manifest: Manifest) -> None:
        """Sensors that are new, edited, or gone."""
        now = self._clock.now()
        new = [sensor for spec in manifest.sensors if (sensor := self._declare(manifest, spec, now)) is not None]
        self._forget(manifest, now)
        self._hearers = [sensor for sensor in self._sensors.values() if sensor.spec.of in HEARING]
        if self._is_started:
            self._hearing.catch_up([sensor for sensor in new if sensor in self._hearers])

    def _declare(self, manifest: Manifest, spec: SensorSpec, now: float) -> Sensor | None:
        """Take in a sensor; itself, if it was not served before."""
        row = rows.sensor(self._store, manifest.namespace, spec.name)
        sensor = self._sensors.get((manifest.namespace, spec.name))
        is_new = sensor is None
        if sensor is None:
            sensor = Sensor.of(row) if row is not None else Sensor(manifest.namespace, manifest.project, spec)
            self._sensors[sensor.id] = sensor
        if sensor.spec != spec:
            sensor.declare(spec)
            sensor.failures = 0
        sensor.project = manifest.project
        if row is None or not row.active or row.spec != spec or row.project != sensor.project:
            heard = self._store.end_of_stream()
            self._engine.record(
                SensorChanged(now, *sensor.id, sensor.project, _encode(spec), paused=spec.paused, heard=heard)
            )
        if self._is_started:
            self.take_up(sensor, now)
        return sensor if is_new else None

    def _forget(self, manifest: Manifest, now: float) -> None:
        """What this project declared and declares no more."""
        declared = {spec.name for spec in manifest.sensors}
        for row in list(rows.all_sensors(self._store)):
            if row.project != manifest.project or not row.active:
                continue
            if row.namespace == manifest.namespace and row.name in declared:
                continue
            gone = self._sensors.get((row.namespace, row.name))
            if gone is not None and gone.project != manifest.project:
                continue  # another project has taken it over
            if gone is not None:
                gone.version += 1
                gone.next_at = NEVER
                del self._sensors[gone.id]
            self._engine.record(
                SensorChanged(now, row.namespace, row.name, row.project, _encode(row.spec), active=False)
            )

    # --- when -----------------------------------------------------------------------------------------------------

    def take_up(self, sensor: Sensor, now: float) -> None:
        """Set when it looks next, and tell it what waits for it in the store."""
        # By this reading of the clock it is planned: a clock that is set back before the first turn is noticed, too.
        self._seen = max(self._seen, now)
        if sensor.looking:
            return
        if sensor.spec.of == "webhook" and not sensor.told:
            waiting = rows.waiting(self._store, *sensor.id, limit=MOST_WAITING)
            sensor.told.extend(delivered(row.delivery, row.body, row.headers, row.at) for row in waiting)
        self.plan(sensor, NEVER if sensor.paused else self._next(sensor, now))

    def plan(self, sensor: Sensor, at: float) -> None:
        """Let it look at this time, and not before."""
        if at != sensor.next_at:
            sensor.next_at = at
            if at < NEVER:
                heapq.heappush(self._heap, (at, next(self._counter), sensor))

    def _next(self, sensor: Sensor, now: float) -> float:
        """When it has something to do by itself."""
        if sensor.told:
            return now
        if sensor.spec.of == "absence":
            return absence.next_time(sensor, now)
        if sensor.spec.of in LISTENING:
            # From before a restart, events may wait for more; a look finds out.
            return now if sensor.state and sensor.spec.debounce_s > 0 else NEVER
        if sensor.last_at is None or sensor.last_at > now:
            return now
        return max(now, sensor.last_at + backoff_s(sensor.spec.interval_s, sensor.failures))

    def _tell(self, sensor: Sensor, event: Event) -> None:
        if len(sensor.told) >= MOST_WAITING and sensor.spec.of in HEARING:
            return  # it fails and fails; what it misses is in the journal
        sensor.told.append(event)
        if sensor.looking or sensor.paused:
            return
        if not sensor.failures:
            self.plan(sensor, 0.0)
        elif sensor.next_at == NEVER:
            # It had failed under an earlier engine, which knew when it was to be tried again.
            self.plan(sensor, self._clock.now() + backoff_s(max(sensor.spec.interval_s, 1.0), sensor.failures))

    # --- looking --------------------------------------------------------------------------------------------------

    def _look(self, sensor: Sensor, now: float) -> None:
        if sensor.looking or sensor.paused or self._sensors.get(sensor.id) is not sensor:
            return
        if sensor.spec.of == "absence" and not sensor.told:
            event = absence.event_of(sensor, self._store, now)
            sensor.told.extend([event] if event is not None else [])
        # After a failure one at a time, so that the one that it is about is found.
        events = list(itertools.islice(sensor.told, 1 if sensor.failures else _EVENTS_A_LOOK))
        request = EvaluateSensor(sensor.spec, sensor.state, now, tuple(_encode(event) for event in events))
        look = _Look(sensor, sensor.version, events)
        self._await(look, self._evaluator.ask(sensor.project, request, timeout_s=sensor.spec.timeout_s))

    def _await(self, look: _Look, asked: Future[Answered]) -> None:
        look.sensor.looking = True
        self._looking += 1
        asked.add_done_callback(lambda done: self._answers.append((look, done)))

    def _take(self, look: _Look, asked: Future[Answered], *, now: float) -> None:
        """A look has ended. What it answers counts if its sensor is as it was."""
        sensor = look.sensor
        sensor.looking = False
        self._looking -= 1
        if look.version != sensor.version or self._sensors.get(sensor.id) is not sensor:
            if self._sensors.get(sensor.id) is sensor:
                self.take_up(sensor, now)
            return
        sensor.last_at = now
        error = asked.exception()
        if error is not None:
            self._fail(look, Answered(0), getattr(error, "message", str(error)), now)
            return
        answered = asked.result()
        found, failure = answered.answer, answered.failure
        if not isinstance(found, SensorLook):
            kind = f"{failure.types[0].rpartition('.')[2]}: " if failure and failure.types else ""
            self._fail(look, answered, kind + (failure.message if failure else "no answer"), now)
        elif any(run.raw for run in found.requests):
            self._await(look, self._bound(answered, found))
        else:
            self._settle(look, answered, found, now)

    def _bound(self, answered: Answered, found: SensorLook) -> Future[Answered]:
        """The same with the parameters of one pipeline of another project checked, by that project."""
        i, run = next((i, run) for i, run in enumerate(found.requests) if run.raw)
        whole: Future[Answered] = Future()
        try:
            pipeline = self._catalog.pipeline(run.pipeline)
            if pipeline is None:
                raise DefinitionError(f"there is no pipeline {run.pipeline!r}, so it has no parameters")
        except DefinitionError as error:
            whole.set_exception(error)
            return whole

        def take(done: Future[dict[str, bytes]]) -> None:
            if error := done.exception():
                whole.set_exception(error)
                return
            runs = list(found.requests)
            runs[i] = msgspec.structs.replace(run, params=done.result(), raw=b"")
            answer = msgspec.structs.replace(found, requests=tuple(runs))
            whole.set_result(msgspec.structs.replace(answered, answer=answer))

        project, name = pipeline[0].project, pipeline[1].name
        bind(self._evaluator, project, name, plain.unpack(run.raw)).add_done_callback(take)
        return whole

    # --- what becomes of it ---------------------------------------------------------------------------------------

    def _settle(self, look: _Look, answered: Answered, found: SensorLook, now: float) -> None:
        """Make the runs and move the cursor, in one commit; or nothing of it."""
        sensor = look.sensor
        try:
            requests = self._requesting.make(sensor, found.requests, now)
        except (DefinitionError, WorldError) as error:
            self._fail(look, answered, error.message, now)
            return
        for _ in look.events:
            sensor.told.popleft()
        skipped = found.skipped if found.skipped != sensor.skipped else ""
        if requests or skipped or look.events or sensor.failures or found.state != sensor.state:
            self._record(look, answered, found, requests, skipped, now)
        else:
            sensor.quiet += 1
        sensor.skipped = found.skipped
        sensor.failures = 0
        self.plan(sensor, self._after(sensor, found, now))

    def _after(self, sensor: Sensor, found: SensorLook, now: float) -> float:
        if found.more or sensor.told:
            return now
        due_at = found.due_at if found.due_at is not None else NEVER
        if sensor.spec.of == "absence":
            return min(due_at, absence.next_time(sensor, now))
        return due_at if sensor.spec.of in LISTENING else min(due_at, now + sensor.spec.interval_s)

    def _record(
        self,
        look: _Look,
        answered: Answered,
        found: SensorLook,
        requests: tuple[Requested, ...],
        skipped: str,
        now: float,
    ) -> None:
        sensor = look.sensor
        is_up_to_date = sensor.spec.of in HEARING and not sensor.told
        self._engine.record(
            SensorEvaluated(
                now,
                *sensor.id,
                answered.took_s,
                found.state,
                requests,
                skipped,
                quiet=sensor.quiet,
                output=answered.output,
                delivered=_keys(sensor, look.events),
                heard=self._store.end_of_stream() if is_up_to_date else None,
            )
        )
        sensor.state, sensor.quiet = found.state, 0

    def _fail(self, look: _Look, answered: Answered, message: str, now: float) -> None:
        """A look failed: the cursor stays, nothing is made, and it rests for longer each time."""
        sensor = look.sensor
        sensor.failures += 1
        dropped: Collection[Event] = ()
        if len(look.events) == 1 and sensor.failures > QUARANTINED and sensor.spec.of in ("webhook", "run_end"):
            # Alone in its look, again and again: without it the others go on. What it was is in the history.
            dropped = (sensor.told.popleft(),)
            message = f"gave up on {look.events[0].key}: {message}"
            sensor.failures = 0
        failure = answered.failure
        output = answered.output + (f"\n{failure.traceback}" if failure and failure.traceback else "")
        self._engine.record(
            SensorEvaluated(
                now,
                *sensor.id,
                answered.took_s,
                sensor.state,
                error=message[:2000],
                failures=sensor.failures,
                quiet=sensor.quiet,
                output=output[-16_384:],
                dropped=_keys(sensor, dropped),
            )
        )
        sensor.quiet = 0
        self.plan(sensor, now + backoff_s(max(sensor.spec.interval_s, 1.0), sensor.failures))


def _keys(sensor: Sensor, events: Collection[Event]) -> tuple[str, ...]:
    """The deliveries among what a sensor was told."""
    return tuple(event.key for event in events) if sensor.spec.of == "webhook" else ()


__all__ = ["Sensing"]
