"""Inline or blob, whole or element: where the bytes of a value lie, and how little of them is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from partita.core import plain
from partita.core.values import Many, Missing, Named, Part, Value, Whole
from partita.errors import ValueCodecError
from partita.values import storing
from partita.values.blobs import FileBlobs
from partita.values.storing import load, store


class CountingBlobs(FileBlobs):
    """Blobs that say which of them were read."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.reads: list[str] = []

    def read(self, ref: str, digest: str, size: int) -> bytes:
        self.reads.append(ref)
        return super().read(ref, digest, size)


def test_a_value_is_inline_up_to_the_limit_and_a_blob_beyond_it(blobs: FileBlobs) -> None:
    small = store("x" * 97, blobs, inline_bytes=99)
    large = store("x" * 98, blobs, inline_bytes=99)
    assert (small.data is not None, small.ref, small.digest) == (True, None, "")
    assert large.data is None
    assert large.ref == f"{large.digest[:2]}/{large.digest}"
    assert load(Whole(large), blobs) == "x" * 98


def test_sequences_say_how_long_they_are_and_nothing_else_does(blobs: FileBlobs) -> None:
    lengths = [store(v, blobs).length for v in ([1, 2], (1,), {1, 2, 3}, [], [object()], range(4))]
    assert lengths == [2, 1, 3, 0, 1, 4]
    others = ["abc", {"a": 1}, np.arange(3), pd.DataFrame({"a": [1]}), 5, None, b"ab"]
    assert [store(v, blobs).length for v in others] == [None] * len(others)


def test_plain_inline_values_need_no_preview_and_others_have_one(blobs: FileBlobs) -> None:
    assert store([1, 2], blobs).preview == ""
    assert store(np.arange(3), blobs).preview.startswith("array 3 of int64")
    assert "1,000" in store(list(range(1000)), blobs, inline_bytes=10).preview


@pytest.mark.parametrize("inline_bytes", [1, 1 << 20], ids=["blob", "inline"])
@pytest.mark.parametrize("value", [[10, 11, 12], (10, 11, 12), [object, Path, np.zeros(2)], range(10, 13)], ids=str)
def test_an_element_is_the_same_as_the_element_of_the_whole(value: Any, inline_bytes: int, blobs: FileBlobs) -> None:
    stored = store(value, blobs, inline_bytes=inline_bytes)
    for at in range(3):
        assert str(load(Part(stored, at), blobs)) == str(value[at])


def test_an_element_that_is_not_there_is_an_error(blobs: FileBlobs) -> None:
    for value in ([1, 2], [object, Path], range(2), 5):
        with pytest.raises(ValueCodecError):
            load(Part(store(value, blobs), 2), blobs)


def test_one_frame_of_a_list_of_frames_is_read_without_the_others(tmp_path: Path) -> None:
    blobs = CountingBlobs(tmp_path)
    frames = [pd.DataFrame({"a": np.arange(1000) + n}) for n in range(5)]
    stored = store(frames, blobs, inline_bytes=100)
    found = load(Part(stored, 3), blobs)
    pd.testing.assert_frame_equal(found, frames[3])
    assert stored.codec == "items"
    assert len(blobs.reads) == 2


def test_one_frame_of_a_dict_of_frames_is_read_without_the_others(tmp_path: Path) -> None:
    blobs = CountingBlobs(tmp_path)
    frames = {name: pd.DataFrame({"a": np.arange(1000) + ord(name)}) for name in "abcd"}
    stored = store(frames, blobs, inline_bytes=100)
    pd.testing.assert_frame_equal(load(Whole(stored, ("c",)), blobs), frames["c"])
    assert len(blobs.reads) == 2
    assert list(load(Whole(stored), blobs)) == list("abcd")


def test_the_same_blob_is_read_from_disk_once_and_decoded_each_time(tmp_path: Path) -> None:
    blobs = CountingBlobs(tmp_path)
    stored = store([["once", str(tmp_path)]] * 100, blobs, inline_bytes=10)
    first, second = load(Whole(stored), blobs), load(Whole(stored), blobs)
    first[0].append("changed by one step")
    assert second[0] == ["once", str(tmp_path)]
    assert load(Part(stored, 0), blobs) == ["once", str(tmp_path)]
    assert load(Part(stored, 0), blobs) is not load(Part(stored, 0), blobs)
    assert len(blobs.reads) == 1


def test_a_path_leads_into_a_value_and_says_where_it_ends(blobs: FileBlobs) -> None:
    stored = store({"a": [{"b": 7}]}, blobs)
    assert load(Whole(stored, ("a", 0, "b")), blobs) == 7
    assert load(Part(store([{"b": 8}], blobs), 0, ("b",)), blobs) == 8
    with pytest.raises(ValueCodecError, match=r"no \['c'\]: result\['a'\]\[0\] is a dict"):
        load(Whole(stored, ("a", 0, "c")), blobs)


def test_lists_and_dicts_of_inputs_become_lists_and_dicts_of_values(blobs: FileBlobs) -> None:
    one, two = Whole(store(1, blobs)), Part(store([2], blobs), 0)
    assert load(Many((one, two, Missing())), blobs) == [1, 2, None]
    assert load(Named((("x", one), ("y", Many((two,))))), blobs) == {"x": 1, "y": [2]}


def test_a_value_over_the_limit_is_refused_and_leaves_nothing_behind(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path / "blobs")
    frame = pd.DataFrame({name: np.zeros(150_000) for name in "abc"})
    for value in ("x" * 3_000_000, np.zeros(3_000_000, dtype="u1"), [object, b"y" * 3_000_000], frame):
        with pytest.raises(ValueCodecError, match="limit") as raised:
            store(value, blobs, max_bytes=2_500_000)
        assert raised.value.hint
    assert [p for p in (tmp_path / "blobs").rglob("*") if p.is_file()] == []


def test_a_large_array_goes_through_a_file_and_comes_back(blobs: FileBlobs) -> None:
    array = np.random.default_rng(7).integers(0, 255, 5_000_000, dtype="u1")
    stored = store(array, blobs)
    assert stored.size > 5_000_000
    np.testing.assert_array_equal(load(Whole(stored), blobs), array)
    assert not list((blobs.root / "tmp").iterdir())


def test_a_decoded_array_may_be_written_to(blobs: FileBlobs) -> None:
    for size in (10, 2_000_000):
        found = load(Whole(store(np.zeros(size), blobs, inline_bytes=1)), blobs)
        found[0] = 1.0
        assert found[0] == 1.0


def test_deeply_nested_lists_of_frames_come_back(blobs: FileBlobs) -> None:
    nested = [[[[pd.DataFrame({"a": [n]})]]] for n in range(2)]
    found = load(Whole(store(nested, blobs)), blobs)
    pd.testing.assert_frame_equal(found[1][0][0][0], nested[1][0][0][0])


def test_what_is_remembered_between_steps_is_bounded(blobs: FileBlobs) -> None:
    recent = storing._Recent(1000)
    for n in range(100):
        recent.get(n, lambda: b"x" * 100, len)
    assert recent._bytes <= 1000
    assert len(recent._held) == 10
    assert recent.get("huge", lambda: b"x" * 900, len) == b"x" * 900
    assert "huge" not in recent._held


def test_inline_lists_are_cut_into_elements_that_stay_separate(blobs: FileBlobs) -> None:
    value = Value("plain", 0, plain.pack([["a"], ["b"]]), length=2)
    load(Part(value, 0), blobs).append("changed")
    assert load(Part(value, 0), blobs) == ["a"]
