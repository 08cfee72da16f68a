"""Container steps in real runs: logs, more memory after they ran out of it, and an end for the container whatever becomes of its worker."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import StandIn

PARTITA = Path(sys.executable).parent / "partita"
PIPELINES = """
import partita as pt

GREEDY = "import time; held = bytearray(150 << 20); print('it fits', flush=True)"

@pt.task
def rows():
    return [{"id": 1}, {"id": 2}]

@pt.pipeline
def nightly():
    made = pt.container(
        "busy:1",
        ["sh", "-c", "echo counting; grep -o id /in/rows.json | wc -l > /out/count.txt"],
        inputs={"/in/rows.json": rows()},
        outputs={"count": "/out/count.txt"},
        name="count",
    )
    pt.shell("echo counted {n}", n=made["count"])

@pt.pipeline
def greedy():
    pt.container(
        "busy:1", ["/usr/bin/env", "python3", "-c", GREEDY], name="eat", env={"PATH": "/usr/local/bin:/usr/bin:/bin"},
        options={"memory": "100MiB", "memory_on_oom": 4.0},
    )

@pt.pipeline
def broken():
    pt.container("busy:1", ["sh", "-c", "echo on its way; exit 3"], name="fail")
"""


PATIENT = """

@pt.pipeline
def patient(folder: str):
    pt.container(
        "busy:1",
        ["sh", "-c", "trap 'exit 0' TERM; echo begun > /fifos/begun; read word < /fifos/go; echo went on"],
        volumes={"FOLDER": "/fifos"}, name="wait", options={"grace": "5s"},
    )
"""


def partita(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PARTITA, *arguments], cwd=folder, capture_output=True, text=True, timeout=60)


def project(folder: Path) -> Path:
    folder.mkdir()
    (folder / "pipelines.py").write_text(PIPELINES)
    return folder


def test_a_container_is_a_step_of_a_run_with_files_logs_and_a_result(docker: StandIn, tmp_path: Path) -> None:
    folder = project(tmp_path / "shop")
    done = partita(folder, "run", "nightly")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "counting" in partita(folder, "logs", "1", "count").stdout
    assert "counted 2" in partita(folder, "logs", "1", "shell").stdout
    (asked,) = docker.calls("run")
    labels = {a.removeprefix("--label=").partition("=")[0] for a in asked if a.startswith("--label=")}
    assert labels == {"partita", "partita.run", "partita.step", "partita.index", "partita.attempt"}
    assert docker.left() == []


def test_a_container_that_runs_out_of_memory_gets_more_of_it_the_next_time(docker: StandIn, tmp_path: Path) -> None:
    folder = project(tmp_path / "shop")
    done = partita(folder, "run", "greedy")
    assert done.returncode == 0, done.stdout + done.stderr
    limits = [a for call in docker.calls("run") for a in call if a.startswith("--memory=")]
    assert limits == [f"--memory={100 << 20}", f"--memory={400 << 20}"]
    (step,) = json.loads(partita(folder, "show", "1", "eat", "--json").stdout)
    assert [a["state"] for a in step["attempts"]] == ["failed", "succeeded"]
    assert "out of memory" in json.dumps(step["attempts"][0])
    why = partita(folder, "why", "1", "eat").stdout
    assert "it ran out of memory once, and may use 400 MiB by now" in why


def test_a_container_that_fails_fails_its_step(docker: StandIn, tmp_path: Path) -> None:
    folder = project(tmp_path / "shop")
    assert partita(folder, "run", "broken").returncode == 1
    (step,) = json.loads(partita(folder, "show", "1", "fail", "--json").stdout)
    told = json.dumps(step["attempts"][0])
    assert "the container failed: exit code 3" in told


class Waiting:
    """A run in whose container the test says when it goes on."""

    def __init__(self, folder: Path) -> None:
        self.folder = project(folder)
        for name in ("begun", "go"):
            os.mkfifo(folder / name)
        source = (folder / "pipelines.py").read_text() + PATIENT.replace("FOLDER", str(folder))
        (folder / "pipelines.py").write_text(source.replace("folder: str", ""))
        self.run = subprocess.Popen(
            [PARTITA, "run", "patient"], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        # Opening it waits for the one who writes.
        assert (folder / "begun").read_text() == "begun\n"

    def go_on(self) -> None:
        (self.folder / "go").write_text("go\n")


def test_a_cancel_ends_the_container(docker: StandIn, tmp_path: Path) -> None:
    waiting = Waiting(tmp_path / "shop")
    assert len(docker.left()) == 1
    assert partita(waiting.folder, "cancel", "1").returncode == 0
    assert waiting.run.wait(timeout=30) != 0
    (step,) = json.loads(partita(waiting.folder, "show", "1", "wait", "--json").stdout)
    assert [a["state"] for a in step["attempts"]] == ["cancelled"]
    assert len(docker.calls("stop")) == 1
    assert docker.left() == []


def test_a_container_goes_on_when_the_scheduler_was_killed_and_its_end_is_taken_over(
    docker: StandIn, tmp_path: Path
) -> None:
    waiting = Waiting(tmp_path / "shop")
    waiting.run.kill()
    waiting.run.wait()
    waiting.go_on()
    # The next engine in this folder takes up what is open.
    assert partita(waiting.folder, "run", "nightly").returncode == 0
    (step,) = json.loads(partita(waiting.folder, "show", "1", "wait", "--json").stdout)
    assert [(a["attempt"], a["state"]) for a in step["attempts"]] == [(1, "succeeded")]
    assert step["value"]["content"] == "went on"
    assert docker.left() == []


def test_without_a_runtime_it_is_a_warning_before_and_an_error_in_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = project(tmp_path / "shop")
    (folder / "pyproject.toml").write_text('[tool.partita]\ncontainer_runtime = "no-such-runtime"\n')
    checked = partita(folder, "check")
    assert checked.returncode == 0
    told = " ".join((checked.stdout + checked.stderr).split())
    assert (
        "step count of nightly cannot run: there is no container runtime here: no-such-runtime is not installed" in told
    )
    assert "install podman" in told
    done = partita(folder, "run", "broken")
    assert done.returncode == 1
    assert "no-such-runtime is not installed" in done.stdout + done.stderr


def test_a_container_is_removed_when_its_worker_was_killed(docker: StandIn, tmp_path: Path) -> None:
    code = "import partita as pt; pt.container('busy:1', ['sh', '-c', 'echo begun; exec sleep 600'])"
    worker = subprocess.Popen(
        [sys.executable, "-u", "-c", code], stdout=subprocess.PIPE, text=True, env=os.environ, start_new_session=True
    )
    assert worker.stdout is not None
    watch = None
    try:
        assert worker.stdout.readline() == "begun\n"
        (name,) = docker.left()
        container = json.loads((docker.home / name / "state.json").read_text())["pid"]
        watch = os.pidfd_open(container)
        # As the host does it: all of its session at once.
        os.killpg(worker.pid, signal.SIGKILL)
        ended, _, _ = select.select([watch], [], [], 20)
        assert ended, "the container goes on without its worker"
    finally:
        worker.kill()
        worker.wait()
        worker.stdout.close()
        if watch is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(watch, signal.SIGKILL)
            os.close(watch)
