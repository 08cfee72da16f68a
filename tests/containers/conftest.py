"""A folder with a stand-in for docker on the PATH, and what it was asked."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from executors.left import nothing_left
from partita.define.container_run import _problem_of


class StandIn:
    """The stand-in runtime of a test (`runtime.py`)."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def calls(self, verb: str) -> list[list[str]]:
        """What it was asked to do with a verb: the arguments after it."""
        return [call["arguments"][1:] for call in self._said() if call["arguments"][0] == verb]

    def environment(self) -> list[str]:
        """The names of the variables that the client had when it was to run something."""
        return next(call["env"] for call in self._said() if call["arguments"][0] == "run")

    def left(self) -> list[str]:
        """The names of the containers that are there."""
        return sorted(state.name for state in self.home.glob("partita-*"))

    def _said(self) -> list[dict[str, Any]]:
        try:
            return [json.loads(line) for line in (self.home / "calls.jsonl").read_text().splitlines()]
        except FileNotFoundError:
            return []


def make_stand_in(folder: Path, name: str = "docker") -> StandIn:
    """Put the program into a folder; what it keeps lies beside it."""
    home = folder / "kept"
    home.mkdir(parents=True)
    program = folder / "bin" / name
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\nSTAND_IN_HOME={home} exec {sys.executable} -I -S {Path(__file__).with_name("runtime.py")} "$@"\n'
    )
    program.chmod(0o755)
    return StandIn(home)


@pytest.fixture(scope="package", autouse=True)
def _nothing_left() -> Iterator[None]:
    with nothing_left():
        yield


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    stand_in = make_stand_in(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    _problem_of.cache_clear()
    yield stand_in
    _problem_of.cache_clear()
