"""A million runs of history, generated: lists, filters, details; a tick and a claim; retention.

The rows are inserted directly (a run of three steps each, as the engine leaves them), which is fast; all that is measured
goes through the readers and the engine. Times in milliseconds.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from partita.core.events import AttemptEnded, AttemptStarted, RunCreated, RunEnded, RunStarted
from partita.core.graph import Graph, Step
from partita.core.graph import encode as encode_graph
from partita.core.graph import version as graph_version
from partita.core.manifest import Manifest, PipelineSpec
from partita.core.retention import DAY_S, policy_of
from partita.core.values import Value
from partita.engine.clock import SystemClock
from partita.engine.ids import new_run_id
from partita.engine.service import Service
from partita.engine.submission import RunRequest
from partita.executors.inline import InlineExecutor
from partita.settings import Home, Settings
from partita.store.sqlite import SqliteStore, open_reader, open_store

DAY = DAY_S
GRAPH = Graph("nightly", (Step("extract"), Step("load", needs=("extract",)), Step("report", needs=("load",))))
_pack = msgspec.msgpack.encode


def fill(store: SqliteStore, runs: int, *, now: float, days: float) -> None:
    """Insert runs that ended evenly over the last days, 200 pipelines, one in fifty failed."""
    db = store._db
    version = graph_version(GRAPH)
    store.put_graph(version, encode_graph(GRAPH))
    random_ = random.Random(7)
    value = _pack(Value("plain", 1, b"\x01"))
    batch = 10_000
    for first in range(0, runs, batch):
        made: dict[str, list[tuple[Any, ...]]] = {"runs": [], "journal": [], "steps": [], "attempts": [], "tags": []}
        for i in range(first, min(runs, first + batch)):
            _one(made, i + 1, now - days * DAY * (1 - i / runs), version, random_, value)
        with db.transaction():
            db.write_many(
                "INSERT INTO runs (no, id, namespace, project, pipeline, graph, code, origin, state, created_at, started_at,"
                " finished_at, by, partition, priority, rerun_of, fail_fast) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                made["runs"],
            )
            db.write_many("INSERT INTO journal (run, seq, at, events) VALUES (?,?,?,?)", made["journal"])
            db.write_many(
                "INSERT INTO steps (run, step, idx, state, attempt, not_before, finished_at, reason, value, reused_from)"
                " VALUES (?,?,'',?,1,0.0,?,'',?,'')",
                made["steps"],
            )
            db.write_many(
                "INSERT INTO attempts (run, step, idx, no, state, epoch, worker, external, started_at, finished_at,"
                " began_at, ended_at) VALUES (?,?,'',1,?,1,'host:1:1','',?,?,?,?)",
                made["attempts"],
            )
            db.write_many("INSERT INTO run_tags (tag, run) VALUES (?,?)", made["tags"])


def _one(made: Any, no: int, at: float, version: str, random_: random.Random, value: bytes) -> None:
    pipeline = f"pipeline_{random_.randrange(200)}"
    state = "failed" if random_.random() < 0.02 else "succeeded"
    id = new_run_id(at)
    by = random_.choice(("ann", "bob", "schedule", "schedule", "schedule"))
    partition = time.strftime("%Y-%m-%d", time.gmtime(at)) if no % 2 else ""
    made["runs"].append(
        (no, id, "default", f"project_{no % 5}", pipeline, version, "c1", f"sched:{pipeline}:{no}", state, at, at + 1, at + 4,
         by, partition, 0, "", 0)
    )  # fmt: skip
    if no % 10 == 0:
        made["tags"].append(("tenth", no))
    created = RunCreated(at, id, "default", "p", pipeline, version, "c1", f"sched:{pipeline}:{no}", by=by)
    events: list[Any] = [created, RunStarted(at + 1)]
    for seq, step in enumerate(("extract", "load", "report"), start=1):
        begin, end = at + seq, at + seq + 1
        events.append(AttemptStarted(begin, step, "", 1, 1, "host:1:1"))
        made["journal"].append((no, seq, begin, _pack(tuple(events))))
        events = [AttemptEnded(end, step, "", 1, 1, "succeeded", Value("plain", 1, b"\x01"), None, begin, end)]
        made["steps"].append((no, step, "succeeded", end, value))
        made["attempts"].append((no, step, "succeeded", begin, end, begin, end))
    made["journal"].append((no, 4, at + 4, _pack((*events, RunEnded(at + 4, state)))))


def measure_reading(path: Path, runs: int, *, now: float, days: float, rounds: int) -> dict[str, float]:
    """The 95th percentile of lists, filters and details."""
    random_ = random.Random(3)
    with closing(open_reader(path)) as reader:

        def pick() -> int:
            return random_.randrange(1, runs + 1)

        asks: dict[str, Callable[[], Any]] = {
            "list": lambda: reader.runs(),
            "page": lambda: reader.runs(before_no=pick()),
            "failed": lambda: reader.runs(states=("failed",), before_no=pick()),
            "pipeline": lambda: reader.runs(pipeline=f"pipeline_{random_.randrange(200)}", states=("failed",)),
            "person": lambda: reader.runs(by="ann", states=("failed",), before_no=pick()),
            "project": lambda: reader.runs(project="project_3", before_no=pick()),
            "tag": lambda: reader.runs(tag="tenth", before_no=pick()),
            "time": lambda: reader.runs(since=now - days * DAY * 0.6, until=now - days * DAY * 0.5),
            "nobody": lambda: reader.runs(by="nobody"),
            "detail": lambda: _detail(reader, str(pick())),
        }
        figures: dict[str, float] = {}
        for name, ask in asks.items():
            times = []
            for _ in range(rounds):
                began = time.perf_counter()
                ask()
                times.append((time.perf_counter() - began) * 1000)
            figures[f"history_{name}_ms"] = sorted(times)[int(len(times) * 0.95)]
    return figures


def _detail(reader: Any, no: str) -> None:
    row = reader.run(no)
    reader.steps(row.id)
    reader.attempts(row.id)
    reader.journal(row.id)


def served(store: SqliteStore, folder: Path) -> Service:
    """A service over the store, whose steps do nothing."""
    from partita.define.calls import Call

    def nothing() -> None: ...

    home = Home(folder)
    call = Call("nothing", nothing)
    executor = InlineExecutor({"nothing": call}, home)
    service = Service(store, executor, settings=Settings(project=folder, home=home), clock=SystemClock())
    service.load(Manifest("bench", pipelines=(PipelineSpec("one", Graph("one", (Step("a", call="nothing"),))),)))
    service.start()
    return service


def measure_runs(service: Service, count: int) -> float:
    """Milliseconds from asking for a run to its end: created, claimed, run, ended (the median)."""
    times = []
    for i in range(count):
        began = time.perf_counter()
        run = service.submitter.submit(RunRequest("one", "bench", f"bench:{time.time_ns()}:{i}"))
        while not run.machine.is_finished:
            service.turn(0.0)
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def measure_retention(store: SqliteStore, folder: Path, seconds: float, days: float) -> dict[str, float]:
    """Runs removed in a second, and the longest turn of the engine meanwhile."""
    from partita.engine import retention

    service = served(store, folder)
    part = next(p for p in service.parts if isinstance(p, retention.Retention))
    part._policy = policy_of({"runs": f"{int(days / 10)}d"})
    part._pass_at = 0.0
    before = store.fetch("end_of_stream")
    count = store._db.fetch("SELECT count(*) FROM runs")[0][0]
    began, turns = time.perf_counter(), []
    while time.perf_counter() - began < seconds and (part._pass is not None or not turns):
        at = time.perf_counter()
        service.turn(0.0)
        turns.append((time.perf_counter() - at) * 1000)
    took = time.perf_counter() - began
    left = store._db.fetch("SELECT count(*) FROM runs")[0][0]
    assert before, "the store is read"
    turns.sort()
    return {
        "retention_runs_per_s": (count - left) / took,
        "retention_longest_turn_ms": turns[-1],
        "retention_turn_p99_ms": turns[int(len(turns) * 0.99)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=20.0, help="of retention")
    arguments = parser.parse_args()
    figures: dict[str, float] = {"history_runs": arguments.runs}
    now, days = time.time(), 300.0
    with tempfile.TemporaryDirectory() as name:
        empty, full = Path(name, "empty"), Path(name, "full")
        for folder in (empty, full):
            folder.mkdir()
        with closing(open_store(full / "partita.db")) as store:
            fill(store, arguments.runs, now=now, days=days)
        figures |= measure_reading(full / "partita.db", arguments.runs, now=now, days=days, rounds=arguments.rounds)
        with closing(open_store(empty / "partita.db")) as small, closing(open_store(full / "partita.db")) as large:
            services = served(small, empty), served(large, full)
            # In turns, so that what else the machine does is the same for both.
            pairs = [(measure_runs(services[0], 20), measure_runs(services[1], 20)) for _ in range(8)]
            figures["history_claim_empty_ms"] = statistics.median(p[0] for p in pairs)
            figures["history_claim_ms"] = statistics.median(p[1] for p in pairs)
            figures["history_claim_ratio"] = figures["history_claim_ms"] / figures["history_claim_empty_ms"]
            for service in services:
                service.engine._tenure.end()
            figures |= measure_retention(large, full, arguments.seconds, days)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
