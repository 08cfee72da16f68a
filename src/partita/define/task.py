"""`@task`: a user's function with policies. In a pipeline a call adds a step, elsewhere it is the plain function.

Rule: a `TaskDef` is never changed; `options`, `named` and `partial` give changed copies.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Unpack, overload

from partita.core.graph import StepKind
from partita.define.binding import Constant, bind
from partita.define.calls import Call, call_base
from partita.define.code import code_version
from partita.define.handles import Handle
from partita.define.injecting import resource_params, with_resources
from partita.define.mapping import map_arguments, plain_map, spread
from partita.define.names import clean, name_problem
from partita.define.options import Options, Settings, settings_of
from partita.define.recording import Follows, forgiving
from partita.define.signature import Signature, WrongCall, by_keyword
from partita.define.tracer import Draft, Tracer, current_tracer
from partita.define.where import Place, caller, place_of, wrong
from partita.errors import DefinitionError


class TaskDef:
    """A task as written."""

    broken: DefinitionError | None = None

    def __init__(
        self, function: Callable[..., Any], raw: dict[str, Any], place: Place | None = None, kind: StepKind = "task"
    ) -> None:
        self.kind = kind
        self.function = function
        self.raw = raw
        self.place = place if place is not None else place_of(function)
        self.asynchronous = is_asynchronous(function)
        self.settings = settings_of(raw, of=self._of(), place=self.place, asynchronous=self.asynchronous)
        self.name = self.settings.name or self._own_name()
        functools.update_wrapper(self, function)

    def _of(self) -> str:
        return f"{self.kind} `{self.raw.get('name') or getattr(self.function, '__name__', '?')}`"

    def _own_name(self) -> str:
        name = getattr(self.function, "__name__", None) or type(self.function).__name__
        name = name.strip("<>")
        if problem := name_problem(name):
            raise wrong(f"{self.kind}: {problem}", hint="give it one: name=...", place=self.place)
        return name

    @functools.cached_property
    def signature(self) -> Signature:
        """The function's parameters without the context."""
        return Signature(self.function, without=self.resources)

    @functools.cached_property
    def resources(self) -> dict[str, type]:
        """The parameters that are resources, which nobody passes."""
        return resource_params(self.function)

    @functools.cached_property
    def call(self) -> Call:
        """The runtime side."""
        return Call(
            name=call_base(self.function),
            function=by_keyword(with_resources(self.function, self.resources), self.signature.parameters),
            context_param=self.signature.context_param,
            asynchronous=self.asynchronous,
            cache_key=self.settings.cache_key,
            retry_if=self.settings.retry_if,
        )

    @functools.cached_property
    def code_version(self) -> str:
        """The version that the user gave, or the hash of the code."""
        return self.settings.version or code_version(self.function)

    @functools.cached_property
    def description(self) -> str:
        """The description that the user gave, or the docstring."""
        given = self.settings.description
        return given if given is not None else clean(inspect.cleandoc(self.function.__doc__ or ""))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """In a pipeline: a step, and the handle of its result. Elsewhere: the function's own result."""
        tracer = current_tracer()
        if tracer is None:
            return self.function(*args, **kwargs)
        return tracer.keeping(lambda: self._step(tracer, args, kwargs))

    def map(self, *args: Any, **kwargs: Any) -> Any:
        """A step with one instance per element of a list that is known now or when the pipeline runs.

        >>> extract.map(["a", "b"], date=day)  # doctest: +SKIP
        """
        return self._map(args, kwargs, {})

    def partial(self, **fixed: Any) -> Partial:
        """Some arguments given: `load.partial(table="flights").map(files)`."""
        return Partial(self, fixed)

    def options(self, **changes: Unpack[Options]) -> TaskDef:
        """A copy with other options: `extract.options(retries=5, name="extract_slowly")(...)`."""
        copy = TaskDef(self.function, {**self.raw, **changes}, self.place, self.kind)
        copy.broken = self.broken
        return copy

    with_options = options

    def named(self, name: str) -> TaskDef:
        """A copy with another name."""
        return self.options(name=name)

    def _map(self, args: tuple[Any, ...], kwargs: dict[str, Any], fixed: dict[str, Any]) -> Any:
        tracer = current_tracer()
        if tracer is None:
            return plain_map(self.function, map_arguments(self.signature, self.name, args, kwargs, fixed))
        return tracer.keeping(lambda: self._mapped_step(tracer, args, kwargs, fixed))

    def _step(self, tracer: Tracer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Handle:
        try:
            arguments = self.signature.bind(args, kwargs)
        except WrongCall as error:
            raise wrong(f"`{self.name}` is called wrongly: {error}", hint=error.hint) from None
        return self._add(tracer, tracer.unique(self.name), arguments, tracer.scope)

    def _mapped_step(
        self, tracer: Tracer, args: tuple[Any, ...], kwargs: dict[str, Any], fixed: dict[str, Any]
    ) -> Handle:
        key = tracer.unique(self.name)
        found = spread(tracer, self.signature, self.name, args, kwargs, fixed, lambda: key)
        axes = (*tracer.scope, found.axis)
        with tracer.inside(axis=found.axis):
            return self._add(tracer, key, found.arguments, axes)

    def _add(self, tracer: Tracer, key: str, arguments: dict[str, Any], axes: tuple[str, ...]) -> Handle:
        bindings = tuple(
            (name, bind(tracer, value, f"argument `{name}` of `{self.name}`")) for name, value in arguments.items()
        )
        if self.broken is not None:
            raise Follows(f"task `{self.name}` is wrong itself")
        handle = tracer.add(
            Draft(
                key=key,
                call=self.call,
                settings=self._settings_in(tracer),
                axes=axes,
                args=bindings,
                guards=tracer.guards,
                group=tracer.group,
                place=caller(),
                written_at=str(self.place),
                kind=self.kind,
                code_version=lambda: self.code_version,
                description=self.description,
            )
        )
        handle._declared = self.signature.returns
        return handle

    def _settings_in(self, tracer: Tracer) -> Settings:
        if not tracer.defaults:
            return self.settings
        raw = {**tracer.defaults, **self.raw}
        return settings_of(raw, of=self._of(), place=self.place, asynchronous=self.asynchronous)

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name} at {self.place}>"


