"""A result is found again by what it was made from, and only while it is there and young enough."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from partita.core.policies import Cache
from partita.core.values import Input, Many, Missing, Named, Part, Value, Whole
from partita.errors import ValueCodecError
from partita.values.blobs import FileBlobs
from partita.values.cache import Entry, key_by_function, key_by_inputs, look_up, remember
from partita.values.storing import store


def _key(blobs: FileBlobs, *, call: str = "c", code: str = "v1", salt: str = "", **inputs: Input) -> str:
    return key_by_inputs(call, code, salt, inputs, blobs)


def _whole(value: Any, blobs: FileBlobs, **how: Any) -> Whole:
    return Whole(store(value, blobs, **how))


def test_equal_inputs_give_an_equal_key_in_any_order(blobs: FileBlobs) -> None:
    a, b = _whole(1, blobs), _whole("x", blobs)
    assert _key(blobs, a=a, b=b) == _key(blobs, b=b, a=a)


def test_anything_that_matters_changes_the_key(blobs: FileBlobs) -> None:
    one = _whole([1, 2], blobs)
    keys = [
        _key(blobs, a=one),
        _key(blobs, b=one),
        _key(blobs, a=one, call="d"),
        _key(blobs, a=one, code="v2"),
        _key(blobs, a=one, salt="s"),
        _key(blobs, a=_whole([1, 3], blobs)),
        _key(blobs, a=_whole((1, 2), blobs)),
        _key(blobs, a=Whole(one.value, (0,))),
        _key(blobs, a=Part(one.value, 0)),
        _key(blobs, a=Part(one.value, 1)),
        _key(blobs, a=Many((one,))),
        _key(blobs, a=Named((("k", one),))),
        _key(blobs, a=Missing()),
    ]
    assert len(set(keys)) == len(keys)


def test_an_element_has_the_same_key_wherever_it_stands(blobs: FileBlobs) -> None:
    before, after = store(["b"], blobs), store(["a", "b"], blobs, inline_bytes=1)
    assert _key(blobs, a=Part(before, 0)) == _key(blobs, a=Part(after, 1))
    assert _key(blobs, a=Part(before, 0)) == _key(blobs, a=_whole("b", blobs))


def test_the_users_own_key_counts_alone(blobs: FileBlobs) -> None:
    def key(day: str, rows: object) -> object:
        return ("flights", day)

    first = key_by_function("c", "", key, {"day": "2013-01-01", "rows": 1})
    assert first == key_by_function("c", "", key, {"day": "2013-01-01", "rows": 2})
    assert first != key_by_function("c", "", key, {"day": "2013-01-02", "rows": 1})
    with pytest.raises(ValueCodecError, match="key function of c"):
        key_by_function("c", "", lambda: object(), {})


def test_a_result_is_found_until_its_time_is_over(tmp_path: Path, blobs: FileBlobs) -> None:
    entry = Entry(store("result", blobs), 100.0, "run/step//1")
    remember(tmp_path, "abcd", entry)
    assert look_up(tmp_path, "abcd", Cache(ttl_s=10.0), blobs, now=110.0) == entry
    assert look_up(tmp_path, "abcd", Cache(ttl_s=10.0), blobs, now=110.1) is None
    assert look_up(tmp_path, "abcd", Cache(), blobs, now=1e9) == entry
    assert look_up(tmp_path, "abce", Cache(), blobs, now=100.0) is None


def test_a_result_from_the_future_is_no_result(tmp_path: Path, blobs: FileBlobs) -> None:
    remember(tmp_path, "abcd", Entry(store(1, blobs), 200.0, "o"))
    assert look_up(tmp_path, "abcd", Cache(ttl_s=1000.0), blobs, now=100.0) is None


@pytest.mark.parametrize("kind", ["blob", "element of a list"])
def test_a_result_whose_blob_is_gone_is_a_miss(kind: str, tmp_path: Path, blobs: FileBlobs) -> None:
    value = store(b"x" * 100 if kind == "blob" else [object, b"y" * 100], blobs, inline_bytes=90)
    remember(tmp_path, "abcd", Entry(value, 0.0, "o"))
    assert look_up(tmp_path, "abcd", Cache(), blobs, now=1.0) is not None
    for path in blobs.root.rglob("??/*"):
        path.unlink()
    assert look_up(tmp_path, "abcd", Cache(), blobs, now=1.0) is None


def test_a_damaged_entry_is_a_miss_and_can_be_replaced(tmp_path: Path, blobs: FileBlobs) -> None:
    entry = Entry(store(1, blobs), 0.0, "o")
    remember(tmp_path, "abcd", entry)
    (tmp_path / "ab" / "abcd").write_bytes(b"\xff\x00")
    assert look_up(tmp_path, "abcd", Cache(), blobs, now=1.0) is None
    remember(tmp_path, "abcd", entry)
    assert look_up(tmp_path, "abcd", Cache(), blobs, now=1.0) == entry


def test_a_folder_that_cannot_be_written_costs_the_entry_only(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    remember(tmp_path / "cache", "abcd", Entry(Value("plain", 1, b"\xc0"), 0.0, "o"))
