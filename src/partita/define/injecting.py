"""How steps get their resources: by the annotation of a parameter, or by name.

A parameter annotated with a resource's class gets the instance that has the parameter's name, if it is one of that class,
else the one that has the class's own name.

Rule: the process that loads a project says what its resources are (`provide`); nothing is built before a step asks.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from partita.core.manifest import ResourceSpec
from partita.define.calls import Call, Calls
from partita.define.guess import did_you_mean
from partita.define.recording import Declared
from partita.define.resource import ResourceDef, definition_of
from partita.errors import DefinitionError


@dataclass(frozen=True, slots=True)
class Provided:
    """One instance that can be built."""

    definition: ResourceDef
    build: Callable[[], Any]


# Of the project that was loaded last in this process.
_provided: dict[str, Provided] = {}


def provide(declared: list[Declared], tables: Mapping[str, Mapping[str, Any]], calls: Calls) -> list[ResourceSpec]:
    """Make known which resources there are, and how they are built and tested. Raises `DefinitionError`."""
    definitions = {d.name: d for d in declared if isinstance(d, ResourceDef)}
    instances = dict.fromkeys([*definitions, *tables])
    _provided.clear()
    specs = []
    for name in instances:
        table = tables.get(name, {})
        kind = str(table.get("of", name))
        definition = definitions.get(kind)
        if definition is None:
            hint = did_you_mean(kind, definitions) or "declare it with @pt.resource, or name its kind: of = ..."
            raise DefinitionError(f"[tool.partita.resources.{name}]: no resource `{kind}` is declared", hint=hint)
        definition.check(name, table)
        _provided[name] = Provided(definition, _Build(definition, name, table))
        specs.append(definition.spec(name, table, calls.add(_test_call(definition, name, table), user=name)))
    return specs


def resource_named(name: str) -> Any:
    """An instance by name. Raises `DefinitionError` if there is none, or a field has no value."""
    found = _provided.get(name)
    if found is None:
        hint = did_you_mean(name, _provided) or "declare it with @pt.resource"
        raise DefinitionError(f"there is no resource `{name}`", hint=hint)
    return found.build()


def resource_params(function: Callable[..., Any]) -> dict[str, type]:
    """The parameters of a function that are annotated with a resource's class."""
    found: dict[str, type] = {}
    for parameter in inspect.signature(function).parameters.values():
        cls = _annotated(parameter.annotation, getattr(function, "__globals__", {}))
        if definition_of(cls) is not None:
            assert isinstance(cls, type)
            found[parameter.name] = cls
    return found


@dataclass(frozen=True, slots=True)
class WithResources:
    """A user's function that gets its resources when it is called. Equal for the same function."""

    function: Callable[..., Any]
    params: tuple[tuple[str, type], ...]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        given = {name: _instance_for(name, cls) for name, cls in self.params if name not in kwargs}
        return self.function(*args, **kwargs, **given)


def with_resources(function: Callable[..., Any], params: Mapping[str, type]) -> Callable[..., Any]:
    """The function, or a wrapper of it that fills in its resources."""
    return WithResources(function, tuple(params.items())) if params else function


def _instance_for(parameter: str, cls: type) -> Any:
    definition = definition_of(cls)
    assert definition is not None
    for name in (parameter, definition.name):
        found = _provided.get(name)
        if found is not None and found.definition.cls is cls:
            return found.build()
    # No project was loaded here, as in a unit test that runs a pipeline: defaults and variables are all there is.
    return definition.build(definition.name, {})


def _annotated(annotation: object, names: Mapping[str, Any]) -> object:
    """The class that an annotation names; texts (`from __future__ import annotations`) are looked up, never evaluated."""
    if not isinstance(annotation, str):
        return annotation
    first, *rest = annotation.split(".")
    found = names.get(first)
    for part in rest:
        found = getattr(found, part, None)
    return found


@dataclass(frozen=True, slots=True)
class _Build:
    definition: ResourceDef
    name: str
    table: Mapping[str, Any]

    def __call__(self) -> Any:
        return self.definition.build(self.name, self.table)


class _Test:
    """Builds a resource and calls its `test`."""

    def __init__(self, build: _Build) -> None:
        self._build = build

    def __call__(self) -> Any:
        return self._build().test()


def _test_call(definition: ResourceDef, name: str, table: Mapping[str, Any]) -> Call:
    test = _Test(_Build(definition, name, table))
    is_async = inspect.iscoroutinefunction(getattr(definition.cls, "test", None))
    return Call(name=f"resource:{name}", function=test, asynchronous=is_async)
