"""From a request over HTTP to the first line of the user's code, in ms; and the same way with nothing of ours on it.

Ours: POST /api/v1/runs against a scheduler and a web process as `partita up` starts them; the task notes when it begins.
The way: HTTP, the web process, a socket to the scheduler, a synced commit for the run, one for its start, a warm worker.
Bare: a POST to the same HTTP server with a handler that wakes a warm process over a pipe, which notes when it begins.
Prints JSON with medians.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx2

PIPELINE = """
import time
import partita as pt

@pt.task
def note(file: str) -> None:
    began = time.monotonic()
    with open(file, "w") as out:
        out.write(repr(began))

@pt.pipeline
def noted(file: str):
    note(file)
"""
# Between two triggers, so that each finds the service at rest.
_REST_S = 0.02


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        ours = _ours(Path(folder), rounds)
    bare = _bare(rounds)
    print(
        json.dumps(
            {
                "trigger_ms": statistics.median(ours),
                "trigger_p95_ms": sorted(ours)[int(len(ours) * 0.95)],
                "bare_trigger_ms": statistics.median(bare),
            }
        )
    )


def _ours(folder: Path, rounds: int) -> list[float]:
    (folder / "pipelines.py").write_text(PIPELINE)
    home = folder / ".partita"
    scheduler = _part("partita.engine.main", "--home", str(home), "--workers", "1", str(folder))
    web = None
    try:
        _said(scheduler, "loaded")
        web = _part("partita.server.main", "--home", str(home))
        address = _said(web, "ready")["address"]
        token = (home / "token").read_text().strip()
        with httpx2.Client(base_url=address, headers={"Authorization": f"Bearer {token}"}) as client:
            return [_triggered(client, folder / f"{n}.txt") for n in range(rounds + 5)][5:]
    finally:
        for part in (web, scheduler):
            if part is not None:
                part.send_signal(signal.SIGTERM)
                part.wait(20)


def _triggered(client: httpx2.Client, file: Path) -> float:
    """How long it took from the request to the task, in ms."""
    time.sleep(_REST_S)
    begun = time.monotonic()
    answer = client.post("/api/v1/runs", json={"pipeline": "noted", "params": {"file": str(file)}})
    assert answer.status_code == 201, answer.text
    client.get(f"/api/v1/runs/{answer.json()['id']}", params={"wait": "10s"})
    return (float(file.read_text()) - begun) * 1e3


def _part(*module: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-P", "-m", *module], stdout=subprocess.PIPE, text=True)


def _said(part: subprocess.Popen[str], event: str) -> dict[str, Any]:
    assert part.stdout is not None
    for line in part.stdout:
        said: dict[str, Any] = json.loads(line)
        if said["event"] == event:
            return said
    raise SystemExit(f"a part ended before it said {event}")


def _bare(rounds: int) -> list[float]:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    here, there = multiprocessing.get_context("fork").Pipe()
    worker = multiprocessing.get_context("fork").Process(target=_work, args=(there,), daemon=True)
    worker.start()

    async def trigger(request: Request) -> JSONResponse:
        await request.json()
        here.send(b"go")
        return JSONResponse({"began": here.recv()})

    server = uvicorn.Server(
        uvicorn.Config(Starlette(routes=[Route("/", trigger, methods=["POST"])]), port=0, log_level="error")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    found = []
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as client:
        for _ in range(rounds + 5):
            time.sleep(_REST_S)
            begun = time.monotonic()
            answer = client.post("/", json={"pipeline": "noted"}).json()
            found.append((answer["began"] - begun) * 1e3)
    server.should_exit = True
    thread.join(10)
    os.kill(worker.pid or 0, signal.SIGKILL)
    return found[5:]


def _work(connection: Connection) -> None:
    while True:
        connection.recv()
        connection.send(time.monotonic())


if __name__ == "__main__":
    main()
