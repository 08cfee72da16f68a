"""Times `partita up` from the shell to the first healthy answer, and weighs it when it has nothing to do.

Bare counterparts of the same run: an interpreter that ends at once, one that answers HTTP with the standard library, and the
memory of one that only waits. Prints JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

PARTITA = str(Path(sys.executable).parent / "partita")
BARE_SERVER = "import http.server, sys; http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()"
_PATIENCE_S = 60.0


def measure(rounds: int, idle_s: float) -> dict[str, float]:
    """All figures of this file; the folder is empty."""
    root = Path(tempfile.mkdtemp(prefix="partita-up-"))
    try:
        project = root / "shop"
        project.mkdir()
        first, again = [], []
        for _ in range(rounds):
            shutil.rmtree(project / ".partita", ignore_errors=True)
            first.append(_until_healthy(_up(project)))
            again.append(_until_healthy(_up(project)))
        bare = [_until_healthy([sys.executable, "-c", BARE_SERVER], project) for _ in range(rounds)]
        pss, cpu = _at_rest(project, idle_s)
        return {
            "up_first_s": statistics.median(first),
            "up_again_s": statistics.median(again),
            "bare_server_s": statistics.median(bare),
            "up_pss_mb": pss,
            "bare_pss_mb": _bare_pss(),
            "up_idle_cpu_percent": cpu,
        }
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _up(project: Path) -> tuple[list[str], Path]:
    return [PARTITA, "up", "--json", "--port"], project


def _until_healthy(command: list[str] | tuple[list[str], Path], folder: Path | None = None) -> float:
    words, where = command if isinstance(command, tuple) else (command, folder)
    port = _free_port()
    start = time.perf_counter()
    with _running([*words, str(port)], where):
        path = "/healthz" if words[0] == PARTITA else "/"
        _wait_for_answer(port, path)
        return time.perf_counter() - start


def _wait_for_answer(port: int, path: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_S)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        time.sleep(0.005)
    raise SystemExit(f"no answer at port {port}")


def _at_rest(project: Path, idle_s: float) -> tuple[float, float]:
    """PSS of all processes in MiB, and the processor time they take, in percent of one core."""
    port = _free_port()
    with _running([PARTITA, "up", "--json", "--port", str(port)], project) as process:
        _wait_for_answer(port, "/healthz")
        time.sleep(3.0)
        tree = _tree(process.pid)
        before, began = _cpu(tree), time.perf_counter()
        time.sleep(idle_s)
        used, took = _cpu(tree) - before, time.perf_counter() - began
        return sum(_pss(p) for p in tree), 100 * used / took


def _tree(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def _cpu(tree: list[psutil.Process]) -> float:
    return sum(t.user + t.system for t in (p.cpu_times() for p in tree))


def _pss(process: psutil.Process) -> float:
    return float(process.memory_full_info().pss) / 2**20


def _bare_pss() -> float:
    with _running([sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"], None) as process:
        assert process.stdout is not None
        process.stdout.readline()
        return _pss(psutil.Process(process.pid))


@contextlib.contextmanager
def _running(command: list[str], folder: Path | None) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE if folder is None else subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "NO_COLOR": "1"},
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(_PATIENCE_S)
        if process.stdout is not None:
            process.stdout.close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--idle", type=float, default=30.0, help="seconds at rest")
    options = parser.parse_args()
    print(json.dumps(measure(options.rounds, options.idle)))
