"""The code and the commands of README.md, of the tutorial and of every guide page run as they are printed.

One way for all pages, from top to bottom in a folder of its own:

- ``` ```python file=x.py ``` (or toml) is that file; ``` ```python ``` beside such files is run by itself;
- on a page without files, all its Python together is `pipelines.py`: it runs, and is a project without a problem; a page
  without Python is about the project of README.md, which has run;
- each line of ``` ```console ``` is typed; `# exits with 1` says how it ends, if not with 0;
- everything else (`sh`, `text`, `toml`) is for reading.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from partita.define.project import load

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "guide"
# What a page's commands have to say among other things.
SAID = {"secrets": "connecting to db://warehouse.internal/main with ***", "operation": "succeeded"}
# Its Python needs a service: tests/server/test_client.py runs it against one.
OF_A_SERVICE = GUIDE / "api.md"
_BLOCK = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = "file="


def all_blocks(page: Path) -> Iterator[tuple[str, str, str]]:
    """The blocks of a page: language, the file that it is ("" = none), text."""
    for match in _BLOCK.finditer(page.read_text()):
        kind = match[2].strip()
        yield match[1], kind.removeprefix(_FILE) if kind.startswith(_FILE) else "", match[3]


def blocks(page: Path, language: str) -> list[tuple[str, str]]:
    """The code blocks of a page in a language: the file that each is, and the code."""
    return [(file, text) for of, file, text in all_blocks(page) if of == language]


def partita(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "partita"), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


def typed(line: str, folder: Path) -> str:
    """What a line of a console prints; it has to end as it says."""
    command, _, status = line.removeprefix("$ ").partition("# exits with ")
    environment = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(folder)}
    done = subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == int(status or 0), f"{line}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def executed(code: str, folder: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, code + done.stderr


def played(page: Path, folder: Path) -> str:
    """Go through a page from top to bottom; what its commands have said."""
    files = [(name, text) for _, name, text in all_blocks(page) if name]
    for name, text in files[:1]:
        (folder / name).write_text(text)  # a command may stand before it
    if page == OF_A_SERVICE or not blocks(page, "python"):
        (folder / "pipelines.py").write_text(blocks(ROOT / "README.md", "python")[0][1])
        assert partita(folder, "run").returncode == 0
    elif not any(name.endswith(".py") for name, _ in files):
        code = "\n\n".join(text for _, text in blocks(page, "python"))
        (folder / "pipelines.py").write_text(code)
        executed(code, folder)
        assert load_problems(folder) == []
    said = ""
    for language, name, text in all_blocks(page):
        if name:
            (folder / name).write_text(text)
        elif language == "console" and page != OF_A_SERVICE:
            said += "".join(typed(line, folder) for line in text.splitlines())
        elif language == "python" and any(other.endswith(".py") for other, _ in files):
            executed(text, folder)
    return said


def load_problems(folder: Path) -> list[str]:
    return [problem.message for problem in load(folder).manifest.problems]


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


@pytest.mark.parametrize(
    "page", [ROOT / "docs" / "tutorial.md", *sorted(GUIDE.glob("*.md"))], ids=lambda page: page.stem
)
def test_a_page_goes_as_it_is_printed(page: Path, tmp_path: Path) -> None:
    said = played(page, tmp_path)
    assert "correct horse" not in said, "a secret is on the screen"
    assert SAID.get(page.stem, "") in said


# --- links and files ------------------------------------------------------------------------------------------------

PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CHANGELOG.md"]


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


def test_every_guide_page_is_on_the_index() -> None:
    index = (GUIDE / "README.md").read_text()
    assert {page.name for page in GUIDE.glob("*.md")} - {"README.md"} == set(re.findall(r"\]\(([a-z-]+\.md)\)", index))


def test_files_that_architecture_names_exist() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    named = set(
        re.findall(r"`((?:core|define|values|store|worker|executors|engine|server|cli|tests)/[\w/.-]*\w)`", text)
    )
    assert len(named) > 20
    gone = [n for n in sorted(named) if not (ROOT / n).exists() and not (ROOT / "src" / "partita" / n).exists()]
    assert gone == []


def test_decisions_are_numbered_once() -> None:
    numbers = [page.name[:4] for page in (ROOT / "docs" / "decisions").glob("*.md")]
    assert sorted(numbers) == [f"{n:04}" for n in range(1, len(numbers) + 1)]
