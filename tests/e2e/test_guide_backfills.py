"""The guide's pages on backfills and on keeping house go as they are printed, and name every kind that retention knows."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

from partita.core.retention import KINDS, policy_of

GUIDE = Path(__file__).parents[2] / "docs" / "guide"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str, language: str) -> list[str]:
    return [m[2] for m in _BLOCK.finditer((GUIDE / page).read_text()) if m[1] == language]


def test_the_pages_go_from_top_to_bottom(tmp_path: Path) -> None:
    program = str(Path(sys.executable).parent / "partita")
    (tmp_path / "pipelines.py").write_text("\n\n".join(blocks("backfills.md", "python")))
    commands = [*blocks("backfills.md", "console"), *blocks("keeping-house.md", "console")]
    for line in "".join(commands).splitlines():
        command = [program, *shlex.split(line.removeprefix("$ partita "))]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    assert (tmp_path / "before-the-upgrade.db").exists()


def test_every_kind_is_on_the_page_with_how_long_it_is_kept() -> None:
    page = (GUIDE / "keeping-house.md").read_text()
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| `")]
    named = {name: row[2] for row in rows for name in re.findall(r"`(\w+)`", row[1])}
    assert set(named) == set(KINDS)
    for name, kind in KINDS.items():
        assert kind.keep.age_s is not None
        days = round(kind.keep.age_s / 86400)
        assert re.search(rf"\b{days} day", named[name]), name
    table = tomllib.loads(blocks("keeping-house.md", "toml")[0])["tool"]["partita"]["retention"]
    assert policy_of(table).kinds["audit"].age_s is None
