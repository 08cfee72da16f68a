"""`@resource`: a typed connection to something else. What it holds comes from settings; steps take it by annotation.

    @pt.resource
    class Warehouse:
        url: str
        password: pt.Secret

    @pt.task
    def load(rows: list, warehouse: Warehouse): ...

Its fields come from `[tool.partita.resources.warehouse]` in pyproject.toml, over that from variables such as
PARTITA_RESOURCE_WAREHOUSE_URL. A field of type `Secret` holds the name of one; without settings it is WAREHOUSE_PASSWORD.

Rule: the class is a frozen dataclass and no more; it is built anew for each attempt, in the process that runs the step.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_type_hints, overload

from partita.core.manifest import ResourceSpec
from partita.define.guess import did_you_mean
from partita.define.names import clean, name_problem
from partita.define.recording import Declared, declare, forgiving
from partita.define.secret import Secret, secret
from partita.define.where import Place, place_of, wrong
from partita.errors import DefinitionError

C = TypeVar("C", bound=type)

_MARK = "__partita_resource__"
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class ResourceDef(Declared):
    """A resource as written."""

    def __init__(self, cls: type, name: str, description: str, place: Place) -> None:
        self.cls = cls
        self.name = name
        self.place = place
        self.description = description
        self.fields = {f.name: f for f in dataclasses.fields(cls) if f.init}
        self.types = _types_of(cls, place)

    @property
    def can_test(self) -> bool:
        """Whether its class has a method `test`."""
        return callable(getattr(self.cls, "test", None))

    def check(self, name: str, table: Mapping[str, Any]) -> None:
        """Raise `DefinitionError` for what is wrong in the table. What is missing may come from a worker's environment."""
        for key, value in table.items():
            if key == "of":
                continue
            if key not in self.fields:
                hint = did_you_mean(key, self.fields) or f"its fields are {', '.join(self.fields)}"
                raise DefinitionError(f"resource `{name}` has no field `{key}`", hint=hint)
            self._read(name, key, value, from_text=False)

    def settings(self, name: str, table: Mapping[str, Any], env: Mapping[str, str]) -> dict[str, Any]:
        """The fields of the instance `name`. Raises `DefinitionError` with what is missing or wrong."""
        found: dict[str, Any] = {}
        for field in self.fields.values():
            variable = variable_of(name, field.name)
            if variable in env:
                found[field.name] = self._read(name, field.name, env[variable], from_text=True)
            elif field.name in table:
                found[field.name] = self._read(name, field.name, table[field.name], from_text=False)
            elif _has_default(field):
                continue
            elif self.types[field.name] is Secret:
                found[field.name] = secret(_upper(f"{name}_{field.name}"))
            else:
                raise DefinitionError(
                    f"resource `{name}` needs a value for `{field.name}`",
                    hint=f"set it under [tool.partita.resources.{name}], or as {variable}",
                )
        return found

    def _read(self, name: str, field: str, value: Any, *, from_text: bool) -> Any:
        kind = self.types[field]
        if kind is Secret:
            return secret(value) if isinstance(value, str) else _refuse(name, field, "the name of a secret")
        return _converted(name, field, value, kind, from_text)

    def build(self, name: str, table: Mapping[str, Any], env: Mapping[str, str] = os.environ) -> Any:
        """An instance, as steps get it. Raises `DefinitionError`."""
        return self.cls(**self.settings(name, table, env))

    def spec(self, name: str, table: Mapping[str, Any], call: str) -> ResourceSpec:
        """The resource as plain data: no values, the names of its secrets only."""
        return ResourceSpec(
            name=name,
            of=self.cls.__name__,
            call=call,
            schema=json.dumps(self.schema()),
            secrets=self._secrets(name, table),
            can_test=self.can_test,
            description=self.description,
            written_at=str(self.place),
        )

    def schema(self) -> dict[str, Any]:
        """The JSON schema of its settings. A secret's field is the name of a secret."""
        import msgspec

        properties: dict[str, Any] = {}
        for field in self.fields:
            if self.types[field] is Secret:
                properties[field] = {"type": "string", "format": "partita-secret"}
                continue
            try:
                properties[field] = msgspec.json.schema(self.types[field])
            except TypeError:
                properties[field] = {}
        required = [f.name for f in self.fields.values() if not _has_default(f) and self.types[f.name] is not Secret]
        return {"type": "object", "properties": properties, "required": required}

    def _secrets(self, name: str, table: Mapping[str, Any]) -> tuple[str, ...]:
        found = []
        for field in self.fields.values():
            given = table.get(field.name)
            if isinstance(field.default, Secret) and given is None:
                found.append(field.default.name)
            elif self.types[field.name] is Secret:
                found.append(given if isinstance(given, str) else _upper(f"{name}_{field.name}"))
        return tuple(dict.fromkeys(found))


