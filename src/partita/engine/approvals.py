"""What waits for people: approvals with their question, who may answer, the votes so far and the material.

Rule: only reads, from any reader over SQL; the command line and the API show the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from partita.core import gates as rules
from partita.core.facts.gates import Shown
from partita.core.graph import GateSpec, Graph
from partita.core.graph import decode as decode_graph
from partita.engine.material import filled
from partita.store import gates
from partita.store.contract import VoteRow
from partita.store.gates import Cursor, OpenGate
from partita.store.reading import SqlReader


class Approval(msgspec.Struct, frozen=True):
    """One approval that waits. `missing`: so many more answers are needed at least."""

    gate: OpenGate
    spec: GateSpec
    question: str
    votes: tuple[VoteRow, ...]
    missing: int

    @property
    def material(self) -> tuple[Shown, ...]:
        return self.gate.material or ()

    @property
    def who(self) -> str:
        """In words, who may answer."""
        return rules.who_may(self.spec)

    @property
    def schema(self) -> Any:
        """The JSON schema of the typed answer; None if it takes none."""
        return json.loads(self.spec.schema) if self.spec.schema else None

    def may_not(self, by: str, roles: tuple[str, ...]) -> str:
        """Why this person may not answer; "" if they may."""
        return rules.may_not(self.spec, by=by, roles=roles, starter=self.gate.started_by)


class _Graphs:
    """Graphs by version, each read once."""

    def __init__(self, reader: SqlReader) -> None:
        self._reader = reader
        self._known: dict[str, Graph | None] = {}

    def spec(self, gate: OpenGate) -> GateSpec | None:
        """What the gate is; None if its graph is gone or has no such step."""
        if gate.graph not in self._known:
            data = self._reader.graph(gate.graph)
            self._known[gate.graph] = decode_graph(data) if data is not None else None
        graph = self._known[gate.graph]
        found = next((s for s in graph.steps if s.key == gate.step), None) if graph is not None else None
        return found.gate if found is not None else None


def waiting(reader: SqlReader, *, after: Cursor | None = None, limit: int = 50) -> list[Approval]:
    """Approvals that wait, those that wait longest first; `after` is the cursor of the last one of a page.

    One that opened in this moment and whose material is not gathered yet is nothing that people could decide on: it comes next.
    """
    rows = gates.open_gates(reader, "approval", after=after, limit=limit)
    return list(_approvals(reader, [row for row in rows if row.material is not None], _Graphs(reader)))


def waiting_in(reader: SqlReader, run: str) -> list[Approval]:
    """The approvals of one run that wait."""
    found = (g for g in reader.gates(run, open_only=True) if g.of == "approval" and g.opened_at is not None)
    rows = (gates.gate(reader, run, g.step, g.index) for g in found)
    return list(
        _approvals(reader, [row for row in rows if row is not None and row.material is not None], _Graphs(reader))
    )


def approval(reader: SqlReader, run: str, step: str, index: str = "") -> Approval | None:
    """One approval, whether it waits or was answered; None if there is none, or it has not opened yet."""
    row = gates.gate(reader, run, step, index)
    if row is None or row.of != "approval":
        return None
    return next(_approvals(reader, [row], _Graphs(reader)), None)


def _approvals(reader: SqlReader, rows: list[OpenGate], graphs: _Graphs) -> Iterator[Approval]:
    for row in rows:
        spec = graphs.spec(row)
        if spec is None:
            continue
        votes = tuple(gates.votes_of(reader, row.run, row.step, row.index))
        missing = spec.quorum - max((sum(v.choice == c for v in votes) for c in spec.choices), default=0)
        yield Approval(row, spec, filled(spec.text, row.material or ()), votes, missing)
