"""A finished run again: which graph it has now, and the events that its successor begins with.

Rule: nothing is made here; what cannot be repeated is said before there is a run.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from partita.core.events import RunCreated, StepReused
from partita.core.graph import Graph
from partita.core.graph import decode as decode_graph
from partita.core.graph import version as graph_version
from partita.core.manifest import Manifest
from partita.core.selection import cut
from partita.engine.ids import new_run_id
from partita.engine.rerun import reused_steps, steps_named
from partita.engine.restore import rebuilt, run_created_of
from partita.errors import DefinitionError, PartitaError, SelectionError
from partita.store.contract import Reader, RunRow

# Each repetition has a number of its own; nobody repeats a run more often.
_MOST_AGAIN = 10_000


def rerun_of(
    reader: Reader,
    row: RunRow,
    graph: Graph,
    *,
    code: str,
    by: str,
    now: float,
    again: Iterable[str] | None = None,
    origin: str = "",
) -> tuple[Graph, RunCreated, list[StepReused]]:
    """What a run that repeats `row` with `graph` begins with: what failed is repeated, or all from `again` on.

    Raises `DefinitionError`.
    """
    if row.state not in ("succeeded", "failed", "cancelled"):
        raise DefinitionError(f"run {row.no} is still {row.state}", hint=f"wait for it, or: partita cancel {row.no}")
    old = graph_of(reader, row)
    machine = rebuilt(old, row, reader.steps(row.id), reader.attempts(row.id), reader.gates(row.id))
    chosen = _chosen(graph, row, again) if again is not None else None
    reused: list[StepReused] = reused_steps(machine, graph, at=now, again=chosen)
    if machine.started_at is not None and len(reused) == sum(1 for _ in machine.instances()):
        raise DefinitionError(f"run {row.no} succeeded, there is nothing to repeat", hint="name a step: --from STEP")
    count = 1 + len(reader.reruns(row.id, limit=_MOST_AGAIN))
    run = msgspec.structs.replace(
        run_created_of(row),
        at=now,
        run=new_run_id(now),
        graph=graph_version(graph),
        code=code,
        origin=origin or f"rerun:{row.id}:{count}",
        by=by,
        rerun_of=row.id,
    )
    return graph, run, reused


def current_graph(manifest: Manifest, row: RunRow, old: Graph) -> Graph:
    """The graph that the project's current code gives for what the run executed. Raises `SelectionError`."""
    pipeline = next((p for p in manifest.pipelines if p.name == row.pipeline), None)
    whole = pipeline.graph if pipeline is not None else manifest.assets_graph
    if whole is None:
        return old
    if not row.selection:
        return whole
    wanted = set(row.selection)
    present = {s.key for s in whole.steps}
    if missing := sorted(wanted - present):
        raise SelectionError(f"steps of run {row.no} are gone from the project: {', '.join(missing[:5])}")
    return cut(whole, [s.key for s in whole.steps if s.key in wanted])


def graph_of(reader: Reader, row: RunRow) -> Graph:
    """The graph of a run."""
    data = reader.graph(row.graph)
    if data is None:
        raise PartitaError(f"the graph of run {row.no} is missing in the store", hint="partita db audit")
    return decode_graph(data)


def _chosen(graph: Graph, row: RunRow, again: Iterable[str]) -> list[str]:
    chosen: list[str] = []
    for name in again:
        named = steps_named(graph, name)
        if not named:
            raise SelectionError(f"run {row.no} has no step or group {name!r}", hint=f"partita show {row.no}")
        chosen.extend(named)
    return chosen
