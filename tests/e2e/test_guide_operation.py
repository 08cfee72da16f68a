"""The code of the page on operation runs, and what the page says of `deploy/` is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "guide" / "operation.md"


def test_the_project_of_the_page_runs(tmp_path: Path) -> None:
    ((name, code),) = re.findall(r"^```python file=(\S+)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / name).write_text(code)
    command = [sys.executable, "-m", "partita.cli.main", "run", "morning", "-p", "name=you", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"succeeded"' in done.stdout


def test_every_event_that_is_printed_is_on_the_page() -> None:
    source = (ROOT / "src/partita/cli/up.py").read_text()
    table = re.search(r"self\._said: .*?\n        }", source, re.DOTALL)
    assert table is not None
    printed = set(re.findall(r'^ +"(\w+)": ', table[0], re.MULTILINE)) - {"failed", "health"}
    told = set(re.findall(r"`(\w+)`", PAGE.read_text()))
    assert printed <= told, printed - told


def test_the_unit_and_the_image_call_up_with_options_that_exist() -> None:
    help_page = subprocess.run(
        [sys.executable, "-m", "partita.cli.main", "up", "--help"], capture_output=True, text=True, check=True
    ).stdout
    for file in ("partita.service", "Containerfile"):
        text = (ROOT / "deploy" / file).read_text()
        (line,) = [line for line in text.splitlines() if re.match(r"(ExecStart|CMD) ?=?.*partita.*up", line)]
        for option in re.findall(r"--[a-z]+", line):
            assert option in help_page, f"{file}: {option}"
