"""`partita approve` and `partita reject`: answer what waits for people, with or without an engine at work."""

from __future__ import annotations

import json as json_text
import time
from typing import TYPE_CHECKING, Annotated, Any

from partita.cli import options, project, terminal
from partita.cli.naming import find_run, find_step, named, typed
from partita.cli.parsing import Option
from partita.errors import DefinitionError, ParamError

if TYPE_CHECKING:
    from partita.engine.approvals import Approval
    from partita.engine.gates import AnswerGate, GateReply
    from partita.settings import Settings
    from partita.store.contract import RunRow
    from partita.store.reading import SqlReader

Comment = Annotated[str, Option(("--comment", "-m"), "Why, for the record and for the steps after it", "TEXT")]
Choice = Annotated[str, Option(("--choice",), "Which of its choices (default: the first that fits)", "CHOICE")]
Set = Annotated[
    list[str] | None, Option(("--set",), "A field of the typed answer, or all of it; may be repeated", "NAME=VALUE")
]


def approve(
    name: options.Run = "last",
    step: options.Steps = None,
    comment: Comment = "",
    choice: Choice = "",
    set_: Set = None,
    json: options.Json = False,
    folder: options.Project = None,
) -> int:
    """Answer an approval. Without a STEP it is the only one of the run that waits.

    Look first: partita approvals RUN
    """
    return _answer(name, step or [], comment, choice, set_ or [], json=json, folder=folder, rejects=False)


def reject(
    name: options.Run = "last",
    step: options.Steps = None,
    comment: Comment = "",
    choice: Choice = "",
    json: options.Json = False,
    folder: options.Project = None,
) -> int:
    """Reject what waits for an approval: its step fails, or is skipped, as the pipeline says."""
    return _answer(name, step or [], comment, choice, [], json=json, folder=folder, rejects=True)


def _answer(
    name: str,
    words: list[str],
    comment: str,
    choice: str,
    fields: list[str],
    *,
    json: bool,
    folder: Any,
    rejects: bool,
) -> int:
    settings = project.settings_of(folder)
    reader = project.open_memory(settings)
    row = find_run(reader, name)
    asked = _asked(reader, row, words)
    request = _request(asked, choice or _choice(asked, rejects), comment, fields)
    reader.close()
    reply = _by_its_engine(settings, request) or _without_engine(settings, request)
    if not reply.taken:
        raise DefinitionError(f"run {row.no}: {reply.text}", hint="what waits: partita approvals")
    title = named(asked.gate.step, asked.gate.index)
    if json:
        terminal.print_json(
            {
                "run": asked.gate.run,
                "run_no": asked.gate.run_no,
                "step": asked.gate.step,
                "index": asked.gate.index,
                "choice": request.choice,
                "by": request.by,
                "state": reply.state,
            }
        )
    else:
        mark: Any = ("● ", "green") if reply.state == "answered" else ("◌ ", "amber")
        more = "" if reply.state == "answered" else f"; {reply.text}"
        terminal.out().line(mark, f"{request.choice}: {title} of run {row.no}{more}")
    return 0


def _asked(reader: SqlReader, row: RunRow, words: list[str]) -> Approval:
    """The approval that is meant. Raises `DefinitionError`."""
    from partita.cli.remembered import Remembered
    from partita.engine.approvals import approval, waiting_in

    if words:
        step, index = find_step(Remembered(reader, row).labels, words)
        found = approval(reader, row.id, step, index)
        if found is None:
            raise DefinitionError(
                f"{named(step, index)} of run {row.no} does not wait for people",
                hint=f"why: partita why {row.no} {typed(step, index)}",
            )
        return found
    waiting = waiting_in(reader, row.id)
    if not waiting:
        raise DefinitionError(f"nothing of run {row.no} waits for people", hint="what waits: partita approvals")
    if len(waiting) > 1:
        names = ", ".join(typed(a.gate.step, a.gate.index) for a in waiting[:5])
        raise DefinitionError(f"{len(waiting)} steps of run {row.no} wait for people: {names}", hint="say which one")
    return waiting[0]


def _choice(asked: Approval, rejects: bool) -> str:
    spec = asked.spec
    found = [c for c in spec.choices if (c in spec.rejecting) == rejects]
    if not found:
        raise DefinitionError("it cannot be rejected", hint=f"its choices: {', '.join(spec.choices)}")
    if len(found) > 1:
        raise DefinitionError(f"it has several choices: {', '.join(found)}", hint=f"say which: --choice {found[0]}")
    return found[0]


def _request(asked: Approval, choice: str, comment: str, fields: list[str]) -> AnswerGate:
    from partita.core.plain import pack
    from partita.engine.gates import AnswerGate

    answer = _typed_answer(asked.schema, fields) if fields else None
    return AnswerGate(
        asked.gate.run,
        asked.gate.step,
        project.user_name(),
        choice,
        asked.gate.index,
        # Whoever may write to the folder and its socket may do everything here.
        ("admin",),
        comment,
        pack(answer) if fields else None,
    )


def _typed_answer(schema: Any, fields: list[str]) -> Any:
    """What was typed, by the schema: fields of an object, or the answer itself. Raises `ParamError`."""
    from partita.core.schema import properties, read_text

    if schema is None:
        raise ParamError("it takes no typed answer", hint="leave --set out; a comment is --comment TEXT")
    known = properties(schema)
    if not known:
        if len(fields) > 1:
            raise ParamError("its answer is one value", hint="--set VALUE, once")
        return read_text(fields[0].removeprefix("value="), schema)
    if len(fields) == 1 and fields[0].lstrip().startswith("{"):
        try:
            return json_text.loads(fields[0])
        except ValueError as error:
            raise ParamError(f"the answer is no JSON: {error}") from None
    answer: dict[str, Any] = {}
    for field in fields:
        key, equals, text = field.partition("=")
        if not equals or key not in known:
            raise ParamError(f"its answer has no field {key!r}", hint=f"it has {', '.join(known)}: --set NAME=VALUE")
        answer[key] = read_text(text, known[key])
    return answer


def _by_its_engine(settings: Settings, request: AnswerGate) -> GateReply | None:
    """Ask the engine that executes the run; None if there is none."""
    from partita.engine.gates import GateReply
    from partita.engine.postbox import reach

    return reach(settings.home, request, returns=GateReply)


def _without_engine(settings: Settings, request: AnswerGate) -> GateReply:
    """Answer in the store itself. Raises `StoreLocked` if an engine is at work after all."""
    from partita.cli.leftover import Leftovers
    from partita.engine.clock import SystemClock
    from partita.engine.gates import Gates
    from partita.engine.loop import Engine
    from partita.engine.tokens import GateTokens
    from partita.store.opening import open_store

    clock = SystemClock()
    store = open_store(settings.home, clock=clock.now)
    try:
        executor = Leftovers(settings.home)
        engine = Engine(store, executor, clock, holder=f"approve:{time.time_ns():x}", lease_s=settings.lease_s)
        gates = Gates(engine, store, clock, tokens=GateTokens.of_file(settings.home.gate_key))
        engine.start()
        answered = engine.post(lambda: gates.answer(request))
        engine.run_until(answered.done, timeout_s=0.2)
        reply: GateReply = answered.result()
        engine.close()
    finally:
        store.close()
    terminal.note("no engine is at work here: it goes on when its run is taken up, by `partita up` or `partita retry`")
    return reply
