"""From drafts to the graph: needs, conditions by name, the order of the steps, names of calls.

Rule: everything that is wrong with a graph is found and said at once.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from partita.core.graph import Graph, Param, Step, When, axes_read, steps_read
from partita.core.manifest import AssetSpec
from partita.define.calls import Call, Calls
from partita.define.code import code_hash, code_version
from partita.define.conditions import Condition, ConditionError, parse, steps_named
from partita.define.guess import did_you_mean
from partita.define.handles import Handle
from partita.define.ordering import Cycle, in_order
from partita.define.pipeline import PipelineDef
from partita.define.tracer import Draft, Tracer, reads_branch
from partita.define.where import Place, short, wrong
from partita.errors import DefinitionError, GraphError


@dataclass(frozen=True, slots=True)
class Compiled:
    """A graph and the calls that its steps name."""

    graph: Graph
    calls: dict[str, Call]
    # Of a selection of assets: all assets that were at hand.
    specs: tuple[AssetSpec, ...] = ()


class Problems(DefinitionError):
    """Several things are wrong; `all` has each of them."""

    def __init__(self, found: list[DefinitionError]) -> None:
        first = found[0]
        super().__init__(first.message, hint=first.hint, file=first.file, line=first.line)
        self.all = tuple(found)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.all)


def compile_pipeline(defn: PipelineDef, calls: Calls | None = None) -> Compiled:
    """The graph of a pipeline of tasks. Raises `DefinitionError` (`Problems` if there are several).

    A pipeline of assets is compiled with the assets of the module in which it was written.
    """
    calls = calls if calls is not None else Calls()
    if defn.function is None:
        from partita.define.asset_selection import compile_selection_alone

        return compile_selection_alone(defn, calls)
    graph, found = trace_pipeline(defn, calls)
    raise_all(found)
    return Compiled(graph, calls.by_name)


def raise_all(found: Sequence[DefinitionError]) -> None:
    """Raise what was found, if anything was."""
    if found:
        raise found[0] if len(found) == 1 else Problems(list(found))


def trace_pipeline(defn: PipelineDef, calls: Calls) -> tuple[Graph, list[DefinitionError]]:
    """The graph of a pipeline, and all that is wrong with it (then the graph is not to be used)."""
    tracer = Tracer(defn.name, defn.defaults)
    function: Callable[..., Any] = defn.as_group.function
    try:
        handles = {
            spec.name: Handle(tracer, Param(spec.name), declared=defn.signature.parameters[spec.name].annotation)
            for spec in defn.params
        }
        with tracer.active():
            function(**handles)
    except DefinitionError as error:
        tracer.problems.append(error)
    except Exception as error:
        tracer.problems.append(raised(error, f"pipeline `{defn.name}`", defn.place))
    if tracer.problems or tracer.follows is not None:
        return Graph(defn.name, ()), tracer.problems or [tracer.follows]  # type: ignore[list-item]
    steps, problems = finish(tracer, calls)
    return Graph(defn.name, steps, tuple(tracer.axes.values())), problems


def raised(error: BaseException, what: str, place: Place) -> DefinitionError:
    """The definition error for an exception that came out of the user's code while a definition was read."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not _is_ours(f.filename)]
    where = Place(frames[-1].filename, frames[-1].lineno or 0) if frames else place
    found = wrong(f"{what} raised {type(error).__name__}: {_text_of(error)}", place=where)
    found.__cause__ = error
    return found


def traceback_of(error: DefinitionError) -> str:
    """The traceback of the user's code behind a definition error, without our own frames."""
    cause = error.__cause__
    if cause is None:
        return ""
    frames = [f for f in traceback.extract_tb(cause.__traceback__) if not _is_ours(f.filename)]
    lines = traceback.format_list(frames[-12:])
    return "Traceback (most recent call last):\n" + "".join(lines) + f"{type(cause).__name__}: {_text_of(cause)}\n"


def _is_ours(file: str) -> bool:
    from partita.define.where import _PACKAGE

    return file.startswith((_PACKAGE, "<frozen importlib")) or f"{os.sep}importlib{os.sep}" in file


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return "<its __str__ raised>"


# --- drafts to steps ----------------------------------------------------------------------------------------------


