"""Approvals that wait for people: their question, who may answer, the votes so far, and what there is to decide on.

Rule: what `engine/approvals.py` reads, as JSON; they are answered at their step (`gates.py`).
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from partita.core.permissions import ROLES
from partita.engine import approvals as reading
from partita.engine.approvals import Approval
from partita.server import examples, objects
from partita.server.calling import Call, Cursor, Limit, Name
from partita.server.objects import Instant, Page
from partita.server.problems import not_found
from partita.server.routes.gates import mark_of
from partita.server.routing import route
from partita.store.contract import VoteRow

Index = Annotated[str, msgspec.Meta(max_length=100)]


class Vote(msgspec.Struct, frozen=True):
    """What one person has answered."""

    by: str
    at: Instant | None
    choice: str
    comment: str
    answer: Any


class Material(msgspec.Struct, frozen=True):
    """Something to decide on; `of` is the step or asset that it is of."""

    name: str
    kind: str
    value: Any
    of: str | None


class ApprovalNow(msgspec.Struct, frozen=True):
    """An approval. `missing`: so many more answers are needed at least; `may_not`: why the asker may not answer ("" = may).

    `schema` is the JSON Schema of the typed answer, null if it takes none.
    """

    run: str
    run_no: int
    pipeline: str
    project: str
    namespace: str
    step: str
    index: str
    question: str
    choices: list[str]
    rejecting: list[str]
    by: list[str]
    who: str
    may_not: str
    quorum: int
    missing: int
    four_eyes: bool
    started_by: str
    opened_at: Instant | None
    due_at: Instant | None
    on_timeout: str
    default: str | None
    reminded: int
    schema: Any
    votes: list[Vote]
    material: list[Material]


_APPROVAL = ApprovalNow(
    examples.RUN.id,
    12,
    "release",
    "shop",
    "default",
    "go",
    "",
    "deploy 1.4 to prod?",
    ["approve", "reject"],
    ["reject"],
    ["role:operator"],
    "whoever has the role operator",
    "",
    2,
    1,
    True,
    "ann",
    "2026-11-22T09:00:00.000Z",
    "2026-11-24T09:00:00.000Z",
    "fail",
    None,
    0,
    None,
    [Vote("bob", "2026-11-22T09:04:00.000Z", "approve", "the numbers look right", None)],
    [Material("rows", "number", 12345, "load")],
)


@route(
    "GET",
    "/approvals",
    permission="view",
    summary="Approvals that wait, those that wait longest first, with all that there is to decide on",
    errors=(422,),
    example=Page([_APPROVAL]),
)
def approvals(call: Call, limit: Limit = 50, cursor: Cursor = "") -> Page[ApprovalNow]:
    return call.page(
        lambda after, count: reading.waiting(call.reader, after=after, limit=count),
        cursor=cursor,
        limit=limit,
        key=lambda found: found.gate.cursor,
        shown=lambda found: _shown(call, found),
        namespace_of=lambda found: found.gate.namespace,
        key_type=tuple[float, int, str, str],
    )


@route(
    "GET",
    "/runs/{run}/steps/{step}/approval",
    permission="view",
    summary="An approval, whether it waits or was answered",
    errors=(404,),
    example=_APPROVAL,
)
def approval(call: Call, run: Name, step: Name, index: Index = "") -> ApprovalNow:
    found = reading.approval(call.reader, call.run(run).id, step, index)
    if found is None:
        raise not_found("approval", step)
    return _shown(call, found)


def _shown(call: Call, found: Approval) -> ApprovalNow:
    gate, spec = found.gate, found.spec
    roles = tuple(role for role in ROLES if call.principal.may(mark_of(role), gate.namespace))
    return ApprovalNow(
        run=gate.run,
        run_no=gate.run_no,
        pipeline=gate.pipeline,
        project=gate.project,
        namespace=gate.namespace,
        step=gate.step,
        index=gate.index,
        question=found.question,
        choices=list(spec.choices),
        rejecting=list(spec.rejecting),
        by=list(spec.by),
        who=found.who,
        may_not=found.may_not(call.principal.name, roles),
        quorum=spec.quorum,
        missing=found.missing,
        four_eyes=spec.four_eyes,
        started_by=gate.started_by,
        opened_at=objects.iso(gate.opened_at),
        due_at=objects.iso(gate.due_at),
        on_timeout=spec.on_timeout,
        default=spec.default or None,
        reminded=gate.reminded,
        schema=found.schema,
        votes=[_vote(row) for row in found.votes],
        material=[Material(m.name, m.kind, objects.plain(m.data), m.of or None) for m in found.material],
    )


def _vote(row: VoteRow) -> Vote:
    answer = objects.plain(row.answer) if row.answer is not None else None
    return Vote(row.by, objects.iso(row.at), row.choice, row.comment, answer)
