"""`mark`: a step is ended by hand, by the engine of another terminal."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .projects import Partita, call, command, environment, write_project

PROJECT = """
import time
from pathlib import Path
import partita as pt


@pt.task
def hold(folder: str) -> None:
    (Path(folder) / "begun").write_bytes(b"")
    while not (Path(folder) / "go").exists():
        time.sleep(0.005)


@pt.task
def after(held: None) -> None: ...


@pt.pipeline
def patient(folder: str):
    after(hold(folder))
"""


class Holding:
    """A run in a process of its own, whose first step goes on until it is let go."""

    def __init__(self, folder: Path) -> None:
        self.folder = write_project(folder, PROJECT)
        self.gate = folder / "go"
        os.mkfifo(folder / "begun")
        self.process = subprocess.Popen(
            command("run", "patient", "-p", f"folder={folder}"),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(),
        )
        # Answers when the step has opened its end.
        (folder / "begun").read_bytes()

    def let_go(self) -> str:
        self.gate.touch()
        said, _ = self.process.communicate(timeout=30)
        return said


@pytest.fixture
def holding(tmp_path: Path) -> Iterator[Holding]:
    run = Holding(tmp_path / "shop")
    yield run
    if run.process.poll() is None:
        run.let_go()


@pytest.fixture
def at(holding: Holding, capsys: pytest.CaptureFixture[str]) -> Partita:
    return lambda *words: call(capsys, holding.folder, *words)


def test_a_step_that_waits_is_marked_and_why_names_who_did_it(holding: Holding, at: Partita) -> None:
    marked = at("mark", "last", "skipped", "after", "--reason", "not today", "--json")
    assert marked.status == 0, marked
    said = json.loads(marked.out)
    assert (said["step"], said["state"]) == ("after", "skipped")
    assert "run 1 succeeded" in holding.let_go()
    why = at("why", "last", "after").out
    assert "marked skipped by local:" in why
    assert "not today" in why


def test_what_runs_is_not_marked_and_it_is_said_why(holding: Holding, at: Partita) -> None:
    running = at("mark", "last", "failed", "hold")
    assert running.status != 0
    assert "hold cannot be marked: it is running" in running.err
    wrong = at("mark", "last", "done", "after")
    assert wrong.status != 0
    assert "succeeded, failed, skipped" in wrong.err
    holding.let_go()
    over = at("mark", "last", "skipped", "after")
    assert over.status != 0
    assert "has ended" in over.err
