"""I9 for the parts of a service: nothing waits without something that will wake it, and what was asked for comes about.

Sensors, rates, orders to the runs of a backfill, and freshness are looked at after each turn in which nothing went wrong.

Rule: what takes more than one commit is given a few turns; what is in memory must be right at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from partita.core.admission import Admission
from partita.core.facts import Fact
from partita.core.facts.assets import AssetReported, FreshnessChanged
from partita.core.invariants import Violation
from partita.core.sensing import backoff_s
from partita.engine.loop import Engine
from partita.engine.sensing import Sensing
from partita.engine.sensor import NEVER
from partita.engine.service import Service

from .record import Record
from .service_judge import ServiceJudge
from .service_manifests import FRESH
from .waiting import _queued_lanes

# Turns that something which follows from a commit may take.
_PATIENCE = 4
# By so much a clock may be set back before anybody has to care.
_SET_BACK_S = 5.0


class Waiting:
    """Looks at one service after another; `told` and `records` are what they have committed."""

    def __init__(self, told: ServiceJudge, records: Mapping[str, Record]) -> None:
        self.told = told
        self.records = records
        self.orders = FreshOrders()
        self._missing: Counter[str] = Counter()

    def feed(self, facts: Sequence[Fact]) -> None:
        """Facts were committed."""
        self.orders.feed(facts, self.told.marks)

    def check(self, service: Service, now: float) -> None:
        """A turn went well. Raises `Violation`."""
        sensing = next(part for part in service.parts if isinstance(part, Sensing))
        check_sensors(sensing, now)
        check_rates(service.engine.admission)
        missing = [*self._not_told(service.engine), *self._not_started(service.engine), *self.orders.missing(now)]
        self._missing = Counter({what: self._missing[what] + 1 for what in missing})
        late = [what for what, turns in self._missing.items() if turns > _PATIENCE]
        if late:
            raise Violation(f"I9: {late[0]}, and {_PATIENCE} turns have changed nothing")

    def _not_told(self, engine: Engine) -> list[str]:
        """I13: runs of a backfill that was cancelled, and that were not told to end."""
        cancelled = [id for id, what in self.told.stopped.items() if what == "cancel"]
        origins = tuple(f"backfill:{id}:" for id in cancelled if self.told.backfills.get(id) == "running")
        open_ones = [run for run in engine.active.values() if run.run.origin.startswith(origins)] if origins else []
        return [
            f"{run.id} of a cancelled backfill goes on"
            for run in open_ones
            if self.records[run.id].cancelled_at is None
        ]

    def _not_started(self, engine: Engine) -> list[str]:
        """I9: backfills that nobody has stopped, and of which nothing runs."""
        told = self.told
        going = {
            id
            for id, state in told.backfills.items()
            if state == "running" and told.stopped.get(id) in (None, "resume")
        }
        if going:
            going -= {
                run.run.origin.split(":")[1] for run in engine.active.values() if run.run.origin.startswith("backfill:")
            }
        return [f"backfill {id} goes on, and nothing of it runs" for id in going]


class FreshOrders:
    """The freshness of `orders`, which another system makes: by its policy, and as the service says it."""

    def __init__(self) -> None:
        self.made_at: float | None = None
        self.state = ""
        # What the clock said last.
        self._seen = 0.0
        # It was made after the service has said last how fresh it is.
        self.is_made_since = False

    def feed(self, facts: Sequence[Fact], marks: Counter[str]) -> None:
        """Facts were committed. Raises `Violation` if it is said to be late and was made in time."""
        made = {self.made_at} | {fact.at for fact in facts if isinstance(fact, AssetReported)}
        for fact in facts:
            if isinstance(fact, AssetReported):
                self.made_at, self.is_made_since = fact.at, True
            elif isinstance(fact, FreshnessChanged):
                # What was never made is counted from when it was declared.
                known = [_of_age(fact.at - at) for at in made if at is not None]
                if None not in made and fact.state not in known:
                    raise Violation(f"orders are said to be {fact.state} ({fact.reason}), and are {known}")
                marks["an asset became late"] += fact.state == "fail"
                marks["an asset that was late was made"] += fact.state == "fresh" and self.state in ("warn", "fail")
                self.state, self.is_made_since = fact.state, False

    def missing(self, now: float) -> list[str]:
        """What the service should have said by now. Nothing, if it was never made: that is counted by its first load."""
        if self.made_at is None:
            return []
        if now < self._seen - _SET_BACK_S:
            # What was said by the clock before it was set back stays until something changes.
            self.is_made_since = False
        self._seen = now
        state = _of_age(now - self.made_at)
        # A clock that was set back makes nothing fresh.
        is_said = self.state == state or (state != "fail" and not self.is_made_since)
        return [] if is_said else [f"orders are {state}, and said to be {self.state or 'nothing'}"]


def check_sensors(sensing: Sensing, now: float) -> None:
    """A sensor that has something to look at has a time for it, and one that looks at intervals a near one."""
    planned = {(sensor.name, at) for at, _, sensor in sensing._heap}
    for sensor in sensing._sensors.values():
        if sensor.paused or sensor.looking:
            continue
        if sensor.next_at < NEVER and (sensor.name, sensor.next_at) not in planned:
            raise Violation(f"I9: sensor {sensor.name} looks at {sensor.next_at}, and nothing wakes it")
        if sensor.next_at == NEVER and (sensor.told or sensor.spec.of == "function"):
            raise Violation(f"I9: sensor {sensor.name} was told of {len(sensor.told)} events, and never looks")
        rests_s = backoff_s(sensor.spec.interval_s, sensor.failures) + _SET_BACK_S
        if sensor.spec.of == "function" and sensor.next_at > now + rests_s:
            raise Violation(
                f"I9: sensor {sensor.name} rests for {sensor.next_at - now:.0f} s, and {rests_s:.0f} are enough"
            )


def check_rates(admission: Admission) -> None:
    """Steps that a rate holds back are woken when it has room again, whatever ends meanwhile."""
    for key, parked in admission._parked.items():
        if key[0] != "rate" or key in admission._rate_wakes:
            continue
        is_meant = any(lane.woken_for == key for lane in _queued_lanes(admission))
        if not is_meant and any(instance.offered for lane in parked for instance in lane.queue):
            raise Violation(f"I9: steps wait for {key}, and nothing wakes them when there is room again")


def _of_age(seconds: float) -> str:
    assert FRESH.fail_s is not None
    assert FRESH.warn_s is not None
    return "fail" if seconds >= FRESH.fail_s else "warn" if seconds >= FRESH.warn_s else "fresh"
