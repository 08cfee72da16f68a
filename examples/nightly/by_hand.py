"""The nightly without an orchestrator: every station once, in order, in one process.

For trying the stations, and to see what is missing without Partita: an error is printed and the night goes on with
holes. No retry, no history, no reason given for what did not run.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

from checks import CHECKS
from dashboards import DASHBOARDS, refresh
from folders import Folders, default_folders
from sources import DEFAULT_DAY, SOURCES, extract, take_stock
from stations import buildable, dbt_project
from training import MODELS, score_is_good_enough, train
from warehouse import reader

from partita.integrations.dbt import DbtRunner, read_nodes


def main(day: date = DEFAULT_DAY) -> None:
    folders = default_folders()
    with _station("extract"):
        for source in SOURCES:
            _attempt(source, lambda source=source: extract(source, day, folders.root))
        print(f"  {take_stock(day, folders.root)}")
    with _station("dbt"):
        _build(folders)
    with _station("checks"), reader(folders.warehouse) as connection:
        for check in CHECKS:
            _attempt(check.name, lambda check=check: check.judge(connection), told=True)
    with _station("train"):
        for name in MODELS:
            _attempt(
                name,
                lambda name=name: score_is_good_enough(train(name, folders.warehouse, folders.artifacts)),
                told=True,
            )
    with _station("dashboards"):
        for name in DASHBOARDS:
            _attempt(name, lambda name=name: refresh(name, folders.warehouse, folders.artifacts, folders.dashboards))


def _build(folders: Folders) -> None:
    project = dbt_project(folders)
    nodes = read_nodes(project)
    outcome = DbtRunner(project).run(buildable(nodes, folders.root))
    left_out = sum(node.kind != "source" for node in nodes) - len(outcome.nodes)
    counts = [f"{len(outcome.of(state))} {state}" for state in ("succeeded", "warned", "failed", "skipped")]
    print(f"  {', '.join(counts)}, {left_out} not tried")
    for node in outcome.of("failed"):
        print(f"  {node.unique_id}: {node.message}")


def _attempt(name: str, act: Callable[[], Any], told: bool = False) -> None:
    try:
        answer = act()
    except Exception as error:
        print(f"  {name}: {type(error).__name__}: {error}")
    else:
        if told:
            print(f"  {name}: {answer}")


@contextmanager
def _station(name: str) -> Iterator[None]:
    print(name)
    started = time.monotonic()
    yield
    print(f"  {time.monotonic() - started:.1f} s")


if __name__ == "__main__":
    main(*(date.fromisoformat(word) for word in sys.argv[1:2]))
