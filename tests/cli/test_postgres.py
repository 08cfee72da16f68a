"""The command line on a store in PostgreSQL: the same words, the same files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from partita.store.own_server import OwnServer

PROJECT = """
import partita as pt

@pt.task
def one(n: int = 3) -> list[int]:
    return list(range(n))

@pt.task
def twice(x: int) -> int:
    return 2 * x

@pt.pipeline
def daily(n: int = 3):
    twice.map(one(n))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pipelines.py").write_text(PROJECT)
    return tmp_path


def partita(folder: Path, *words: str, status: int = 0) -> str:
    """What a command prints."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["partita", *words], cwd=folder, capture_output=True, text=True, timeout=90, env=environment, check=False
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


class Up:
    """`partita up --postgres`, until it is told to end."""

    def __init__(self, folder: Path, *words: str) -> None:
        command = [str(Path(sys.executable).parent / "partita"), "up", "--port", "0", "--json", *words]
        self.process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        ready = set()
        while not ready >= {"scheduler", "web"}:
            event = json.loads(self.process.stdout.readline())
            assert event["event"] not in ("failed", "died", "given_up"), event
            if event["event"] == "ready":
                ready.add(event["part"])

    def end(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=60)
        assert self.process.returncode == 0


def test_a_service_brings_its_own_postgres_and_commands_find_it_also_afterwards(project: Path) -> None:
    server = OwnServer(project / ".partita" / "postgres")
    up = Up(project, "--postgres")
    try:
        assert "succeeded" in partita(project, "run", "daily", "-p", "n=5")
        assert server.pid
        assert "PostgreSQL 18" in partita(project, "doctor")
        assert "all invariants hold in postgresql://" in partita(project, "db", "audit")
    finally:
        up.end()
    assert not server.pid
    assert not (project / ".partita" / "partita.db").exists()
    assert json.loads(partita(project, "runs", "--json"))[0]["state"] == "succeeded"
    assert "succeeded" in partita(project, "run", "daily")
    assert not server.pid
    # A later one finds it without being told.
    up = Up(project)
    try:
        assert [run["no"] for run in json.loads(partita(project, "runs", "--json"))] == [2, 1]
        assert "pg_dump" in partita(project, "db", "backup", "copy.db", status=3)
        assert "autovacuum" in partita(project, "db", "vacuum", status=3)
        assert "up to date" in partita(project, "db", "migrate")
        assert '"database"' in partita(project, "db", "storage", "--json")
    finally:
        up.end()


@pytest.mark.slow
def test_an_installation_moves_there_and_back(project: Path) -> None:
    address = OwnServer(project / ".partita" / "postgres").address
    partita(project, "run", "daily")
    assert "partita db copy" in partita(project, "up", "--postgres", "--port", "0", status=2)
    assert "runs: 1" in partita(project, "db", "copy", "sqlite://.partita/partita.db", address)
    up = Up(project, "--postgres")
    try:
        assert "run 2" in partita(project, "run", "daily")
        assert "held by" in partita(project, "db", "copy", address, "sqlite://back.db", status=3)
    finally:
        up.end()
    moved = json.loads(partita(project, "db", "copy", address, "sqlite://back.db", "--json"))
    assert moved["rows"]["runs"] == 2
    assert moved["rows"]["steps"] == 8
    (project / ".partita" / "store").unlink()
    (project / "back.db").rename(project / ".partita" / "partita.db")
    assert "run 3" in partita(project, "run", "daily")
    assert "all invariants hold" in partita(project, "db", "audit")


def test_an_address_that_is_none_is_refused_with_what_to_do(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARTITA_STORE", "mysql://ann:secret@h/x")
    said = partita(project, "runs", status=2)
    assert "mysql://ann@h/x is no address of a store" in said
    monkeypatch.setenv("PARTITA_STORE", "postgresql://ann:secret@127.0.0.1:1/x")
    said = partita(project, "runs", status=3)
    assert "is the server running" in said
    assert "secret" not in said
    monkeypatch.delenv("PARTITA_STORE")
    (project / "pyproject.toml").write_text('[tool.partita]\nstore = "postgresql://127.0.0.1:1/x"\n')
    assert "127.0.0.1:1/x cannot be reached" in partita(project, "runs", status=3)


def test_a_service_whose_database_is_away_waits_for_it_and_makes_no_file_instead(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARTITA_STORE", "postgresql://127.0.0.1:1/x")
    command = [str(Path(sys.executable).parent / "partita"), "up", "--no-web", "--json"]
    process = subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    event = json.loads(process.stdout.readline())
    assert event["event"] == "standby"
    assert "127.0.0.1:1/x cannot be reached" in event["message"]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert not (project / ".partita" / "partita.db").exists()
