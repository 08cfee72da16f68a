"""Automation over 5,000 assets x 30 partitions: the first look at all of it, out of a store on disk, and one update."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import random
import statistics
import tempfile
import time
from pathlib import Path

from partita.core.automation import encode, on_upstream
from partita.core.automaton import Automaton
from partita.core.facts.assets import AssetReported
from partita.core.manifest import AssetSpec, PartitionSpec
from partita.core.staleness import Made
from partita.engine.automation import automaton_of
from partita.store.sqlite import open_store

_DAYS = 30


def main() -> None:
    """Print the figures as one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--assets", type=int, default=5_000)
    options = parser.parse_args()
    rng = random.Random(3)
    day = PartitionSpec("daily", start="2026-01-01")
    now = dt.datetime(2026, 1, 1 + _DAYS, 12, tzinfo=dt.UTC).timestamp()
    names = [f"asset_{i}" for i in range(options.assets)]
    specs = [
        AssetSpec(
            name,
            # Sources first, then three upstreams each, mostly near: layers as a warehouse has them.
            deps=tuple(dict.fromkeys(names[rng.randrange(max(0, i - 400), i)] for _ in range(3))) if i > 200 else (),
            partitions=day,
            code_version="1",
            automation=encode(on_upstream()),
        )
        for i, name in enumerate(names)
    ]
    days = [f"2026-01-{d:02}" for d in range(1, _DAYS + 1)]
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder) / "partita.db")
        epoch = store.acquire("engine", "bench", 3600.0).epoch
        for some in range(0, len(names), 500):
            part = names[some : some + 500]
            facts = [AssetReported(now - 1e6, name, key, "bench", "v") for name in part for key in days]
            store.commit([], epoch=epoch, facts=facts)
        began = time.perf_counter()
        automaton = automaton_of(store, [("p", spec) for spec in specs], [], now=now)
        assert automaton is not None
        asked = sum(len(d.partitions) for d in automaton.evaluate(now))
        automaton.settle()
        first_s = time.perf_counter() - began
        store.close()
    updates = [_update(automaton, rng.choice(names), rng.choice(days), no + 10_000_000, now) for no in range(1_000)]
    print(
        json.dumps(
            {
                "automation_assets": options.assets,
                "automation_first_s": first_s,
                "automation_update_ms": statistics.median(updates) * 1e3,
                "automation_update_p99_ms": statistics.quantiles(updates, n=100)[98] * 1e3,
                "automation_asked": asked,
            }
        )
    )


def _update(automaton: Automaton, asset: str, key: str, no: int, now: float) -> float:
    began = time.perf_counter()
    automaton.materialized(asset, key, Made(no, now, f"v{no}", "1", no, now))
    for decision in automaton.evaluate(now):
        automaton.asked(decision.asset, decision.partitions, now)
    automaton.settle()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
