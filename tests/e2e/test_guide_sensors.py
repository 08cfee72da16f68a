"""The code of the guide's page on sensors is a project that loads, and its commands run."""

from __future__ import annotations

import json
from pathlib import Path

from test_docs import ROOT, blocks, partita

from partita.define.project import load

PAGE = ROOT / "docs" / "guide" / "sensors.md"


def test_the_code_of_the_page_is_one_project_and_its_sensors_can_be_tried(tmp_path: Path) -> None:
    code = "\n\n".join(body for _, body in blocks(PAGE, "python"))
    (tmp_path / "pipelines.py").write_text(code)
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "a.csv").touch()
    manifest = load(tmp_path).manifest
    assert manifest.problems == ()
    assert {"new_orders", "arrivals", "pushes", "report", "no_delivery", "each_scan"} - {
        sensor.name for sensor in manifest.sensors
    } == {"each_scan"}
    commands = [line.removeprefix("$ ") for _, body in blocks(PAGE, "console") for line in body.splitlines()]
    tried = [line.split()[1:] for line in commands if "sensors test" in line]
    assert len(tried) == 3
    for words in tried:
        done = partita(tmp_path, *words)
        assert done.returncode == 0, done.stdout + done.stderr
    orders = json.loads(partita(tmp_path, "sensors", "test", "new_orders", "--json").stdout)
    assert [run["keys"] for run in orders["runs"]] == [["order-1"], ["order-2"]]
    listed = json.loads(partita(tmp_path, "sensors", "--json").stdout)
    assert len(listed) == len(manifest.sensors)
