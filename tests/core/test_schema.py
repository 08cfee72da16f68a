"""Plain data against JSON schemas, as far as the types of Python make them."""

from __future__ import annotations

from typing import Any

import pytest

from partita.core.schema import mismatch, properties, read_text

SHARE = {
    "type": "object",
    "required": ["percent"],
    "additionalProperties": False,
    "properties": {
        "percent": {"type": "integer", "minimum": 0, "maximum": 100},
        "regions": {"type": "array", "items": {"$ref": "#/$defs/Region"}, "maxItems": 2},
        "day": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]},
    },
    "$defs": {"Region": {"enum": ["eu", "us"]}},
}


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"percent": 5}, ""),
        ({"percent": 5.0, "regions": ["eu"], "day": None}, ""),
        ({"percent": 5, "day": "2013-06-13"}, ""),
        ({}, "it has no percent"),
        ([], "it is []: an object is expected"),
        ({"percent": True}, "it.percent is true: a whole number is expected"),
        ({"percent": 101}, "it.percent is 101: at most 100 is expected"),
        ({"percent": -1}, "it.percent is -1: at least 0 is expected"),
        ({"percent": 1, "regions": ["eu", "mars"]}, 'it.regions[1] is "mars": one of "eu", "us" is expected'),
        ({"percent": 1, "regions": ["eu"] * 3}, "it.regions has 3 elements"),
        ({"percent": 1, "day": "soon"}, 'it.day is "soon": a date is expected'),
        ({"percent": 1, "more": 1}, "it.more is not expected"),
    ],
)
def test_what_does_not_fit_is_said(value: Any, says: str) -> None:
    assert mismatch(value, SHARE, "it") == says


@pytest.mark.parametrize("schema", [{}, True, {"$ref": "#/nowhere"}, {"type": "string", "pattern": "("}, {"if": 1}])
def test_what_it_does_not_know_forbids_nothing(schema: Any) -> None:
    assert mismatch("x", schema) == ""


def test_a_schema_that_contains_itself_comes_to_an_end() -> None:
    tree = {"type": "object", "properties": {"child": {"$ref": "#"}}}
    value: dict[str, Any] = {}
    for _ in range(200):
        value = {"child": value}
    assert mismatch(value, tree) == ""
    assert mismatch({"child": {"child": 1}}, tree) == "the value.child.child is 1: an object is expected"
    assert mismatch(1, {"$ref": "#"}) == ""


@pytest.mark.parametrize(
    ("text", "schema", "value"),
    [
        ("3", {"type": "integer"}, 3),
        ("3", {"type": "string"}, "3"),
        ("yes", {"type": "boolean"}, True),
        ("true", {"type": "boolean"}, True),
        ("[1]", {"type": "array"}, [1]),
        ("eu", {"enum": ["eu", "us"]}, "eu"),
        ("3", {}, 3),
        ("x", {}, "x"),
        ("many", {"type": "integer"}, "many"),
    ],
)
def test_what_people_type_is_read_by_type(text: str, schema: Any, value: Any) -> None:
    assert read_text(text, schema) == value


def test_the_properties_of_an_object() -> None:
    assert list(properties(SHARE)) == ["percent", "regions", "day"]
    assert properties({"type": "integer"}) == {}
