"""What the tests of the command line are given."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from .projects import Hanging, Partita, call, shell, write_project


@pytest.fixture(autouse=True)
def _calm(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "PARTITA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PARTITA_WORKERS", "2")
    monkeypatch.setenv("TZ", "UTC")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project in which nothing was run yet."""
    return write_project(tmp_path / "shop")


@pytest.fixture
def partita(project: Path, capsys: pytest.CaptureFixture[str]) -> Partita:
    """`partita WORDS...` in the project's folder, in this process."""
    return lambda *words: call(capsys, project, *words)


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with three runs: 1 succeeded, 2 failed, 3 made assets. Only to be looked at."""
    folder = write_project(tmp_path_factory.mktemp("history") / "shop")
    for words in (
        ["run", "daily"],
        ["run", "daily", "-p", "broken=bbb"],
        ["run", "+delays", "--partition", "2013-06-13"],
    ):
        shell(folder, *words)
    return folder


@pytest.fixture
def look(history: Path, capsys: pytest.CaptureFixture[str]) -> Partita:
    """`partita WORDS...` in the folder with a history."""
    return lambda *words: call(capsys, history, *words)


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[Hanging]:
    made = Hanging(tmp_path / "slow")
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.send_signal(signal.SIGKILL)
        made.process.communicate(timeout=30)
    # Whoever still waits at a pipe is let go, so that nothing outlives the test.
    for name, flags in (("go", os.O_WRONLY), ("begun", os.O_RDONLY)):
        try:
            os.close(os.open(made.folder / name, flags | os.O_NONBLOCK))
        except OSError:
            continue
