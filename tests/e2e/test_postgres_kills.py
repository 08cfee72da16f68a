"""Two schedulers on one PostgreSQL, while connections are ended, the server stops and crashes, and schedulers are killed or stand
still: every tick has its one decision, every run comes to an end, and no promise is broken.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from random import Random

import psycopg
import pytest

from partita.errors import PartitaError
from partita.settings import Home
from partita.store import opening
from partita.store.own_server import OwnServer
from partita.store.reading import SqlReader

SECONDS = float(os.environ.get("PARTITA_POSTGRES_SECONDS", "40"))
SEED = int(os.environ.get("PARTITA_POSTGRES_SEED", "1"))
PROJECT = """
import time
import partita as pt

@pt.task
def many() -> list[int]:
    return list(range(8))

@pt.task(retries=2)
def one(x: int) -> int:
    time.sleep(0.05)
    return x

@pt.pipeline(schedule=pt.every("1s"), catchup="all")
def often():
    one.map(many())
"""


class Faults:
    """What is done to the server and to the schedulers."""

    def __init__(self, server: OwnServer, projects: list[Path], dice: Random) -> None:
        self.server, self.projects, self.dice = server, projects, dice
        self.done: Counter[str] = Counter()

    def one(self) -> None:
        what = self.dice.choices((self.connections, self.stop, self.crash, self.kill, self.pause), (10, 3, 1, 1, 1))[0]
        self.done[what.__name__] += 1
        with suppress(psycopg.Error, PartitaError, OSError):
            what()

    def connections(self) -> None:
        with psycopg.connect(self.server.address, autocommit=True, connect_timeout=2) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND application_name = 'partita' AND random() < 0.8"
            )

    def stop(self) -> None:
        self.server.stop()
        time.sleep(self.dice.uniform(0, 2))
        self.server.start()

    def crash(self) -> None:
        self.server.kill()
        time.sleep(self.dice.uniform(0, 2))
        self.server.start()

    def kill(self) -> None:
        os.kill(self._scheduler(), signal.SIGKILL)

    def pause(self) -> None:
        pid = self._scheduler()
        os.kill(pid, signal.SIGSTOP)
        time.sleep(self.dice.uniform(2, 14))
        os.kill(pid, signal.SIGCONT)

    def _scheduler(self) -> int:
        file = self.dice.choice(self.projects) / ".partita" / "service.json"
        return int(json.loads(file.read_text())["parts"]["scheduler"])


@pytest.fixture
def folder() -> Iterator[Path]:
    """Whoever PostgreSQL runs as may enter it."""
    folder = Path(tempfile.mkdtemp(prefix="partita-kills-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def up(folder: Path, address: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PARTITA_STORE": address}
    command = [str(Path(sys.executable).parent / "partita"), "up", "--no-web"]
    with open(folder / "up.log", "wb") as log:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)


def wait_until_nothing_is_open(address: str, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        with suppress(PartitaError), closing(opening.open_reader(Home(Path("/nonexistent"), address))) as reader:
            newest = reader.runs(limit=1)
            if newest and newest[0].created_at > time.time() - 3 and len(reader.open_runs()) < 3:
                return
        time.sleep(0.2)
    raise AssertionError("the schedulers have not caught up")


def decided(reader: SqlReader) -> tuple[int, int]:
    """Instants that were decided, and those between the first and the last of them."""
    (count, first, last) = reader._db.fetch(
        "SELECT sum(count), min(instant), max(coalesce(until, instant)) FROM ticks"
    )[0]
    return int(count), int(last - first) + 1


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_schedulers_keep_every_promise_while_the_database_comes_and_goes(folder: Path) -> None:
    server = OwnServer(folder / "postgres")
    server.start()
    projects = [folder / "a", folder / "b"]
    processes = []
    try:
        for project in projects:
            project.mkdir()
            (project / "pipelines.py").write_text(PROJECT)
            (project / "pyproject.toml").write_text('[tool.partita]\nname = "chaos"\n')
            processes.append(up(project, server.address))
        faults = Faults(server, projects, Random(SEED))
        wait_until_nothing_is_open(server.address, 30)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            time.sleep(faults.dice.uniform(0.2, 2.0))
            faults.one()
        wait_until_nothing_is_open(server.address, 60)
        for process in processes:
            process.send_signal(signal.SIGINT)
        assert [process.wait(60) for process in processes] == [0, 0], [(p / "up.log").read_text() for p in projects]
        with closing(opening.open_reader(Home(Path("/nonexistent"), server.address))) as reader:
            assert list(reader.audit()) == []
            count, span = decided(reader)
            assert count == span
            assert {row.state for row in reader.runs(limit=1000)} <= {"succeeded", "running", "queued"}
            assert count > SECONDS
        assert faults.done["connections"] > 3
    finally:
        for process in processes:
            process.kill()
            process.wait()
        server.stop()
