"""A run as the store remembers it, to ask questions of: its graph, its machine rebuilt from the rows.

Rule: nothing is driven on; what the engine knows beyond the rows (the queue, the workers) the engine is asked.
"""

from __future__ import annotations

import contextlib

import msgspec

from partita.core.explain import Explanation, explain
from partita.core.graph import Graph
from partita.core.machine import RunMachine
from partita.core.states import TERMINAL_RUN
from partita.engine.again import graph_of
from partita.engine.control import Why
from partita.engine.restore import rebuilt
from partita.errors import WorldError
from partita.server.calling import Call
from partita.server.problems import not_found
from partita.store.contract import AttemptRow, Reader, RunRow

_graphs: dict[str, Graph] = {}
_KEPT = 64


def graph(reader: Reader, row: RunRow) -> Graph:
    """The graph of a run; those asked for lately are kept decoded."""
    found = _graphs.get(row.graph)
    if found is None:
        found = graph_of(reader, row)
        if len(_graphs) >= _KEPT:
            _graphs.clear()
        _graphs[row.graph] = found
    return found


def machine(reader: Reader, row: RunRow) -> RunMachine:
    """The machine of a run, as its rows leave it."""
    return rebuilt(graph(reader, row), row, reader.steps(row.id), reader.attempts(row.id))


def why_step(call: Call, row: RunRow, step: str, index: str) -> Explanation:
    """Why a step is as it is: by the engine if it executes the run, else by the rows. Raises `Refused`."""
    if row.state not in TERMINAL_RUN:
        asked: Explanation | None = None
        with contextlib.suppress(WorldError):  # without an engine, the rows still tell
            asked = call.ask(Why(row.id, step, index)).explanation
        if asked is not None:
            return asked
    found = explain(machine(call.reader, row), step, index)
    if found is None:
        raise not_found("step", step)
    told: Explanation = msgspec.structs.replace(found, since=_since(call.reader, row, found))
    return told


def _since(reader: Reader, row: RunRow, found: Explanation) -> float:
    """When it came into its state, by the rows: a rebuilt machine only knows when its run began."""
    rows = [s for s in reader.steps(row.id, step=found.step) if s.index == found.index]
    if rows and rows[0].finished_at is not None:
        return rows[0].finished_at
    tries: list[AttemptRow] = reader.attempts(row.id, step=found.step, index=found.index)
    return tries[-1].started_at if tries and found.state == "running" else 0.0
