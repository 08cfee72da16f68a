"""`@pipeline`: a function that is called once to build a graph; or a selection of assets under a name.

Rule: a `PipelineDef` says what is wanted; `compile` builds the graph.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict, Unpack, overload

from partita.core.manifest import ConcurrencySpec, DeadlineSpec, ParamSpec, PartitionSpec, ScheduleSpec
from partita.define.concurrency import read_concurrency
from partita.define.executors import Word, options_of
from partita.define.group import GroupDef
from partita.define.guess import did_you_mean
from partita.define.names import name_problem
from partita.define.options import STEP_OPTIONS, text, words
from partita.define.params import param_specs
from partita.define.recording import Declared, Follows, declare, forgiving
from partita.define.schedule import schedules
from partita.define.signature import Signature
from partita.define.task import Partial
from partita.define.where import Place, caller, calling_module, place_of, wrong
from partita.errors import DefinitionError


class PipelineOptions(TypedDict, total=False):
    """The options of a pipeline, as written. `defaults` are options for all its tasks that do not set them."""

    name: str
    schedule: ScheduleSpec | str | Sequence[ScheduleSpec | str] | None
    catchup: str
    partitions: PartitionSpec | None
    description: str
    owner: str
    tags: str | Sequence[str]
    fail_fast: bool
    timeout: Any
    max_runs: int
    max_steps: int
    priority: int
    deadline: Any
    concurrency: ConcurrencySpec | str | Sequence[ConcurrencySpec | str]
    executor: str
    executor_options: Mapping[str, Any]
    defaults: Mapping[str, Any]


_KNOWN = frozenset(PipelineOptions.__annotations__)
_CATCHUP = ("none", "latest", "all")


class PipelineDef(Declared):
    """A pipeline as written: `function` builds it, or `assets` selects it."""

    def __init__(
        self, function: Callable[..., Any] | None, options: PipelineOptions, *, assets: Any = None, place: Place
    ) -> None:
        self.function = function
        self.assets = assets
        self.place = place
        self.module = getattr(function, "__module__", None) or calling_module()
        self.name: str = options.get("name") or str(getattr(function, "__name__", ""))
        self._read(options)
        if function is not None:
            functools.update_wrapper(self, function)
        declare(self)

    def _read(self, options: PipelineOptions) -> None:
        for option in options:
            if option not in _KNOWN:
                hint = did_you_mean(option, _KNOWN)
                raise self._wrong(f" has no option `{option}`", hint=hint)
        if problem := name_problem(self.name):
            raise self._wrong(f": {problem}")
        self.catchup = options.get("catchup", "none")
        if self.catchup not in _CATCHUP and not (self.catchup.startswith("last ") and self.catchup[5:].isdigit()):
            raise self._wrong(f" has no catchup {self.catchup!r}", hint='there is "none", "latest", "all", "last 3"')
        self.partitions = options.get("partitions")
        if isinstance(self.partitions, PartitionSpec) and self.partitions.kind == "static" and not self.partitions.keys:
            raise Follows(f"the partitions of pipeline `{self.name}` are wrong themselves")
        if self.partitions is not None and not isinstance(self.partitions, PartitionSpec):
            raise self._wrong(f" has partitions {self.partitions!r}", hint='write pt.daily(start="2024-01-01")')
        self.fail_fast = bool(options.get("fail_fast", False))
        self.max_runs, self.max_steps = options.get("max_runs"), options.get("max_steps")
        self.defaults = dict(options.get("defaults") or {})
        self._read_texts(options)
        for option in self.defaults:
            if option not in STEP_OPTIONS or option == "name":
                raise self._wrong(
                    f" has a default for `{option}`, which is no option of tasks",
                    hint=did_you_mean(option, STEP_OPTIONS),
                )

    def _read_texts(self, options: PipelineOptions) -> None:
        from partita.define.durations import seconds

        try:
            self.schedules = schedules(options.get("schedule"), self.name, self.catchup)
            self.owner = text(options.get("owner", ""))
            self.tags = words(options.get("tags", ()))
            self.priority = options.get("priority", 0)
            if not isinstance(self.priority, int) or isinstance(self.priority, bool):
                raise ValueError(f"the priority {self.priority!r} is no whole number")
            names = set(inspect.signature(self.function).parameters) if self.function is not None else set()
            self.deadlines = self._read_deadlines(options.get("deadline"))
            self.concurrency = read_concurrency(options.get("concurrency"), names)
            self.executor = Word(text(options.get("executor", "")), options_of(options.get("executor_options", {})))
            given = options.get("timeout")
            self.timeout_s = None if given is None else seconds(given)
            for limit in (self.max_runs, self.max_steps):
                if limit is not None and (not isinstance(limit, int) or limit < 1):
                    raise ValueError(f"{limit!r} is no number of 1 or more")
            self.description = text(
                options.get("description", inspect.cleandoc(getattr(self.function, "__doc__", "") or ""))
            )
        except ValueError as error:
            raise self._wrong(f": {error}") from None

    def _read_deadlines(self, value: Any) -> tuple[DeadlineSpec, ...]:
        if value is None:
            return ()
        from partita.define.alert import read_deadlines

        return read_deadlines(value)

    def _wrong(self, message: str, hint: str | None = None) -> Exception:
        return wrong(f"pipeline `{self.name}`{message}", hint=hint, place=self.place)

    @functools.cached_property
    def as_group(self) -> GroupDef:
        """What it is in another pipeline."""
        if self.function is None:
            raise self._wrong(" is a selection of assets: it has no parameters and cannot be called")
        return GroupDef(self.function, self.name)

    @property
    def signature(self) -> Signature:
        """The parameters of the run."""
        return self.as_group.signature

    @functools.cached_property
    def params(self) -> tuple[ParamSpec, ...]:
        """The run's parameters with their schemas."""
        return () if self.function is None else param_specs(self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """In another pipeline: its steps, as a group. Elsewhere: the plain function."""
        return self.as_group(*args, **kwargs)

    def map(self, *args: Any, **kwargs: Any) -> Any:
        """In another pipeline: its steps once per element."""
        return self.as_group.map(*args, **kwargs)

    def partial(self, **fixed: Any) -> Partial:
        """Some arguments given."""
        return self.as_group.partial(**fixed)

    def run(self, **params: Any) -> Any:
        """Run it in this process and return what became of it; nothing is stored."""
        import importlib

        testing: Any = importlib.import_module("partita.testing")
        return testing.run(self, params)

    def __repr__(self) -> str:
        return f"<pipeline {self.name} at {self.place}>"


@overload
def pipeline(function: Callable[..., Any], /) -> PipelineDef: ...
@overload
def pipeline(name: str, /, *, assets: Any, **options: Unpack[PipelineOptions]) -> PipelineDef: ...
@overload
def pipeline(**options: Unpack[PipelineOptions]) -> Callable[[Callable[..., Any]], PipelineDef]: ...
def pipeline(what: Any = None, /, *, assets: Any = None, **options: Any) -> Any:
    """Make a function a pipeline, or a selection of assets: `pt.pipeline("nightly", assets="group:raw+")`."""
    if assets is not None:
        if not isinstance(what, str):
            raise wrong("a pipeline of assets needs a name", hint='write pt.pipeline("nightly", assets=...)')
        return _forgiven_selection(what, assets, options)
    if what is None:
        return lambda function: _forgiven(function, options)
    if isinstance(what, str):
        raise wrong(f"pipeline `{what}` has no assets", hint='write pt.pipeline("nightly", assets="group:raw+")')
    return _forgiven(what, options)


def _forgiven(function: Any, options: Any) -> PipelineDef:
    def stand_in(error: DefinitionError) -> PipelineDef:
        if not callable(function):
            raise error
        bare = PipelineDef(function, {"name": "broken"}, place=place_of(function))
        bare.broken = error
        return bare

    return forgiving(lambda: pipeline_of(function, options), stand_in)


def _forgiven_selection(name: str, assets: Any, options: Any) -> PipelineDef:
    place = caller()

    def stand_in(error: DefinitionError) -> PipelineDef:
        bare = PipelineDef(None, {"name": "broken"}, assets=assets, place=place)
        bare.broken = error
        return bare

    named: Any = {**options, "name": name}
    return forgiving(lambda: PipelineDef(None, named, assets=assets, place=place), stand_in)


def pipeline_of(function: Any, options: Any) -> PipelineDef:
    """The pipeline of a function. Raises `DefinitionError` for what cannot be one."""
    if not callable(function) or isinstance(function, type):
        raise wrong(f"@pipeline is for functions, not for {function!r}")
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise wrong(
            f"pipeline `{function.__name__}` must be a plain function: it is called once to build the graph",
            hint="make the tasks `async def`, not the pipeline",
            place=place_of(function),
        )
    return PipelineDef(function, options, place=place_of(function))
