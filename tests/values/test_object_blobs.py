"""Values in object storage: one contract over memory, a folder and S3; who may remove, and how a home moves there."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import obstore
import pytest
from obstore.store import LocalStore, MemoryStore

from partita.errors import DefinitionError, ValueCodecError
from partita.settings import Home, home_at, home_of
from partita.values import object_blobs, storing
from partita.values.blobs import FileBlobs
from partita.values.object_blobs import ObjectBlobs, blobs_at, blobs_of

from .s3 import serving


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, str]]:
    with serving() as variables:
        yield variables


@pytest.fixture(params=["memory", "folder", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectBlobs:
    scratch = tmp_path / "scratch"
    if request.param == "memory":
        return ObjectBlobs("memory:///", scratch=scratch, store=MemoryStore())
    if request.param == "folder":
        (tmp_path / "store").mkdir()
        return ObjectBlobs("file:///store", scratch=scratch, store=LocalStore(tmp_path / "store"))
    for name, value in request.getfixturevalue("s3").items():
        monkeypatch.setenv(name, value)
    object_blobs.store_at.cache_clear()
    found = blobs_at(f"s3://partita/{tmp_path.name}", scratch=scratch)
    assert isinstance(found, ObjectBlobs)
    return found


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_what_was_put_is_read_opened_and_found(blobs: ObjectBlobs) -> None:
    data = b"partita" * 1000
    ref = blobs.put(data, _digest(data))
    assert blobs.put(data, _digest(data)) == ref
    assert blobs.read(ref, _digest(data), len(data)) == data
    with blobs.open(ref, _digest(data), len(data)) as file:
        assert file.read(7) == b"partita"
    assert blobs.has(ref, len(data))
    assert not blobs.has(ref, 3)
    assert not blobs.has("00/" + "0" * 64 + "-1", 3)


def test_a_large_value_goes_in_pieces_and_leaves_nothing_here(blobs: ObjectBlobs, tmp_path: Path) -> None:
    array = np.arange(6_000_000, dtype=np.int64)
    stored = storing.store(array, blobs, inline_bytes=100)
    assert stored.ref is not None
    assert (storing.decode(stored, blobs) == array).all()
    assert list((tmp_path / "scratch").iterdir()) == []


def test_what_is_missing_or_damaged_is_an_error_that_says_so(blobs: ObjectBlobs) -> None:
    data = b"x" * 5000
    ref = blobs.put(data, _digest(data))
    obstore.put(blobs._store, ref, b"y" * 5000)
    with pytest.raises(ValueCodecError, match="SHA-256 differs"):
        blobs.read(ref, _digest(data), len(data))
    with pytest.raises(ValueCodecError, match="SHA-256 differs"):
        blobs.open(ref, _digest(data), len(data))
    obstore.put(blobs._store, ref, b"y")
    with pytest.raises(ValueCodecError, match="1 bytes instead of 5,000"):
        blobs.read(ref, _digest(data), len(data))
    blobs.remove([ref])
    blobs.remove([ref])
    with pytest.raises(ValueCodecError, match="is not in"):
        blobs.read(ref, _digest(data), len(data))


def test_on_another_day_the_same_content_is_another_object(blobs: ObjectBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"again"
    monkeypatch.setattr(object_blobs.time, "time", lambda: 86_400.0 * 100 + 5)
    first = blobs.put(data, _digest(data))
    monkeypatch.setattr(object_blobs.time, "time", lambda: 86_400.0 * 101 + 5)
    second = blobs.put(data, _digest(data))
    assert first != second
    assert sorted(found.ref for found in blobs.listed()) == [first, second]


def test_only_blobs_are_listed_and_the_first_one_owns_them(blobs: ObjectBlobs) -> None:
    assert blobs.owner("me") == "me"
    assert blobs.owner("you") == "me"
    obstore.put(blobs._store, "code/abc.tar.gz", b"not a value")
    data = b"z"
    ref = blobs.put(data, _digest(data))
    assert [(found.ref, found.size) for found in blobs.listed()] == [(ref, 1)]


def test_a_storage_that_cannot_be_reached_is_an_error_with_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Away(LocalStore):
        pass

    folder = tmp_path / "store"
    folder.mkdir()
    blobs = ObjectBlobs("s3://away/x", scratch=tmp_path / "scratch", store=Away(folder))
    folder.rmdir()
    folder.write_text("no folder")
    with pytest.raises(ValueCodecError, match="a value cannot be stored: s3://away/x") as caught:
        blobs.put(b"x", _digest(b"x"))
    assert "reachable" in (caught.value.hint or "")


@pytest.mark.parametrize("address", ["s3:///x", "ftp://x/y", "nowhere", "file://host/x"])
def test_an_address_that_cannot_be_is_refused(address: str) -> None:
    with pytest.raises(DefinitionError):
        blobs_at(address)


def test_a_shared_folder_is_a_place_too(tmp_path: Path) -> None:
    blobs = blobs_at(f"file://{tmp_path}/shared%20values")
    assert isinstance(blobs, FileBlobs)
    ref = blobs.put(b"x", _digest(b"x"))
    assert (tmp_path / "shared values" / ref).read_bytes() == b"x"


def test_a_home_that_moves_still_reads_what_it_had(tmp_path: Path) -> None:
    before = blobs_of(Home(tmp_path / "home"))
    old = before.put(b"old", _digest(b"old"))
    moved = blobs_of(Home(tmp_path / "home", values=f"file://{tmp_path}/new"))
    new = moved.put(b"new", _digest(b"new"))
    assert moved.read(old, _digest(b"old"), 3) == b"old"
    assert moved.read(new, _digest(b"new"), 3) == b"new"
    assert moved.has(old, 3)
    assert moved.has(new, 3)
    assert not (tmp_path / "home" / "blobs" / new).exists()


def test_the_address_comes_from_the_environment_the_project_or_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PARTITA_VALUES", raising=False)
    (tmp_path / "values").write_text("s3://home/x\n")
    assert home_at(tmp_path).values == "s3://home/x"
    (tmp_path / "pyproject.toml").write_text('[tool.partita]\nvalues = "gs://project/x"\n')
    assert home_of(tmp_path).values == "gs://project/x"
    monkeypatch.setenv("PARTITA_VALUES", "az://named/x")
    assert home_of(tmp_path).values == home_at(tmp_path).values == "az://named/x"


PROJECT = """
import partita as pt