@overload
def resource(cls: C, /) -> C: ...
@overload
def resource(*, name: str | None = None, description: str | None = None) -> Callable[[C], C]: ...
def resource(cls: type | None = None, /, *, name: str | None = None, description: str | None = None) -> Any:
    """Make a class a resource: `@pt.resource`, or `@pt.resource(name="warehouse")`. Its instances are frozen.

    A method `test` makes it one that can be tried: it raises, or returns a text, if something is wrong.
    """
    if cls is None:
        return lambda c: _declared(c, name, description)
    return _declared(cls, name, description)


def variable_of(name: str, field: str) -> str:
    """The variable that sets a field.

    >>> variable_of("warehouse", "url")
    'PARTITA_RESOURCE_WAREHOUSE_URL'
    """
    return f"PARTITA_RESOURCE_{_upper(name)}_{_upper(field)}"


def definition_of(cls: object) -> ResourceDef | None:
    """The definition of a resource's class; None if it is none."""
    found = cls.__dict__.get(_MARK) if isinstance(cls, type) else None
    return found if isinstance(found, ResourceDef) else None


def _declared(cls: type, name: str | None, description: str | None) -> type:
    return forgiving(lambda: _resource_of(cls, name, description), lambda error: cls)


def _resource_of(cls: type, name: str | None, description: str | None) -> type:
    place = place_of(cls)
    if not isinstance(cls, type):
        raise wrong(f"@resource is for classes, not for {cls!r}", place=place)
    named = name if name is not None else _WORDS.sub("_", cls.__name__).lower()
    if problem := name_problem(named):
        raise wrong(f"resource: {problem}", hint="give it one: name=...", place=place)
    made = cls if dataclasses.is_dataclass(cls) else dataclasses.dataclass(frozen=True, kw_only=True)(cls)
    text = description if description is not None else clean(inspect.cleandoc(_own_doc(cls)))
    definition = ResourceDef(made, named, text, place)
    setattr(made, _MARK, definition)
    declare(definition)
    return made


def _own_doc(cls: type) -> str:
    doc = cls.__dict__.get("__doc__") or ""
    # A dataclass without one documents its signature.
    return "" if doc.startswith(f"{cls.__name__}(") else doc


def _types_of(cls: type, place: Place) -> dict[str, Any]:
    try:
        return get_type_hints(cls)
    except Exception as error:
        raise wrong(f"resource `{cls.__name__}`: a type cannot be found: {error}", place=place) from None


def _has_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


def _converted(name: str, field: str, value: Any, kind: Any, from_text: bool) -> Any:
    import msgspec

    try:
        return msgspec.convert(value, kind, strict=not from_text)
    except msgspec.ValidationError as error:
        if from_text and isinstance(value, str) and value[:1] in "[{":
            try:
                return msgspec.json.decode(value.encode(), type=kind)
            except msgspec.MsgspecError:
                pass  # then the first thing that was wrong is said
        return _refuse(name, field, str(error))


def _refuse(name: str, field: str, what: str) -> Any:
    raise DefinitionError(
        f"field `{field}` of resource `{name}`: {what}",
        hint=f"it is set under [tool.partita.resources.{name}], or as {variable_of(name, field)}",
    )


def _upper(text: str) -> str:
    return re.sub(r"[^A-Z0-9]", "_", text.upper())
