"""What the engine does beside its runs: schedules, sensors, gates, backfills, retention ... each a chore.

Rule: a chore that fails is a trouble that is shown, and rests; the others, and all runs, go on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from partita.core.events import Event
from partita.core.facts import Fact
from partita.core.facts.house import HealthChanged
from partita.engine.active import ActiveRun
from partita.errors import Fenced, InvalidTransition, StoreAway, StoreLocked

# How long a chore rests after it has failed.
REST_S = 30.0
# While the database is away.
AWAY_S = 1.0
_log = logging.getLogger("partita.engine")


class Chore(Protocol):
    """Something that the engine does beside its runs, in the loop's thread.

    What it decides it says by `Engine.record`, `create` and `request`; all of it is committed together at the end of
    the turn, and acted on after that. It must be quick: whatever waits (user code, network) is done elsewhere.
    """

    name: str

    def start(self, now: float) -> None:
        """Take up what the store says. Called once, before the first turn."""
        ...

    def due_at(self) -> float:
        """When it next has something to do (infinity: only when it is told of something)."""
        ...

    def turn(self, now: float) -> None:
        """Do what is due."""
        ...

    def committed(self, run: ActiveRun, events: Sequence[Event]) -> None:
        """Events of a run are durable."""
        ...

    def recorded(self, facts: Sequence[Fact]) -> None:
        """Facts are durable."""
        ...


class Chores(list[Chore]):
    """The chores of an engine, in the order in which they take their turns."""

    def __init__(self, record: Callable[[Fact], None], is_over: Callable[[], bool] = lambda: False) -> None:
        super().__init__()
        # What chores could not do, by their names; they are tried again later.
        self.troubles: dict[str, str] = {}
        self._record = record
        # The engine cannot go on: the store failed in a commit, and nobody knows what it holds of it.
        self._is_over = is_over
        self._rested: dict[str, float] = {}

    def start(self, now: float, between: Callable[[], None] = lambda: None) -> None:
        """Let each take up what the store says; `between` is called after each."""
        for chore in self:
            chore.start(now)
            between()

    def due_at(self, now: float) -> float:
        """When the first of them has something to do."""
        if not self._rested:  # hot: asked in each turn
            return min([chore.due_at() for chore in self], default=float("inf"))
        return min((max(chore.due_at(), self._rests_until(chore, now)) for chore in self), default=float("inf"))

    def turn(self, now: float, between: Callable[[], None] = lambda: None) -> None:
        """Let them do what is due; `between` is called after each that did. Raises what ends an engine: `Fenced`, `StoreLocked`, a bug in the machine, a commit of
        which nobody knows what became of it.
        """
        for chore in self:
            if chore.due_at() > now or now < self._rests_until(chore, now):
                continue
            try:
                chore.turn(now)
            except (Fenced, StoreLocked, InvalidTransition):
                raise
            except StoreAway as error:
                # It would be the same for all of them, and is nobody's fault.
                self._wait(chore, error, now)
                return
            except Exception as error:  # a bug in one chore must not stop all runs
                if self._is_over():
                    raise
                self._fail(chore, error, now)
            else:
                self._recover(chore, now)
            between()

    def committed(self, run: ActiveRun, events: Sequence[Event]) -> None:
        """Tell them of events that are durable."""
        for chore in self:
            chore.committed(run, events)

    def recorded(self, facts: Sequence[Fact]) -> None:
        """Tell them of facts that are durable."""
        for chore in self:
            chore.recorded(facts)

    def _rests_until(self, chore: Chore, now: float) -> float:
        until = self._rested.get(chore.name, 0.0)
        # A clock that was set back must not make it rest for longer.
        return until if until <= now + REST_S else 0.0

    def _wait(self, chore: Chore, error: StoreAway, now: float) -> None:
        if chore.name not in self._rested:
            _log.warning("%s waits: %s", chore.name, error.message)
        self._rested[chore.name] = now + AWAY_S

    def _fail(self, chore: Chore, error: Exception, now: float) -> None:
        kind = type(error).__name__
        trouble = f"{kind}: {error}"
        # Of one kind once: what it says may differ each time (a number, a name), and people are told of each record.
        if self.troubles.get(chore.name, "").partition(":")[0] != kind:
            self._record(HealthChanged(now, chore.name, trouble))
        self.troubles[chore.name] = trouble
        self._rested[chore.name] = now + REST_S
        _log.exception("chore %s failed and rests for %g s", chore.name, REST_S)

    def _recover(self, chore: Chore, now: float) -> None:
        if self._rested.pop(chore.name, None) is not None:
            self.troubles.pop(chore.name, None)
            self._record(HealthChanged(now, chore.name, ""))
