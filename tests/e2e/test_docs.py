"""The code of README.md and of the tutorial runs as it is printed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[tuple[str, str]]:
    """The code blocks of a page: what stands behind the language, and the code."""
    return [(m[2].strip(), m[3]) for m in _BLOCK.finditer(page.read_text()) if m[1] == language]


def partita(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "partita"), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


def test_the_pipeline_of_the_readme_runs_and_says_why_the_alert_did_not(tmp_path: Path) -> None:
    (tmp_path / "pipelines.py").write_text(blocks(ROOT / "README.md", "python")[0][1])
    done = partita(tmp_path, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    why = partita(tmp_path, "why", "last", "alert")
    assert "any_failed" in why.stdout + why.stderr


def test_the_assets_of_the_readme_are_made_for_a_day(tmp_path: Path) -> None:
    (tmp_path / "pipelines.py").write_text(blocks(ROOT / "README.md", "python")[1][1])
    done = partita(tmp_path, "run", "+daily_delays", "--partition", "2013-06-13")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_tutorial_runs_from_top_to_bottom(tmp_path: Path) -> None:
    page = ROOT / "docs" / "tutorial.md"
    for kind, language, body in [(m[2].strip(), m[1], m[3]) for m in _BLOCK.finditer(page.read_text())]:
        if language == "python" and kind.startswith("file="):
            (tmp_path / kind.removeprefix("file=")).write_text(body)
        elif language == "python":
            done = subprocess.run(
                [sys.executable, "-W", "error", "-c", body], cwd=tmp_path, capture_output=True, text=True, timeout=60
            )
            assert done.returncode == 0, body + done.stderr
        elif language == "console":
            for line in body.splitlines():
                done = subprocess.run(
                    line.removeprefix("$ "),
                    shell=True,
                    cwd=tmp_path,
                    capture_output=True,
                    text=True,
                    timeout=60,
                    env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(tmp_path)},
                )
                assert done.returncode == 0, line + done.stdout + done.stderr


PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md", ROOT / "ARCHITECTURE.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", page.read_text()):
        if "://" not in target:
            other = page.parent / target if target else page
            assert other.exists(), f"{page.name} links to {target}"
            assert not anchor or anchor in anchors(other), f"{page.name} links to {target}#{anchor}"


def anchors(page: Path) -> set[str]:
    """What can be linked to on a page: its headings, as they are named in links."""
    text = _BLOCK.sub("", page.read_text())
    return {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}
