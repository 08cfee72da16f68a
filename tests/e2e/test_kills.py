"""kill -9 of the engine, its host, its workers and user processes, in the middle of a real run.

Whatever was killed, the next engine comes to the same ends as an undisturbed run; no step ever runs twice at once; a long
step that was running when the engine died is taken over, not started again; and the store's audit finds nothing.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from random import Random

import psutil
import pytest

from partita.store.sqlite import open_reader

HERE = Path(__file__).parent / "kills"
ENDS = {
    **{("fetch", str(i)): "succeeded" for i in range(12)},
    **{("half", str(i)): "succeeded" for i in range(4)},
    ("listing", ""): "succeeded",
    ("size", ""): "succeeded",
    ("flaky", ""): "succeeded",
    ("long", ""): "succeeded",
    ("broken", ""): "failed",
    ("behind", ""): "upstream_failed",
    ("alert", ""): "succeeded",
}


class Scene:
    """A project folder with a ledger, and engines that come and go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        shutil.copy(HERE / "pipelines.py", folder)
        self.env = {**os.environ, "KILLS_LEDGER": str(folder)}

    def start(self, *site: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(HERE / "driver.py"), str(self.folder), *site]
        return subprocess.Popen(command, env=self.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def finish(self) -> None:
        """An engine that is left alone until everything has ended."""
        engine = self.start()
        output, _ = engine.communicate(timeout=60)
        assert engine.returncode == 0, output

    def ledger(self) -> list[str]:
        path = self.folder / "ledger"
        return path.read_text().splitlines() if path.exists() else []

    def begun(self, name: str) -> int:
        return sum(line.startswith(f"begin {name} ") for line in self.ledger())

    def check(self) -> None:
        """All that must hold at the end."""
        with closing(open_reader(self.folder / ".partita" / "partita.db")) as reader:
            (run,) = reader.runs()
            assert run.state == "failed"
            assert {(s.step, s.index): s.state for s in reader.steps(run.id)} == ENDS
            assert [str(f) for f in reader.audit()] == []
        assert [line for line in self.ledger() if line.startswith("OVERLAP")] == []


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "project")


def test_the_undisturbed_run_ends_as_written(scene: Scene) -> None:
    scene.finish()
    scene.check()
    assert scene.begun("long[]") == 1


@pytest.mark.parametrize("site", ["before", "after"])
@pytest.mark.parametrize("number", [1, 2, 3, 5, 8, 13])
def test_the_engine_is_killed_around_a_commit(scene: Scene, site: str, number: int) -> None:
    engine = scene.start(site, str(number))
    engine.communicate(timeout=60)
    assert engine.returncode == -signal.SIGKILL
    scene.finish()
    scene.check()


@pytest.mark.slow
@pytest.mark.parametrize("site", ["before", "after"])
@pytest.mark.parametrize("first", range(1, 41, 8))
def test_the_engine_is_killed_around_every_commit(tmp_path: Path, site: str, first: int) -> None:
    for number in range(first, first + 8):
        scene = Scene(tmp_path / f"{number}")
        engine = scene.start(site, str(number))
        engine.communicate(timeout=60)
        assert engine.returncode in (-signal.SIGKILL, 0)
        scene.finish()
        scene.check()


@pytest.mark.parametrize("again", range(3))
def test_the_engine_is_killed_twice_and_the_second_time_while_it_recovers(scene: Scene, again: int) -> None:
    scene.start("after", "4").communicate(timeout=60)
    scene.start(("before", "after")[again % 2], str(1 + again)).communicate(timeout=60)
    scene.finish()
    scene.check()


def test_a_long_step_is_taken_over_and_not_started_again(scene: Scene) -> None:
    engine = scene.start()
    _wait_for(scene, "begin long[]", engine)
    engine.kill()
    engine.communicate(timeout=60)
    scene.finish()
    scene.check()
    assert scene.begun("long[]") == 1


def _wait_for(scene: Scene, beginning: str, engine: subprocess.Popen[str]) -> None:
    """Until a line of the ledger begins so; the engine's own end is the limit."""
    while not any(line.startswith(beginning) for line in scene.ledger()):
        try:
            engine.wait(0.01)
        except subprocess.TimeoutExpired:
            continue
        break


def _victims(engine: subprocess.Popen[str], kind: str) -> list[psutil.Process]:
    try:
        hosts = psutil.Process(engine.pid).children()
        if kind == "host":
            return hosts
        return [worker for host in hosts for worker in host.children()]
    except psutil.Error:
        return []


def _kill_at_random(scene: Scene, kind: str, rng: Random) -> None:
    engine = scene.start()
    try:
        engine.wait(rng.uniform(0.15, 1.6))
    except subprocess.TimeoutExpired:
        if kind == "engine":
            engine.kill()
        else:
            victims = _victims(engine, kind)
            if victims:
                rng.choice(victims).kill()
    try:
        engine.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        engine.kill()
        raise
    scene.finish()
    scene.check()


@pytest.mark.parametrize("kind", ["engine", "worker", "host"])
def test_something_is_killed_at_a_random_moment(tmp_path: Path, kind: str) -> None:
    rng = Random(f"{kind} 1")
    for number in range(4):
        _kill_at_random(Scene(tmp_path / f"{number}"), kind, rng)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("kind", ["engine", "worker", "host"])
def test_something_is_killed_at_many_random_moments(tmp_path: Path, kind: str, seed: int) -> None:
    rng = Random(f"{kind} {seed}")
    for number in range(5):
        _kill_at_random(Scene(tmp_path / f"{number}"), kind, rng)
