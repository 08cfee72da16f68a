"""Runs that somebody wants: new ones of random graphs, and finished ones again.

Rule: what is asked for comes from the seed alone; `gentle` requests can come to one end only, whatever goes wrong.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from msgspec.structs import replace

from partita.core.events import RunCreated, StepReused
from partita.core.graph import Graph
from partita.core.graph import version as graph_version
from partita.engine.rerun import reused_steps
from partita.engine.restore import rebuilt
from partita.store.contract import Reader

from .graphs import random_graph


class Request(NamedTuple):
    """A run that is to be made."""

    run: RunCreated
    graph: Graph
    reused: tuple[StepReused, ...] = ()


def new_run(rng: Random, name: str, *, at: float, gentle: bool) -> Request:
    """A run of a random graph."""
    graph = random_graph(rng, may_be_lost=not gentle)
    run = RunCreated(
        at=at,
        run=name,
        namespace=rng.choice(("default", "other")),
        project="sim",
        pipeline=rng.choice(("nightly", "nightly", "hourly")),
        graph=graph_version(graph),
        code="",
        origin=f"sim:{name}",
        priority=rng.choice((0, 0, 0, 5)),
        fail_fast=not gentle and rng.random() < 0.15,
        timeout_s=None if gentle else rng.choice((None, None, None, None, 300.0)),
        limit=rng.choice((None, None, 3)),
    )
    return Request(run, graph)


def rerun(rng: Random, name: str, store: Reader, old: RunCreated, graph: Graph, *, at: float) -> Request:
    """A finished run again: from what failed, or from some step on."""
    row = store.run(old.run)
    assert row is not None
    machine = rebuilt(graph, row, store.steps(row.id), store.attempts(row.id))
    again = None if rng.random() < 0.6 else [rng.choice(graph.steps).key]
    reused = reused_steps(machine, graph, at=at, again=again)
    run = replace(old, run=name, origin=f"rerun:{row.id}:{name}", rerun_of=row.id)
    return Request(run, graph, tuple(reused))