class Partial:
    """A task or group with some of its arguments given."""

    def __init__(self, target: Any, fixed: dict[str, Any]) -> None:
        self._target = target
        self._fixed = fixed

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it with the rest of the arguments."""
        return self._target(*args, **{**self._fixed, **kwargs})

    def map(self, *args: Any, **kwargs: Any) -> Any:
        """Map it; the given arguments go to every instance as they are, lists too."""
        fixed = {n: v if isinstance(v, Constant) else Constant(v) for n, v in self._fixed.items()}
        return self._target._map(args, kwargs, fixed)

    def partial(self, **fixed: Any) -> Partial:
        """More arguments given."""
        return Partial(self._target, {**self._fixed, **fixed})


@overload
def task(function: Callable[..., Any], /) -> TaskDef: ...
@overload
def task(**options: Unpack[Options]) -> Callable[[Callable[..., Any]], TaskDef]: ...
def task(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a function a task: `@pt.task` or `@pt.task(retries=3, retry_delay="5m", timeout="1h")`."""
    if function is None:
        return lambda f: _forgiven(f, options)
    return _forgiven(function, options)


def _forgiven(function: Any, options: dict[str, Any]) -> TaskDef:
    def stand_in(error: DefinitionError) -> TaskDef:
        bare = TaskDef(function if callable(function) else repr, {"name": "broken"})
        bare.broken = error
        return bare

    return forgiving(lambda: task_of(function, options), stand_in)


def task_of(function: Any, options: dict[str, Any], kind: StepKind = "task") -> TaskDef:
    """The task of a function. Raises `DefinitionError` for what cannot be one."""
    if isinstance(function, TaskDef):
        raise wrong(f"`{function.name}` is a task already", hint="use .options(...) for a changed copy")
    if not callable(function) or isinstance(function, type):
        raise wrong(f"@{kind} is for functions, not for {function!r}")
    target = getattr(function, "func", function)
    if inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target):
        raise wrong(
            f"{kind} `{target.__name__}` is a generator: its result cannot be stored",
            hint="return list(...) instead of using yield",
            place=place_of(target),
        )
    return TaskDef(function, options, kind=kind)


def is_asynchronous(function: Any) -> bool:
    """Does calling it give a coroutine?"""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)
