"""An engine for `test_adoption` to kill: puts the steps it is told on workers, says where they are, and waits.

    python an_engine.py <project folder> <task> <inputs as JSON> <how many> <policies as JSON>

Prints the name of the worker of each ticket, one a line, when all are submitted; then polls until it is killed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import msgspec

from partita.core.policies import Policies
from partita.executors.conformance import Stage
from partita.executors.loading import start_host
from partita.executors.processes import ProcessExecutor
from partita.settings import Settings


def main(folder: str, task: str, inputs: str, count: str, policies: str) -> None:
    settings = Settings.of(Path(folder), workers=2)
    host = start_host(settings, workers=2)
    stage = Stage(ProcessExecutor({host.manifest().project: host}), settings.home)
    assignments = [
        stage.assignment(task, msgspec.json.decode(policies, type=Policies), json.loads(inputs))
        for _ in range(int(count))
    ]
    stage.executor.submit(assignments)
    print(*[assignment.placement.worker for assignment in assignments], sep="\n", flush=True)
    while True:
        stage.poll(1.0)


if __name__ == "__main__":
    main(*sys.argv[1:])
