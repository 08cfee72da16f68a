"""The code and the commands of the guide's page on assets go as they are printed."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "assets.md"
_BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def called(folder: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def test_the_page_goes_from_top_to_bottom(tmp_path: Path) -> None:
    program = str(Path(sys.executable).parent / "partita")
    for language, kind, body in [(m[1], m[2].strip(), m[3]) for m in _BLOCK.finditer(PAGE.read_text())]:
        if kind.startswith("file="):
            (tmp_path / kind.removeprefix("file=")).write_text(body)
        elif language == "python":
            called(tmp_path, sys.executable, "-W", "error", "-c", body)
        elif language == "console":
            for line in body.splitlines():
                called(tmp_path, program, *shlex.split(line.removeprefix("$ partita ")))
