"""Parameters of a run: schemas from the signature, values from texts and from programs."""

from __future__ import annotations

import datetime as dt
import enum
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any, Literal

import pytest
from pydantic import BaseModel

import partita as pt
from partita.core.plain import unpack
from partita.define.params import bind_params
from partita.define.pipeline import PipelineDef
from partita.errors import DefinitionError, ParamError


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Model(BaseModel):
    name: str
    depth: int = 3


_CLASSES = {c.__qualname__: c for c in (Colour, Model)}


def resolve(name: str) -> Any:
    return _CLASSES[name.rpartition(":")[2]]


def values(defn: PipelineDef, **raw: object) -> dict[str, Any]:
    return {name: unpack(data, resolve) for name, data in bind_params(defn, raw).items()}


def of(function: Callable[..., Any]) -> PipelineDef:
    return pt.pipeline(function)


def test_simple_types_have_schemas_and_defaults() -> None:
    @pt.pipeline
    def flow(a: str, b: int = 3, c: float = 0.5, d: bool = True, e: dt.date = dt.date(2013, 1, 1), f=7): ...  # type: ignore[no-untyped-def]

    specs = {spec.name: spec for spec in flow.params}

    assert [json.loads(specs[n].schema).get("type") for n in "abcdef"] == [
        "string",
        "integer",
        "number",
        "boolean",
        "string",
        "integer",
    ]
    assert json.loads(specs["e"].schema)["format"] == "date"
    assert specs["a"].required
    assert specs["a"].default is None
    assert not specs["b"].required
    assert [unpack(specs[n].default or b"") for n in "bcdef"] == [3, 0.5, True, dt.date(2013, 1, 1), 7]


def test_models_literals_enums_and_lists_have_schemas() -> None:
    @pt.pipeline
    def flow(m: Model, k: Literal["x", "y"], c: Colour = Colour.RED, xs: list[int] = [1]) -> None: ...  # noqa: B006

    schemas = {spec.name: json.loads(spec.schema) for spec in flow.params}

    assert schemas["m"]["properties"]["depth"]["default"] == 3
    assert schemas["k"]["enum"] == ["x", "y"]
    assert schemas["c"]["enum"] == ["red", "blue"]
    assert schemas["xs"]["items"] == {"type": "integer"}


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (str, "05", "05"),
        (int, "5", 5),
        (int, " 1_000 ", 1000),
        (float, "1e3", 1000.0),
        (float, 2, 2.0),
        (bool, "yes", True),
        (bool, "False", False),
        (dt.date, "2013-06-13", dt.date(2013, 6, 13)),
        (dt.datetime, "2013-06-13T05:00", dt.datetime(2013, 6, 13, 5)),
        (Literal["x", 3], "x", "x"),
        (Colour, "blue", Colour.BLUE),
        (list[int], "[1, 2]", [1, 2]),
        (list[int], "1, 2", [1, 2]),
        (list[str], "a,b", ["a", "b"]),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (int | None, "3", 3),
        (Model, '{"name": "n"}', Model(name="n")),
        (Model, {"name": "n", "depth": "4"}, Model(name="n", depth=4)),
        (list[int], [1, "2"], [1, 2]),
    ],
)
def test_texts_are_read_by_type(kind: Any, text: object, expected: object) -> None:
    def flow(x) -> None: ...  # type: ignore[no-untyped-def]

    flow.__annotations__["x"] = kind

    assert values(of(flow), x=text) == {"x": expected}


def test_what_is_not_given_is_the_default() -> None:
    @pt.pipeline
    def flow(a: int = 1, m: Model = Model(name="d")) -> None: ...  # noqa: B008

    assert values(flow, a="2") == {"a": 2, "m": Model(name="d")}


def test_annotations_as_text_are_resolved() -> None:
    # This file has `from __future__ import annotations`, so all of them are texts.
    @pt.pipeline
    def flow(c: Colour, when: dt.date) -> None: ...

    assert values(flow, c="red", when="2013-01-02") == {"c": Colour.RED, "when": dt.date(2013, 1, 2)}


def test_all_that_is_wrong_is_said_at_once() -> None:
    @pt.pipeline
    def flow(region: str, n: int, k: Literal["x", "y"], xs: list[int], m: int = 1) -> None: ...

    with pytest.raises(ParamError) as caught:
        bind_params(flow, {"regoin": "eu", "n": "many", "k": "z", "xs": '[1, "b"]', "m": 1.5})

    message = caught.value.message
    assert "there is no parameter `regoin`" in message
    assert "`region` is missing" in message
    assert "`n` is 'many': a whole number is expected" in message
    assert "`k` is 'z': input should be 'x' or 'y'" in message
    assert "1: Input should be a valid integer" in message
    assert "`m` is 1.5: a whole number is expected" in message
    assert caught.value.hint == "did you mean `region`?"


def test_a_default_that_cannot_be_stored_is_refused() -> None:
    @pt.pipeline
    def flow(x=object()) -> None: ...  # type: ignore[no-untyped-def]  # noqa: B008

    with pytest.raises(DefinitionError, match="default of the parameter `x` of pipeline `flow` cannot be stored"):
        _ = flow.params


def test_a_type_that_no_parameter_can_have_is_refused() -> None:
    class Odd: ...

    def flow(x) -> None: ...  # type: ignore[no-untyped-def]

    flow.__annotations__["x"] = Odd
    with pytest.raises(DefinitionError, match="a type that no run parameter can have"):
        _ = of(flow).params


def test_parameters_must_be_named() -> None:
    @pt.pipeline
    def flow(*xs: int) -> None: ...

    with pytest.raises(DefinitionError, match="must be named"):
        _ = flow.params


def test_a_pipeline_has_no_context() -> None:
    @pt.pipeline
    def flow(ctx: pt.Context) -> None: ...

    with pytest.raises(DefinitionError, match="takes a context"):
        _ = flow.params


def test_simple_types_do_not_import_pydantic() -> None:
    code = """
import sys, datetime as dt
import partita as pt
from partita.define.params import bind_params
@pt.pipeline
def flow(a: str, b: int = 3, c: dt.date = dt.date(2013, 1, 1)): ...
bind_params(flow, {"a": "x", "b": "4", "c": "2014-01-01"})
assert "pydantic" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
