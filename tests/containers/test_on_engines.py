"""`pt.container` on an engine that starts no images itself (Dask, Ray, Slurm): the runtime of the machine that has the step, or a clear no."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from executors.a_cluster import ProcessCluster, exchange_in, until_ended
from partita.executors.bundle import pack
from partita.executors.clusters.executor import ClusterExecutor
from partita.executors.conformance import PLAIN, Stage, make_project
from partita.settings import Home
from partita.worker.wire import Outcome

from .conftest import StandIn

PIPELINE = "\n\n@pt.pipeline\ndef boxes() -> None:\n    pt.container('busy:1', ['true'])\n"


@pytest.fixture
def new_stage(tmp_path: Path) -> Iterator[Stage]:
    project = make_project(tmp_path / "project")
    with (project / "pipelines.py").open("a") as file:
        file.write(PIPELINE)
    home = Home(tmp_path / "home")
    with until_ended(ProcessCluster()) as cluster:
        executor = ClusterExecutor(
            "farm", cluster, home=home, exchange=exchange_in(tmp_path), code_of=lambda *_: pack(project, into=tmp_path)
        )
        yield Stage(executor, home, module="partita.define.container_run")
        executor.close()


def run_container(stage: Stage, *command: str, **said: Any) -> Outcome:
    given: dict[str, Any] = {
        "image": "busy:1", "command": list(command), "entrypoint": None, "env": {}, "inputs": {}, "outputs": {},
        "volumes": {}, "workdir": None, "user": None, "network": None, "pull": "missing", "result": "last_line",
        "runtime": "", "limits": {"grace_s": 5.0},
    }  # fmt: skip
    assignment = stage.assignment("run_container", PLAIN, {**given, **said})
    brief = msgspec.structs.replace(assignment.brief, kind="container")
    stage.executor.submit([msgspec.structs.replace(assignment, brief=brief)])
    return stage.outcome(assignment.ticket.no)


def test_it_runs_with_the_runtime_of_the_machine_that_has_the_step(docker: StandIn, new_stage: Stage) -> None:
    outcome = run_container(
        new_stage,
        "sh",
        "-c",
        "wc -l </in/a.txt >/out/n.txt",
        inputs={"/in/a.txt": "1\n2\n"},
        outputs={"n": "/out/n.txt"},
    )
    assert new_stage.value(outcome) == {"n": "2\n"}
    assert len(docker.calls("run")) == 1


def test_where_there_is_none_the_step_says_so(
    new_stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    outcome = run_container(new_stage, "true")
    assert outcome.state == "failed"
    assert outcome.detail is not None
    assert outcome.detail.failure is not None
    assert "there is no container runtime here: docker is not installed" in outcome.detail.failure.message
