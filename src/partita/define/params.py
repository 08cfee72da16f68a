"""The parameters of a run: their types from the pipeline's signature, and values that people and programs give for them.

Rule: pydantic is imported only for a type that is not read by hand here; all that is wrong is said at once.
"""

from __future__ import annotations

import datetime as dt
import inspect
import json
import typing
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from partita.core.manifest import ParamSpec
from partita.core.plain import NotPlain, pack
from partita.define.guess import did_you_mean
from partita.define.where import wrong
from partita.errors import ParamError

if TYPE_CHECKING:
    from partita.define.pipeline import PipelineDef

_EMPTY = inspect.Parameter.empty
_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})


def param_specs(defn: PipelineDef) -> tuple[ParamSpec, ...]:
    """The run's parameters. Raises `DefinitionError` for a type or default that cannot be one."""
    if defn.signature.context_param is not None:
        raise wrong(
            f"the function of pipeline `{defn.name}` takes a context, but it only builds the graph and has none",
            hint="take it in the tasks: def task(ctx: pt.Context, ...)",
            place=defn.place,
        )
    return tuple(_spec(defn, p) for p in defn.signature.parameters.values())


def bind_params(defn: PipelineDef, raw: Mapping[str, object]) -> dict[str, bytes]:
    """Every parameter of a run as packed plain data: what was given, checked against its type, else the default.

    Texts, as they come from a command line, are read by type. Raises `ParamError` with all that is wrong.
    """
    parameters = defn.signature.parameters if defn.function is not None else {}
    problems = [_unknown(name, defn, parameters) for name in raw if name not in parameters]
    values: dict[str, bytes] = {}
    for spec in defn.params:
        if spec.name not in raw:
            if spec.default is None:
                problems.append((f"`{spec.name}` is missing: {_expected(spec)} is expected", None))
            else:
                values[spec.name] = spec.default
            continue
        try:
            values[spec.name] = pack(_value(defn, parameters[spec.name], raw[spec.name]))
        except NotPlain as error:
            problems.append((f"`{spec.name}` cannot be stored: {error}", None))
        except ValueError as error:
            problems.append((f"`{spec.name}` is {_shown(raw[spec.name])}: {error}", None))
    if problems:
        head = f"pipeline `{defn.name}` cannot run with these parameters: "
        hints = [hint for _, hint in problems if hint]
        raise ParamError(head + "; ".join(text for text, _ in problems), hint=hints[0] if hints else None)
    return values


def _unknown(name: str, defn: PipelineDef, parameters: Mapping[str, Any]) -> tuple[str, str | None]:
    hint = did_you_mean(name, parameters) or ("it has no parameters" if not parameters else None)
    return f"there is no parameter `{name}`", hint


def _expected(spec: ParamSpec) -> str:
    schema = json.loads(spec.schema)
    if "enum" in schema:
        return "one of " + ", ".join(map(repr, schema["enum"]))
    return f"a value of type {schema.get('format') or schema.get('type') or 'any'}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


# --- types --------------------------------------------------------------------------------------------------------


def _spec(defn: PipelineDef, parameter: inspect.Parameter) -> ParamSpec:
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        raise wrong(
            f"pipeline `{defn.name}` has the parameter `{parameter}`: the parameters of a run must be named",
            place=defn.place,
        )
    schema = _schema(defn, parameter)
    default = None if parameter.default is _EMPTY else _default(defn, parameter)
    return ParamSpec(
        name=parameter.name,
        schema=json.dumps(schema, sort_keys=True),
        required=parameter.default is _EMPTY,
        default=default,
        description=str(schema.get("description", "")),
    )


def _default(defn: PipelineDef, parameter: inspect.Parameter) -> bytes:
    try:
        return pack(parameter.default)
    except NotPlain as error:
        raise wrong(
            f"the default of the parameter `{parameter.name}` of pipeline `{defn.name}` cannot be stored: "
            f"{error.type_name} is not plain data",
            hint="use a number, a text, a date, a list, a dict, a dataclass or a pydantic model",
            place=defn.place,
        ) from None


def _schema(defn: PipelineDef, parameter: inspect.Parameter) -> dict[str, Any]:
    annotation = _simple(parameter)
    if annotation is None:
        return {}
    if annotation in _SCHEMAS:
        return dict(_SCHEMAS[annotation])
    adapter = _adapter(defn, parameter)
    try:
        schema: dict[str, Any] = adapter.json_schema()
    except Exception as error:
        raise _bad_type(defn, parameter, error) from None
    return schema


