"""The small parts: what a terminal may be given, tables, layout, the picture of a run."""

from __future__ import annotations

import doctest
import random
import unicodedata
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest

from partita.cli import styled, words
from partita.cli.drawing import svg
from partita.cli.layout import arranged
from partita.cli.notations import dot, mermaid
from partita.cli.objects import plain
from partita.cli.styled import cells, clean, cut, paint, short, width_of
from partita.cli.tree import times, tree_lines
from partita.core.graph import Axis, Const, Graph, ListOf, Output, Step
from partita.core.plain import pack


@pytest.mark.parametrize("module", [styled, words])
def test_examples_in_docstrings_hold(module: object) -> None:
    failed, tried = doctest.testmod(module)  # type: ignore[arg-type]
    assert tried > 0
    assert failed == 0


def test_no_text_can_act_on_a_terminal() -> None:
    every = "".join(map(chr, range(0x3000)))
    shown = paint([(every + "\ud800\u202e", "red")], colour=False)
    assert all(c.isprintable() or c in "\u200c\u200d" or unicodedata.category(c) == "Zs" for c in shown)
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in shown)
    shown.encode()
    assert clean("a\nb\tc\rd") == "a\\x0ab\\x09c\\x0dd"
    assert clean("naïve 日本 ✋ \u200d") == "naïve 日本 ✋ \u200d"


def test_colours_are_only_ours_and_only_when_wanted() -> None:
    line = [("a\x1b[31m", "green"), ("b", "")]
    assert paint(line, colour=True) == "\x1b[32ma\\x1b[31m\x1b[0mb"
    assert paint(line, colour=False) == "a\\x1b[31mb"


def test_text_is_cut_by_the_cells_it_takes() -> None:
    assert cells("日本") == 4
    assert short("日本語テキスト", 7) == "日本語…"
    line = cut([("日本", "bold"), ("語テキスト", "")], 7)
    assert "".join(t for t, _ in line) == "日本語…"
    assert width_of(cut([("abcdef", "")], 4)) == 4
    assert cut([("abc", "")], 3) == [("abc", "")]


def test_every_state_has_a_glyph_and_a_word() -> None:
    from partita.core.states import ATTEMPT_MOVES, RUN_MOVES, STEP_MOVES

    for state in {*RUN_MOVES, *STEP_MOVES, *ATTEMPT_MOVES}:
        found = words.LOOKS[state]
        assert found.glyph
        assert found.word
    assert words.state("upstream_failed") == ("▨ upstream failed", "red")


def graph_of(seed: int, count: int) -> Graph:
    """A random graph."""
    rng = random.Random(seed)
    steps: list[Step] = []
    for number in range(count):
        upstream = [steps[rng.randrange(number)].key for _ in range(rng.choice([0, 1, 2, 3]))] if number else []
        steps.append(Step(f"s{number}", needs=tuple(dict.fromkeys(upstream))))
    return Graph("random", tuple(steps))


@pytest.mark.parametrize("seed", range(20))
def test_a_layout_puts_needs_left_and_nothing_on_top_of_another(seed: int) -> None:
    graph = graph_of(seed, 60)
    needs = {s.key: s.needs for s in graph.steps}
    layout = arranged(needs)
    for key, before in needs.items():
        assert all(layout.places[need].layer < layout.places[key].layer for need in before)
    for layer in range(layout.layers):
        rows = sorted(p.row for p in layout.places.values() if p.layer == layer)
        assert all(b - a >= 0.999 for a, b in pairwise(rows))
        assert all(-0.001 <= row <= layout.rows - 0.999 for row in rows)
    assert set(layout.ways) == {(need, key) for key, before in needs.items() for need in before}
    assert arranged(needs) == layout


def test_an_svg_is_well_formed_whatever_the_names_are() -> None:
    evil = Graph(
        'a"<&\x00',
        (Step('x<script>alert(1)</script>"&\x1b'), Step("\ud800", needs=('x<script>alert(1)</script>"&\x1b',))),
    )
    text = svg(evil)
    root = ET.fromstring(text.encode())
    assert not [e for e in root.iter() if "script" in e.tag]
    assert len(root.findall("{http://www.w3.org/2000/svg}path")) == 1
    assert "<script" not in mermaid(evil)
    assert '\\"' in dot(evil)
    assert svg(Graph("empty", ())).startswith("<svg")


def test_a_tree_has_every_step_once_and_says_how_often_a_map_is_there() -> None:
    graph = Graph(
        "g",
        (
            Step("list"),
            Step("load", axes=("m",), needs=()),
            Step("deep", axes=("m", "n"), needs=("load", "list")),
            Step("sum", needs=("deep",)),
        ),
        (
            Axis("m", (ListOf(tuple(Const(pack(i)) for i in range(50))),)),
            Axis("n", (Output("list"),), outer=("m",)),
        ),
    )
    assert [times(graph, s) for s in graph.steps] == ["", "×50", "×50×?", ""]
    lines = ["".join(t for t, _ in line) for line in tree_lines(graph)]
    assert sum("deep" in line for line in lines) == 1
    assert any("also after" in line for line in lines)
    chain = Graph("c", tuple(Step(f"s{i}", needs=(f"s{i - 1}",) if i else ()) for i in range(3000)))
    assert len(tree_lines(chain)) == 3000


def test_plain_values_become_json_whatever_they_are() -> None:
    import datetime as dt
    from decimal import Decimal
    from pathlib import Path

    value = {
        "day": dt.date(2013, 1, 1),
        "span": dt.timedelta(seconds=90),
        "nan": float("nan"),
        "big": 2**70,
        "money": Decimal("1.50"),
        "pairs": {(1, 2): {3}},
        "path": Path("a/b"),
        "raw": b"\x00\xff",
    }
    assert plain(pack(value)) == {
        "day": "2013-01-01",
        "span": 90.0,
        "nan": "nan",
        "big": 2**70,
        "money": "1.50",
        "pairs": {"[1, 2]": [3]},
        "path": "a/b",
        "raw": "00ff",
    }
