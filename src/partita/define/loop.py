"""`pt.loop`: steps repeated with a carried state until a predicate holds, a bounded number of times.

Rule: the body is traced once; each round is an instance of its steps, each attempt of which is retried and kept as any.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from partita.core.graph import Axis, Binding, Carry, Const, Loop, Output, Param
from partita.define.binding import bind
from partita.define.group import last_part, trace_body
from partita.define.handles import Handle
from partita.define.names import name_problem
from partita.define.signature import Signature, WrongCall
from partita.define.task import TaskDef
from partita.define.tracer import Tracer, current_tracer, whole_step
from partita.define.where import wrong


def loop(
    body: Callable[..., Any],
    initial: Any,
    *,
    until: Callable[[Any], object],
    max_iterations: int,
    on_limit: Literal["succeed", "fail"] = "succeed",
    name: str | None = None,
    **constants: Any,
) -> Any:
    """Call `body(state, **constants)` with its own last result until `until(state)` is true; the last state.

    `until` is called in the worker with each new state. After `max_iterations` rounds the loop ends (or fails).

    >>> pt.loop(improve, start, until=lambda s: s["error"] < 0.1, max_iterations=20)  # doctest: +SKIP
    """
    if isinstance(max_iterations, bool) or not isinstance(max_iterations, int) or max_iterations < 1:
        raise wrong(f"pt.loop: max_iterations must be 1 or more, not {max_iterations!r}")
    if on_limit not in ("succeed", "fail"):
        raise wrong(f'pt.loop: on_limit must be "succeed" or "fail", not {on_limit!r}')
    if not callable(until) or not callable(body):
        raise wrong(f"pt.loop: {until if callable(body) else body!r} is no function")
    tracer = current_tracer()
    if tracer is None:
        return _plain(body, initial, until, max_iterations, on_limit, constants)
    title = name or getattr(body, "name", None) or getattr(body, "__name__", "loop").strip("<>")
    if problem := name_problem(title):
        raise wrong(f"pt.loop: {problem}")
    title = "loop" if title == "lambda" else title
    rounds = Loop("", max_iterations, on_limit)
    return tracer.keeping(lambda: _traced(tracer, body, title, initial, until, rounds, constants))


def _plain(
    body: Callable[..., Any],
    state: Any,
    until: Callable[[Any], object],
    limit: int,
    on_limit: str,
    constants: dict[str, Any],
) -> Any:
    for _ in range(limit):
        state = body(state, **constants)
        if until(state):
            return state
    if on_limit == "fail":
        raise RuntimeError(f"the loop did not end within {limit} rounds")
    return state


def _traced(
    tracer: Tracer,
    body: Callable[..., Any],
    title: str,
    initial: Any,
    until: Callable[[Any], object],
    rounds: Loop,
    constants: dict[str, Any],
) -> Handle:
    # A loop of one task is named after it; of several steps it is a group.
    single = isinstance(body, TaskDef)
    source = _initial(tracer, initial, title)
    axis = tracer.unique(f"{title}_loop" if single else title)
    tracer.axes[axis] = Axis(axis, (source,), tracer.scope, rounds)
    count = len(tracer.drafts)
    with tracer.inside(axis=axis, group=None if single else last_part(tracer, axis)):
        state = Handle(tracer, Carry(axis), tracer.scope)
        if isinstance(body, TaskDef):
            result = body._step(tracer, (state,), constants)
        else:
            result = trace_body(tracer, title, getattr(body, "function", body), _arguments(body, state, constants))
        made = tracer.made_since(count)
        decider = _decider(tracer, result, made, title)
    draft = tracer.drafts[decider]
    draft.reports_again, draft.until = True, until
    tracer.axes[axis] = msgspec.structs.replace(
        tracer.axes[axis], loop=msgspec.structs.replace(rounds, decider=decider)
    )
    firsts, _ = tracer.ends_of(tracer.made_since(count))
    return Handle(tracer, Output(decider, last=True), tracer.scope, firsts=firsts, lasts=(decider,))


def _arguments(body: Callable[..., Any], state: Handle, constants: dict[str, Any]) -> dict[str, Any]:
    try:
        return Signature(getattr(body, "function", body)).bind((state,), constants)
    except WrongCall as error:
        raise wrong(f"the body of pt.loop is called wrongly: {error}", hint=error.hint) from None


def _initial(tracer: Tracer, initial: Any, title: str) -> Binding:
    """The binding of the first state: a constant, a parameter or the whole result of a step."""
    binding = bind(tracer, initial, f"the initial state of `{title}`")
    if isinstance(binding, Const) or (isinstance(binding, Param) and not binding.path):
        return binding
    if isinstance(initial, Handle) and whole_step(initial) and tracer.rank(initial) == 0:
        return binding
    return tracer.readable(tracer.same(initial, f"{title}_initial"), "the initial state")


def _decider(tracer: Tracer, result: Any, made: list[str], title: str) -> str:
    """The step whose result is the new state."""
    if not isinstance(result, Handle):
        raise wrong(
            f"the body of pt.loop `{title}` must return the new state as the result of a task, not {result!r}",
            hint="return what the last task of the body returns",
        )
    step = whole_step(result)
    if step in made:
        draft = tracer.drafts[step]
        if draft.axes == tracer.scope and not draft.reports_again:
            return step
    return tracer.same(result, f"{title.rpartition('.')[2]}_state")._lasts[0]
