"""The scheduler is killed with -9 while a project is deployed: what is served is one version or the other, whole."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import partita as pt
from partita.errors import PartitaError
from partita.executors import bundle

CODE = """
import partita as pt
import other

@pt.task
def both() -> list[int]:
    return [{number}, other.NUMBER]

@pt.pipeline
def one():
    both()
"""


class Up:
    """`partita up --deployments` and what it tells."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PARTITA_")}
        command = [str(Path(sys.executable).with_name("partita")), "up", "--deployments", str(folder), "--port", "0"]
        self.process = subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE, text=True, env=environment)
        self.events: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.address = self.until(lambda e: e.get("address"))["address"]
        self.until(lambda e: e["event"] == "ready" and e["part"] == "scheduler")

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.events.append(json.loads(line))

    def until(self, wanted: Any, after: int = 0) -> dict[str, Any]:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for event in self.events[after:]:
                if wanted(event):
                    return event
            self._reader.join(0.02)
        raise AssertionError(self.events)

    def kill_scheduler(self) -> None:
        pid = json.loads((self.folder / "service.json").read_text())["parts"]["scheduler"]
        os.kill(pid, signal.SIGKILL)

    def end(self) -> None:
        self.process.terminate()
        assert self.process.wait(60) == 0
        self._reader.join(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    made = Up(tmp_path / "server")
    yield made
    made.end()


def packed(tmp_path: Path, number: int) -> tuple[str, bytes]:
    folder = tmp_path / "shop"
    folder.mkdir(exist_ok=True)
    (folder / "pipelines.py").write_text(CODE.format(number=number))
    (folder / "other.py").write_text(f"NUMBER = {number}\n")
    made = bundle.pack(folder, into=tmp_path)
    return made.digest, made.path.read_bytes()


def served(client: pt.Client) -> dict[str, Any]:
    """What is served, when the scheduler answers again."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            found = [d for d in client.deployments.list() if d["served"]]
            if found and not [d for d in client.deployments.of("shop") if d["state"] == "trying"]:
                run = client.runs.start("one", wait="20s")
                if run.state == "succeeded":
                    value = client.runs.values(run.id, "both")["output"]["value"]
                    assert value[0] == value[1], "half of one version and half of another"
                    return {**found[0], "value": value[0]}
        except PartitaError:
            pass  # it is starting again
        time.sleep(0.05)
    raise AssertionError("nothing is served any more")


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_kill_in_the_middle_of_a_deployment_leaves_one_whole_version(up: Up, tmp_path: Path) -> None:
    random_ = random.Random(7)
    token = (up.folder / "token").read_text().strip()
    with pt.Client(up.address, token) as client:
        digest, data = packed(tmp_path, 0)
        client.deployments.wait("shop", client.deployments.bring("shop", digest, data)["no"])
        last = 0
        for number in range(1, 6):
            digest, data = packed(tmp_path, number)
            told = len(up.events)
            client.deployments.bring("shop", digest, data)
            # The moment of the kill, anywhere in its trial, its commit or its laying out.
            time.sleep(random_.uniform(0.0, 0.8))
            up.kill_scheduler()
            up.until(lambda e: e["event"] == "ready" and e["part"] == "scheduler", told)
            found = served(client)
            assert found["value"] in (last, number)
            last = found["value"]
        digest, data = packed(tmp_path, 100)
        ended = client.deployments.wait("shop", client.deployments.bring("shop", digest, data)["no"])
        assert ended["served"]
        assert served(client)["value"] == 100
