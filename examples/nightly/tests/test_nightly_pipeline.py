"""The nightly bound to Partita: what is declared, a part of it run twice, and the demo with its faults."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

# A night takes a minute, on a busy machine several.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

HERE = Path(__file__).resolve().parent.parent
NIGHT = "2013-12-17"


class Nightly:
    """`partita` on the nightly, with its files and its memory in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "NIGHTLY_ROOT": str(folder / "out"),
            "PARTITA_HOME": str(folder / "home"),
            "PARTITA_NIGHTLY_BREAK": "",
            "PARTITA_WORKERS": "2",
        }

    def __call__(self, *words: str, faults: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "partita.cli.main", words[0], "-C", str(HERE), *words[1:]]
        return self.python(*command[1:], faults=faults)

    def python(self, *words: str, faults: str = "") -> subprocess.CompletedProcess[str]:
        environment = {**self.environment, "PARTITA_NIGHTLY_BREAK": faults}
        return subprocess.run(
            [sys.executable, *words], env=environment, capture_output=True, text=True, timeout=280, check=False
        )

    def run(self, selection: str, faults: str = "") -> dict[str, Any]:
        """The report of a run of these assets."""
        self("run", selection, "--partition", NIGHT, faults=faults)
        return json.loads(self("report", "last", "--json").stdout)


@pytest.fixture(scope="module")
def nightly(tmp_path_factory: pytest.TempPathFactory) -> Nightly:
    return Nightly(tmp_path_factory.mktemp("night"))


def test_everything_of_the_sentence_is_declared(nightly: Nightly) -> None:
    assert nightly("check").returncode == 0
    listed = json.loads(nightly("list", "--json").stdout)
    pipeline, publish = listed["pipelines"]
    assert (publish["name"], publish["schedules"]) == ("publish", [])
    assert (pipeline["name"], pipeline["schedules"][0]["rule"]) == ("nightly", "cron 0 3 * * *")
    kinds = Counter(kind for asset in listed["assets"] for kind in asset["kinds"])
    assert (kinds["source"], kinds["model"], kinds["predictor"], kinds["dashboard"]) == (50, 202, 5, 6)
    assert sum(":" in step for step in pipeline["steps"]) == 35
    assert [a["name"] for a in listed["assets"] if not (a["owner"] and a["group"])] == []
    assert [a["name"] for a in listed["assets"] if not a["description"] and "seed" not in a["kinds"]] == []


def test_what_a_model_stands_on_is_its_lineage_with_the_tests_that_block(nightly: Nightly) -> None:
    steps = nightly("graph", "nightly", "--format", "dot").stdout
    for edge in ('"AA-JFK" -> "stg_aa_jfk"', '"stg_planes:planes_are_registered_once" -> "registered_planes"'):
        assert edge in steps.replace("  ", " ")


def test_a_part_is_built_once_and_again_only_when_it_changed(nightly: Nightly) -> None:
    first = nightly.run("+plane_age")
    assert (first["state"], first["causes"], first["cached"]) == ("succeeded", [], 0)
    again = nightly.run("+plane_age")
    assert again["state"] == "succeeded"
    # The inventory is taken each night.
    assert again["cached"] >= again["attempts"] - 3
    shutil.rmtree(nightly.folder / "out" / "landing" / "planes")
    landed = nightly.run("+plane_age")
    assert (landed["state"], landed["cached"]) == ("succeeded", again["cached"] - 1)
    (nightly.folder / "out" / "warehouse.duckdb").unlink()
    built = nightly.run("+plane_age")
    assert built["state"] == "succeeded"
    assert next(made["made"] for made in built["made"] if made["noun"] == "model") > 5


def test_the_demo_with_faults_names_each_of_them_and_nothing_else(tmp_path: Path) -> None:
    nightly = Nightly(tmp_path)
    done = nightly.python(str(HERE / "demo.py"), faults="1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "What broke   3 causes, 43 steps behind them" in done.stdout
    assert "SchemaError: feed AA-JFK: column 'dep_delay' is missing (found 'departure_delay')" in done.stdout
    assert "blocks 11 models, 1 check and 1 dashboard: dashboard_punctuality" in done.stdout
    assert "it found 3 rows that should not be there" in done.stdout
    assert "blocks 21 models, 4 checks, 3 dashboards and 1 predictor" in done.stdout
    assert "out of memory: the step may use 1,024 MB" in done.stdout
    assert "weather worked in attempt 3" in done.stdout
    assert "the demo succeeded at failing" in done.stdout
    page = (tmp_path / "out" / "broken" / "report.html").read_text()
    assert page.count('<p class="error">') == 3


def test_an_engine_that_dies_in_the_middle_of_dbt_loses_no_model_and_builds_none_twice(tmp_path: Path) -> None:
    night = Nightly(tmp_path)
    command = [sys.executable, "-m", "partita.cli.main", "run", "-C", str(HERE), "nightly", "--partition", NIGHT]
    first = subprocess.Popen(
        command, env=night.environment, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert first.stderr is not None
    for line in first.stderr:
        if "carrier_aa_flights succeeded" in line:
            break
    first.kill()
    first.communicate()
    night("retry", "last")
    (run,) = json.loads(night("runs", "--json").stdout)
    assert run["state"] == "succeeded"
    # The bundle was taken over in its first attempt, with all that it had to say of its members.
    shown = json.loads(night("show", "last", "--json").stdout)
    attempts = {step["step"]: len(step["attempts"]) for step in shown["steps"]}
    assert attempts["dbt"] == 1
    assert attempts["flights"] == 1
    audited = night.python("-m", "partita.cli.main", "db", "audit", "-C", str(HERE))
    assert audited.returncode == 0, audited.stdout
