"""Does plain data fit a JSON schema? As much of JSON Schema as the types of Python make.

Rule: asking never raises; an unknown keyword forbids nothing.
"""

from __future__ import annotations

import datetime as dt
import json
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

_MAX_DEPTH: Final = 64
_NAMES: Final = {"string": "a text", "integer": "a whole number", "number": "a number", "boolean": "true or false",
                 "array": "a list", "object": "an object", "null": "nothing"}  # fmt: skip


def mismatch(value: Any, schema: Any, where: str = "the value") -> str:
    """What does not fit, in words; "" if all does.

    >>> mismatch({"n": "three"}, {"type": "object", "properties": {"n": {"type": "integer"}}})
    'the value.n is "three": a whole number is expected'
    """
    root = schema if isinstance(schema, Mapping) else {}
    return _mismatch(value, schema, where, root, 0)


def read_text(text: str, schema: Any) -> Any:
    """A text as people type it, as the schema's type: "3" is 3 where a whole number is expected."""
    kinds = _kinds(schema if isinstance(schema, Mapping) else {}, schema if isinstance(schema, Mapping) else {}, 0)
    if "string" in kinds and not {"integer", "number", "boolean"} & kinds:
        return text
    try:
        found = json.loads(text)
    except ValueError:
        return {"yes": True, "no": False}.get(text.lower(), text) if "boolean" in kinds else text
    return text if isinstance(found, str) and "string" not in kinds and kinds else found


def properties(schema: Any) -> dict[str, Any]:
    """The properties of an object's schema, references resolved."""
    if not isinstance(schema, Mapping):
        return {}
    found = _resolved(schema, schema, 0)
    given = found.get("properties")
    return {n: _resolved(p, schema, 0) for n, p in given.items()} if isinstance(given, Mapping) else {}


def _mismatch(value: Any, schema: Any, where: str, root: Mapping[str, Any], depth: int) -> str:
    if schema is False:
        return f"{where} is not expected"
    if not isinstance(schema, Mapping) or depth > _MAX_DEPTH:
        return ""
    schema = _resolved(schema, root, 0)
    for keyword in ("anyOf", "oneOf"):
        if options := schema.get(keyword):
            found = [_mismatch(value, option, where, root, depth + 1) for option in options]
            if all(found):
                return found[0]
    for option in schema.get("allOf", ()):
        if found_wrong := _mismatch(value, option, where, root, depth + 1):
            return found_wrong
    return (
        _wrong_type(value, schema, where)
        or _wrong_constant(value, schema, where)
        or _wrong_size(value, schema, where)
        or _wrong_inside(value, schema, where, root, depth)
    )


def _resolved(schema: Any, root: Mapping[str, Any], depth: int) -> Mapping[str, Any]:
    if not isinstance(schema, Mapping):
        return {}
    ref = schema.get("$ref")
    if not isinstance(ref, str) or not (ref == "#" or ref.startswith("#/")) or depth > _MAX_DEPTH:
        return schema
    found: Any = root
    for part in ref[2:].split("/") if ref != "#" else ():
        found = found.get(part) if isinstance(found, Mapping) else None
    return _resolved(found, root, depth + 1)


def _kinds(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> set[str]:
    schema = _resolved(schema, root, 0)
    kinds = schema.get("type")
    found = {kinds} if isinstance(kinds, str) else set(kinds or ())
    if depth < _MAX_DEPTH:
        for option in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
            found |= _kinds(option, root, depth + 1)
    if not found and "enum" in schema:
        found = {_kind_of(item) for item in schema["enum"]}
    return found


def _kind_of(value: Any) -> str:
    if value is None:
        return "null"
    for kind, name in ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"), (list, "array")):
        if isinstance(value, kind):
            return name
    return "object" if isinstance(value, Mapping) else ""


def _wrong_type(value: Any, schema: Mapping[str, Any], where: str) -> str:
    wanted = schema.get("type")
    if wanted is None:
        return ""
    kinds = [wanted] if isinstance(wanted, str) else list(wanted)
    kind = _kind_of(value)
    fits = kind in kinds or (kind == "integer" and "number" in kinds)
    fits = fits or (kind == "number" and "integer" in kinds and float(value).is_integer())
    told = " or ".join(_NAMES.get(k, str(k)) for k in kinds)
    return "" if fits else f"{where} is {_shown(value)}: {told} is expected"


def _wrong_constant(value: Any, schema: Mapping[str, Any], where: str) -> str:
    if "enum" in schema and not any(_same(value, item) for item in schema["enum"]):
        return f"{where} is {_shown(value)}: one of {', '.join(map(_shown, schema['enum']))} is expected"
    if "const" in schema and not _same(value, schema["const"]):
        return f"{where} is {_shown(value)}: {_shown(schema['const'])} is expected"
    return ""


_BOUNDS: Final[tuple[tuple[str, Callable[[Any, Any], bool], str], ...]] = (
    ("minimum", operator.ge, "at least"),
    ("maximum", operator.le, "at most"),
    ("exclusiveMinimum", operator.gt, "more than"),
    ("exclusiveMaximum", operator.lt, "less than"),
)


def _wrong_size(value: Any, schema: Mapping[str, Any], where: str) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        for keyword, fits, told in _BOUNDS:
            if keyword in schema and not fits(value, schema[keyword]):
                return f"{where} is {_shown(value)}: {told} {schema[keyword]} is expected"
    if isinstance(value, str):
        return _wrong_text(value, schema, where)
    if isinstance(value, list) and not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", 1 << 60):
        return f"{where} has {len(value)} elements"
    return ""


def _wrong_text(value: str, schema: Mapping[str, Any], where: str) -> str:
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 1 << 60):
        return f"{where} has {len(value)} characters"
    pattern = schema.get("pattern")
    if isinstance(pattern, str) and len(value) <= 1000 and not _matches(pattern, value):
        return f"{where} is {_shown(value)}: a text like {pattern} is expected"
    try:
        if schema.get("format") == "date":
            dt.date.fromisoformat(value)
        elif schema.get("format") == "date-time":
            dt.datetime.fromisoformat(value)
    except ValueError:
        return f"{where} is {_shown(value)}: a {schema['format']} is expected"
    return ""


def _matches(pattern: str, value: str) -> bool:
    try:
        return re.search(pattern, value) is not None
    except re.error:
        return True


def _wrong_inside(value: Any, schema: Mapping[str, Any], where: str, root: Mapping[str, Any], depth: int) -> str:
    if isinstance(value, list) and "items" in schema:
        found = (_mismatch(v, schema["items"], f"{where}[{i}]", root, depth + 1) for i, v in enumerate(value))
        return next((text for text in found if text), "")
    if not isinstance(value, Mapping):
        return ""
    missing = [name for name in schema.get("required", ()) if name not in value]
    if missing:
        return f"{where} has no {', '.join(missing)}"
    known = schema.get("properties", {})
    for name, item in value.items():
        inner = known[name] if name in known else schema.get("additionalProperties", True)
        if found_wrong := _mismatch(item, inner, f"{where}.{name}", root, depth + 1):
            return found_wrong
    return ""


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else text[:59] + "…"
