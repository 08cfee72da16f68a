"""Every test that asks for `store` runs on each store."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from partita.store.contract import Store

from . import servers
from .stores import FakeClock, Writer, opened

KINDS = ["memory", "sqlite", *(f"postgres{version}" for version in servers.VERSIONS)]


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory where the machine has such a folder: what a sync costs is not tested here, that it happens is."""
    memory = "/dev/shm"
    folder = tempfile.mkdtemp(prefix="partita-", dir=memory if os.access(memory, os.W_OK) else None)
    yield Path(folder)
    shutil.rmtree(folder)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Iterator[Store]:
    with opened(request.param, tmp_path, clock) as store:
        yield store


@pytest.fixture
def commit(store: Store) -> Writer:
    return Writer(store)
