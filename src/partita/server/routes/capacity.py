"""The machine that steps run on: what it has, how much of it is taken; and what steps ask for beside what they use."""

from __future__ import annotations

import msgspec

from partita.core.sizing import step_sizes
from partita.engine.limits import CapacityState, ListCapacity
from partita.server import objects
from partita.server.calling import Call, Name
from partita.server.objects import Page
from partita.server.routes.pipelines import found
from partita.server.routing import route
from partita.store import sizes as stored


class CapacityNow(msgspec.Struct, frozen=True):
    """One of what the machine has: `used` of `total` are taken (bytes of "memory", else numbers), `waiting` steps ask for it.

    `gpus`: their indexes; `taken`: those that a step has.
    """

    name: str
    total: float
    used: float
    waiting: int
    gpus: list[str]
    taken: list[str]


class Size(msgspec.Struct, frozen=True):
    """What a step asks for (null: nothing), and what 95% of its last attempts used at most (null: not measured).

    `hint` says what is far from each other; "" = nothing is.
    """

    step: str
    attempts: int
    memory_asked: int | None
    memory_used: int | None
    cpu_asked: float | None
    cpu_used: float | None
    hint: str


@route(
    "GET",
    "/capacity",
    permission="view",
    summary="What the machine of the scheduler has for steps, and how much of it is taken",
    errors=(422, 503),
    example=Page([CapacityNow("cpu", 8.0, 5.0, 2, [], [])]),
)
def capacity(call: Call) -> Page[CapacityNow]:
    told = call.ask(ListCapacity(), list[CapacityState])
    return Page([objects.shaped(CapacityNow, state, gpus=list(state.gpus), taken=list(state.taken)) for state in told])


@route(
    "GET",
    "/pipelines/{pipeline}/sizes",
    permission="view",
    summary="Memory and cores of a pipeline's steps: what they ask for, and what their last attempts used",
    errors=(404, 422),
    example=Page([Size("load", 20, 4 << 30, 1_181_116_006, 2.0, 0.9, "asks for 4 GiB of memory and uses 1.1 GiB")]),
)
def sizes(call: Call, pipeline: Name) -> Page[Size]:
    _, spec = found(call, pipeline)
    told = step_sizes(spec.graph.steps, stored.samples(call.reader, spec.name))
    return Page([objects.shaped(Size, size) for size in told])
