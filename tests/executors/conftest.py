"""A process executor over the conformance project, whatever comes of it cleaned up at the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from partita.executors.conformance import Stage, make_project
from partita.executors.loading import start_host
from partita.executors.processes import ProcessExecutor
from partita.settings import Settings

from .left import nothing_left

# Fixtures that start an engine of others: what needs one belongs to `make test-engines`.
_ENGINES = {"slurm", "cluster"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests on real engines are slow ones."""
    for item in items:
        if "executors" in item.path.parts and _ENGINES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="package", autouse=True)
def _nothing_left() -> Iterator[None]:
    with nothing_left():
        yield


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path / "project")


def new_stage(settings: Settings) -> Stage:
    host = start_host(settings, workers=settings.workers)
    try:
        manifest = host.manifest()
        assert manifest.problems == ()
    except BaseException:
        host.close(kill=True)
        raise
    return Stage(ProcessExecutor({manifest.project: host}), settings.home)


@pytest.fixture
def stage(project: Path) -> Iterator[Stage]:
    stage = new_stage(Settings.of(project, workers=2))
    yield stage
    stage.executor.close(kill=True)
