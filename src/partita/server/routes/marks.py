"""A step that a person ends by hand."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from partita.core.states import TERMINAL_RUN
from partita.engine.control import Answer, Mark
from partita.server import examples, objects
from partita.server.calling import Call, Name
from partita.server.objects import Explanation
from partita.server.problems import Refused, not_found
from partita.server.remembering import graph, why_step
from partita.server.routing import route


class Marked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """As what a step is to count from now on, and why. `index` names an instance of a mapped step."""

    state: Literal["succeeded", "failed", "skipped"]
    reason: Annotated[str, msgspec.Meta(max_length=2000)] = ""
    index: Annotated[str, msgspec.Meta(max_length=100)] = ""


@route(
    "POST",
    "/runs/{run}/steps/{step}/mark",
    permission="operate",
    summary="End a step by hand that does not run; those that need it go on",
    errors=(404, 409, 422),
    example=examples.EXPLANATION,
    body_example={"state": "skipped", "reason": "the source has no data today"},
)
def mark(call: Call, run: Name, step: Name, body: Marked) -> Explanation:
    row = call.run(run)
    if row.state in TERMINAL_RUN:
        raise Refused(409, f"run {row.no} has ended: it {row.state}", hint=f"partita retry {row.no}")
    if step not in {s.key for s in graph(call.reader, row).steps}:
        raise not_found("step", step)
    title = f"{step}[{body.index}]" if body.index else step
    request = Mark(row.id, step, body.state, call.principal.name, body.index, body.reason)
    answer: Answer = call.change(request, namespace=row.namespace, object=f"run:{row.id}/{title}")
    if not answer.found:
        raise Refused(409, f"no engine executes run {row.no}", hint="it may just have ended")
    if answer.lines:
        raise Refused(409, f"{title} cannot be marked: {answer.lines[0]}", hint=f"partita why {row.no} {title}")
    return objects.explanation(why_step(call, call.run(run), step, body.index))