def finish(tracer: Tracer, calls: Calls) -> tuple[tuple[Step, ...], list[DefinitionError]]:
    """The steps in order, and all that is wrong."""
    problems: list[DefinitionError] = []
    whens: dict[str, When] = {}
    for draft in tracer.drafts.values():
        try:
            whens[draft.key] = _when(draft, tracer)
        except ConditionError as error:
            problems.append(wrong(f"`when` of step `{draft.key}`: {error}", hint=error.hint, place=draft.place))
            whens[draft.key] = "all_succeeded"
    needs = _all_needs(tracer, whens)
    try:
        ordered = in_order(needs)
    except Cycle as error:
        place = tracer.drafts[error.path[0]].place
        message = f"pipeline `{tracer.name}` goes around in a circle: {' -> '.join(error.path)}"
        hint = "take one of these orders away"
        problems.append(GraphError(message, hint=hint, file=short(place.file), line=place.line))
        ordered = list(tracer.drafts)
    if problems:
        return (), problems
    return tuple(_step(tracer, tracer.drafts[key], needs[key], whens[key], calls) for key in ordered), []


def _when(draft: Draft, tracer: Tracer) -> When:
    given = draft.settings.when
    if given is None:
        return "none_failed_any_succeeded" if reads_branch(draft.args) else "all_succeeded"
    if isinstance(given, Condition):
        return given.core
    found: When = parse(given, lambda name: _find(name, draft, tracer))
    return found


def _find(name: str, draft: Draft, tracer: Tracer) -> str:
    """The key that a name means, seen from a step: in its own group first, then further out."""
    for depth in range(len(draft.group), -1, -1):
        key = ".".join((*draft.group[:depth], name))
        if key in tracer.drafts:
            return key
    raise ConditionError(f"there is no step `{name}`", did_you_mean(name, tracer.drafts))


def _all_needs(tracer: Tracer, whens: Mapping[str, When]) -> dict[str, list[str]]:
    needs: dict[str, list[str]] = {}
    for key, draft in tracer.drafts.items():
        found = draft.reads()
        when = whens[key]
        if not isinstance(when, str):
            found.update(dict.fromkeys(steps_named(when)))
        needs[key] = [need for need in found if need != key]
    sources = {name: [s for b in axis.sources for s in steps_read(b)] for name, axis in tracer.axes.items()}
    for key, draft in tracer.drafts.items():
        mine = needs[key]
        elements = {axis for _, binding in draft.args for axis in axes_read(binding)}
        for axis in draft.axes:
            # What reads an element waits for the list, and so does whatever comes first in a mapped group: a map
            # whose list never came ends all that stands in it.
            first = not any(axis in tracer.drafts[need].axes for need in mine)
            if axis in elements or first:
                mine.extend(s for s in sources[axis] if s not in mine and s != key)
    return needs


def _step(tracer: Tracer, draft: Draft, needs: list[str], when: When, calls: Calls) -> Step:
    call = draft.call
    settings = draft.settings
    runtime = (settings.cache_key, settings.retry_if, draft.until)
    if call is not None and runtime != (call.cache_key, call.retry_if, call.until):
        call = replace(call, cache_key=runtime[0], retry_if=runtime[1], until=runtime[2])
    return Step(
        key=draft.key,
        kind=draft.kind,
        call=calls.add(call, user=f"{tracer.name}.{draft.key}") if call is not None else "",
        axes=draft.axes,
        args=draft.args,
        needs=tuple(needs),
        when=when,
        guards=draft.guards,
        policies=settings.policies,
        group=draft.group,
        reports_choice=draft.reports_choice,
        reports_again=draft.reports_again,
        teardown_of=draft.teardown_of,
        counts=draft.counts,
        description=sys.intern(draft.description),
        owner=settings.owner,
        tags=settings.tags,
        code_version=_code_version(draft),
        written_at=draft.written_at,
        label=settings.label,
        gate=draft.gate,
    )


def _code_version(draft: Draft) -> str:
    found = draft.code_version if isinstance(draft.code_version, str) else draft.code_version()
    # What decides whether a loop goes on is part of what its step does.
    return found if draft.until is None else code_hash(f"{found}:{code_version(draft.until)}".encode())


def with_name(graph: Graph, name: str) -> Graph:
    """The graph under another name."""
    return msgspec.structs.replace(graph, name=name)
