"""Times runs of the real engine (synced SQLite, two workers) and the bare counterparts, in one process; prints JSON.

Bare is `concurrent.futures.ProcessPoolExecutor(2)`, warm, with the same no-op: it keeps nothing.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import apsw

from partita.core import plain
from partita.engine.embedded import Embedded
from partita.engine.submission import RunRequest
from partita.settings import Settings

PROJECT = Path(__file__).parent / "project"


def _same(x: int) -> int:
    return x


def _bare(rounds: int) -> dict[str, float]:
    """Throughput of the bare pool at 500, 1,000 and 10,000 tasks, and its round trip."""
    figures: dict[str, list[float]] = {"bare_500": [], "bare_1000": [], "bare_10000": [], "bare_hop_ms": []}
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        list(pool.map(_same, range(200)))
        for _ in range(rounds):
            for n in (500, 1000, 10_000):
                start = time.perf_counter()
                for future in [pool.submit(_same, i) for i in range(n)]:
                    future.result()
                figures[f"bare_{n}"].append(n / (time.perf_counter() - start))
            start = time.perf_counter()
            for i in range(200):
                pool.submit(_same, i).result()
            figures["bare_hop_ms"].append((time.perf_counter() - start) / 200 * 1e3)
    return {name: statistics.median(values) for name, values in figures.items()}


def _synced_commit_ms(folder: Path) -> float:
    """One synced commit of a small row: the other half of a hop's floor."""
    connection = apsw.Connection(str(folder / "floor.db"))
    connection.execute("pragma journal_mode=wal").fetchall()
    connection.execute("pragma synchronous=full; create table t(a integer primary key, b text)").fetchall()
    times = []
    for i in range(300):
        start = time.perf_counter()
        connection.execute("begin immediate; insert into t values(?, 'row'); commit", (i,)).fetchall()
        times.append(time.perf_counter() - start)
    connection.close()
    return statistics.median(times) * 1e3


def _run(partita: Embedded, pipeline: str, **params: int) -> float:
    request = RunRequest(
        pipeline, "bench", f"bench:{time.time_ns()}", params={k: plain.pack(v) for k, v in params.items()}
    )
    start = time.perf_counter()
    run = partita.submit(request)
    partita.wait([run])
    assert run.machine.state == "succeeded", run.machine.reason
    return time.perf_counter() - start


def measure(rounds: int, *, quick: bool) -> dict[str, float]:
    """All figures of this file."""
    folder = Path(tempfile.mkdtemp(prefix="partita-bench-"))
    try:
        shutil.copytree(PROJECT, folder / "project", ignore=shutil.ignore_patterns(".partita", "__pycache__"))
        figures = _bare(rounds)
        figures["commit_ms"] = _synced_commit_ms(folder)
        with Embedded(Settings.of(folder / "project", workers=2), workers=2) as partita:
            partita.start()
            _run(partita, "fan", n=2000)
            figures |= _shapes(partita, rounds)
            figures |= _work(partita, 1000 if quick else 5000)
            figures |= _large(partita, 20_000 if quick else 100_000)
        return figures
    finally:
        shutil.rmtree(folder)


def _shapes(partita: Embedded, rounds: int) -> dict[str, float]:
    figures: dict[str, list[float]] = {"fan_1000": [], "fan_10000": [], "hop_ms": [], "layers": []}
    for _ in range(rounds):
        figures["fan_1000"].append(1002 / _run(partita, "fan", n=1000))
        figures["fan_10000"].append(10_002 / _run(partita, "fan", n=10_000))
        figures["hop_ms"].append(_run(partita, "chain") / 100 * 1e3)
        figures["layers"].append(500 / _run(partita, "layers"))
    return {name: statistics.median(values) for name, values in figures.items()}


def _work(partita: Embedded, n: int) -> dict[str, float]:
    ideal = n * 0.006 / 2
    return {
        "busy_of_ideal": ideal / _run(partita, "work", n=n),
        "idle_of_ideal": ideal / _run(partita, "waits", n=n),
    }


def _large(partita: Embedded, n: int) -> dict[str, float]:
    """Time per step of a run of `n` steps, against that of 1,000."""
    small = min(_run(partita, "fan", n=1000) for _ in range(3)) / 1002
    large = _run(partita, "fan", n=n) / (n + 2)
    return {"large_steps": n, "large_to_small": large / small}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.rounds, quick=arguments.quick)))
