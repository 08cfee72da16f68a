"""How each question about the user's small functions is answered.

An answer is written once, as a coroutine: for plain functions it is driven in a thread and never waits, for `async def`
ones it runs in a loop.

Rule: one small function per question; none of them catches what user code raises.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import inspect
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import msgspec

from partita.core.events import Failure
from partita.core.manifest import Problem
from partita.core.plain import pack, unpack
from partita.define.calls import Call
from partita.errors import DefinitionError
from partita.worker import questions
from partita.worker.failures import describe
from partita.worker.questions import Answer, Request

_MOST_INSTANTS = 10_000


class Functions:
    """What a project offers to be called: functions by name, and pipelines whose parameters can be checked."""

    def __init__(self, calls: Mapping[str, Call], pipelines: Mapping[str, Any]) -> None:
        self.calls = calls
        self.pipelines = pipelines

    def find(self, name: str) -> Call:
        """The call of a name. Raises `LookupError`."""
        try:
            return self.calls[name]
        except KeyError:
            raise LookupError(f"this version of the project has no function {name!r}") from None

    def is_async(self, request: Request) -> bool:
        """Whether answering will wait in a loop."""
        name = request.spec.call if isinstance(request, questions.EvaluateSensor) else getattr(request, "call", "")
        call = self.calls.get(name) if name else None
        return call is not None and is_async(call.function)


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling it gives something to await."""
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


async def answer(request: Request, functions: Functions) -> Answer:
    """Carry out a question. Raises whatever user code raises."""
    return await _ANSWERS[type(request)](request, functions)


def told(error: BaseException) -> Failure:
    """What a question's error says, with the user's part of its traceback; without any, it was not the user's code."""
    start = error.__traceback__
    while start is not None and start.tb_frame.f_code.co_filename.startswith(_NOT_THEIRS):
        start = start.tb_next
    failure = describe(error.with_traceback(start))
    return failure if start is not None else msgspec.structs.replace(failure, traceback="")


_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_NOT_THEIRS = (_PACKAGE, os.path.dirname(os.__file__) + os.sep + "concurrent", os.path.dirname(asyncio.__file__))


def driven(work: Coroutine[Any, Any, Answer]) -> Answer:
    """The result of a coroutine that does not wait."""
    try:
        work.send(None)
    except StopIteration as done:
        found: Answer = done.value
        return found
    work.close()
    raise TypeError("a function that is no `async def` returned something to await")


async def called(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """What a user's function gives, also if it is asynchronous. An asynchronous generator gives a list."""
    result = function(*args, **kwargs)
    if isinstance(result, Awaitable):
        return await result
    if isinstance(result, AsyncIterator):
        return [item async for item in result]
    return result


async def _evaluate_sensor(request: questions.EvaluateSensor, functions: Functions) -> Answer:
    from partita.worker.looking import look

    found: Answer = await look(request, functions)
    return found


async def _evaluate_condition(request: questions.EvaluateCondition, functions: Functions) -> Answer:
    from partita.worker.conditions import evaluate

    found: Answer = await evaluate(request, functions)
    return found


async def _next_instants(request: questions.NextInstants, functions: Functions) -> Answer:
    function = functions.find(request.call).function
    count = min(request.count, _MOST_INSTANTS)
    found: list[float] = []
    after = request.after
    while len(found) < count:
        given = await called(function, dt.datetime.fromtimestamp(after, dt.UTC))
        if given is None:
            return questions.Instants(tuple(found), ended=True)
        if isinstance(given, dt.datetime):
            after = _later(given, after)
            found.append(after)
            continue
        for item in islice(iter(given), count - len(found)):
            after = _later(item, after)
            found.append(after)
        return questions.Instants(tuple(found), ended=len(found) < count)
    return questions.Instants(tuple(found))


def _later(given: object, after: float) -> float:
    if not isinstance(given, dt.datetime) or given.tzinfo is None:
        raise TypeError(f"a timetable must give datetimes with a time zone, not {given!r}")
    at = given.timestamp()
    if at <= after:
        raise ValueError(
            f"a timetable must go forward: after {dt.datetime.fromtimestamp(after, dt.UTC)} it gave {given}"
        )
    return at


async def _map_partitions(request: questions.MapPartitions, functions: Functions) -> Answer:
    function = functions.find(request.call).function
    return questions.MappedPartitions(tuple([_keys(await called(function, key)) for key in request.keys]))


def _keys(given: Any) -> tuple[str, ...]:
    if given is None:
        return ()
    if isinstance(given, str):
        return (given,)
    keys = tuple(given)
    if not all(isinstance(key, str) for key in keys):
        raise TypeError(f"a mapping must give partition keys as strings, not {keys!r}")
    return keys


async def _test_resource(request: questions.TestResource, functions: Functions) -> Answer:
    result = await called(functions.find(request.call).function)
    if isinstance(result, str):
        return questions.ResourceTested(works=not result, message=result[:2000])
    return questions.ResourceTested(works=result is not False)


async def _read_secret(request: questions.ReadSecret, functions: Functions) -> Answer:
    from partita.define.secret import resolve

    return questions.Returned(pack(resolve(request.name)))


async def _call_function(request: questions.CallFunction, functions: Functions) -> Answer:
    result = await called(functions.find(request.call).function, **unpack(request.args))
    if isinstance(result, Iterator) or (isinstance(result, Iterable) and not isinstance(result, _PLAIN_ITERABLES)):
        result = list(islice(iter(result), request.limit))
    return questions.Returned(pack(result))


_PLAIN_ITERABLES = (str, bytes, list, tuple, dict, set, frozenset)


async def _send_message(request: questions.SendMessage, functions: Functions) -> Answer:
    from partita.worker.sending import NotSent, send

    try:
        return questions.MessageSent(send(request.channel, request.message))
    except NotSent as error:
        return questions.MessageSent(error=str(error) or "not sent", retry_after_s=error.retry_after_s)


async def _bind_params(request: questions.BindParams, functions: Functions) -> Answer:
    try:
        return questions.BoundParams(bound(functions, request.pipeline, unpack(request.raw)))
    except DefinitionError as error:
        problem = Problem(error.message, error.hint or "", error.file or "", error.line or 0)
        return questions.BoundParams(problems=(problem,))


def bound(functions: Functions, pipeline: str, raw: Mapping[str, object]) -> dict[str, bytes]:
    """Checked and packed parameters of a pipeline of this project. Raises `DefinitionError`."""
    from partita.define.params import bind_params

    known = functions.pipelines.get(pipeline)
    if known is None:
        raise DefinitionError(f"there is no pipeline `{pipeline}` in this project")
    return bind_params(known, raw)


_ANSWERS: dict[type, Callable[[Any, Functions], Coroutine[Any, Any, Answer]]] = {
    questions.EvaluateSensor: _evaluate_sensor,
    questions.EvaluateCondition: _evaluate_condition,
    questions.NextInstants: _next_instants,
    questions.MapPartitions: _map_partitions,
    questions.TestResource: _test_resource,
    questions.ReadSecret: _read_secret,
    questions.CallFunction: _call_function,
    questions.SendMessage: _send_message,
    questions.BindParams: _bind_params,
}
