"""What people and other systems do to a simulated service: edits, pauses, triggers, cancels, limits, reports, webhooks.

Rule: each act is a request as a client makes it, in the engine's thread; who was given no answer may ask again.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from random import Random
from typing import TYPE_CHECKING, Any

from partita.core.backfill import BackfillSpec
from partita.core.invariants import Violation
from partita.engine.asking import Submit
from partita.engine.backfill_planning import plan_backfill
from partita.engine.backfills import AskBackfill, BackfillAnswer, RetryBackfill, StartBackfill
from partita.engine.control import Cancel, Pause, Resume
from partita.engine.limits import SetLimit
from partita.engine.reporting import ReportAsset
from partita.engine.retention import TidyNow
from partita.engine.schedules import PauseSchedule, ResumeSchedule, TriggerSchedule
from partita.engine.sensor_requests import DeliveryAnswer, DeliveryArrived, LookNow, PauseSensor, ResetSensor
from partita.errors import Fenced, PartitaError, StoreError, StoreLocked

from .service_manifests import edited

if TYPE_CHECKING:
    from .service_world import ServiceWorld

_OFTEN = 0.04


class Acts:
    """The people around one service."""

    def __init__(self, world: ServiceWorld, rng: Random) -> None:
        self.world = world
        self.rng = rng
        self.waiting: list[tuple[Future[Any], Callable[[Any], None]]] = []
        # Webhooks that were acknowledged, and the first number of one that was not sent yet.
        self.accepted: set[str] = set()
        self.deliveries = 0
        self.asked = 0

    def act(self) -> None:
        """Perhaps something is done."""
        self._hear()
        if self.rng.random() >= _OFTEN:
            return
        self.rng.choice(
            (
                self.edit,
                self.edit,
                self.pause_schedule,
                self.pause_schedule,
                self.trigger,
                self.submit,
                self.ask_of_a_run,
                self.ask_of_a_run,
                self.backfill,
                self.ask_backfill,
                self.ask_backfill,
                self.limit,
                self.report,
                self.arrive,
                self.arrive,
                self.deliver,
                self.deliver,
                self.tidy,
                self.sensor,
            )
        )()

    def calm(self) -> None:
        """What was paused goes on, and limits are as declared."""
        for name in self.world.told.schedules:
            self._ask(ResumeSchedule(name, "sim"))
        for sensor in ("items", "hook"):
            self._ask(PauseSensor(sensor, "sim", paused=False))
        for id, state in self.world.told.backfills.items():
            if state == "running":
                self._ask(AskBackfill(id, "resume", "sim"))
        self._ask(SetLimit("default", "pool", "db", None, "sim"))
        for run in list(self.world.engine.active):
            self._ask(Resume(run, "sim"))

    def stop_coming(self) -> None:
        """No new ticks: what is there comes to its end."""
        for name in self.world.told.schedules:
            self._ask(PauseSchedule(name, "sim"))
        for run in list(self.world.engine.active):
            self._ask(Resume(run, "sim"))

    # --- one by one -----------------------------------------------------------------------------------------------------

    def edit(self) -> None:
        self._mark("the definitions were edited")
        self.world.load(edited(self.rng, self.world.manifest, self.world.clock.true))

    def pause_schedule(self) -> None:
        schedules = [s for s in self.world.told.schedules.values() if s.active]
        if schedules:
            one = self.rng.choice(schedules)
            self._ask(ResumeSchedule(one.name, "sim") if one.paused else PauseSchedule(one.name, "sim", "because"))

    def trigger(self) -> None:
        schedules = [s for s in self.world.told.schedules.values() if s.active]
        if schedules:
            self._ask(TriggerSchedule(self.rng.choice(schedules).name, "sim"))

    def submit(self) -> None:
        """Now and then twice under one key: there is one run."""
        self.asked += self.rng.random() < 0.8
        self._ask(Submit("asked", "sim", key=f"k{self.asked}"))

    def ask_of_a_run(self) -> None:
        if self.world.engine.active:
            run = self.rng.choice(list(self.world.engine.active))
            kind = self.rng.choice((Cancel, Pause, Resume, Resume))
            self._ask(kind(run, "sim"))

    def backfill(self) -> None:
        first = self.rng.randint(1, 20)
        spec = BackfillSpec(
            "daily",
            f"2026-01-{first:02d}..2026-01-{first + self.rng.randint(0, 6):02d}",
            only=self.rng.choice(("all", "all", "missing")),
            batch=self.rng.choice((1, 1, 1, 3)),
            max_runs=self.rng.choice((1, 2, 8)),
            priority=self.rng.choice((0, 5)),
        )
        world = self.world
        try:
            plan = plan_backfill(spec, [world.manifest], world.store, now=world.clock.now(), workers=2)  # type: ignore[arg-type]
        except PartitaError:
            return
        if plan.work.total and world.engine not in world.unloaded:
            self._ask(StartBackfill(plan.spec, plan.work, plan.partitions, "sim"))

    def ask_backfill(self) -> None:
        known = list(self.world.told.backfills)
        if known:
            id, what = self.rng.choice(known), self.rng.choice(("pause", "resume", "resume", "cancel", "retry"))
            self._ask(RetryBackfill(id, "sim") if what == "retry" else AskBackfill(id, what, "sim"))

    def limit(self) -> None:
        self._ask(SetLimit("default", "pool", "db", self.rng.choice((0, 1, 2, 3, None)), "sim"))

    def report(self) -> None:
        self._ask(ReportAsset("orders", "sim", data_version=f"{self.rng.randint(1, 3)}"))

    def arrive(self) -> None:
        """Something comes that the sensor will see at its next looks."""
        self.world.outside.items += self.rng.choice((1, 1, 5, 12))

    def deliver(self) -> None:
        """A webhook is called; now and then the same delivery again."""
        self.deliveries += self.rng.random() < 0.7
        delivery = f"d{self.deliveries}"
        request = DeliveryArrived("hook", b'{"a": 1}', (("X-Delivery-Id", delivery),))

        def heard(answer: DeliveryAnswer) -> None:
            if answer.state == "accepted":
                self.accepted.add(answer.delivery)
                if answer.delivery not in self.world.told.taken:
                    raise Violation(f"I8: {answer.delivery} was acknowledged, and is not in the store")
            elif answer.state == "duplicate":
                self._mark("a webhook was called twice and taken once")
            elif answer.state == "unknown" and self.world.engine not in self.world.unloaded:
                raise Violation("the webhook is declared, and not known")

        self._ask(request, heard)

    def tidy(self) -> None:
        self._mark("somebody asked to keep house")
        self._ask(TidyNow())

    def sensor(self) -> None:
        what = self.rng.choice(
            (PauseSensor("items", "sim", self.rng.random() < 0.5), LookNow("items"), LookNow("hook"))
        )
        self._ask(ResetSensor("items", "sim") if self.rng.random() < 0.3 else what)

    # --- asking ---------------------------------------------------------------------------------------------------------

    def _ask(self, request: Any, then: Callable[[Any], None] = lambda answer: None) -> None:
        """Ask the engine that lives; what it answers is looked at when it is there."""
        handler = self.world.serving().handlers()[type(request)]
        self.waiting.append((self.world.engine.post(lambda: handler(request)), then))

    def _hear(self) -> None:
        waiting, self.waiting = self.waiting, []
        for answer, then in waiting:
            if not answer.done():
                # Also those whose engine died: nobody hears of them again.
                self.waiting.append((answer, then))
            elif (error := answer.exception()) is None:
                result = answer.result()
                if isinstance(result, Future):
                    self.waiting.append((result, then))
                else:
                    then(result)
            elif not isinstance(error, PartitaError):
                raise error
            elif isinstance(error, Fenced | StoreLocked):
                self._mark("a request came to an engine that was over")
            elif isinstance(error, StoreError):
                self._mark("a request could not be committed")
        self.waiting = self.waiting[-200:]

    def _mark(self, what: str) -> None:
        self.world.marks[what] += 1


__all__ = ["Acts", "BackfillAnswer"]
