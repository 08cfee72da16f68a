"""A blob is whole, proven and private, or it is an error that names it."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest

from partita.errors import ValueCodecError
from partita.values.blobs import FileBlobs, Sink, write_then_rename


def _put(blobs: FileBlobs, data: bytes) -> tuple[str, str, int]:
    digest = hashlib.sha256(data).hexdigest()
    return blobs.put(data, digest), digest, len(data)


def test_equal_content_is_kept_once(blobs: FileBlobs) -> None:
    first, second = _put(blobs, b"same"), _put(blobs, b"same")
    assert first == second
    assert len([p for p in blobs.root.rglob("*") if p.is_file()]) == 1


@pytest.mark.parametrize("damage", [b"sbme", b"sam", b"same!", b""])
def test_a_damaged_blob_is_an_error_that_names_it(damage: bytes, blobs: FileBlobs) -> None:
    ref, digest, size = _put(blobs, b"same")
    (blobs.root / ref).write_bytes(damage)
    with pytest.raises(ValueCodecError, match=ref):
        blobs.read(ref, digest, size)
    with pytest.raises(ValueCodecError, match=ref):
        blobs.open(ref, digest, size)


def test_a_blob_that_was_cut_short_is_written_again(blobs: FileBlobs) -> None:
    ref, digest, size = _put(blobs, b"same")
    (blobs.root / ref).write_bytes(b"sa")
    _put(blobs, b"same")
    assert blobs.read(ref, digest, size) == b"same"


def test_a_missing_blob_is_an_error_with_a_hint(blobs: FileBlobs) -> None:
    with pytest.raises(ValueCodecError, match="ab/abc") as raised:
        blobs.read("ab/abc", "abc", 1)
    assert raised.value.hint
    assert not blobs.has("ab/abc", 1)


def test_files_are_readable_by_their_owner_only(blobs: FileBlobs) -> None:
    before = os.umask(0)
    try:
        ref, _, _ = _put(blobs, b"secret")
    finally:
        os.umask(before)
    assert stat.S_IMODE((blobs.root / ref).stat().st_mode) == 0o600
    assert stat.S_IMODE((blobs.root / ref).parent.stat().st_mode) == 0o700


def test_a_place_that_is_no_folder_is_one_clear_error(tmp_path: Path) -> None:
    # A read-only folder would not stop root, as which tests often run; a file in its place stops everybody.
    (tmp_path / "blobs").write_text("in the way")
    with pytest.raises(ValueCodecError, match="cannot be stored") as raised:
        _put(FileBlobs(tmp_path / "blobs"), b"data")
    assert raised.value.hint


def test_a_full_disk_is_one_clear_error() -> None:
    class FullDisk(FileBlobs):
        def scratch(self) -> Path:
            return Path("/dev/full")

    sink = Sink(FullDisk(Path("unused")), 10 << 20)
    with pytest.raises(ValueCodecError, match=r"cannot be stored"):
        sink.write(b"x" * (2 << 20))


def test_a_sink_counts_and_hashes_in_memory_and_in_a_file(blobs: FileBlobs) -> None:
    for size in (10, 3 << 20):
        data = os.urandom(size)
        sink = Sink(blobs, 10 << 20)
        for start in range(0, size, 700_001):
            sink.write(data[start : start + 700_001])
        ref = sink.finish()
        assert (sink.size, sink.digest) == (size, hashlib.sha256(data).hexdigest())
        assert blobs.read(ref, sink.digest, size) == data


def test_a_sink_that_is_given_up_leaves_no_file(blobs: FileBlobs) -> None:
    sink = Sink(blobs, 10 << 20)
    sink.write(b"x" * (2 << 20))
    sink.discard()
    assert [p for p in blobs.root.rglob("*") if p.is_file()] == []


def test_a_small_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    for content in (b"first", b"second"):
        write_then_rename(path, content, sync=True)
        assert path.read_bytes() == content
    assert os.listdir(path.parent) == ["b"]
