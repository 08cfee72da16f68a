"""The executor without processes does what every executor must do, as far as it applies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from partita.define.project import load
from partita.executors.conformance import Answers, Coroutines, Stage
from partita.executors.inline import InlineExecutor
from partita.settings import Settings


@pytest.fixture
def stage(project: Path) -> Iterator[Stage]:
    home = Settings.of(project).home
    executor = InlineExecutor(load(project).calls, home)
    yield Stage(executor, home)
    executor.close()


class TestAnswers(Answers):
    pass


class TestCoroutines(Coroutines):
    pass
