"""The machine over HTTP: what it has for steps, what is taken, what steps ask for beside what they use."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest

import partita as pt

from .serving import Serving
from .test_runs import V1, ended, started

PIPELINES = """
from pathlib import Path

import partita as pt


@pt.task(cpu=1, memory="4GiB")
def waits() -> int:
    import time

    held = bytearray(40 << 20)
    Path("begun").touch()
    while not Path("go").exists():
        time.sleep(0.005)
    return len(held)


@pt.task(memory="3GiB")
def after() -> None: ...


@pt.pipeline
def patient():
    waits()
    after()
"""
CONFIG = '[tool.partita]\ncapacity = { cpu = 2, memory = "5GiB" }\n'


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    service = Serving(tmp_path_factory.mktemp("machine"), PIPELINES, CONFIG)
    yield service
    assert service.end() == (0, 0)


@pytest.fixture
def api(serving: Serving) -> Iterator[httpx2.Client]:
    with serving.client() as client:
        yield client


def test_what_is_taken_who_waits_and_what_was_used(serving: Serving, api: httpx2.Client) -> None:
    run = started(api, {"pipeline": "patient"})
    while not (serving.folder / "begun").exists():
        pass  # the step is on its way
    while (told := {one["name"]: one for one in api.get(f"{V1}/capacity").json()["items"]})["memory"]["waiting"] == 0:
        pass
    assert told["memory"] == {
        "name": "memory", "total": 5.0 * (1 << 30), "used": 4.0 * (1 << 30), "waiting": 1, "gpus": [], "taken": [],
    }  # fmt: skip
    assert (told["cpu"]["total"], told["cpu"]["used"]) == (2.0, 1.0)
    why = api.get(f"{V1}/runs/{run['id']}/steps/after/why").json()
    assert "waits for 3 GiB of memory: 1 of 5 GiB are free" in str(why)
    (serving.folder / "go").touch()
    assert ended(api, run["id"])["state"] == "succeeded"
    sizes = {one["step"]: one for one in api.get(f"{V1}/pipelines/patient/sizes").json()["items"]}
    assert (sizes["waits"]["memory_asked"], sizes["waits"]["cpu_asked"], sizes["waits"]["attempts"]) == (
        4 << 30,
        1.0,
        1,
    )
    assert 40 << 20 < sizes["waits"]["memory_used"] < 1 << 30
    assert sizes["waits"]["hint"].startswith("asks for 4 GiB of memory and uses ")
    assert api.get(f"{V1}/pipelines/nowhere/sizes").status_code == 404


def test_the_client_asks_the_same(serving: Serving) -> None:
    with pt.Client(serving.address, serving.token) as client:
        assert [one["name"] for one in client.limits.capacity()] == ["cpu", "memory"]
        assert {one["step"] for one in client.pipelines.sizes("patient")} == {"waits", "after"}
