"""A backfill of ten years and fifty assets (182,500 steps): planned, loaded, and carried out for a while.

Planned against a store that has half of it; carried out by a service whose steps do nothing. The memory is that of this
process, with the plan, the engine and the store in it.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import resource
import tempfile
import time
from contextlib import closing
from pathlib import Path

from partita.core.backfill import BackfillSpec, decode_work, encode
from partita.core.backfill_course import BackfillCourse
from partita.core.graph import Graph, Step
from partita.core.manifest import AssetSpec, Manifest, PartitionSpec
from partita.define.calls import Call
from partita.engine.backfill_planning import plan_backfill
from partita.engine.backfills import StartBackfill
from partita.engine.clock import SystemClock
from partita.engine.service import Service
from partita.executors.inline import InlineExecutor
from partita.settings import Home, Settings
from partita.store import backfills as rows
from partita.store.sqlite import SqliteStore, open_store

DAYS = PartitionSpec("daily", start="2013-01-01", end="2022-12-31")


def manifest(assets: int) -> Manifest:
    """A chain of assets, of which each tenth step begins anew."""
    names = [f"asset_{i}" for i in range(assets)]
    deps = [() if i % 10 == 0 else (names[i - 1],) for i in range(assets)]
    specs = tuple(AssetSpec(n, deps=d, step=n, partitions=DAYS) for n, d in zip(names, deps, strict=True))
    steps = tuple(Step(n, asset=n, needs=d, call="nothing") for n, d in zip(names, deps, strict=True))
    return Manifest("bench", assets=specs, assets_graph=Graph("assets", steps))


def present(store: SqliteStore, assets: int) -> None:
    """Every second day of every asset is there."""
    db = store._db
    first = dt.date(2013, 1, 1)
    keys = [(first + dt.timedelta(days=i)).isoformat() for i in range(0, 3652, 2)]
    with db.transaction():
        for asset in range(assets):
            for key in keys:
                db.fetch(
                    "INSERT INTO materializations (asset, partition, step, idx, attempt, at, data_version, code_version,"
                    " began_at, ended_at) VALUES (?, ?, 'test', '', 0, 0.0, '', '', 1.0, 3.0)",
                    (f"asset_{asset}", key),
                )
        db.fetch("INSERT INTO latest SELECT asset, partition, no, no, at FROM materializations")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=15.0, help="of carrying out")
    arguments = parser.parse_args()
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        home = Home(Path(name))
        with closing(open_store(home.db)) as store:
            present(store, arguments.assets)
            project = manifest(arguments.assets)
            for only in ("all", "missing"):
                began = time.perf_counter()
                found = plan_backfill(
                    BackfillSpec("*", "2013-01-01..2022-12-31", only=only),  # type: ignore[arg-type]
                    [project],
                    store,
                    now=time.time(),
                    workers=2,
                )
                figures[f"backfill_plan_{only}_s"] = time.perf_counter() - began
                figures[f"backfill_steps_{only}"] = found.estimate.steps
            found = plan_backfill(
                BackfillSpec("*", "2013-01-01..2022-12-31"), [project], store, now=time.time(), workers=2
            )
            began = time.perf_counter()
            BackfillCourse(decode_work(encode(found.work)), 8)
            figures["backfill_take_up_s"] = time.perf_counter() - began
            executor = InlineExecutor({"nothing": Call("nothing", lambda: None)}, home)
            settings = Settings(project=home.root, home=home)
            service = Service(store, executor, settings=settings, clock=SystemClock())
            service.load(project)
            service.start()
            handler = service.handlers()[StartBackfill]
            asked = service.engine.post(
                lambda: handler(StartBackfill(found.spec, found.work, found.partitions, "bench"))
            )
            began = time.perf_counter()
            longest = 0.0
            while time.perf_counter() - began < arguments.seconds:
                at = time.perf_counter()
                service.turn(0.0)
                longest = max(longest, time.perf_counter() - at)
            row = rows.backfill(store, asked.result().id)
            assert row is not None
            done = rows.counts(store, row).get("succeeded", 0)
            figures["backfill_runs_per_s"] = done / arguments.seconds
            figures["backfill_longest_turn_ms"] = longest * 1000
            figures["backfill_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
