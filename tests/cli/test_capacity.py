"""Placement from the command line: what the machine has, what fits nowhere, what steps ask for beside what they use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .projects import call, shell

PROJECT = """
import os
import partita as pt


@pt.task(cpu=1, memory="2GiB", resources={"license": 1})
def load() -> int:
    held = bytearray(60 << 20)
    return len(held)


@pt.task(gpu=1)
def train(rows: int) -> str:
    return os.environ["CUDA_VISIBLE_DEVICES"]


@pt.task(memory="64MiB", memory_on_oom=4.0)
def greedy() -> int:
    return len(bytearray(150 << 20))


@pt.task(memory="900GiB")
def huge() -> None: ...


@pt.pipeline
def nightly():
    pt.shell("echo GPU {n}", n=train(load()))


@pt.pipeline
def hungry():
    greedy()


@pt.pipeline
def boundless():
    huge()
"""
CONFIG = """
[tool.partita]
capacity = { cpu = 2, memory = "6GiB", gpu = 2, license = 1 }
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("placement") / "shop"
    folder.mkdir()
    (folder / "pipelines.py").write_text(PROJECT)
    (folder / "pyproject.toml").write_text(CONFIG)
    shell(folder, "run", "nightly")
    return folder


def test_the_machine_is_what_the_project_declares(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(call(capsys, folder, "capacity", "--json").out)
    assert [(one["name"], one["total"], one["used"]) for one in told] == [
        ("cpu", 2.0, 0.0),
        ("memory", 6.0 * (1 << 30), 0.0),
        ("gpu", 2.0, 0.0),
        ("license", 1.0, 0.0),
    ]
    assert told[2]["gpus"] == ["0", "1"]
    assert "0, 1 (free: 0, 1)" in call(capsys, folder, "capacity").out


def test_a_step_with_a_gpu_sees_that_one_only(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "GPU 0" in call(capsys, folder, "logs", "1", "shell").out
    assert "gpu 0" in call(capsys, folder, "show", "1", "train").out


def test_a_step_that_runs_out_of_memory_runs_again_with_more(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert shell(folder, "run", "hungry").status == 0
    told = call(capsys, folder, "why", "2", "greedy").out
    assert "it ran out of memory once, and may use 256 MiB by now" in told


def test_a_step_that_fits_nowhere_is_known_when_it_is_checked_and_fails_when_it_runs(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checked = call(capsys, folder, "check")
    why = "it asks for 900 GiB of memory, and this machine has 6 GiB of memory in all: it can never start here"
    assert checked.status == 0
    assert f"step huge of boundless: {why}" in checked.out + checked.err
    done = shell(folder, "run", "boundless")
    assert done.status == 1
    assert why in done.out + done.err


def test_what_steps_ask_for_is_shown_beside_what_they_use(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(call(capsys, folder, "show", "nightly", "--json").out)
    (load,) = [size for size in told["sizes"] if size["step"] == "load"]
    assert load["memory_asked"] == 2 << 30
    assert 60 << 20 < load["memory_used"] < 1 << 30
    assert load["hint"].startswith("asks for 2 GiB of memory and uses ")
    assert "what it keeps free, others wait for" in " ".join(call(capsys, folder, "show", "nightly").out.split())
