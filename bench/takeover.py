"""How long it takes until work goes on: after the death of the machine that leads, and after that of a worker.

    python bench/takeover.py [--rounds 3]

Two real `partita up` on one PostgreSQL, with the default lease of ten seconds. In each round everything of the one that leads is
killed at once (supervisor, scheduler, host, workers). Measured until the other one leads, and until the attempt that ran there
has begun again here; and, beside it, from the death of a worker alone until its attempt has begun again. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg

from partita.store.own_server import OwnServer

PROJECT = """
import os, time
import partita as pt

@pt.task
def long() -> None:
    fd = os.open(os.environ["TAKEOVER_MARKS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"{time.time()} {os.getpid()}\\n".encode())
    time.sleep(600)

@pt.pipeline
def endless():
    long()
"""
PARTITA = str(Path(sys.executable).parent / "partita")
LEASE_S = 10.0


class Machine:
    """One `partita up`."""

    def __init__(self, folder: Path, address: str) -> None:
        self.folder = folder
        self.environment = {**os.environ, "PARTITA_STORE": address, "TAKEOVER_MARKS": str(folder.parent / "marks")}
        folder.mkdir(exist_ok=True)
        (folder / "pipelines.py").write_text(PROJECT)
        (folder / "pyproject.toml").write_text('[tool.partita]\nname = "takeover"\n')
        with open(folder / "up.log", "ab") as log:
            command = [PARTITA, "up", "--no-web", "--workers", "1"]
            self.process = subprocess.Popen(command, cwd=folder, env=self.environment, stdout=log, stderr=log)

    def kill(self) -> None:
        """All of it at once."""
        whole = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        # First nobody runs any more, so that nobody notices the death of another.
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for process in whole:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(number)
        self.process.wait()

    def end(self) -> None:
        if self.process.poll() is None:
            for child in psutil.Process(self.process.pid).children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    child.kill()
            self.process.kill()
            self.process.wait()


def until(is_so: Callable[[], Any], timeout_s: float = 60.0) -> Any:
    """What it answers as soon as that is something."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if found := is_so():
            return found
        time.sleep(0.02)
    raise TimeoutError


def measure(rounds: int) -> dict[str, Any]:
    """All figures of this file."""
    found = [_measure_once() for _ in range(rounds)]
    names = ("taken_over_s", "machine_gone_attempt_again_s", "worker_gone_attempt_again_s")
    return {"lease_s": LEASE_S, **{name: [round(f[i], 2) for f in found] for i, name in enumerate(names)}}


def _measure_once() -> tuple[float, float, float]:
    folder = Path(tempfile.mkdtemp(prefix="partita-takeover-"))
    folder.chmod(0o755)
    server = OwnServer(folder / "postgres")
    marks = folder / "marks"
    marks.touch()
    machines: list[Machine] = []
    try:
        server.start()
        machines = [Machine(folder / "m0", server.address)]

        def epoch() -> int:
            with suppress(psycopg.Error), psycopg.connect(server.address) as connection:
                row = connection.execute(
                    "SELECT epoch FROM leases WHERE resource = 'engine' AND holder <> ''"
                ).fetchone()
                return int(row[0]) if row else 0
            return 0

        def begun() -> list[tuple[float, int]]:
            return [(float(at), int(pid)) for at, pid in (line.split() for line in marks.read_text().splitlines())]

        until(epoch)

        def is_loaded() -> bool:
            with psycopg.connect(server.address) as connection:
                return bool(connection.execute("SELECT 1 FROM projects WHERE code <> ''").fetchone())

        until(is_loaded)
        subprocess.Popen(
            [PARTITA, "run", "endless"], cwd=machines[0].folder, env=machines[0].environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until(begun)
        before = begun()
        os.kill(before[-1][1], signal.SIGKILL)
        died = time.time()
        worker_s = until(lambda: begun()[1:])[0][0] - died
        machines.append(Machine(folder / "m1", server.address))
        time.sleep(4.0)  # it stands by
        led_by = epoch()
        machines[0].kill()
        died = time.time()
        until(lambda: epoch() > led_by)
        led_s = time.time() - died
        return led_s, until(lambda: begun()[2:])[0][0] - died, worker_s
    finally:
        for machine in machines:
            machine.end()
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    print(json.dumps(measure(parser.parse_args().rounds)))
