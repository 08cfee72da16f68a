"""`import partita`: few names, sorted, cheap."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import partita as pt


def test_the_public_names_are_sorted_and_there() -> None:
    assert list(pt.__all__) == sorted(pt.__all__, key=lambda n: (not n.isupper(), not n[0].isupper(), n))
    for name in pt.__all__:
        assert getattr(pt, name) is not None
    assert set(pt.__all__) <= set(dir(pt))


def test_what_type_checkers_see_is_what_there_is() -> None:
    tree = ast.parse(Path(pt.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        (alias.asname or alias.name): node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    assert seen == pt._WHERE
    assert {*seen, "__version__"} == set(pt.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'taks'"):
        _ = pt.taks  # type: ignore[attr-defined]


@pytest.mark.parametrize("code", ["import partita", "import partita as pt; pt.task; pt.pipeline; pt.asset; pt.Context"])
def test_heavy_packages_are_not_imported(code: str) -> None:
    check = "import sys; print([m for m in ('pydantic', 'pandas', 'rich', 'typer', 'apsw', 'asyncio', 'numpy') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{check}"], check=True, capture_output=True, text=True, timeout=60
    )

    assert done.stdout.strip() == "[]"
