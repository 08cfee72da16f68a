"""What the store costs: µs per step for batches of steps in one synced commit, beside the bare floor.

A step is what the engine commits for it at full load: the end of one attempt with a small value, and the start of
another. The floor is one small row inserted and synced into a table of its own, with the same settings.

    python bench/store_commit.py [--steps 20000] [--folder FOLDER]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import apsw

from partita.core.events import AttemptEnded, AttemptStarted, RunCreated, RunStarted
from partita.core.values import Value
from partita.store.contract import RunCommit
from partita.store.sqlite import open_store

WORKER = "a-host-name:12345:1234567.12"
AT = 1.79e9


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--steps", type=int, default=20_000)
    args.add_argument("--repeat", type=int, default=3)
    args.add_argument("--folder", type=Path, help="on the disk to measure; else that of temporary files")
    chosen = args.parse_args()
    result = {"floor_us_per_commit": round(statistics.median(floor(chosen.folder) for _ in range(chosen.repeat)), 1)}
    print(f"bare floor: one small row, synced: {result['floor_us_per_commit']:8.1f} µs a commit")
    for batch in (1, 16, 64, 256, 1000):
        steps = min(chosen.steps, batch * 2000)
        times = [steps_in_batches(chosen.folder, steps, batch) for _ in range(chosen.repeat)]
        per_step, cpu = (statistics.median(column) for column in zip(*times, strict=True))
        result[f"us_per_step_of_{batch}"] = round(per_step, 2)
        result[f"cpu_us_per_step_of_{batch}"] = round(cpu, 2)
        print(
            f"{batch:5} steps a commit: {per_step:8.2f} µs a step (CPU {cpu:6.2f}), {per_step * batch:9.1f} µs a commit"
        )
    print(json.dumps(result))


def floor(folder: Path | None, commits: int = 1000) -> float:
    """µs for a synced commit of one small row."""
    with tempfile.TemporaryDirectory(dir=folder) as home:
        connection = apsw.Connection(f"{home}/floor.db")
        for setting in ("journal_mode = WAL", "synchronous = FULL"):
            connection.execute(f"PRAGMA {setting}").fetchall()
        connection.execute("CREATE TABLE done (no INTEGER PRIMARY KEY, step TEXT, at REAL) STRICT")
        began = time.perf_counter()
        for no in range(commits):
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO done VALUES (?, ?, ?)", (no, "extract", AT))
            connection.execute("COMMIT")
        taken = time.perf_counter() - began
        connection.close()
    return taken / commits * 1e6


def steps_in_batches(folder: Path | None, steps: int, batch: int) -> tuple[float, float]:
    """µs a step, by the clock and of CPU, when `batch` steps end and as many start in one commit."""
    with tempfile.TemporaryDirectory(dir=folder) as home:
        store = open_store(f"{home}/partita.db")
        epoch = store.acquire("engine", "bench", 60.0).epoch
        created = RunCreated(
            AT, run="run", namespace="default", project="p", pipeline="p", graph="g", code="c", origin="o"
        )
        store.commit([RunCommit("run", 1, AT, (created, RunStarted(AT)))], epoch=epoch)
        commits = [_commit(seq, begin, batch, epoch) for seq, begin in enumerate(range(0, steps, batch), start=2)]
        began, cpu = time.perf_counter(), time.process_time()
        for commit in commits:
            store.commit([commit], epoch=epoch)
        taken, used = time.perf_counter() - began, time.process_time() - cpu
        store.close()
    return taken / steps * 1e6, used / steps * 1e6


def _commit(seq: int, begin: int, batch: int, epoch: int) -> RunCommit:
    value = Value("json", 5, b"hello")
    ended = [
        AttemptEnded(AT, "extract", str(i), 1, epoch, "succeeded", value, None, AT, AT)
        for i in range(max(0, begin - batch), begin)
    ]
    started = [AttemptStarted(AT, "extract", str(i), 1, epoch, WORKER) for i in range(begin, begin + batch)]
    return RunCommit("run", seq, AT, (*ended, *started))


if __name__ == "__main__":
    main()
