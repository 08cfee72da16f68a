from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest

from .serving import Serving


@pytest.fixture(scope="session")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    service = Serving(tmp_path_factory.mktemp("shop"))
    yield service
    ends = service.end()
    assert ends == (0, 0), (ends, service.web.process.returncode)


@pytest.fixture
def api(serving: Serving) -> Iterator[httpx2.Client]:
    with serving.client() as client:
        yield client
