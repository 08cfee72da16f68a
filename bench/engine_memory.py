"""Memory of the engine's process per step of one large run; a process of its own, for memory is not given back. Prints JSON."""

from __future__ import annotations

import argparse
import gc
import json
import shutil
import tempfile
import time
from pathlib import Path

import psutil

from partita.core import plain
from partita.engine.embedded import Embedded
from partita.engine.submission import RunRequest
from partita.settings import Settings

PROJECT = Path(__file__).parent / "project"


def measure(steps: int) -> dict[str, float]:
    """Growth of the resident memory from an engine that has run a little to its peak in a run of `steps`."""
    folder = Path(tempfile.mkdtemp(prefix="partita-memory-"))
    try:
        shutil.copytree(PROJECT, folder / "project", ignore=shutil.ignore_patterns(".partita", "__pycache__"))
        process = psutil.Process()
        peak = 0

        def look() -> None:
            nonlocal peak
            peak = max(peak, process.memory_info().rss)

        with Embedded(Settings.of(folder / "project", workers=2), workers=2) as partita:
            partita.start()
            for n in (1000, steps):
                gc.collect()
                before = process.memory_info().rss
                peak = before
                request = RunRequest("fan", "bench", f"bench:{time.time_ns()}", params={"n": plain.pack(n)})
                run = partita.submit(request)
                partita.wait([run], between=look)
                assert run.machine.state == "succeeded"
        return {"memory_bytes_per_step": (peak - before) / steps}
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=100_000)
    print(json.dumps(measure(parser.parse_args().steps)))
