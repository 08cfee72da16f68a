"""A Ray cluster of several processes on this machine, in a folder of its own."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import psutil

from .jobs import moments
from .needed import needs

needs_ray = needs(importlib.util.find_spec("ray") is not None, "the package `ray`")


# A token of this test's own, and a node that is gone is missed soon.
ENVIRONMENT = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": uuid.uuid4().hex * 2,
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
}


class RayHere:
    """A head without processors and nodes that have some, each a `ray start` of its own."""

    def __init__(self, *, nodes: int = 1, processors: int = 2) -> None:
        # Sockets lie in it, whose paths may not be long.
        self.folder = Path(tempfile.mkdtemp(prefix="ray-"))
        self.port = _free_port()
        self.head = self._start("--head", "--port", str(self.port), "--num-cpus", "0", "--include-dashboard", "false")
        for _ in moments():
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.2", self.port), 1.0):
                break
        self.nodes = [self.start_node(processors) for _ in range(nodes)]

    @property
    def address(self) -> str:
        return f"127.0.0.2:{self.port}"

    def start_node(self, processors: int = 2) -> subprocess.Popen[bytes]:
        return self._start("--address", self.address, "--num-cpus", str(processors), "--resources", '{"licence": 1}')

    def kill_raylet(self, node: subprocess.Popen[bytes]) -> None:
        """kill -9 the process that is the node."""
        for child in psutil.Process(node.pid).children(recursive=True):
            if child.name().startswith("raylet"):
                child.send_signal(signal.SIGKILL)
        # What started it ends with it.
        node.wait(30.0)

    def free(self) -> None:
        """Nobody wants the actors any more that are here: they would idle for a while, on processors that others need."""
        for process in self._family():
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.name().startswith("ray::Performer"):
                    process.kill()

    def close(self) -> None:
        family = self._family()
        for node in [*self.nodes, self.head]:
            node.kill()
            node.wait()
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, 30.0)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _family(self) -> list[psutil.Process]:
        """What the nodes have started."""
        found: list[psutil.Process] = []
        for node in [*self.nodes, self.head]:
            with contextlib.suppress(psutil.NoSuchProcess):
                found += psutil.Process(node.pid).children(recursive=True)
        return found

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--node-ip-address", "127.0.0.2"]
        if "--head" in arguments:
            command += ["--temp-dir", str(self.folder)]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [*command, "--disable-usage-stats", "--object-store-memory", str(80 << 20), *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | ENVIRONMENT | {"RAY_TMPDIR": str(self.folder), "TMPDIR": str(self.folder)},
            )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.2", 0))
        return int(probe.getsockname()[1])
