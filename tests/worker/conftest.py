"""Workers for the tests: one shared by those that leave it as it was, fresh ones for the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .engine import Engine


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A worker that runs many steps of many tests, as in life."""
    engine = Engine(tmp_path_factory.mktemp("warm"))
    yield engine
    engine.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Engine]]:
    """Starts workers of the test's own."""
    engines: list[Engine] = []

    def _start(*, asynchronous: bool = False, home: Path | None = None) -> Engine:
        engines.append(Engine(home or tmp_path, asynchronous=asynchronous))
        return engines[-1]

    yield _start
    for engine in engines:
        engine.close()
