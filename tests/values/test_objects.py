"""Objects in a folder: whole or not at all, one creator, nothing left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from partita.errors import DefinitionError, WorldError
from partita.values import object_blobs
from partita.values.objects import Folder, Objects, objects_at

from .s3 import serving


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, str]]:
    with serving() as variables:
        yield variables


@pytest.fixture(params=["folder", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Objects:
    if request.param == "folder":
        return objects_at(f"file://{tmp_path}/a%20shared/folder")
    for name, value in request.getfixturevalue("s3").items():
        monkeypatch.setenv(name, value)
    object_blobs.store_at.cache_clear()
    return objects_at(f"s3://partita/{tmp_path.name}")


def test_what_is_put_is_there_until_it_is_removed(objects: Objects) -> None:
    assert objects.get("jobs/a/claim") is None
    objects.put("jobs/a/claim", b"one")
    objects.put("jobs/a/claim", b"two")
    objects.put("jobs/a/log/1", b"line")
    objects.put("jobs/b/claim", b"three")
    assert objects.get("jobs/a/claim") == b"two"
    assert objects.get("jobs/a") is None
    assert (objects.names("jobs"), objects.names("jobs/a")) == (["a", "b"], ["claim", "log"])
    objects.remove("jobs/a")
    objects.remove("jobs/a")
    assert (objects.names("jobs"), objects.get("jobs/a/log/1")) == (["b"], None)


def test_what_is_older_than_an_instant_is_told_by_its_name(objects: Objects) -> None:
    objects.put("claims/a", b"one")
    objects.put("claims/below/b", b"two")
    assert objects.older("claims", time.time() - 60.0) == []
    assert objects.older("claims", time.time() + 60.0) == ["a"]
    assert objects.older("nothing", time.time() + 60.0) == []


def test_of_many_who_create_at_once_one_succeeds_and_its_data_stays(objects: Objects) -> None:
    won: list[int] = []
    together = threading.Barrier(16)

    def create(n: int) -> None:
        together.wait(10)
        if objects.create("claim", str(n).encode()):
            won.append(n)

    threads = [threading.Thread(target=create, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert objects.get("claim") == str(won[0]).encode()
    assert objects.names("") == ["claim"]


def test_a_folder_that_cannot_be_used_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    objects = Folder(tmp_path / "file")
    assert objects.get("x") is None
    with pytest.raises(WorldError, match=r"file cannot be used: Not a directory"):
        objects.put("x/y", b"")


@pytest.mark.parametrize("address", ["", "ftp://x", "s3://", "file://relative/x", "/plain/path", "file:relative"])
def test_what_is_no_address_is_told_with_examples(address: str) -> None:
    with pytest.raises(DefinitionError, match="is no address of an object store") as error:
        objects_at(address)
    assert "s3://bucket/prefix" in (error.value.hint or "")
