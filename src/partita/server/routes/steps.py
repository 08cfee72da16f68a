"""Steps of a run and their attempts."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, structs

from partita.core.plan import Node
from partita.server import examples, objects
from partita.server.calling import Call, Cursor, Limit, Name, Number, page_of
from partita.server.objects import Attempt, Explanation, Page, Step
from partita.server.problems import not_found
from partita.server.remembering import graph, machine, why_step
from partita.server.routing import route
from partita.server.secrecy import mask_of, masked
from partita.store.contract import AttemptRow, RunRow, StepRow


class AttemptOf(msgspec.Struct, frozen=True):
    """An attempt, and whose it is."""

    run: str
    step: str
    index: str
    attempt: Attempt


class Neighbour(msgspec.Struct, frozen=True):
    """A step of a graph: what it needs, and how its instances are now (none: it waits)."""

    step: str
    needs: list[str]
    group: list[str]
    when: str
    asset: str
    mapped: bool
    states: dict[str, int]
    # "task", "asset", "check", "gate", "bundle", "member", "shell", "script", "container" ...
    kind: str = "task"


class RunGraph(msgspec.Struct, frozen=True):
    """The graph of a run. `version` is its content's hash."""

    run: str
    version: str
    steps: list[Neighbour]


@route(
    "GET",
    "/runs/{run}/steps",
    permission="view",
    summary="Steps of a run that have done something, with their attempts; the others are in its graph only",
    errors=(404, 422),
    example=Page([examples.STEP]),
)
def steps(
    call: Call,
    run: Name,
    step: Name | None = None,
    state: list[str] = [],  # noqa: B006
    limit: Limit = 100,
    cursor: Cursor = "",
) -> Page[Step]:
    row = call.run(run)
    page = page_of(_rows(call, row, step, state), cursor, limit)
    return Page([_shown(call, row, s) for s in page.items], page.next)


@route(
    "GET",
    "/runs/{run}/steps/{step}",
    permission="view",
    summary="A step of a run; `index` names an instance of a mapped step",
    errors=(404,),
    example=examples.STEP,
)
def step(call: Call, run: Name, step: Name, index: str = "") -> Step:
    row = call.run(run)
    for found in _rows(call, row, step, ()):
        if found.index == index:
            return _shown(call, row, found)
    known = {s.key for s in graph(call.reader, row).steps}
    if step not in known or index:
        raise not_found("step", f"{step}[{index}]" if index else step)
    return objects.step(_untouched(step), [])


@route(
    "GET",
    "/runs/{run}/steps/{step}/why",
    permission="view",
    summary="Why a step is as it is, and what would move it",
    errors=(404,),
    example=examples.EXPLANATION,
)
def why(call: Call, run: Name, step: Name, index: str = "") -> Explanation:
    return objects.explanation(why_step(call, call.run(run), step, index))


@route(
    "GET",
    "/runs/{run}/attempts",
    permission="view",
    summary="Attempts of a run",
    errors=(404, 422),
    example=Page([AttemptOf(examples.RUN.id, "load", "", examples.ATTEMPT)]),
)
def attempts(
    call: Call,
    run: Name,
    step: Name | None = None,
    index: str | None = None,
    open: bool = False,
    limit: Limit = 100,
    cursor: Cursor = "",
) -> Page[AttemptOf]:
    row = call.run(run)
    page = page_of(call.reader.attempts(row.id, step=step, index=index, open_only=open), cursor, limit)
    return Page([AttemptOf(row.id, a.step, a.index, objects.attempt(a)) for a in page.items], page.next)


@route(
    "GET",
    "/runs/{run}/steps/{step}/attempts/{attempt}",
    permission="view",
    summary="One attempt of a step",
    errors=(404,),
    example=AttemptOf(examples.RUN.id, "load", "", examples.ATTEMPT),
)
def attempt(call: Call, run: Name, step: Name, attempt: Number, index: str = "") -> AttemptOf:
    row = call.run(run)
    for found in call.reader.attempts(row.id, step=step, index=index):
        if found.attempt == attempt:
            return AttemptOf(row.id, step, index, objects.attempt(found))
    raise not_found("attempt", f"{step}[{index}]#{attempt}" if index else f"{step}#{attempt}")


@route(
    "GET",
    "/runs/{run}/graph",
    permission="view",
    summary="The graph of a run, with how many instances of each step are in which state",
    errors=(404,),
    example=RunGraph(
        examples.RUN.id, "8c1f0d3e5b7a9c2d", [Neighbour("load", ["extract"], [], "all_succeeded", "", False, {})]
    ),
)
def run_graph(call: Call, run: Name) -> RunGraph:
    row = call.run(run)
    rebuilt = machine(call.reader, row)
    return RunGraph(row.id, row.graph, [_neighbour(node) for node in rebuilt.plan.nodes.values()])


def _neighbour(node: Node) -> Neighbour:
    states: dict[str, int] = {}
    for instance in node.instances.values():
        states[instance.state] = states.get(instance.state, 0) + 1
    found: Any = node.step
    return Neighbour(
        step=node.key,
        needs=list(dict.fromkeys(edge.need.key for edge in node.needs)),
        group=list(found.group),
        when=str(getattr(found, "when", "")),
        asset=found.asset or "",
        mapped=bool(found.axes),
        states=states,
        kind=found.kind,
    )


def _shown(call: Call, run: RunRow, row: StepRow) -> Step:
    """A step; what it returned only to who may read what steps write, and without secrets."""
    found = objects.step(row, _attempts(call, run, row))
    if found.value is None:
        return found
    if not call.guard.may(call.principal, "log.read", run.namespace):
        return structs.replace(found, value=structs.replace(found.value, preview="", content=UNSET))
    mask = mask_of(call.settings.home, call.catalog.manifests.get(run.project))
    value = structs.replace(found.value, preview=mask(found.value.preview), content=masked(found.value.content, mask))
    return structs.replace(found, value=value)


def _rows(call: Call, run: RunRow, step: str | None, states: Any) -> list[StepRow]:
    """Steps with rows, and those in their first attempt, which have none yet."""
    rows = call.reader.steps(run.id, step=step)
    begun = {(r.step, r.index): n for n, r in enumerate(rows)}
    for tried in call.reader.attempts(run.id, step=step, open_only=True):
        known = begun.get((tried.step, tried.index))
        if known is None:
            rows.append(_running(tried))
        else:
            rows[known] = msgspec.structs.replace(rows[known], state="running", finished_at=None)
    return [row for row in rows if not states or row.state in states]


def _attempts(call: Call, run: RunRow, row: StepRow) -> list[AttemptRow]:
    return call.reader.attempts(run.id, step=row.step, index=row.index)


def _running(tried: AttemptRow) -> StepRow:
    return msgspec.structs.replace(_untouched(tried.step), index=tried.index, state="running", attempt=tried.attempt)


def _untouched(step: str) -> StepRow:
    return StepRow(
        step=step,
        index="",
        state="waiting",
        attempt=0,
        not_before=0.0,
        finished_at=None,
        reason="",
        because=(),
        value=None,
        choice=None,
        again=None,
        reused_from="",
    )
