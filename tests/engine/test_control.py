"""Asking the engine of another process: over a real socket, with the engine's loop in another thread."""

from __future__ import annotations

import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from partita.core.events import RunCreated
from partita.core.graph import Graph, Step
from partita.core.graph import version as graph_version
from partita.engine.clock import SystemClock
from partita.engine.control import Cancel, ControlServer, Pause, Resume, Status, Why, ask
from partita.engine.loop import Engine
from partita.executors.inline import InlineExecutor
from partita.settings import Home
from partita.store.memory import MemoryStore


class Scene:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "engine.sock"
        self.engine = Engine(MemoryStore(), InlineExecutor({}, Home(folder)), SystemClock(), holder="tests")
        self.engine.start()
        graph = Graph("x", (Step("first"), Step("second", needs=("first",))))
        run = RunCreated(
            at=0.0,
            run="r1",
            namespace="default",
            project="p",
            pipeline="x",
            graph=graph_version(graph),
            code="",
            origin="o",
        )
        # It stays in the queue, so nothing but what is asked happens.
        self.engine.queue.limit(("pipeline", "default", "x"), 0)
        self.run = self.engine.submit(graph, run)
        self.server = ControlServer(self.path, self.engine)
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.turn)
        self.thread.start()

    def turn(self) -> None:
        while not self.stop.is_set():
            self.engine.turn(0.05)

    def close(self) -> None:
        self.stop.set()
        self.thread.join(10)
        self.server.close()
        self.engine.close()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path)
    yield scene
    scene.close()


def test_nobody_listens_is_an_answer(tmp_path: Path):
    assert ask(tmp_path / "engine.sock", Status()) is None


def test_a_socket_that_a_dead_engine_left_is_no_engine(tmp_path: Path):
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "engine.sock"))
    left.close()
    assert ask(tmp_path / "engine.sock", Status()) is None


def test_the_socket_is_its_owners_alone(scene: Scene):
    assert stat.S_IMODE(scene.path.stat().st_mode) == 0o600


def test_a_run_is_paused_resumed_and_cancelled(scene: Scene):
    for request in (Pause("r1", "me"), Resume("r1", "me"), Cancel("r1", "me", "enough")):
        answer = ask(scene.path, request)
        assert answer is not None
        assert answer.found
    assert scene.run.machine.state == "cancelled"
    assert "enough" in scene.run.machine.reason


def test_a_run_that_is_not_active_is_not_found(scene: Scene):
    answer = ask(scene.path, Cancel("r2", "me"))
    assert answer is not None
    assert not answer.found


def test_why_is_answered_by_the_engine(scene: Scene):
    answer = ask(scene.path, Why("r1", "second"))
    assert answer is not None
    assert answer.explanation is not None
    assert answer.explanation.reasons[0].code == "run_queued"


def test_nonsense_harms_nobody(scene: Scene):
    for nonsense in (b"", b"\xff\xff\xff\xff", b"\x00\x00\x00\x05hello", b"GET / HTTP/1.1\r\n\r\n"):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(scene.path))
            client.sendall(nonsense)
    answer = ask(scene.path, Status())
    assert answer is not None
    assert "engine of process" in answer.lines[0]
