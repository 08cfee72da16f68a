"""The supervisor alone, over parts that a test writes: what it does when they die, hang or will not start."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

MAIN = """
import json, sys
from partita.server.supervisor import PartSpec, Supervisor, listen

def tell(part, event):
    print(json.dumps({"part": part, **event}), flush=True)

web = listen("127.0.0.1", 0) if "web" in sys.argv[2:] else None
print(json.dumps({"event": "port", "port": web.getsockname()[1] if web else 0}), flush=True)
parts = [PartSpec(name, f"parts.{name}", (), listen=web if name == "web" else None, vital=name != "web") for name in sys.argv[2:]]

def grown(event):
    return [PartSpec(name, f"parts.{name}", (), vital=False) for name in event.get("names", ())]

sys.exit(Supervisor(parts, tell=tell, grown=grown, patience_s=float(sys.argv[1])).run())
"""

PARTS = {
    "steady": """
import json, signal, socket, sys
channel = socket.socket(fileno=3)
channel.sendall(b'no json' + chr(10).encode() + b'{"event": "ready"}' + chr(10).encode())
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
channel.recv(1)
""",
    "growing": """
import json, signal, socket, sys
channel = socket.socket(fileno=3)
for names in (["steady"], ["steady", "other"]):
    channel.sendall(json.dumps({"event": "namespaces", "names": names}).encode() + b"\\n")
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
channel.recv(1)
""",
    "other": """
import signal, socket, sys
channel = socket.socket(fileno=3)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
channel.sendall(b'{"event": "ready"}' + chr(10).encode())
channel.recv(1)
""",
    "failing": "import sys; sys.exit(7)",
    "hopeless": """
import socket, sys
socket.socket(fileno=3).sendall(b'{"event": "failed", "message": "the store is held", "fatal": true}' + chr(10).encode())
sys.exit(3)
""",
    "deaf": """
import signal, socket
signal.signal(signal.SIGTERM, signal.SIG_IGN)
socket.socket(fileno=3).sendall(b'{"event": "ready"}' + chr(10).encode())
while True:
    signal.pause()
""",
    "web": """
import http.server, os, signal, socket, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(os.getpid()).encode())
        self.wfile.flush()
        if self.path == "/die":
            os.kill(os.getpid(), signal.SIGKILL)
    def log_message(self, *_): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Answer, bind_and_activate=False)
server.socket.close()
server.socket = socket.socket(fileno=4)
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
server.serve_forever()
""",
}


class Watched:
    """A supervisor in a process of its own."""

    def __init__(self, folder: Path, *parts: str, patience_s: float = 30.0) -> None:
        (folder / "parts").mkdir()
        for name, text in PARTS.items():
            (folder / "parts" / f"{name}.py").write_text(text)
        self.process = subprocess.Popen(
            [sys.executable, "-c", MAIN, str(patience_s), *parts],
            stdout=subprocess.PIPE,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]),
            },
            start_new_session=True,
        )
        self.port = int(self.wait("port")["port"])

    def wait(self, event: str) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            found: dict[str, Any] = json.loads(line)
            if found["event"] == event:
                return found
        raise AssertionError(f"it ended without {event}")

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Any]:
    made: list[Watched] = []

    def begin(*parts: str, **more: float) -> Watched:
        made.append(Watched(tmp_path, *parts, **more))
        return made[-1]

    yield begin
    for each in made:
        if each.process.poll() is None:
            each.process.kill()
            each.process.wait(30)
        assert each.process.stdout is not None
        each.process.stdout.close()


def test_it_ends_with_0_when_its_parts_do(watched: Any) -> None:
    up = watched("steady")
    up.wait("ready")
    assert up.end() == 0


def test_parts_that_are_asked_for_later_are_started_once_and_end_with_the_others(watched: Any) -> None:
    up = watched("growing")
    assert {up.wait("ready")["part"] for _ in range(2)} == {"steady", "other"}
    up.process.send_signal(signal.SIGTERM)
    assert up.process.stdout is not None
    # Whatever came until the end: nobody was started twice, and nobody died.
    assert [json.loads(line)["event"] for line in up.process.stdout] == ["stopping"]
    assert up.process.wait(30) == 0


def test_a_part_that_dies_again_and_again_is_given_up_and_it_says_why(watched: Any) -> None:
    up = watched("steady", "failing")
    pauses = [up.wait("died")["again_in_s"] for _ in range(5)]
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6]
    given_up = up.wait("given_up")
    assert given_up["part"] == "failing"
    assert given_up["why"] == "died 6 times within a minute, the last time: ended with exit code 7"
    assert up.process.wait(30) == 3


def test_a_part_that_says_it_is_of_no_use_is_not_started_again(watched: Any) -> None:
    up = watched("steady", "hopeless")
    assert up.wait("failed")["message"] == "the store is held"
    assert up.wait("given_up")["why"] == "the store is held"
    assert up.process.wait(30) == 3


def test_a_part_that_does_not_end_is_ended_by_force(watched: Any) -> None:
    up = watched("deaf", patience_s=1.0)
    up.wait("ready")
    up.process.send_signal(signal.SIGTERM)
    assert up.wait("killed")["why"] == "did not end within 1 s"
    assert up.process.wait(30) == 0


def test_a_second_ctrl_c_ends_it_at_once(watched: Any) -> None:
    up = watched("deaf")
    up.wait("ready")
    up.process.send_signal(signal.SIGINT)
    up.wait("stopping")
    up.process.send_signal(signal.SIGINT)
    assert "twice" in up.wait("killed")["why"]
    assert up.process.wait(30) == 0


def test_a_web_part_that_dies_loses_no_connection_that_waits(watched: Any) -> None:
    up = watched("steady", "web")

    def ask(path: str) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{up.port}{path}", timeout=30) as answer:
            return int(answer.read())

    first = ask("/die")
    assert ask("/") != first
    assert up.end() == 0


def test_its_parts_see_that_it_was_killed(watched: Any) -> None:
    up = watched("steady")
    up.wait("ready")
    (pid,) = (int(p) for p in Path(f"/proc/{up.process.pid}/task/{up.process.pid}/children").read_text().split())
    descriptor = os.pidfd_open(pid)
    try:
        up.process.kill()
        import select

        assert select.select([descriptor], [], [], 30)[0], "the part goes on without its supervisor"
    finally:
        os.close(descriptor)


def test_it_imports_next_to_nothing() -> None:
    code = "import sys, partita.server.supervisor; print([m for m in ('msgspec', 'apsw', 'asyncio', 'partita.engine', 'uvicorn') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
