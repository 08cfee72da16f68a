"""The guide pages about secrets and access: their code, settings and commands go as they are printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from partita.server.policy import read_policy
from partita.settings import Home

GUIDE = Path(__file__).parents[2] / "docs" / "guide"
_BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str) -> list[tuple[str, str, str]]:
    return [(m[1], m[2].strip(), m[3]) for m in _BLOCK.finditer((GUIDE / page).read_text())]


@pytest.mark.parametrize("page", ["secrets.md", "access.md"])
def test_a_page_goes_as_it_is_printed(page: str, tmp_path: Path) -> None:
    (tmp_path / "pipelines.py").write_text("")
    for _, kind, text in blocks(page):
        if kind.startswith("file="):
            (tmp_path / kind.removeprefix("file=")).write_text(text)
    said = ""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for language, _, text in blocks(page):
        for line in text.splitlines() if language == "console" else ():
            done = subprocess.run(
                line.removeprefix("$ "),
                shell=True,
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=60,
                env={"PATH": path, "HOME": str(tmp_path)},
            )
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
            said += done.stdout
    assert "correct horse" not in said
    if page == "secrets.md":
        assert "connecting to db://warehouse.internal/main with ***" in said


@pytest.mark.parametrize("text", [text for language, _, text in blocks("access.md") if language == "toml"])
def test_the_settings_of_the_page_are_settings(text: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    policy = read_policy(Home(tmp_path / ".partita"), {"OIDC_SECRET": "x"})
    assert policy.auth == tomllib.loads(text)["tool"]["partita"]["server"]["auth"]
    assert policy.secure


def test_the_sources_of_the_page_are_sources() -> None:
    from partita.define.secret import problem_of_source

    text = next(text for language, kind, text in blocks("secrets.md") if language == "toml" and not kind)
    sources = tomllib.loads(text)["tool"]["partita"]["secrets"]
    assert len(sources) == 4
    assert [problem_of_source(source) for source in sources.values()] == [""] * 4
