"""A run as the store remembers it: its row, its machine rebuilt from the rows, its attempts. For commands that only look."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from partita.cli.labels import Labels
from partita.core.graph import Graph
from partita.core.machine import RunMachine
from partita.core.states import TERMINAL_RUN
from partita.engine.again import graph_of
from partita.engine.restore import rebuilt
from partita.store.contract import AttemptRow, Reader, RunRow, StepRow


@dataclass(frozen=True)
class Remembered:
    """One run."""

    reader: Reader
    row: RunRow

    @cached_property
    def graph(self) -> Graph:
        return graph_of(self.reader, self.row)

    @cached_property
    def steps(self) -> list[StepRow]:
        return self.reader.steps(self.row.id)

    @cached_property
    def attempts(self) -> list[AttemptRow]:
        return self.reader.attempts(self.row.id)

    @cached_property
    def machine(self) -> RunMachine:
        gates = self.reader.gates(self.row.id, open_only=True)
        votes = self.reader.votes(self.row.id) if gates else ()
        return rebuilt(self.graph, self.row, self.steps, self.attempts, gates, votes)

    @cached_property
    def labels(self) -> Labels:
        return Labels(self.machine, self.row.no)

    @property
    def is_open(self) -> bool:
        return self.row.state not in TERMINAL_RUN

    @cached_property
    def tries(self) -> dict[tuple[str, str], list[AttemptRow]]:
        """The attempts of each step instance, in order."""
        found: dict[tuple[str, str], list[AttemptRow]] = {}
        for attempt in self.attempts:
            found.setdefault((attempt.step, attempt.index), []).append(attempt)
        return found
