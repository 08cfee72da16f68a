"""What stands for a value while the graph is built: handles.

Rule: a handle knows where its value will come from and nothing of the value. Whatever would need the value (if, for,
f-strings, arithmetic, comparisons) raises and says what to write instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from partita.core.graph import Binding, Carry, Element, FirstOf, Is, Output, Param, Path, Token
from partita.define.conditions import Condition, State
from partita.define.where import caller, short, wrong
from partita.errors import DefinitionError

if TYPE_CHECKING:
    from partita.define.tracer import Tracer


class NoAttribute(DefinitionError, AttributeError):
    """A handle was asked for an attribute of the value that it stands for."""


class Ordered:
    """Something that `>>` and `<<` can put in order: the first and last steps of what it stands for."""

    __slots__ = ("_firsts", "_lasts", "_tracer")

    def __init__(self, tracer: Tracer, firsts: tuple[str, ...], lasts: tuple[str, ...]) -> None:
        self._tracer = tracer
        self._firsts = firsts
        self._lasts = lasts

    def __rshift__(self, other: Any) -> Any:
        """`a >> b`: b runs after a."""
        put_in_order(self._tracer, self, other)
        return other

    def __rrshift__(self, other: Any) -> Any:
        """`[a, b] >> c`."""
        put_in_order(self._tracer, other, self)
        return self

    def __lshift__(self, other: Any) -> Any:
        """`b << a`: b runs after a."""
        put_in_order(self._tracer, other, self)
        return other

    def __rlshift__(self, other: Any) -> Any:
        put_in_order(self._tracer, self, other)
        return self

    @property
    def failed(self) -> Condition:
        """For `when=`: the step has failed (or could not run because of a failure)."""
        return condition_on(self, "failed")

    @property
    def succeeded(self) -> Condition:
        return condition_on(self, "succeeded")

    @property
    def skipped(self) -> Condition:
        return condition_on(self, "skipped")

    @property
    def done(self) -> Condition:
        """For `when=`: the step has ended, however it did."""
        return condition_on(self, "done")

    def __repr__(self) -> str:
        return f"<{', '.join(self._lasts) or 'nothing'}>"


class GroupHandle(Ordered):
    """What a group returns that returns no value: good for `>>` and conditions."""

    __slots__ = ()


class Handle(Ordered):
    """A value that will be there when the pipeline runs: a step's result, a parameter, an element of a map."""

    __slots__ = ("_axes", "_binding", "_declared")

    def __init__(
        self,
        tracer: Tracer,
        binding: Binding,
        axes: tuple[str, ...] = (),
        *,
        firsts: tuple[str, ...] = (),
        lasts: tuple[str, ...] = (),
        declared: Any = ...,
    ) -> None:
        super().__init__(tracer, firsts, lasts)
        self._binding = binding
        # The map axes that the value has; beyond the axes of the place where it is used it is a list.
        self._axes = axes
        # The type that the user declared for it; `...` where there is none.
        self._declared = declared

    def __getitem__(self, item: Any) -> Handle:
        """A part of the value. Of a mapped step's result it is that part of each element."""
        if isinstance(item, bool) or not isinstance(item, str | int):
            raise wrong(
                f"{self!r} cannot be indexed by {item!r} while the graph is built",
                hint='use a string or a whole number (`result["rows"]`, `result[0]`), or slice inside of a task',
            )
        binding = msgspec.structs.replace(self._binding, path=(*path_of(self._binding), item))
        return Handle(self._tracer, binding, self._axes, firsts=self._firsts, lasts=self._lasts)

    def as_teardown(self, setups: Any = (), *, counts: bool = False) -> Handle:
        """Make this step the teardown of setups: it runs once all is done, if a setup succeeded.

        Its failure does not fail the run unless `counts`.
        """
        self._tracer.make_teardown(self, setups, counts)
        return self

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        file, line = caller()
        raise NoAttribute(
            f"{self!r} has no attribute `{name}`: its value is not known while the graph is built",
            hint=f'use ["{name}"] for an entry of a result, or do it inside of a task',
            file=short(file),
            line=line,
        )

    def __repr__(self) -> str:
        return _described(self._binding)

    def __hash__(self) -> int:
        return id(self)

    def _refuse(self, what: str, hint: str) -> NoReturn:
        raise wrong(f"{self!r} {what}: its value is not known while the graph is built", hint=hint)

    def __bool__(self) -> NoReturn:
        self._refuse("cannot decide an `if`", "use pt.branch(value, {True: ..., False: ...}) or a `when=` condition")

    def __iter__(self) -> Iterator[Any]:
        self._refuse(
            "cannot be iterated or unpacked",
            "use task.map(values) to run a task per element, or result[0], result[1] for its parts",
        )

    def __len__(self) -> NoReturn:
        self._refuse("has no length", "use task.map(values), or ask for the length inside of a task")

    def __contains__(self, item: object) -> NoReturn:
        self._refuse("cannot be searched", "do it inside of a task, and use pt.branch on its result")

    def __str__(self) -> str:
        self._refuse("cannot become text", "pass the value to a task and make the text there")

    def __format__(self, spec: str) -> str:
        self._refuse("cannot become text", "pass the value to a task and make the text there")

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        self._refuse("cannot be called", "pass it to a task")

    def _compare(self, other: object) -> NoReturn:
        self._refuse("cannot be compared", "compare inside of a task, and use pt.branch on its result")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _compare

    def _compute(self, *other: object) -> NoReturn:
        self._refuse("cannot be computed with", "do it inside of a task")

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _compute
    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __pow__ = __neg__ = __int__ = __float__ = _compute
    __index__ = __abs__ = __round__ = _compute


