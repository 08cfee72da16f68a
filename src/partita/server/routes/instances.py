"""All step instances of a run at once, as columns: small enough for ten thousand of them.

Rule: of a run that has ended the rows say all; while it goes on its machine, rebuilt, knows those that have no row yet.
"""

from __future__ import annotations

import msgspec

from partita.core.graph import Step
from partita.core.plan import path_of
from partita.core.states import TERMINAL_RUN
from partita.server import examples
from partita.server.calling import Call, Name
from partita.server.objects import Instant, iso
from partita.server.remembering import graph, machine
from partita.server.routing import route
from partita.store.contract import RunRow
from partita.store.instances import Stand, stands

# One letter for each state, in a text as long as there are instances.
LETTERS = {
    "waiting": "w",
    "ready": "q",
    "running": "r",
    "retrying": "a",
    "succeeded": "s",
    "failed": "f",
    "skipped": "k",
    "upstream_failed": "u",
    "cancelled": "c",
    "needs_attention": "n",
    "awaiting": "p",
}


class StepColumns(msgspec.Struct, frozen=True):
    """A step of the graph and its instances, in the order of their indexes. All columns are equally long.

    `states`: a letter for each instance (see `letters` of the answer). `began`: milliseconds from the run's beginning to its
    first attempt, null = none. `took`: milliseconds from there to its end, null = not there yet. `attempts`: how many.
    `kind`: "task", "gate", "bundle", "member" or "check".
    """

    step: str
    kind: str
    group: list[str]
    owner: str
    asset: str
    needs: list[str]
    mapped: bool
    indexes: list[str]
    states: str
    began: list[int | None]
    took: list[int | None]
    attempts: list[int]


class Instances(msgspec.Struct, frozen=True):
    """All instances of a run. `zero` is the instant that all times count from; `letters` says which letter is which state.

    "retrying" is a step that waits for its next attempt, "awaiting" an approval that waits for an answer.
    """

    run: str
    state: str
    zero: Instant | None
    letters: dict[str, str]
    counts: dict[str, int]
    steps: list[StepColumns]


_EXAMPLE = Instances(
    examples.RUN.id,
    "running",
    "2026-11-22T03:00:00.100Z",
    {letter: state for state, letter in LETTERS.items()},
    {"succeeded": 2, "running": 1},
    [
        StepColumns("extract", "task", [], "sales", "", [], False, [""], "s", [0], [1250], [1]),
        StepColumns("load", "task", [], "", "", ["extract"], True, ["0", "1"], "sr", [1260, 1262], [80, None], [1, 1]),
    ],
)


@route(
    "GET",
    "/runs/{run}/instances",
    permission="view",
    summary="All steps of a run with their instances, as columns: state, begin, duration, attempts",
    errors=(404,),
    example=_EXAMPLE,
)
def instances(call: Call, run: Name) -> Instances:
    row = call.run(run)
    zero = row.started_at or row.created_at
    by_step: dict[str, list[Stand]] = {}
    for stand in _all(call, row):
        by_step.setdefault(stand.step, []).append(stand)
    counts: dict[str, int] = {}
    steps = [_columns(s, by_step.get(s.key, []), row, zero, counts) for s in graph(call.reader, row).steps]
    letters = {letter: state for state, letter in LETTERS.items()}
    return Instances(row.id, row.state, iso(zero), letters, counts, steps)


def _all(call: Call, row: RunRow) -> list[Stand]:
    found = stands(call.reader, row.id)
    if row.state in TERMINAL_RUN or row.started_at is None:
        return found
    known = {(stand.step, stand.index) for stand in found}
    asked = {(g.step, g.index) for g in call.reader.gates(row.id, open_only=True) if g.of == "approval" and g.opened_at}
    for instance in machine(call.reader, row).instances():
        key = (instance.node.key, instance.index)
        if key not in known:
            found.append(Stand(*key, "awaiting" if key in asked else instance.state, 0, None, None))
    return found


def _columns(step: Step, found: list[Stand], row: RunRow, zero: float, counts: dict[str, int]) -> StepColumns:
    if not found and not step.axes:
        # In its graph only: the run has ended, or not begun, without it.
        found = [Stand(step.key, "", "cancelled" if row.state in TERMINAL_RUN else "waiting", 0, None, None)]
    found.sort(key=_place)
    words = [_word(stand) for stand in found]
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    return StepColumns(
        step=step.key,
        kind=_kind(step),
        group=list(step.group),
        owner=step.owner,
        asset=step.asset or "",
        needs=list(step.needs),
        mapped=bool(step.axes),
        indexes=[stand.index for stand in found],
        states="".join([LETTERS[word] for word in words]),
        began=[None if s.started_at is None else round(1000 * max(0.0, s.started_at - zero)) for s in found],
        took=[_took(stand) for stand in found],
        attempts=[stand.attempts for stand in found],
    )


def _place(stand: Stand) -> tuple[int, ...]:
    return path_of(stand.index)


def _word(stand: Stand) -> str:
    return "retrying" if stand.state == "ready" and stand.attempts else stand.state


def _took(stand: Stand) -> int | None:
    if stand.started_at is None or stand.finished_at is None or stand.state in ("ready", "waiting", "running"):
        return None
    return round(1000 * max(0.0, stand.finished_at - stand.started_at))


def _kind(step: Step) -> str:
    if step.gate is not None:
        return "gate"
    if step.check is not None:
        return "check"
    return "member" if step.bundle is not None else str(step.kind)
