"""A preview is short text about a value, whatever the value does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from partita.core.plain import unpack
from partita.values.preview import MAX_CHARS, MAX_TABLE_BYTES, preview, table


class Raises:
    def __repr__(self) -> str:
        raise ValueError


class Huge:
    def __repr__(self) -> str:
        return "x" * 10_000_000


NESTED: list[Any] = []
NESTED.append(NESTED)


@pytest.mark.parametrize(
    "value", [Raises(), Huge(), NESTED, "\ud800\0", ["x" * 10**6] * 1000, {n: Raises() for n in range(100)}]
)
def test_a_preview_never_raises_and_is_short_and_printable(value: Any) -> None:
    text = preview(value)
    assert 0 < len(text) <= MAX_CHARS
    text.encode()
    assert "\0" not in text


def test_frames_show_their_shape_columns_and_first_rows() -> None:
    frame = pd.DataFrame({"carrier": ["UA", "AA"], "delay": [1, 2]})
    text = preview(frame)
    assert "2 rows x 2 columns" in text
    assert "carrier" in text
    assert "UA" in text
    assert "2 rows x 1 columns\na: int64" in preview(pa.table({"a": [1, 2]}))


def test_text_in_frames_that_no_terminal_could_show_is_escaped() -> None:
    text = preview(pd.DataFrame({"a": pd.Series(["\ud800\0"], dtype=object)}))
    assert "\\ud800\\x00" in text


def test_arrays_and_long_lists_show_their_size() -> None:
    assert preview(np.zeros((3, 4))).startswith("array 3 x 4 of float64")
    assert preview(list(range(5000))).startswith("list of 5,000")


def test_the_first_rows_of_a_frame_are_kept_with_names_and_types() -> None:
    packed = table(pd.DataFrame({"a": range(100), "b": ["x"] * 100, "c": [1.5, float("nan")] * 50}))
    assert packed is not None
    found = unpack(packed)
    assert [name for name, _ in found["columns"]] == ["a", "b", "c"]
    assert found["rows"][1] == [1, "x", None]
    assert (found["count"], found["width"], len(found["rows"])) == (100, 3, 20)
    of_arrow = table(pa.table({"n": [1, 2], "of": [[1], None]}))
    assert of_arrow is not None
    assert unpack(of_arrow)["rows"] == [[1, "[1]"], [2, None]]
    assert table([1, 2]) is None


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame(np.zeros((1000, 3000))),
        pd.DataFrame({"text": ["y" * 100_000] * 50}),
        pd.DataFrame({"odd": pd.Series(["\0\ud800"], dtype=object)}),
        pd.DataFrame({"x" * 10_000: [1]}),
        pd.DataFrame({"dict": [{"a": ["b"] * 1000}] * 30}),
        pd.DataFrame(),
        pd.Series([1, 2], name="alone"),
    ],
    ids=["wide", "long texts", "odd texts", "long name", "nested", "empty", "series"],
)
def test_a_table_is_small_whatever_the_frame(frame: Any) -> None:
    packed = table(frame)
    assert packed is not None
    assert len(packed) <= MAX_TABLE_BYTES
    unpack(packed)
