"""A Dask cluster of several processes on this machine, and a stage over it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from partita.core.policies import Policies
from partita.executors.bundle import pack
from partita.executors.clusters.cluster import Cluster
from partita.executors.clusters.executor import ClusterExecutor
from partita.executors.conformance import Stage, make_project
from partita.executors.contract import Assignment
from partita.settings import Home

from .jobs import moments
from .needed import needs

needs_dask = needs(importlib.util.find_spec("distributed") is not None, "the package `distributed`")
# Importing distributed in a test's process leaves sockets to the garbage collector and warns of its own future.
quiet = (
    pytest.mark.filterwarnings("default::ResourceWarning"),
    pytest.mark.filterwarnings("default::DeprecationWarning"),
    pytest.mark.filterwarnings("default::FutureWarning"),
    pytest.mark.filterwarnings("default::pytest.PytestUnraisableExceptionWarning"),
)


class DaskHere:
    """`dask scheduler` and workers as processes, on ports that were free."""

    def __init__(self, folder: Path, *, workers: int = 2, threads: int = 2, resources: str = "GPU=1 Licence=2") -> None:
        self.folder = folder
        self.file = folder / "scheduler.json"
        self._threads = threads
        self._resources = resources
        self.scheduler = self.start_scheduler()
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        for no in range(workers):
            self.start_worker(f"worker-{no}")

    @property
    def address(self) -> str:
        address: str = json.loads(self.file.read_text())["address"]
        return address

    def start_scheduler(self, port: int = 0) -> subprocess.Popen[bytes]:
        self.file.unlink(missing_ok=True)
        arguments = ["--host", "127.0.0.1", "--port", str(port), "--no-dashboard", "--scheduler-file", str(self.file)]
        scheduler = self._start("scheduler", *arguments)
        self._wait(lambda: self.file.exists() and self.file.stat().st_size > 0, "the Dask scheduler to start")
        return scheduler

    def start_worker(self, name: str) -> None:
        arguments = ["--scheduler-file", str(self.file), "--host", "127.0.0.1", "--no-dashboard", "--no-nanny"]
        arguments += ["--nthreads", str(self._threads), "--name", name, "--resources", self._resources]
        self.workers[name] = self._start("worker", *arguments)

    def kill_worker_at(self, address: str) -> str:
        """kill -9 the worker with this address; its name."""
        for name, worker in self.workers.items():
            if address in (self.folder / f"{worker.pid}.log").read_text():
                worker.kill()
                worker.wait()
                return name
        raise AssertionError(f"no worker at {address}")

    def close(self) -> None:
        # The scheduler first, or it tells of workers that went.
        for process in [self.scheduler, *self.workers.values()]:
            process.kill()
            process.wait()

    def _start(self, role: str, *arguments: str) -> subprocess.Popen[bytes]:
        log = self.folder / f"{role}-{uuid.uuid4().hex[:6]}.log"
        environment = {**os.environ, "DASK_DISTRIBUTED__WORKER__DAEMON": "false", "PYTHONWARNINGS": "default"}
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", role, *arguments],
                stdout=file,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=environment,
            )
        log.rename(self.folder / f"{process.pid}.log")
        return process

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        for _ in moments():
            if condition():
                return
        raise AssertionError(f"waited in vain for {what}")


class ClusterStage(Stage):
    """A stage over a cluster: each has its own run, for the cluster lives longer than the stage."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        home = Home(folder / "home")
        project = make_project(folder / "project")
        executor = ClusterExecutor(
            "engine",
            cluster,
            home=home,
            exchange=f"file://{folder}/exchange",
            code_of=lambda _project, _code: pack(project, into=folder),
        )
        super().__init__(executor, home)
        self.cluster = cluster
        self.run_id = f"run-{uuid.uuid4().hex}"
        self.folder = folder

    def _try(self, task: str, policies: Policies, inputs: dict[str, Any]) -> Assignment | None:
        assignment = super()._try(task, policies, inputs)
        if assignment is None:
            return None
        brief = msgspec.structs.replace(assignment.brief, run=self.run_id)
        return msgspec.structs.replace(assignment, brief=brief, project=self.project, code="v1")
