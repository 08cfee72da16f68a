"""The system as one object: machines, workers, executors and versions; over HTTP and from the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import httpx2
import pytest

import partita as pt

from .serving import Serving

PIPELINES = """
import partita as pt

@pt.task(executor="farm")
def far() -> int:
    return 1

@pt.pipeline
def away():
    far()
"""
# There is no Slurm here; and a setting that must be said is not.
SETTINGS = """
[tool.partita]
name = "shop"
capacity = { license = 2 }

[tool.partita.executors.farm]
kind = "slurm"

[tool.partita.executors.odd]
kind = "kubernetes"
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    service = Serving(tmp_path_factory.mktemp("premises"), PIPELINES, SETTINGS)
    yield service
    assert service.end() == (0, 0)


def told_by_command(server: Serving, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "partita.cli.main", "system", "-C", str(server.folder), *words],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_executors_machine_workers_and_versions_are_told_alike_by_the_api_and_the_command(server: Serving) -> None:
    with server.client() as api:
        told = api.get("/api/v1/system").json()
    (scheduler,) = told["schedulers"]
    assert {(e["name"], e["kind"], e["state"]) for e in scheduler["executors"]} == {
        ("farm", "slurm", "unused"),
        ("odd", "kubernetes", "wrong"),
    }
    assert "image" in next(e["trouble"] for e in scheduler["executors"] if e["name"] == "odd")
    assert [(c["name"], c["total"]) for c in scheduler["capacity"] if c["name"] == "license"] == [("license", 2.0)]
    (version,) = told["projects"]
    assert [(w["project"], w["code"]) for w in scheduler["workers"]] == [("shop", version["code"])]
    assert (version["deployment"], version["rollback"], version["again_at"]) == (None, "", None)
    assert told["leaders"][0]["leads"]
    by_command = json.loads(told_by_command(server, "--json"))
    assert by_command["projects"] == told["projects"]
    assert by_command["schedulers"][0]["executors"] == scheduler["executors"]
    text = told_by_command(server)
    assert "shop/farm (slurm): no step was sent there yet" in text
    assert "shop/odd (kubernetes): its settings are wrong" in text
    assert "license" in text
    assert version["code"] in text


def test_an_executor_that_cannot_be_reached_says_why_and_how_many_jobs_wait(server: Serving) -> None:
    with pt.Client(server.address, server.token) as client:
        run = client.runs.start("away")

        def farm() -> dict[str, object]:
            (scheduler,) = client.system.now()["schedulers"]
            found: dict[str, object] = next(e for e in scheduler["executors"] if e["name"] == "farm")
            return found

        for _ in range(600):
            if farm()["state"] == "away":
                break
            client.system.health()
            wait_a_moment()
        assert farm()["state"] == "away"
        assert farm()["trouble"]
        assert "shop/farm (slurm): cannot be reached" in told_by_command(server)
        client.runs.cancel(run.id)
        client.runs.wait(run.id, timeout_s=60)


def wait_a_moment() -> None:
    """Between two looks, so that looking does not keep the processors from what is looked for."""
    import threading

    threading.Event().wait(0.1)


def test_without_a_scheduler_versions_are_told_all_the_same(tmp_path_factory: pytest.TempPathFactory) -> None:
    service = Serving(tmp_path_factory.mktemp("left"), PIPELINES, '[tool.partita]\nname = "left"\n')
    try:
        service.scheduler.end()
        with service.client() as api:
            told = api.get("/api/v1/system").json()
        assert told["schedulers"] == []
        assert [p["project"] for p in told["projects"]] == ["left"]
    finally:
        service.web.end()


def test_what_is_not_to_be_seen_is_not_told(server: Serving) -> None:
    with httpx2.Client(base_url=server.address, timeout=30.0) as nobody:
        assert nobody.get("/api/v1/system").status_code == 401
