"""The graph as data: canonical bytes, version, and what bindings read."""

from __future__ import annotations

import msgspec
import pytest

from partita.core import plain
from partita.core.graph import (
    AllOf,
    AnyOf,
    Axis,
    Carry,
    CheckOf,
    Const,
    DictOf,
    Element,
    FirstOf,
    Graph,
    Guard,
    Is,
    ListOf,
    Loop,
    Not,
    Output,
    Param,
    Step,
    Stored,
    axes_read,
    decode,
    encode,
    steps_read,
    version,
)
from partita.core.policies import Cache, Policies, Retry

FULL = Graph(
    "full",
    (
        Step(
            "a",
            kind="asset",
            asset="flights",
            policies=Policies(retry=Retry(limit=3), pools=(("db", 2),), cache=Cache()),
        ),
        Step(
            "b",
            axes=("m",),
            args=(
                ("one", Const(plain.pack({1, 2}))),
                ("two", ListOf((Element("m"), DictOf((("k", Output("a", (0, "x"))),))))),
                ("three", FirstOf(("a",))),
                ("four", Stored("other")),
                ("five", Param("region", ("eu",))),
            ),
            needs=("a",),
            when=AnyOf((Is("a", "failed"), Not(AllOf((Is("a", "done"),))))),
            guards=(Guard("a", (plain.pack("x"),), unless=True),),
        ),
        Step("c", kind="check", check=CheckOf("flights", "rows", blocking=True), reads=("other",)),
    ),
    (Axis("m", (Output("a"), Param("xs"))), Axis("l", (Const(b"\x00"),), outer=("m",), loop=Loop("b", 3, "fail"))),
)


def test_a_graph_comes_back_from_its_bytes_as_it_was() -> None:
    assert decode(encode(FULL)) == FULL
    assert decode(encode(Graph("empty", ()))) == Graph("empty", ())


def test_bytes_that_are_no_graph_are_refused() -> None:
    for data in (b"", b"\xc0", encode(FULL)[:-1], msgspec.msgpack.encode({"name": 3})):
        with pytest.raises(msgspec.DecodeError):
            decode(data)


def test_equal_graphs_have_one_version_however_they_were_made() -> None:
    assert version(FULL) == version(decode(encode(FULL)))
    assert version(FULL) == version(msgspec.convert(msgspec.to_builtins(FULL), Graph))
    assert len(version(FULL)) == 16


def test_the_version_of_a_graph_does_not_change_between_releases() -> None:
    """Runs that are open over an upgrade end on the graph they began with: its hash is stored."""
    assert version(Graph("g", (Step("a"), Step("b", needs=("a",))))) == "89570796c71127fd"


@pytest.mark.parametrize(
    "changes",
    [
        {"key": "x"},
        {"call": "app:other"},
        {"needs": ("c",)},
        {"when": "all_done"},
        {"args": ()},
        {"axes": ()},
        {"policies": Policies(timeout_s=1.0)},
        {"code_version": "2"},
        {"counts": False},
        {"group": ("g",)},
    ],
)
def test_a_change_of_what_runs_is_another_version(changes: dict[str, object]) -> None:
    a, b, c = FULL.steps
    other = Graph("full", (a, msgspec.structs.replace(b, **changes), c), FULL.axes)
    assert version(other) != version(FULL)


def test_the_order_of_steps_is_part_of_the_version() -> None:
    assert version(Graph("g", (Step("a"), Step("b")))) != version(Graph("g", (Step("b"), Step("a"))))


def test_a_step_is_found_by_its_key() -> None:
    assert FULL.step("c").check == CheckOf("flights", "rows", blocking=True)
    with pytest.raises(KeyError, match="nobody"):
        FULL.step("nobody")


def test_what_a_binding_reads_is_found_in_lists_and_dicts_too() -> None:
    binding = ListOf(
        (Output("a"), DictOf((("x", FirstOf(("b", "c"))), ("y", Element("m")), ("z", Carry("l")))), Const(b""))
    )
    assert steps_read(binding) == ("a", "b", "c")
    assert axes_read(binding) == ("m", "l")
    for nothing in (Const(b""), Param("x"), Stored("y"), Element("m")):
        assert steps_read(nothing) == ()
    for nothing in (Const(b""), Param("x"), Stored("y"), Output("a"), FirstOf(("a",))):
        assert axes_read(nothing) == ()