class StandIn(Handle):
    """What a call returns that was wrong: everything may be done with it, for its error is reported already."""

    __slots__ = ()

    def __getitem__(self, item: Any) -> Handle:
        return self

    def __repr__(self) -> str:
        return "<a call that is wrong>"


def put_in_order(tracer: Tracer, before: Any, after: Any) -> None:
    """Let everything in `after` run after everything in `before`."""
    for last in ends(before, "_lasts"):
        for first in ends(after, "_firsts"):
            tracer.order(last, first)


def ends(item: Any, side: str) -> tuple[str, ...]:
    """The step keys at one side of a handle or of a list of handles."""
    if isinstance(item, list | tuple | set):
        return tuple(key for part in item for key in ends(part, side))
    if isinstance(item, dict):
        return tuple(key for part in item.values() for key in ends(part, side))
    if isinstance(item, Ordered):
        keys: tuple[str, ...] = getattr(item, side)
        if not keys and isinstance(item, Handle) and not isinstance(item, StandIn):
            raise wrong(f"{item!r} is no step, so nothing can run before or after it")
        return keys
    name = getattr(item, "name", None) or getattr(item, "__name__", None)
    hint = f"call it: `{name}()`" if callable(item) and name else "use >> between steps, or lists of steps"
    raise wrong(f"{item!r} is no step, so nothing can run before or after it", hint=hint)


def condition_on(item: Any, state: State) -> Condition:
    """The condition that the step of a handle ended so."""
    keys = ends(item, "_lasts")
    if len(keys) != 1:
        raise wrong(
            f"{item!r} stands for {len(keys)} steps; a condition is about one",
            hint="combine them: pt.failed(a) | pt.failed(b)",
        )
    return Condition(Is(keys[0], state))


def failed(step: Any) -> Condition:
    """For `when=`: the step has failed, or could not run because of a failure."""
    return condition_on(step, "failed")


def succeeded(step: Any) -> Condition:
    """For `when=`: the step has succeeded."""
    return condition_on(step, "succeeded")


def skipped(step: Any) -> Condition:
    """For `when=`: the step was skipped."""
    return condition_on(step, "skipped")


def done(step: Any) -> Condition:
    """For `when=`: the step has ended, however it did."""
    return condition_on(step, "done")


def path_of(binding: Binding) -> Path:
    """The path that a binding applies to its value."""
    path: Path = getattr(binding, "path", ())
    return path


def _described(binding: Binding) -> str:
    tail = "".join(f"[{part!r}]" for part in path_of(binding))
    match binding:
        case Output(step=step):
            return f"the result of `{step}`{tail}"
        case Param(name=name):
            return f"the parameter `{name}`{tail}"
        case Element(axis=axis):
            return f"the element of the map `{axis}`{tail}"
        case Carry(axis=axis):
            return f"the state of the loop `{axis}`{tail}"
        case FirstOf(steps=steps):
            return f"the result of the branch over {', '.join(f'`{s}`' for s in steps)}{tail}"
        case Token(step=step):
            return f"the token of `{step}`"
        case _:
            return "a value"
