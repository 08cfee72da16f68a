"""What the tests of values share: a folder for blobs."""

from __future__ import annotations

from pathlib import Path

import pytest

from partita.values.blobs import FileBlobs


@pytest.fixture
def blobs(tmp_path: Path) -> FileBlobs:
    return FileBlobs(tmp_path / "blobs")