@pt.task
def make() -> bytes:
    return b"large" * 2000

@pt.task
def measure(data: bytes) -> int:
    return len(data)

@pt.pipeline
def values():
    measure(make())
"""


def test_steps_keep_their_values_in_s3_and_people_see_them(s3: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "pipelines.py").write_text(PROJECT)
    (tmp_path / "pyproject.toml").write_text('[tool.partita]\nvalues = "s3://partita/run"\n')
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PARTITA_")} | s3

    def partita(*arguments: str) -> str:
        command = [sys.executable, "-m", "partita.cli.main", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    partita("run", "values")
    shown = msgspec.json.decode(partita("show", "1", "measure", "--json"))
    assert "10000" in str(shown)
    assert not [path for path in (tmp_path / ".partita" / "blobs").rglob("*") if path.is_file()]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3.items():
            patch.setenv(name, value)
        object_blobs.store_at.cache_clear()
        found = blobs_at("s3://partita/run")
        assert isinstance(found, ObjectBlobs)
        assert len(list(found.listed())) == 1


def test_what_lies_in_a_storage_is_counted_up_to_a_limit_and_what_cannot_be_is_told(
    tmp_path: Path, s3: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from partita.engine import storage

    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    object_blobs.store_at.cache_clear()
    address = f"s3://partita/{tmp_path.name}"
    home = Home(tmp_path / ".partita", values=address)
    blobs = blobs_at(address, scratch=tmp_path / "scratch")
    for data in (b"one", b"three", b"eleven"):
        blobs.put(data, _digest(data))
    assert storage.counted(home) == storage.Elsewhere(address, 14, 3)
    monkeypatch.setattr(storage, "_COUNTED", 2)
    found = storage.counted(home)
    assert found is not None
    assert (found.files, found.more) == (2, True)
    nowhere = storage.counted(Home(tmp_path / ".partita", values=f"s3://no-such-bucket/{tmp_path.name}"))
    assert nowhere is not None
    assert nowhere.trouble
    assert storage.counted(Home(tmp_path / ".partita")) is None
