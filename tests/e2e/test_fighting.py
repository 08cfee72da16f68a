"""Three schedulers that fight over one PostgreSQL, in small; `bench/fighting.py` is the large one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench" / "fighting.py"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_each_tick_has_one_decision_while_schedulers_are_stopped_killed_and_their_schedules_edited() -> None:
    words = ["--schedules", "100", "--hours", "2", "--minutes", "0.5", "--lead", "6", "--stop-every", "3", "--kill-every", "15"]  # fmt: skip
    done = subprocess.run(
        [sys.executable, str(BENCH), *words, "--lease", "1", "--edit-every", "5", "--patience", "120"],
        capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout)
    assert figures["decisions"] == figures["ticks"] == 12_000
    assert figures["doubled_or_missing"] == figures["runs_without_tick_or_back"] == 0
    assert figures["epochs"] > 2
    assert sum(figures["faults"].values()) > 3
