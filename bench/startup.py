"""Times what a person waits for: import, help, a one-step pipeline from the shell, and the loading of large projects.

Each is a whole process, measured from outside; prints JSON with the median of several runs in milliseconds.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BIN = Path(sys.executable).parent

ONE_STEP = """
import partita as pt

@pt.task
def hello():
    return 1

@pt.pipeline
def one():
    hello()
"""

PIPELINES = """
import partita as pt

def _make(number):
    @pt.pipeline(name=f"pipeline_{number}")
    def pipeline(day: str = "today"):
        value = None
        for step in range(10):
            value = TASKS[step](value)
    return pipeline

def _task(number):
    @pt.task(name=f"step_{number}", retries=2)
    def step(value):
        return value
    return step

TASKS = [_task(n) for n in range(10)]
PIPELINES = [_make(n) for n in range(200)]
"""

ASSETS = """
import partita as pt

def _make(number):
    @pt.asset(name=f"asset_{number}", group=f"group_{number % 50}", deps=[f"asset_{n}" for n in (number // 2, number // 3) if 0 < n < number])
    def asset():
        return number
    return asset

ASSETS = [_make(n) for n in range(1, 5001)]
"""


def _median_ms(command: list[str], rounds: int, folder: Path, *, before: object = None) -> float:
    times = []
    for _ in range(rounds + 1):
        if callable(before):
            before()
        start = time.perf_counter()
        done = subprocess.run(
            command, cwd=folder, capture_output=True, check=False, env={**os.environ, "NO_COLOR": "1"}
        )
        times.append((time.perf_counter() - start) * 1e3)
        assert done.returncode == 0, done.stderr.decode()[-2000:]
    return statistics.median(times[1:])


def _project(root: Path, name: str, text: str) -> Path:
    folder = root / name
    folder.mkdir()
    (folder / "pipelines.py").write_text(text)
    return folder


def _load_s(folder: Path) -> float:
    """The project's own loading time as its manifest says it: from the first import to the finished manifest."""
    code = (
        "import json, sys, time; from pathlib import Path; from partita.executors.loading import load_project;"
        "from partita.settings import Settings; start = time.perf_counter();"
        "p = load_project(Settings.of(Path('.'), load_timeout_s=120.0)); took = time.perf_counter() - start;"
        "assert not p.manifest.problems, p.manifest.problems[:3];"
        "print(json.dumps([took, len(p.manifest.pipelines), len(p.manifest.assets)])); p.connection.close(kill=True)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, check=True, text=True)
    took, pipelines, assets = json.loads(done.stdout)
    assert pipelines == 200 or assets == 5000, (pipelines, assets)
    return float(took)


def measure(rounds: int) -> dict[str, float]:
    """All figures of this file."""
    root = Path(tempfile.mkdtemp(prefix="partita-startup-"))
    try:
        one = _project(root, "one", ONE_STEP)
        figures = {
            "python_ms": _median_ms([sys.executable, "-c", "pass"], rounds, root),
            "import_ms": _median_ms([sys.executable, "-c", "import partita"], rounds, root),
            "help_ms": _median_ms([str(BIN / "partita"), "--help"], rounds, root),
            "one_step_ms": _median_ms([str(BIN / "partita"), "run", "one"], rounds, one),
            "one_step_first_ms": _median_ms(
                [str(BIN / "partita"), "run", "one"],
                rounds,
                one,
                before=lambda: shutil.rmtree(one / ".partita", ignore_errors=True),
            ),
        }
        for name, text in (("load_200_pipelines_s", PIPELINES), ("load_5000_assets_s", ASSETS)):
            folder = _project(root, name, text)
            figures[name] = statistics.median(_load_s(folder) for _ in range(3))
        return figures
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    print(json.dumps(measure(parser.parse_args().rounds)))
