"""How one run stands: what the parts of the machine share.

Rule: nothing is decided here. The files `moves`, `bundles`, `joining`, `unfolding`, `outcomes` and `settling` change it,
each for one reason; whoever is outside of the core only reads.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable

from partita.core.commands import Command
from partita.core.events import Event, RunCreated
from partita.core.graph import Graph
from partita.core.known import Known, known_by_step
from partita.core.plan import Group, Instance, Node, Plan, Positions, path_of
from partita.core.states import TERMINAL_RUN, RunState


class Course:
    """One run: its plan with all instances, its flags and counters, and what the event at hand has led to so far."""

    def __init__(self, graph: Graph, run: RunCreated, known: Iterable[Known] = ()) -> None:
        self.run = run
        self.plan = Plan(graph)
        self.state: RunState = "queued"
        self.reason = ""
        self.paused = False
        self.cancel_requested = False
        # Cancelled, failed fast or out of time: nothing new starts but teardowns.
        self.ending = ""
        self.started_at: float | None = None
        self.ignored = 0
        # Instances (and placeholders) that have not ended; ends that count as failures, and cancels.
        self.unended = 0
        self.bad = 0
        self.cancelled = 0
        # The time of the event at hand, and what it has led to: facts to commit, things to do.
        self.at = run.at
        self.journal: list[Event] = []
        self.commands: list[Command] = []
        # Ends that nobody has been told of yet: of instances, and of all instances under a prefix.
        self.ended: deque[Instance] = deque()
        self.completed: deque[tuple[Node, Positions, Group]] = deque()
        # Gates that wait, and when they next want to be looked at; `wakes_at` is the wake-up that was asked for.
        self.gates: dict[tuple[str, str], Instance] = {}
        self.alarms: list[tuple[float, str, str]] = []
        self.wakes_at = math.inf
        # What is known of instances that are not there yet.
        self.known = known_by_step(known)

    def take_journal(self) -> list[Event]:
        """The events since the last call; they are to be committed together, in this order."""
        taken, self.journal = self.journal, []
        return taken

    def instance(self, step: str, index: str = "") -> Instance | None:
        """The instance, or the placeholder of a map that is not unfolded; None if there is none (yet)."""
        node = self.plan.nodes.get(step)
        return node.instances.get(path_of(index)) if node is not None else None

    def instances(self) -> Iterable[Instance]:
        """All instances and placeholders, in the order of the graph."""
        for node in self.plan.nodes.values():
            yield from node.instances.values()

    @property
    def is_finished(self) -> bool:
        return self.state in TERMINAL_RUN
