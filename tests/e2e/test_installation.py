"""The processes of deploy/compose.yaml on this machine: a database, a scheduler that leads, one that stands by, a web process, each
with a home of its own and what they share by links; a project is deployed, and goes on when the leader is killed.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import partita as pt
from partita.errors import PartitaError
from partita.executors import bundle
from partita.store.own_server import OwnServer

SCRIPT = Path(__file__).parents[2] / "deploy" / "shared-home.sh"
CODE = """
import partita as pt

@pt.task
def large() -> bytes:
    print("says", {number})
    return b"x" * 20_000

@pt.task
def size(data: bytes) -> int:
    return len(data) + {number}

@pt.pipeline
def one():
    size(large())
"""


def began(folder: Path, name: str, store: str, *command: str, **more: str) -> subprocess.Popen[bytes]:
    """A container's program, in a home of its own."""
    home = folder / name
    home.mkdir()
    script = folder / f"{name}.sh"
    script.write_text(SCRIPT.read_text().replace("home=/var/lib/partita", f"home={home}"))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PARTITA_")} | {
        "PARTITA_STORE": store,
        "PARTITA_VALUES": (folder / "shared" / "values").as_uri(),
        "PARTITA_SHARED": str(folder / "shared"),
        "PARTITA_HOME": str(home),
        **more,
    }
    words = [word.replace("HOME", str(home)) for word in command]
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(["sh", str(script), *words], env=environment, stdout=log, stderr=log, cwd=folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    return tmp_path


@pytest.fixture
def store(folder: Path) -> Iterator[str]:
    server = OwnServer(folder / "postgres")
    server.start()
    yield server.address
    server.stop()


def until(asked: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
    """What is asked for, when it is there."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if found := asked():
                return found
        except (PartitaError, OSError, ValueError):
            pass  # not yet
        time.sleep(0.05)
    raise AssertionError(f"{what} does not come")


def brought(client: pt.Client, folder: Path, number: int) -> dict[str, Any]:
    project = folder / "shop"
    project.mkdir(exist_ok=True)
    (project / "pipelines.py").write_text(CODE.format(number=number))
    made = bundle.pack(project, into=folder)
    begun = client.deployments.bring("shop", made.digest, made.path.read_bytes())
    return client.deployments.wait("shop", begun["no"])


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_deployed_project_goes_on_with_the_scheduler_that_stood_by(folder: Path, store: str) -> None:
    partita = str(Path(sys.executable).with_name("partita"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    up = (partita, "up", "--deployments", "HOME", "--no-web", "--workers", "1")
    web = (sys.executable, "-P", "-m", "partita.server.main", "--home", "HOME", "--port", str(port))
    with ExitStack() as stack:

        def start(name: str, *command: str) -> subprocess.Popen[bytes]:
            process = began(folder, name, store, *command)
            stack.callback(ended, process)
            return process

        start("scheduler", *up)
        leads = until(lambda: json.loads((folder / "scheduler" / "service.json").read_text()), "the leader")
        start("standby", *up)
        start("web", *web)
        token = until(lambda: (folder / "web" / "token").read_text().strip(), "the web process")
        with pt.Client(f"http://127.0.0.1:{port}", token) as client:
            until(lambda: client.system.health(), "an answer")
            assert brought(client, folder, 1)["served"]
            first = client.runs.start("one", wait="60s")
            assert first.state == "succeeded"
            assert list(client.runs.log(first.id, "large")) == ["says 1"]
            assert client.runs.values(first.id, "size")["output"]["value"] == 20_001
            # The whole machine of the leader is gone.
            for pid in (leads["pid"], *leads["parts"].values()):
                os.kill(pid, signal.SIGKILL)
            second = until(lambda: client.runs.start("one", wait="30s"), "the one that stood by")
            until(lambda: client.runs.get(second.id).state == "succeeded", "a run of the new leader")
            assert list(client.runs.log(second.id, "large")) == ["says 1"]
            assert brought(client, folder, 2)["served"]
            third = client.runs.start("one", wait="60s")
            assert client.runs.values(third.id, "size")["output"]["value"] == 20_002
        assert (folder / "scheduler" / "gates.key").read_bytes() == (folder / "standby" / "gates.key").read_bytes()


def ended(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
