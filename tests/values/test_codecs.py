"""A value comes back as it was: type, content, and what a library adds to it."""

from __future__ import annotations

import datetime as dt
import enum
import math
import subprocess
import sys
import threading
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from partita.core import plain
from partita.core.values import Value, Whole
from partita.errors import ValueCodecError
from partita.values.blobs import FileBlobs
from partita.values.codecs import pack_plain
from partita.values.storing import load, store


@dataclass
class Point:
    x: int
    y: float


class Color(enum.Enum):
    RED = 1


class Odd:
    """Not plain, and its repr raises."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Odd) and other.n == self.n

    def __hash__(self) -> int:
        return self.n

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def _back(value: Any, blobs: FileBlobs, **how: Any) -> tuple[Value, Any]:
    stored = store(value, blobs, **how)
    return stored, load(Whole(stored), blobs)


PLAIN = [
    None,
    True,
    0,
    -(2**63),
    2**64 - 1,
    2**64,
    -(10**40),
    1.5,
    -0.0,
    math.inf,
    "",
    "naïve ☃ \0",
    b"\x00\xff",
    [],
    [1, "a", None, [2.5]],
    (1, (2, 3)),
    {"a": [1, {"b": (1,)}], "": None},
    {1: "a", ("x", 2): "b"},
    {3, 1, 2},
    frozenset({"a"}),
    dt.date(2013, 1, 1),
    dt.datetime(2013, 3, 10, 2, 30, fold=1),
    dt.timedelta(days=-1, microseconds=3),
    Decimal("1.10"),
    Path("a/b"),
    1j,
    Point(1, 2.0),
    [Point(1, 2.0), Color.RED],
]


@pytest.mark.parametrize("value", PLAIN, ids=lambda v: f"{type(v).__name__}-{str(v)[:20]!r}")
def test_plain_data_comes_back_with_its_types(value: Any, blobs: FileBlobs) -> None:
    stored, found = _back(value, blobs)
    assert stored.codec == "plain"
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("value", PLAIN, ids=lambda v: f"{type(v).__name__}-{str(v)[:20]!r}")
def test_the_short_way_of_encoding_gives_the_same_bytes_as_the_long_one(value: Any) -> None:
    assert pack_plain(value) == plain.pack(value)


def test_nan_comes_back_as_nan(blobs: FileBlobs) -> None:
    _, found = _back([math.nan], blobs)
    assert math.isnan(found[0])


@pytest.mark.parametrize("value", ["lone \ud800", ["a", "\udfff"], {"\ud800": 1}])
def test_lone_surrogates_are_no_reason_to_fail(value: Any, blobs: FileBlobs) -> None:
    _, found = _back(value, blobs)
    assert found == value


def test_a_list_that_contains_itself_comes_back_as_one(blobs: FileBlobs) -> None:
    loop: list[Any] = [1]
    loop.append(loop)
    _, found = _back(loop, blobs)
    assert found[1] is found
    assert found[0] == 1


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12).reshape(3, 4),
        np.asfortranarray(np.ones((3, 2))),
        np.array([], dtype="float32"),
        np.array("2013-01-01", dtype="datetime64[D]"),
        np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        np.array(["ab", "c"]),
        np.array([True, False]),
        np.zeros((0, 3)),
    ],
    ids=str,
)
def test_arrays_come_back_with_shape_and_type(array: np.ndarray, blobs: FileBlobs) -> None:
    stored, found = _back(array, blobs)
    assert stored.codec == "numpy"
    assert found.dtype == array.dtype
    assert found.shape == array.shape
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("scalar", [np.float64(1.5), np.int8(-3), np.bool_(True), np.datetime64("2013-01-01")])
def test_scalars_of_numpy_stay_scalars_of_numpy(scalar: Any, blobs: FileBlobs) -> None:
    stored, found = _back(scalar, blobs)
    assert stored.codec == "numpy"
    assert found == scalar
    assert type(found) is type(scalar)


def test_an_array_of_objects_is_never_written_as_npy(blobs: FileBlobs) -> None:
    stored, found = _back(np.array([{"a": 1}, None], dtype=object), blobs)
    assert stored.codec == "pickle"
    assert found[0] == {"a": 1}


FRAMES = {
    "numbers and text": pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}),
    "no rows": pd.DataFrame({"a": pd.Series([], dtype="int16")}),
    "no columns": pd.DataFrame(index=pd.RangeIndex(3)),
    "named index": pd.DataFrame({"a": [1.0, None]}, index=pd.Index(["p", "q"], name="key")),
    "several levels": pd.DataFrame(
        {"a": [1, 2]}, index=pd.MultiIndex.from_tuples([("x", 1), ("y", 2)], names=["k", "n"])
    ),
    "days with frequency": pd.DataFrame(
        {"a": [1, 2]}, index=pd.date_range("2013-01-01", periods=2, tz="Europe/Berlin")
    ),
    "category": pd.DataFrame({"c": pd.Categorical(["a", "b"], categories=["b", "a"], ordered=True)}),
    "nullable": pd.DataFrame({"n": pd.array([1, None], dtype="Int64"), "b": pd.array([True, None], dtype="boolean")}),
    "numbered columns": pd.DataFrame([[1, 2], [3, 4]]),
    "timedelta": pd.DataFrame({"d": pd.to_timedelta(["1h", "2h"])}),
    "step index": pd.DataFrame({"a": [1, 2, 3]}, index=pd.RangeIndex(0, 6, 2)),
    "strings as objects": pd.DataFrame({"s": pd.Series(["a", "b"], dtype=object)}),
    "several column levels": pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)])),
    "objects": pd.DataFrame({"o": pd.Series([{"k": 1}, None], dtype=object)}),
    "numbers as objects": pd.DataFrame({"o": pd.Series([1, None], dtype=object)}),
    "named columns": pd.DataFrame([[1]], columns=pd.Index(["a"], name="kind")),
    "text as index of objects": pd.DataFrame({"a": [1]}, index=pd.Index(["x"], dtype=object)),
    "empty text": pd.DataFrame({"a": pd.Series([], dtype=object)}),
    "equal column names": pd.DataFrame([[1, 2]], columns=["a", "a"]),
}


@pytest.mark.parametrize("name", FRAMES)
def test_frames_come_back_with_index_and_types(name: str, blobs: FileBlobs) -> None:
    frame = FRAMES[name]
    _, found = _back(frame, blobs)
    pd.testing.assert_frame_equal(found, frame, check_freq=True)


def test_frames_of_common_types_are_not_pickled(blobs: FileBlobs) -> None:
    common = ["numbers and text", "named index", "days with frequency", "category", "nullable", "strings as objects"]
    assert {store(FRAMES[name], blobs).codec for name in common} == {"pandas"}


def test_attributes_of_a_frame_are_kept(blobs: FileBlobs) -> None:
    frame = pd.DataFrame({"a": [1]})
    frame.attrs["day"] = dt.date(2013, 1, 1)
    _, found = _back(frame, blobs)
    assert found.attrs == {"day": dt.date(2013, 1, 1)}


@pytest.mark.parametrize(
    "series",
    [
        pd.Series([1, 2], name="n"),
        pd.Series(["a", None]),
        pd.Series([1.0], name=("a", 1), index=pd.date_range("2013-01-01", periods=1)),
    ],
    ids=["named", "unnamed", "named by a tuple"],
)
def test_series_come_back_with_name_and_index(series: pd.Series, blobs: FileBlobs) -> None:
    stored, found = _back(series, blobs)
    assert stored.codec == "pandas"
    pd.testing.assert_series_equal(found, series)


def test_arrow_tables_and_batches_come_back(blobs: FileBlobs) -> None:
    table = pa.table({"a": [1, 2], "b": [["x"], None]}).replace_schema_metadata({"k": "v"})
    batch = pa.record_batch({"a": [1]})
    empty = batch.slice(0, 0)
    for value in (table, batch, empty):
        stored, found = _back(value, blobs)
        assert stored.codec == "arrow"
        assert type(found) is type(value)
        assert found.equals(value)
    assert _back(table, blobs)[1].schema.metadata == {b"k": b"v"}


def test_what_has_no_codec_of_its_own_is_pickled_and_a_repr_that_raises_does_no_harm(blobs: FileBlobs) -> None:
    stored, found = _back(Odd(7), blobs)
    assert stored.codec == "pickle"
    assert found == Odd(7)
    assert "Odd" in stored.preview


def test_functions_of_the_moment_are_kept_by_cloudpickle(blobs: FileBlobs) -> None:
    _, double = _back(lambda n: n * 2, blobs)
    assert double(4) == 8


def test_what_cannot_be_stored_is_named_with_its_place_and_a_hint(blobs: FileBlobs) -> None:
    value = {"rows": [1, 2], "state": {"lock": threading.Lock()}}
    with pytest.raises(ValueCodecError) as raised:
        store(value, blobs)
    assert "_thread.lock" in raised.value.message
    assert "['state']['lock']" in raised.value.message
    assert raised.value.hint


def test_in_a_list_the_element_that_cannot_be_stored_is_named(blobs: FileBlobs) -> None:
    with pytest.raises(ValueCodecError, match=r"\[1\] of a list"):
        store([Odd(1), (n for n in [1])], blobs)


def test_a_class_that_is_gone_is_an_error_that_says_so(blobs: FileBlobs) -> None:
    gone = Value("plain", 0, plain.pack(Point(1, 2.0)).replace(b"Point", b"Paint"))
    with pytest.raises((ValueCodecError, AttributeError), match="Paint"):
        load(Whole(gone), blobs)
    with pytest.raises(ValueCodecError, match="codec 'future'"):
        load(Whole(Value("future", 1, b"x")), blobs)


def test_damaged_bytes_are_an_error_of_the_codec(blobs: FileBlobs) -> None:
    for codec in ("numpy", "arrow", "pandas", "pickle", "items"):
        with pytest.raises(ValueCodecError):
            load(Whole(Value(codec, 3, b"\x01\x02\x03")), blobs)


def test_storing_a_number_imports_no_library() -> None:
    code = (
        "import sys, pathlib\n"
        "from partita.values import storing, cache\n"
        "from partita.values.blobs import FileBlobs\n"
        "storing.store({'a': [1, (2, 3)]}, FileBlobs(pathlib.Path('.')))\n"
        "print(sorted({m.partition('.')[0] for m in sys.modules} - sys.stdlib_module_names))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert "numpy" not in done.stdout
    assert "pandas" not in done.stdout
    assert "cloudpickle" not in done.stdout