def _simple(parameter: inspect.Parameter) -> Any:
    """The annotation, resolved if that is easy; of a bare parameter the type of its default; None for any value."""
    annotation = parameter.annotation
    if annotation is _EMPTY:
        kind = type(parameter.default)
        return kind if parameter.default is not _EMPTY and kind in _SCHEMAS and kind is not type(None) else None
    if isinstance(annotation, str):
        return _BY_NAME.get(annotation.strip(), annotation)
    if annotation is None:
        return type(None)
    try:
        hash(annotation)
    except TypeError:
        return str(annotation)
    return annotation


def _adapter(defn: PipelineDef, parameter: inspect.Parameter) -> Any:
    """A pydantic adapter of the parameter's type."""
    from pydantic import TypeAdapter

    function: Any = defn.function
    annotation = parameter.annotation
    try:
        if isinstance(annotation, str):
            annotation = typing.get_type_hints(function, include_extras=True)[parameter.name]
        return TypeAdapter(annotation)
    except Exception as error:
        raise _bad_type(defn, parameter, error) from None


def _bad_type(defn: PipelineDef, parameter: inspect.Parameter, error: Exception) -> Exception:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return wrong(
        f"the parameter `{parameter}` of pipeline `{defn.name}` has a type that no run parameter can have: {reason}",
        hint="use str, int, float, bool, dates, Literal, enums, lists, dicts, dataclasses or pydantic models",
        place=defn.place,
    )


# --- values -------------------------------------------------------------------------------------------------------


def _value(defn: PipelineDef, parameter: inspect.Parameter, given: object) -> Any:
    """What was given, as the parameter's type. Raises `ValueError`."""
    annotation = _simple(parameter)
    if annotation is None:
        return given
    reader = _VALUE_READERS.get(annotation) if isinstance(annotation, type) else None
    if reader is not None:
        return reader(given)
    return _by_pydantic(_adapter(defn, parameter), given)


def _by_pydantic(adapter: Any, given: object) -> Any:
    from pydantic import ValidationError

    try:
        return adapter.validate_python(given)
    except ValidationError as error:
        first = error
    if isinstance(given, str):
        # From a command line: a list or model as JSON, or a list as "a,b".
        try:
            return adapter.validate_json(given)
        except ValidationError as error:
            if given.lstrip().startswith(("{", "[")):
                first = error
        with suppress(ValidationError):
            return adapter.validate_python([part.strip() for part in given.split(",")])
    raise ValueError("; ".join(_pydantic_line(item) for item in first.errors())) from None


def _pydantic_line(item: Mapping[str, Any]) -> str:
    place = ".".join(map(str, item["loc"]))
    message = str(item["msg"])
    return f"{place}: {message}" if place else message[:1].lower() + message[1:]


def _text(given: object) -> str:
    if isinstance(given, str):
        return given
    raise ValueError("a text is expected")


def _whole(given: object) -> int:
    if isinstance(given, int) and not isinstance(given, bool):
        return given
    if isinstance(given, float) and given.is_integer():
        return int(given)
    try:
        return int(_given_text(given).replace("_", ""))
    except ValueError:
        raise ValueError("a whole number is expected") from None


def _given_text(given: object) -> str:
    if isinstance(given, str):
        return given.strip()
    raise ValueError


def _number(given: object) -> float:
    if isinstance(given, int | float) and not isinstance(given, bool):
        return float(given)
    try:
        return float(_given_text(given))
    except ValueError:
        raise ValueError("a number is expected") from None


def _truth(given: object) -> bool:
    if isinstance(given, bool):
        return given
    if isinstance(given, str) and given.strip().lower() in _TRUE | _FALSE:
        return given.strip().lower() in _TRUE
    raise ValueError("true or false is expected")


def _date(given: object) -> dt.date:
    if isinstance(given, dt.datetime):
        return given.date()
    if isinstance(given, dt.date):
        return given
    try:
        return dt.date.fromisoformat(_given_text(given))
    except ValueError:
        raise ValueError("a date like 2013-06-13 is expected") from None


def _datetime(given: object) -> dt.datetime:
    if isinstance(given, dt.datetime):
        return given
    try:
        return dt.datetime.fromisoformat(_given_text(given))
    except ValueError:
        raise ValueError("a time like 2013-06-13T05:00:00 is expected") from None


def _nothing(given: object) -> None:
    if given is None or given in ("", "null", "none", "None"):
        return
    raise ValueError("no value is expected")


_SCHEMAS: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    dt.date: {"type": "string", "format": "date"},
    dt.datetime: {"type": "string", "format": "date-time"},
    type(None): {"type": "null"},
    Any: {},
}
_BY_NAME: dict[str, Any] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "None": type(None),
}
_VALUE_READERS: dict[type, Callable[[object], Any]] = {
    str: _text,
    int: _whole,
    float: _number,
    bool: _truth,
    dt.date: _date,
    dt.datetime: _datetime,
    type(None): _nothing,
}
