"""What people and other systems do to a simulated service: edits, pauses, triggers, cancels, limits, reports, webhooks.

Rule: each act is a request as a client makes it, in the engine's thread; who was given no answer may ask again.
"""

from __future__ import annotations

import hashlib
import hmac
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

from .evaluator import SIGNING_KEY
from .service_manifests import edited

if TYPE_CHECKING:
    from partita.core.manifest import Manifest

    from .service_world import ServiceWorld

_OFTEN, _OFTEN_WHEN_FULL = 0.05, 0.2
# The machine sleeps until the next tick, if that is not too far.
_SOON_S = 3 * 3600.0


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
        # As it was defined before the last edit.
        self.before: Manifest | None = None
        # What somebody is about to do next, and what was answered that was not so.
        self.soon: list[Callable[[], None]] = []
        self.wrong: list[str] = []
        # Failed looks of sensors so far: a crash after one is a case of its own.
        self.failed_looks = 0
        self.reasons = 0

    def act(self) -> None:
        """Perhaps something is done."""
        self._hear()
        if self.soon and self.rng.random() < 0.5:
            self.soon.pop(0)()
        if self.world.told.failed_looks > self.failed_looks:
            self.failed_looks = self.world.told.failed_looks
            if self.rng.random() < 0.3:
                self._mark("a crash while a sensor rested after a failure")
                self.world.kill()
        # While nothing can be written, a wrong answer shows itself at once.
        if self.rng.random() >= (_OFTEN_WHEN_FULL if self.world.faults.is_full else _OFTEN):
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
                self.look_and_pause,
                self.look_and_pause,
                self.doze,
                self.doze,
                self.break_connection,
                self.rush,
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
        """Now and then what was edited last is taken back."""
        self._mark("the definitions were edited")
        manifest, before = self.world.manifest, self.before
        self.before = manifest
        if before is not None and self.rng.random() < 0.3:
            self.world.load(before)
        else:
            self.world.load(edited(self.rng, manifest, self.world.clock.true))

    def pause_schedule(self) -> None:
        schedules = [s for s in self.world.told.schedules.values() if s.active]
        if schedules:
            one = self.rng.choice(schedules)
            self._ask(ResumeSchedule(one.name, "sim") if one.paused else PauseSchedule(one.name, "sim", "because"))

    def trigger(self) -> None:
        schedules = [s for s in self.world.told.schedules.values() if s.active]
        if schedules:
            trigger = TriggerSchedule(self.rng.choice(schedules).name, "sim")
            self._ask(trigger, is_so=lambda said: said.run in self.world.told.runs)

    def submit(self) -> None:
        """Now and then twice under one key: there is one run."""
        self.asked += self.rng.random() < 0.8
        submit = Submit("asked", "sim", key=f"k{self.asked}")
        self._ask(submit, is_so=lambda submitted: submitted.run in self.world.told.runs)

    def rush(self) -> None:
        """Many want the same at once: more than there are places."""
        for _ in range(5):
            self.submit()

    def ask_of_a_run(self) -> None:
        if self.world.engine.active:
            run = self.rng.choice(list(self.world.engine.active))
            kind = self.rng.choice((Cancel, Pause, Resume, Resume))
            self._ask(kind(run, "sim"))

    def backfill(self) -> None:
        first = self.rng.randint(1, 9)
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
            start = StartBackfill(plan.spec, plan.work, plan.partitions, "sim")
            self._ask(start, is_so=lambda answer: answer.id in world.told.backfills)
            # Before it is over.
            self.soon.append(self.rng.choice((self.ask_backfill, self.ask_backfill, self.backfill)))

    def ask_backfill(self) -> None:
        known = [id for id, state in self.world.told.backfills.items() if state == "running"]
        if not known or self.rng.random() < 0.3:
            known = list(self.world.told.backfills)
        if known:
            id, what = self.rng.choice(known), self.rng.choice(("pause", "resume", "resume", "cancel", "retry"))
            if what == "retry":
                self._ask(RetryBackfill(id, "sim"))
            else:
                reason = self._reason()
                self._ask(AskBackfill(id, what, "sim", reason), is_so=lambda _: reason in self.world.told.reasons)

    def limit(self) -> None:
        slots, reason = self.rng.choice((0, 1, 2, 3, None)), self._reason()
        limit = SetLimit("default", "pool", "db", slots, "sim", reason)
        self._ask(limit, is_so=lambda _: reason in self.world.told.reasons)

    def report(self) -> None:
        self._ask(ReportAsset("orders", "sim", data_version=f"{self.rng.randint(1, 3)}"))

    def arrive(self) -> None:
        """Something comes that the sensor will see at its next looks."""
        self.world.outside.items += self.rng.choice((1, 1, 5, 12))

    def deliver(self) -> None:
        """A webhook is called; now and then the same delivery again."""
        self.deliveries += self.rng.random() < 0.7
        delivery = f"d{self.deliveries}"
        body = b'{"a": 1}'
        signature = hmac.new(SIGNING_KEY.encode(), body, hashlib.sha256).hexdigest()
        request = DeliveryArrived("hook", body, (("X-Delivery-Id", delivery), ("X-Signature", signature)))

        def heard(answer: DeliveryAnswer) -> None:
            if answer.state == "accepted":
                self.accepted.add(answer.delivery)
            elif answer.state == "duplicate":
                self._mark("a webhook was called twice and taken once")
            elif answer.state == "unknown" and self.world.engine not in self.world.unloaded:
                raise Violation("the webhook is declared, and not known")

        taken = self.world.told.taken
        self._ask(request, heard, is_so=lambda answer: answer.state != "accepted" or answer.delivery in taken)

    def doze(self) -> None:
        """The machine sleeps, and wakes when something is overdue, by seconds or by hours; perhaps it was edited before."""
        clock, told = self.world.clock, self.world.told
        now = clock.now()
        ready = [s for s in told.schedules.values() if s.active and not s.paused and s.next is not None]
        coming = [s for s in ready if now < s.next <= now + _SOON_S]
        if not coming or clock.is_frozen:
            return
        if self.rng.random() < 0.5:
            coming = [s for s in coming if s.spec.rule.startswith("dates")] or coming
        self._mark("the machine slept while a tick came due")
        one = self.rng.choice(coming)
        clock.advance(one.next - now + self.rng.choice((4.0, 4.0, 9.0, 90.0, 4000.0, 20_000.0)))
        if self.rng.random() < 0.5:
            self._mark("the definitions were edited")
            self.world.load(edited(self.rng, self.world.manifest, clock.true, one.name), at_once=True)

    def break_connection(self) -> None:
        """The connection to the store fails for a moment, while somebody asks for a run."""
        faults = self.world.faults
        faults.error_before = faults.error_after = 0.3
        self.submit()
        self.trigger()

        def mend() -> None:
            faults.error_before = faults.error_after = 0.0

        self.soon.insert(0, mend)

    def tidy(self) -> None:
        self._mark("somebody asked to keep house")
        self._ask(TidyNow())

    def look_and_pause(self) -> None:
        """A sensor is paused while it looks: what that look sees counts no more."""
        self._ask(LookNow("items"))
        self.soon.append(lambda: self._ask(PauseSensor("items", "sim", paused=True)))
        self.soon.append(lambda: self._ask(PauseSensor("items", "sim", paused=False)))

    def sensor(self) -> None:
        what = self.rng.choice(
            (PauseSensor("items", "sim", self.rng.random() < 0.5), LookNow("items"), LookNow("hook"))
        )
        self._ask(ResetSensor("items", "sim") if self.rng.random() < 0.3 else what)

    # --- asking ---------------------------------------------------------------------------------------------------------

    def _ask(
        self,
        request: Any,
        then: Callable[[Any], None] = lambda answer: None,
        is_so: Callable[[Any], bool] = lambda answer: True,
    ) -> None:
        """Ask the engine that lives; what it answers is heard (`then`) a little later.

        `is_so` looks whether it is as the answer says in the moment in which it is given: I8, what is acknowledged is durable.
        """
        handler = self.world.serving().handlers()[type(request)]
        answer = self.world.engine.post(lambda: handler(request))
        self.waiting.append((answer, then))

        def look(answer: Future[Any]) -> None:
            if answer.exception() is None:
                result = answer.result()
                if isinstance(result, Future):
                    result.add_done_callback(look)
                elif not is_so(result):
                    self.wrong.append(f"I8: it was acknowledged, and is not in the store: {result}")

        answer.add_done_callback(look)

    def _hear(self) -> None:
        if self.wrong:
            raise Violation(self.wrong[0])
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

    def _reason(self) -> str:
        self.reasons += 1
        return f"because of {self.reasons}"

    def _mark(self, what: str) -> None:
        self.world.marks[what] += 1


__all__ = ["Acts", "BackfillAnswer"]
