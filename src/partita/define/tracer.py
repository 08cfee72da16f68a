"""The tracer: what a pipeline's function writes down when it is called to build the graph.

Rule: one tracer per graph; steps are drafts until the whole graph is known. Errors of single calls are kept and tracing
goes on with a stand-in, so that all of them are reported at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any

from partita.core.graph import (
    Axis,
    Binding,
    Const,
    FirstOf,
    GateSpec,
    Guard,
    Output,
    StepKind,
    Token,
    axes_read,
    steps_read,
)
from partita.define.binding import bind
from partita.define.builtin import same
from partita.define.calls import Call
from partita.define.handles import Handle, Ordered, StandIn, ends
from partita.define.options import Settings
from partita.define.recording import Follows
from partita.define.where import Place, caller, wrong
from partita.errors import DefinitionError

_tracer: ContextVar[Tracer | None] = ContextVar("partita_tracer", default=None)
_SAME = Call("partita.define.builtin:same", same)


def current_tracer() -> Tracer | None:
    """The tracer of the pipeline that is being built here, if one is."""
    return _tracer.get()


@dataclass(slots=True)
class Draft:
    """A step before the whole graph is known."""

    key: str
    # None: a step that waits instead of running a function.
    call: Call | None
    settings: Settings
    axes: tuple[str, ...]
    args: tuple[tuple[str, Binding], ...]
    guards: tuple[Guard, ...]
    group: tuple[str, ...]
    place: Place
    written_at: str
    kind: StepKind = "task"
    order: dict[str, None] = field(default_factory=dict)
    code_version: str | Callable[[], str] = ""
    description: str = ""
    until: Callable[[Any], object] | None = None
    reports_choice: bool = False
    reports_again: bool = False
    teardown_of: tuple[str, ...] = ()
    counts: bool = True
    gate: GateSpec | None = None

    def reads(self) -> dict[str, None]:
        """Every step that must come before this one, as far as known now."""
        keys = dict.fromkeys(step for _, binding in self.args for step in steps_read(binding))
        keys.update(dict.fromkeys(guard.step for guard in self.guards))
        keys.update(self.order)
        return keys


class Tracer:
    """Collects steps and axes while a pipeline's function runs."""

    def __init__(self, name: str, defaults: Mapping[str, Any] | None = None) -> None:
        self.name = name
        self.defaults = dict(defaults or {})
        self.drafts: dict[str, Draft] = {}
        self.axes: dict[str, Axis] = {}
        self.scope: tuple[str, ...] = ()
        self.group: tuple[str, ...] = ()
        self.guards: tuple[Guard, ...] = ()
        self.problems: list[DefinitionError] = []
        # A call is wrong because of something that was reported elsewhere.
        self.follows: Follows | None = None
        self._taken: dict[str, int] = {}

    # --- where we are ---

    @contextmanager
    def active(self) -> Iterator[Tracer]:
        """Trace what is called inside."""
        token = _tracer.set(self)
        try:
            yield self
        finally:
            _tracer.reset(token)

    @contextmanager
    def inside(
        self, *, group: str | None = None, axis: str | None = None, guard: Guard | None = None
    ) -> Iterator[None]:
        """Steps made inside stand in this group, in this axis, behind this guard."""
        before = self.group, self.scope, self.guards
        if group is not None:
            self.group = (*self.group, group)
        if axis is not None:
            self.scope = (*self.scope, axis)
        if guard is not None:
            self.guards = (*self.guards, guard)
        try:
            yield
        finally:
            self.group, self.scope, self.guards = before

    def unique(self, name: str) -> str:
        """The name with the group before it, and a number behind it if it is taken: extract, extract_2, ..."""
        full = ".".join((*self.group, name))
        count = self._taken.get(full, 0) + 1
        self._taken[full] = count
        if count == 1:
            return full
        numbered = f"{full}_{count}"
        if numbered in self._taken:
            return self.unique(name)
        self._taken[numbered] = 1
        return numbered

    def keeping(self, build: Callable[[], Any]) -> Any:
        """Do it; a definition error is kept for the report, and a stand-in is returned."""
        try:
            return build()
        except DefinitionError as error:
            if isinstance(error, Follows):
                self.follows = error
            else:
                self.problems.append(error)
            return StandIn(self, Const(b"\xc0"), self.scope)

    # --- steps ---

    def add(self, draft: Draft) -> Handle:
        """Take a step in; its result's handle."""
        self.drafts[draft.key] = draft
        return self.result_of(draft.key)

    def result_of(self, key: str) -> Handle:
        """The handle of a step's result."""
        return Handle(self, Output(key), self.drafts[key].axes, firsts=(key,), lasts=(key,))

    def same(self, value: Any, name: str, *, axes: tuple[str, ...] | None = None) -> Handle:
        """A step whose result is this value: where the graph needs a step's result and there is none."""
        draft = Draft(
            key=self.unique(name),
            call=_SAME,
            settings=Settings(),
            axes=self.scope if axes is None else axes,
            args=(("value", bind(self, value, f"the value of {name}")),),
            guards=self.guards,
            group=self.group,
            place=caller(),
            written_at=str(caller()),
            code_version="1",
            description="passes a value on",
        )
        return self.add(draft)

    # --- reading ---

    def readable(self, handle: Handle, of: str) -> Binding:
        """The handle's binding, if it can be read where we are. Raises `DefinitionError`."""
        if handle._tracer is not self:
            raise wrong(
                f"{of}: {handle!r} belongs to another pipeline (`{handle._tracer.name}`)",
                hint="pass values between pipelines as run parameters or as assets",
            )
        if isinstance(handle._binding, Token) and self.scope[: len(handle._axes)] != handle._axes:
            raise wrong(
                f"{of}: the token of `{handle._binding.step}` is used outside of its map",
                hint="each element has a token of its own: hand it out inside of the same @pt.group",
            )
        for axis in axes_read(handle._binding):
            if axis not in self.scope:
                raise wrong(
                    f"{of}: {handle!r} is used outside of it",
                    hint="return it from the group's function and use what the group returns",
                )
        return handle._binding

    def rank(self, handle: Handle) -> int:
        """How many lists deep the value is, seen from here: 0 is one value."""
        shared = 0
        for mine, its in zip(self.scope, handle._axes, strict=False):
            if mine != its:
                break
            shared += 1
        return len(handle._axes) - shared

    # --- order, ends, teardown ---

    def order(self, before: str, after: str) -> None:
        """Let one step run after another."""
        if before == after:
            raise wrong(f"`{before}` cannot run after itself")
        self.drafts[after].order[before] = None

    def ends_of(self, keys: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The first and the last steps among these."""
        inside = dict.fromkeys(keys)
        needs = {key: [n for n in self.drafts[key].reads() if n in inside] for key in keys}
        used = {n for found in needs.values() for n in found}
        return tuple(k for k in keys if not needs[k]), tuple(k for k in keys if k not in used)

    def made_since(self, count: int) -> list[str]:
        """The keys of the steps that were added after there were `count`."""
        return list(self.drafts)[count:]

    def make_teardown(self, handle: Ordered, setups: Any, counts: bool) -> None:
        """Mark the step of a handle as the teardown of setups."""
        keys = ends(setups, "_lasts")
        for key in handle._lasts:
            draft = self.drafts[key]
            draft.teardown_of = (*draft.teardown_of, *keys)
            draft.counts = counts
            draft.order.update(dict.fromkeys(k for k in keys if k != key))
            if draft.settings.when is None:
                draft.settings = replace(draft.settings, when="all_done_setup_succeeded")


def whole_step(handle: Handle) -> str | None:
    """The step whose whole result the handle is; None for parts, elements, parameters and the like."""
    binding = handle._binding
    if isinstance(binding, Output) and not binding.path and not binding.last:
        return binding.step
    return None


def reads_branch(args: tuple[tuple[str, Binding], ...]) -> bool:
    """Does one of the arguments come out of a branch?"""
    return any(_has_first_of(binding) for _, binding in args)


def _has_first_of(binding: Binding) -> bool:
    items = getattr(binding, "items", None)
    if items is None:
        return isinstance(binding, FirstOf)
    return any(_has_first_of(item[1] if isinstance(item, tuple) else item) for item in items)
