"""The code of the guide's page on schedules is a project that loads, and its commands run."""

from __future__ import annotations

from pathlib import Path

from test_docs import ROOT, blocks, partita

from partita.define.project import load

PAGE = ROOT / "docs" / "guide" / "schedules.md"


def test_the_code_of_the_page_is_a_project_and_its_commands_run(tmp_path: Path) -> None:
    code = "\n\n".join(body for _, body in blocks(PAGE, "python"))
    (tmp_path / "pipelines.py").write_text(code)
    manifest = load(tmp_path).manifest
    assert manifest.problems == ()
    assert [s.name for s in manifest.pipelines[0].schedules] == ["sales", "sales-noon"]
    assert partita(tmp_path, "run", "sales").returncode == 0
    lines = [line for _, body in blocks(PAGE, "text") for line in body.splitlines() if line.startswith("partita ")]
    looking = [
        line.split("  ")[0].split()[1:] for line in lines if not any(w in line for w in ("pause", "resume", "trigger"))
    ]
    assert len(looking) == 5
    for words in looking:
        done = partita(tmp_path, *words)
        assert done.returncode == 0, done.stdout + done.stderr
