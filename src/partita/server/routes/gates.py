"""Steps that wait for people or for other systems: what is open, answers, callbacks.

A callback needs no account: whoever has the token of a gate may answer that gate, and nothing else.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from partita.core.permissions import ROLES
from partita.core.plain import NotPlain, pack
from partita.engine.gates import AnswerGate, GateReply, HeartbeatExternal, ReportExternal
from partita.server import examples, objects
from partita.server.calling import Call, Cursor, Limit, Name
from partita.server.objects import Instant, Page
from partita.server.problems import Refused, not_found
from partita.server.routing import route
from partita.store import gates as rows

Text = Annotated[str, msgspec.Meta(max_length=20_000)]


class Gate(msgspec.Struct, frozen=True):
    """A step that waits: for people ("approval"), another system ("external") or the world ("condition"). `material` is
    what there is to decide on."""

    run: str
    run_no: int
    pipeline: str
    project: str
    namespace: str
    step: str
    index: str
    of: str
    opened_at: Instant | None
    due_at: Instant | None
    heard_at: Instant | None
    message: str
    reminded: int
    started_by: str
    material: list[dict[str, Any]]


class GateAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One person's answer: a choice, a comment, and a typed answer if the gate asks for one."""

    choice: Name
    comment: Text = ""
    answer: Any = None
    index: Annotated[str, msgspec.Meta(max_length=100)] = ""


class Callback(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How it went elsewhere."""

    token: Name
    state: Literal["succeeded", "failed"] = "succeeded"
    value: Any = None
    message: Text = ""


class Heartbeat(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """It is still at work elsewhere."""

    token: Name
    message: Text = ""


class GateResult(msgspec.Struct, frozen=True):
    """What came of it: "open" (more answers are needed), "answered", "kept" (its gate has not opened yet)."""

    state: str
    text: str
    run: str
    step: str
    index: str


_GATE = Gate(
    examples.RUN.id,
    12,
    "deploy",
    "shop",
    "default",
    "approve",
    "",
    "approval",
    "2026-11-22T09:00:00.000Z",
    "2026-11-23T09:00:00.000Z",
    None,
    "",
    0,
    "ann",
    [{"name": "rows", "value": 12345}],
)
_RESULT = GateResult("answered", "", examples.RUN.id, "approve", "")


@route(
    "GET",
    "/gates",
    permission="view",
    summary="Steps that wait, those that wait longest first",
    errors=(422,),
    example=Page([_GATE]),
)
def gates(
    call: Call,
    of: Literal["approval", "external", "condition"] = "approval",
    limit: Limit = 50,
    cursor: Cursor = "",
) -> Page[Gate]:
    return call.page(
        lambda after, count: rows.open_gates(call.reader, of, after=after, limit=count),
        cursor=cursor,
        limit=limit,
        key=lambda row: row.cursor,
        shown=_shown,
        namespace_of=lambda row: row.namespace,
        key_type=tuple[float, int, str, str],
    )


@route(
    "GET",
    "/runs/{run}/steps/{step}/gate",
    permission="view",
    summary="What a waiting step waits for",
    errors=(404,),
    example=_GATE,
)
def gate(call: Call, run: Name, step: Name, index: str = "") -> Gate:
    row = call.run(run)
    found = rows.gate(call.reader, row.id, step, index)
    if found is None:
        raise not_found("gate", step)
    return _shown(found)


@route(
    "POST",
    "/runs/{run}/steps/{step}/answer",
    permission="operate",
    summary="Answer an approval",
    errors=(403, 404, 409, 422),
    example=_RESULT,
    body_example={"choice": "approve", "comment": "the numbers look right"},
)
def answer(call: Call, run: Name, step: Name, body: GateAnswer) -> GateResult:
    row = call.run(run)
    packed = _packed(body.answer) if body.answer is not None else None
    roles = tuple(role for role in ROLES if call.principal.may(mark_of(role), row.namespace))
    request = AnswerGate(row.id, step, call.principal.name, body.choice, body.index, roles, body.comment, packed)
    reply = call.change(request, GateReply, namespace=row.namespace, object=f"run:{row.id}/{step}")
    return _result(reply, step)


@route(
    "POST",
    "/callbacks",
    permission="signed",
    summary="Answer a step that waits for another system, with its token",
    errors=(404, 409, 422),
    example=_RESULT,
    body_example={"token": "ptg_...", "state": "succeeded", "value": {"rows": 12345}},
)
def callback(call: Call, body: Callback) -> GateResult:
    request = ReportExternal(body.token, body.state, _packed(body.value), body.message, by=call.principal.name)
    return _result(call.change(request, GateReply, object="gate"), "")


@route(
    "POST",
    "/callbacks/heartbeat",
    permission="signed",
    summary="Say that the other system is still at work, with the step's token",
    errors=(404, 409, 422),
    example=_RESULT,
    body_example={"token": "ptg_...", "message": "half done"},
)
def heartbeat(call: Call, body: Heartbeat) -> GateResult:
    return _result(call.ask(HeartbeatExternal(body.token, body.message), GateReply), "")


def mark_of(role: str) -> str:
    """The permission that only this role and greater ones have."""
    return {"viewer": "view", "operator": "operate", "author": "author", "admin": "admin"}[role]


def _result(reply: GateReply, step: str) -> GateResult:
    if reply.state == "unknown":
        raise not_found("gate", step)
    if reply.state == "closed":
        raise Refused(409, reply.text or "this gate waits no longer")
    return GateResult(reply.state, reply.text, reply.run, reply.step, reply.index)


def _packed(value: Any) -> bytes:
    try:
        return pack(value)
    except (NotPlain, OverflowError, RecursionError) as error:
        raise Refused(422, f"this cannot be stored: {error}") from None


def _shown(row: rows.OpenGate) -> Gate:
    return objects.shaped(Gate, row, material=[_material(entry) for entry in row.material or ()])


def _material(entry: Any) -> dict[str, Any]:
    found: dict[str, Any] = objects.fields_of(entry)
    return found
