"""A trivial step through Dask and Ray, beside the engine's own round trip in the same run.

The engine's own: `client.submit(f, i).result()` and `ray.get(f.remote(i))`. Ours: a step through `ClusterExecutor`, that is
with its claim, its outcome and its log in the exchange, performed by a warm worker of ours beside the engine's. Both in
turns, so that what the machine does meanwhile falls on both. An engine whose package is missing is left out.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from partita.core.policies import Policies
from partita.executors.bundle import pack
from partita.executors.clusters.executor import ClusterExecutor
from partita.executors.conformance import Stage, make_project
from partita.executors.contract import Assignment
from partita.settings import Home

ROUNDS = 10
TRIPS = 30
MANY = 1000


class Bench(Stage):
    """Steps through a cluster of the conformance project."""

    def __init__(self, folder: Path, cluster: Any) -> None:
        project = make_project(folder / "project")
        executor = ClusterExecutor(
            "engine",
            cluster,
            home=Home(folder / "home"),
            exchange=f"file://{folder}/exchange",
            code_of=lambda _project, _code: pack(project, into=folder),
        )
        super().__init__(executor, Home(folder / "home"))
        self._run = uuid.uuid4().hex

    def _try(self, task: str, policies: Policies, inputs: dict[str, Any]) -> Assignment | None:
        assignment = super()._try(task, policies, inputs)
        if assignment is None:
            return None
        brief = msgspec.structs.replace(assignment.brief, run=self._run)
        return msgspec.structs.replace(assignment, brief=brief, project=self.project, code="v1")


def double(i: int) -> int:
    return 2 * i


def measured(name: str, stage: Bench, bare: Callable[[int], Any], bare_many: Callable[[], Any]) -> dict[str, float]:
    """Medians of round trips, and the rate of many at once."""
    # First the many: afterwards both are warm, and the exchange has its folders.
    bare_many()
    stage.run_many("double", MANY)
    many_bare = min(_took(bare_many) for _ in range(3))
    many_ours = min(_took(lambda: stage.run_many("double", MANY)) for _ in range(3))
    for i in range(TRIPS):
        bare(i)
        stage.run("double", i=i)
    ours, theirs = [], []
    for _ in range(ROUNDS):
        theirs += [_took(lambda: bare(1)) for _ in range(TRIPS)]
        ours += [_took(lambda: stage.run("double", i=1)) for _ in range(TRIPS)]
    return {
        f"{name}_bare_ms": statistics.median(theirs) * 1e3,
        f"{name}_ms": statistics.median(ours) * 1e3,
        f"{name}_bare_many_per_s": MANY / many_bare,
        f"{name}_many_per_s": MANY / many_ours,
    }


def with_dask(folder: Path) -> dict[str, float]:
    import distributed

    from partita.executors.clusters import dask

    file = folder / "scheduler.json"
    with _running(
        "dask", "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", file
    ):
        worker = ("--scheduler-file", file, "--host", "127.0.0.1", "--no-dashboard", "--no-nanny", "--nthreads", "1")
        with _running("dask", "worker", *worker), _running("dask", "worker", *worker):
            client = distributed.Client(scheduler_file=str(file), timeout=30, set_as_default=False)
            client.wait_for_workers(2, timeout=30)
            stage = Bench(folder, dask.make("engine", {"scheduler_file": str(file)}))

            def many() -> None:
                client.gather(client.map(double, range(MANY), pure=False))

            try:
                return measured("dask", stage, lambda i: client.submit(double, i, pure=False).result(), many)
            finally:
                stage.executor.close(kill=True)
                client.close()


def with_ray(folder: Path) -> dict[str, float]:
    # A token of this run's own; Ray reads it as it is imported.
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": uuid.uuid4().hex * 2}
    import ray

    from partita.executors.clusters import ray as cluster

    # This process is the bare driver, with a cluster of its own; ours joins it as a second driver.
    place = Path(tempfile.mkdtemp(prefix="ray-"))
    context = ray.init(
        num_cpus=4, include_dashboard=False, _temp_dir=str(place), logging_level="error", object_store_memory=80 << 20
    )
    remote = ray.remote(double)
    stage = Bench(folder, cluster.make("engine", {"address": context.address_info["gcs_address"]}))

    def many() -> None:
        ray.get([remote.remote(i) for i in range(MANY)])

    try:
        return measured("ray", stage, lambda i: ray.get(remote.remote(i)), many)
    finally:
        stage.executor.close(kill=True)
        ray.shutdown()


@contextlib.contextmanager
def _running(*arguments: object) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-m", *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _took(what: Callable[[], Any]) -> float:
    began = time.perf_counter()
    what()
    return time.perf_counter() - began


def main() -> None:
    found: dict[str, float] = {}
    for package, engine in (("distributed", with_dask), ("ray", with_ray)):
        if importlib.util.find_spec(package) is not None:
            with tempfile.TemporaryDirectory() as folder:
                found |= engine(Path(folder))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
